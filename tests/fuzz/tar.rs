//! The tar of an archive, without gzip: headers, extension records and entries. Headers get their checksum mended, so that
//! the changes come through.
#![no_main]

mod archive;

use libfuzzer_sys::fuzz_target;

const BLOCK: usize = 512;
/// The checksum's field in a header (pax, "ustar Interchange Format").
const CHECKSUM: std::ops::Range<usize> = 148..156;

fuzz_target!(|bytes: &[u8]| {
    let mut tar = bytes.to_vec();
    for block in tar.chunks_exact_mut(BLOCK) {
        if block[257..262] == *b"ustar" {
            block[CHECKSUM].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    archive::read(&tar);
});

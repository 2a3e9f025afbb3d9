//! Whole archives: gzip members, tar, manifest and contents. What is changed gets its CRC-32 mended, so that the changes
//! come through.
#![no_main]

mod archive;

use flate2::{Crc, Decompress, FlushDecompress};
use libfuzzer_sys::fuzz_target;

/// More than any member of the seeds inflates to.
const MOST_BYTES: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    archive::read(bytes);
    let mended = mended(bytes);
    if mended != bytes {
        archive::read(&mended);
    }
});

/// Puts the CRC-32 and the size that are right into the trailer of each gzip member, as far as there are members.
fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut mended = bytes.to_vec();
    let mut at = 0;
    while let Some((end, crc, size)) = member(&mended[at..]) {
        let Some(trailer) = mended.get_mut(at + end..at + end + 8) else {
            break;
        };
        trailer[..4].copy_from_slice(&crc.to_le_bytes());
        trailer[4..].copy_from_slice(&size.to_le_bytes());
        at += end + 8;
    }
    mended
}

/// Returns where the trailer of the first member begins, and the CRC-32 and the size of its content. Only headers with an
/// extra field or with nothing are known.
fn member(bytes: &[u8]) -> Option<(usize, u32, u32)> {
    let header = bytes.get(..10)?;
    let header_bytes = match header[3] {
        0 => 10,
        4 => 12 + usize::from(u16::from_le_bytes(bytes.get(10..12)?.try_into().ok()?)),
        _ => return None,
    };
    let mut content = Vec::with_capacity(MOST_BYTES);
    let mut deflate = Decompress::new(false);
    deflate
        .decompress_vec(bytes.get(header_bytes..)?, &mut content, FlushDecompress::Finish)
        .ok()?;
    let mut crc = Crc::new();
    crc.update(&content);
    let deflated = usize::try_from(deflate.total_in()).ok()?;
    Some((header_bytes + deflated, crc.sum(), crc.amount()))
}

//! The index behind an archive: what is extracted through it is right, or the archive is read through.
#![no_main]

mod archive;

use std::{io, path::PathBuf, sync::LazyLock};

use hookshot::{archive::select::select, model::entry_name::EntryName, work::ReadAt};
use libfuzzer_sys::fuzz_target;

static ARCHIVE: &[u8] = include_bytes!("../fixtures/archives/hookshot-1.1.tar.gz");
static ACCEPTED: LazyLock<archive::Accepted> =
    LazyLock::new(|| archive::read(ARCHIVE).expect("a good archive"));
static NAMES: LazyLock<Vec<EntryName>> =
    LazyLock::new(|| ACCEPTED.0.files.keys().cloned().collect());

struct InMemory(Vec<u8>);

impl ReadAt for InMemory {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(buffer.len());
        let bytes = end.and_then(|end| self.0.get(start..end));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
}

fuzz_target!(|index: &[u8]| {
    let bytes = [&ARCHIVE[..index_offset()], index].concat();
    if let Some(accepted) = archive::read(&bytes) {
        assert_eq!(accepted, *ACCEPTED);
    }
    let mut found = archive::Collect::default();
    let scratch = &PathBuf::from("/dev/shm").into();
    let selected = select(&InMemory(bytes), &NAMES, scratch, &mut found).expect("readable");
    if let Some(selected) = selected {
        assert_eq!(selected.manifest, ACCEPTED.0);
        assert_eq!(found.0, ACCEPTED.1);
    }
});

/// Returns where the members without content begin, which are the index. Each member states its size.
fn index_offset() -> usize {
    let mut at = 0;
    loop {
        let size = u32::from_le_bytes(ARCHIVE[at + 16..at + 20].try_into().expect("a size"));
        let end = at + size as usize;
        if ARCHIVE[end - 4..end] == [0; 4] {
            return at;
        }
        at = end;
    }
}

//! A storage for redb that reads from a file and keeps every write in memory: redb may repair what it opens, and the
//! file stays as it is.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    sync::{Mutex, MutexGuard, PoisonError},
};

const BLOCK: u64 = 4096;
/// The bytes read at once if pages are read in the order of the file.
const AHEAD_BYTES: u64 = 256 << 10;

/// A file under a layer of changes that vanish when this value is dropped.
#[derive(Debug)]
pub struct Overlay {
    file: File,
    ahead: Mutex<Ahead>,
    changes: Mutex<Changes>,
}

/// A part of the file in memory: redb reads page by page, mostly in the order of the file.
#[derive(Debug, Default)]
struct Ahead {
    offset: u64,
    bytes: Vec<u8>,
    /// The end of the last read that bypassed this part.
    last: u64,
}

impl Ahead {
    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    fn read(&mut self, file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset + out.len() as u64;
        if (offset == self.end() || offset == self.last) && (out.len() as u64) < AHEAD_BYTES {
            let length = file.metadata()?.len().saturating_sub(offset);
            self.bytes.resize(length.min(AHEAD_BYTES) as usize, 0);
            self.offset = offset;
            let read = file.read_exact_at(&mut self.bytes, offset);
            if let Err(error) = read {
                self.bytes.clear();
                return Err(error);
            }
        }
        if self.offset <= offset && end <= self.end() {
            let from = (offset - self.offset) as usize;
            out.copy_from_slice(&self.bytes[from..from + out.len()]);
            return Ok(());
        }
        self.last = end;
        file.read_exact_at(out, offset)
    }
}

#[derive(Debug)]
struct Changes {
    len: u64,
    /// The length below which the file shows through.
    visible: u64,
    blocks: BTreeMap<u64, Box<[u8]>>,
}

impl Overlay {
    /// Creates an overlay over `file`, which is only read.
    pub fn new(file: File) -> io::Result<Overlay> {
        let len = file.metadata()?.len();
        Ok(Overlay {
            file,
            ahead: Mutex::default(),
            changes: Mutex::new(Changes {
                len,
                visible: len,
                blocks: BTreeMap::new(),
            }),
        })
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn base(&self, visible: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let shown = usize::try_from(visible.saturating_sub(offset))
            .unwrap_or(usize::MAX)
            .min(out.len());
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        ahead.read(&self.file, offset, &mut out[..shown])?;
        out[shown..].fill(0);
        Ok(())
    }
}

impl redb::StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changes().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changes = self.changes();
        let end = offset
            .checked_add(out.len() as u64)
            .filter(|end| *end <= changes.len);
        let end = end.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        self.base(changes.visible, offset, out)?;
        for (number, block) in changes.blocks.range(offset / BLOCK..end.div_ceil(BLOCK)) {
            let (from, to) = (
                (number * BLOCK).max(offset),
                ((number + 1) * BLOCK).min(end),
            );
            let inside = (from - number * BLOCK) as usize..(to - number * BLOCK) as usize;
            out[(from - offset) as usize..(to - offset) as usize].copy_from_slice(&block[inside]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut changes = self.changes();
        changes.len = len;
        changes.visible = changes.visible.min(len);
        changes.blocks.split_off(&len.div_ceil(BLOCK));
        // Bytes that are cut off must read as zeros when the file grows again.
        if let Some(block) = changes.blocks.get_mut(&(len / BLOCK)) {
            block[(len % BLOCK) as usize..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changes = self.changes();
        let end = offset
            .checked_add(data.len() as u64)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        changes.len = changes.len.max(end);
        for number in offset / BLOCK..end.div_ceil(BLOCK) {
            let (from, to) = (
                (number * BLOCK).max(offset),
                ((number + 1) * BLOCK).min(end),
            );
            let visible = changes.visible;
            if let std::collections::btree_map::Entry::Vacant(vacant) = changes.blocks.entry(number)
            {
                let mut block = vec![0; BLOCK as usize].into_boxed_slice();
                self.base(visible, number * BLOCK, &mut block)?;
                vacant.insert(block);
            }
            if let Some(block) = changes.blocks.get_mut(&number) {
                let inside = (from - number * BLOCK) as usize..(to - number * BLOCK) as usize;
                block[inside]
                    .copy_from_slice(&data[(from - offset) as usize..(to - offset) as usize]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redb::StorageBackend as _;
    use std::io::Write as _;

    #[derive(Debug, Clone)]
    enum Operation {
        Write(u64, Vec<u8>),
        SetLen(u64),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            (
                0..20_000u64,
                proptest::collection::vec(any::<u8>(), 1..9000)
            )
                .prop_map(|(at, data)| Operation::Write(at, data)),
            (0..30_000u64).prop_map(Operation::SetLen),
        ]
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_file_and_changes_none(
            base in proptest::collection::vec(any::<u8>(), 0..20_000),
            operations in proptest::collection::vec(operation(), 0..12),
        ) {
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            file.write_all(&base).expect("written");
            let overlay = Overlay::new(file.reopen().expect("a file")).expect("an overlay");
            let mut model = base.clone();
            for operation in operations {
                match operation {
                    Operation::Write(at, data) => {
                        let end = at as usize + data.len();
                        model.resize(model.len().max(end), 0);
                        model[at as usize..end].copy_from_slice(&data);
                        overlay.write(at, &data).expect("written");
                    }
                    Operation::SetLen(len) => {
                        model.resize(len as usize, 0);
                        overlay.set_len(len).expect("cut");
                    }
                }
                let mut seen = vec![1; model.len()];
                overlay.read(0, &mut seen).expect("read");
                prop_assert!(seen == model);
                prop_assert!(overlay.read(1, &mut seen).is_err() || model.is_empty());
            }
            prop_assert!(std::fs::read(file.path()).expect("the file") == base);
        }
    }
}

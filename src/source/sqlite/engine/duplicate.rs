//! A private copy of a database with its companions, of one moment.
//!
//! The caller holds a reader's lock on the database. In rollback mode, no process then changes it, nor a journal that a
//! crash left. In WAL mode others may, so the log is read before the database and compared afterwards. If it is the
//! same byte for byte, nothing was appended meanwhile. It was not restarted, because that changes the salt in its
//! header. It still exists, because the lock keeps it. So all pages written into the database meanwhile belong to
//! commits in that log, and SQLite finds them there when it opens the copy. The processes that have it open, and the
//! clock, do not matter.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    disk::{open_regular, staging::Staging},
    model::{entry_name::EntryName, limits::BUFFER_BYTES},
    work::{Advance, space},
};

/// The name of the copy in its folder; companions get their suffix.
const NAME: &str = "copy.db";
/// The bytes that are copied before the caller is asked whether to go on.
const PIECE_BYTES: u64 = 8 << 20;

/// Copies `database`, and its companions with these `suffixes`, into `folder`. Returns `None` if the companions changed
/// or vanished meanwhile.
pub fn make(
    database: &File,
    path: &Path,
    suffixes: &[&str],
    folder: &Staging,
    step: &Advance<'_>,
) -> Result<Option<PathBuf>> {
    let mut companions = Vec::new();
    for suffix in suffixes {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let place = PathBuf::from(name);
        match open_regular(&place) {
            Ok(file) => companions.push((place, file, *suffix)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", place.display()));
            }
        }
    }
    let mut bytes = database.metadata()?.len();
    for (_, file, _) in &companions {
        bytes = bytes.saturating_add(file.metadata()?.len());
    }
    space::require(folder.path(), bytes, "a private copy of the database")?;
    let mut copies = Vec::new();
    for (place, file, suffix) in &companions {
        copies.push(copy(file, place, &name(suffix), folder, step)?);
    }
    copy(database, path, &name(""), folder, step)?;
    for ((place, _, _), copy) in companions.iter().zip(&copies) {
        // The file that has the name now, not the one opened then.
        let now = match open_regular(place) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", place.display()));
            }
        };
        let copy = File::open(copy)?;
        if !is_same(&now, &copy, step)
            .with_context(|| format!("cannot read {}", place.display()))?
        {
            return Ok(None);
        }
    }
    Ok(Some(folder.place(&name(""))))
}

fn name(suffix: &str) -> EntryName {
    EntryName::new(&format!("{NAME}{suffix}")).expect("a plain name is an entry's name")
}

/// Copies a file from its beginning to its current end; holes and shared blocks are left to the kernel.
fn copy(
    source: &File,
    place: &Path,
    name: &EntryName,
    folder: &Staging,
    step: &Advance<'_>,
) -> Result<PathBuf> {
    let mut out = folder.file(name)?;
    let mut source = source;
    io::Seek::rewind(&mut source).with_context(|| format!("cannot read {}", place.display()))?;
    loop {
        let copied = io::copy(&mut source.take(PIECE_BYTES), &mut out)
            .with_context(|| format!("cannot copy {}", place.display()))?;
        // These bytes are not counted: only those of the snapshot made of the copy are.
        step(0)?;
        if copied == 0 {
            return Ok(folder.place(name));
        }
    }
}

/// Returns true if two files hold the same bytes, both read from their beginning.
fn is_same(one: &File, other: &File, step: &Advance<'_>) -> Result<bool> {
    let mut one = BufReader::with_capacity(BUFFER_BYTES, one);
    let mut other = BufReader::with_capacity(BUFFER_BYTES, other);
    let (mut mine, mut theirs) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
    loop {
        let (here, there) = (fill(&mut one, &mut mine)?, fill(&mut other, &mut theirs)?);
        if mine[..here] != theirs[..there] {
            return Ok(false);
        }
        if here == 0 {
            return Ok(true);
        }
        step(0)?;
    }
}

/// Reads until `buffer` is full or the end is reached; returns the number of bytes.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests may do what hookshot may not"
)]
mod tests {
    use super::*;
    use std::{cell::Cell, fs};

    fn make_in(folder: &Path, step: &Advance<'_>) -> Option<Vec<u8>> {
        let path = folder.join("app.db");
        let file = File::open(&path).expect("a file");
        let staging = Staging::scratch(folder, "snapshot").expect("a folder");
        let copy = make(&file, &path, &["-wal"], &staging, step).expect("copied")?;
        assert_eq!(copy, staging.path().join("copy.db"));
        let mut bytes = fs::read(&copy).expect("readable");
        bytes.extend(fs::read(staging.path().join("copy.db-wal")).expect("readable"));
        Some(bytes)
    }

    #[test]
    fn a_log_that_changes_while_it_is_copied_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("app.db"), "database").expect("written");
        let log = folder.path().join("app.db-wal");
        fs::write(&log, "log").expect("written");
        let quiet = make_in(folder.path(), &|_| Ok(()));
        assert_eq!(quiet.as_deref(), Some(&b"databaselog"[..]));
        type Change<'a> = &'a dyn Fn();
        let changes: [Change<'_>; 4] = [
            &|| fs::write(&log, "log+").expect("appended"),
            &|| fs::write(&log, "lo9").expect("overwritten"),
            &|| fs::write(&log, "").expect("cut off"),
            &|| fs::remove_file(&log).expect("removed"),
        ];
        for change in changes {
            fs::write(&log, "log").expect("written");
            // Steps: the log (what changes before its end is copied), its end, the database, its end.
            for at in 2..=4 {
                fs::write(&log, "log").expect("written");
                let count = Cell::new(0);
                let step = |_| {
                    count.set(count.get() + 1);
                    if count.get() == at {
                        change();
                    }
                    Ok(())
                };
                assert_eq!(make_in(folder.path(), &step), None, "step {at}");
            }
        }
        assert_eq!(make_in(folder.path(), &|_| Ok(())), None, "there is none");
        assert_eq!(folder.path().read_dir().expect("readable").count(), 1);
    }
}

//! SQLite databases: the processes that have one open, a copy of one committed point while others write, and the check
//! of a copy.
//!
//! The original and its companions are only read: nothing here creates, changes, checkpoints or removes them, whatever
//! processes have them open, and however the service ended (see engine/reading.rs). Without the feature `sqlite`, a
//! database is still recognized, but opening it fails.
//!
//! Not for a database that this very process has open: SQLite's locks belong to a process, and are lost as soon as any
//! handle of that process on the file is closed (fcntl(2), "Advisory record locking").

#[cfg_attr(not(feature = "sqlite"), path = "absent.rs")]
mod engine;
#[cfg_attr(
    not(feature = "sqlite"),
    expect(dead_code, reason = "the engine uses it")
)]
mod finding;
#[cfg_attr(
    not(feature = "sqlite"),
    expect(dead_code, reason = "the engine uses it")
)]
mod lock;
pub mod source;
pub mod verdict;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

pub use self::engine::{active, judge, snapshot};
use crate::{
    disk::holder::{self, Holder},
    work::Advance,
};

/// The caller's parts in reading a database.
pub struct SqliteContext<'a> {
    /// Called several times a second, also while another process keeps the database locked.
    pub step: &'a Advance<'a>,
    /// The folder for private copies. A live database in rollback mode, and one with leftovers of a crash, is copied
    /// twice.
    pub scratch: &'a Path,
    /// The time to wait for a database that another process keeps locked.
    pub patience: Duration,
}

/// Returns the paths of the files that SQLite keeps beside the database at `path`: write-ahead log, its index, rollback
/// journal.
///
/// They lie beside the file itself: a link at `path` is not followed here. A caller that replaces a database has to
/// move them away as well, because SQLite would apply them to the new file.
pub fn companions(path: &Path) -> [PathBuf; 3] {
    ["-wal", "-shm", "-journal"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

/// Returns the other processes that have the database at `path` or one of its companions open, as far as hookshot may
/// see them; a link at `path` is followed.
pub fn holders(path: &Path) -> Result<Vec<Holder>> {
    let asking = || format!("cannot ask who has {} open", path.display());
    let real = match path.canonicalize() {
        // Its companions may exist nevertheless.
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        result => result.with_context(asking)?,
    };
    let mut found = BTreeMap::new();
    for file in [real.clone()].into_iter().chain(companions(&real)) {
        match holder::open_by(&file) {
            Ok(open) => found.extend(open.into_iter().map(|(holder, _)| (holder.pid, holder))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(asking),
        }
    }
    Ok(found.into_values().collect())
}

/// Returns the other processes that use the database at `path`: those that are seen to have it open, or else one that
/// holds a lock.
///
/// The locks of other users and containers are seen; a connection in rollback mode without a transaction has none.
pub fn users(path: &Path) -> Result<Vec<Holder>> {
    let seen = holders(path)?;
    if !seen.is_empty() {
        return Ok(seen);
    }
    let asking = || format!("cannot ask who has {} locked", path.display());
    let real = match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        result => result.with_context(asking)?,
    };
    let user = lock::user(&real).with_context(asking)?;
    Ok(user.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn companions_lie_beside_the_database_whatever_its_name() {
        let [wal, shm, journal] = companions(Path::new("/data/a b?#%41.db"));
        assert_eq!(wal, Path::new("/data/a b?#%41.db-wal"));
        assert_eq!(shm, Path::new("/data/a b?#%41.db-shm"));
        assert_eq!(journal, Path::new("/data/a b?#%41.db-journal"));
    }

    #[test]
    fn whoever_has_a_companion_open_holds_the_database() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.db");
        assert_eq!(holders(&path).expect("asked"), vec![]);
        let log = tempfile::Builder::new()
            .make_in(folder.path(), |_| {
                std::fs::File::create_new(&companions(&path)[0])
            })
            .expect("a file");
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .stdout(log.as_file().try_clone().expect("a handle"))
            .spawn()
            .expect("sleep");
        let found = holders(&path).expect("asked");
        child.kill().expect("killed");
        child.wait().expect("gone");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].pid, Some(child.id()));
    }
}

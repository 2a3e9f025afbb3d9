//! One hookshot at a time on one state: an advisory lock on the folders of the configuration and of the data.
//!
//! The folders themselves are locked (flock(2)), so that no lock file is made or touched. Not promised: anything
//! against programs that do not ask for the lock; what keeps the service out is the lock of its database.

use std::{
    fs::File,
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::holder;
use crate::error::{Failure, Kind};

/// The way in which a state is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Together with other processes that only read it.
    Shared,
    /// Alone.
    Exclusive,
}

/// A held lock; dropping it releases it.
#[derive(Debug)]
pub struct StateLock {
    _folders: Vec<File>,
}

impl StateLock {
    /// Locks those of `folders` that exist. Fails with [`Kind::Blocked`] at once, naming the holder, when another
    /// hookshot is at work.
    pub fn acquire(folders: &[PathBuf], hold: Hold) -> Result<StateLock> {
        let mut held: Vec<(u64, u64)> = Vec::new();
        let mut files = Vec::new();
        for folder in folders {
            let file = match File::open(folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                result => result.with_context(|| format!("cannot open {}", folder.display()))?,
            };
            let metadata = file.metadata()?;
            // One folder may go by several names; a second lock on it would wait for the first.
            if held.contains(&(metadata.dev(), metadata.ino())) {
                continue;
            }
            held.push((metadata.dev(), metadata.ino()));
            let result = match hold {
                Hold::Shared => fs2::FileExt::try_lock_shared(&file),
                Hold::Exclusive => fs2::FileExt::try_lock_exclusive(&file),
            };
            match result {
                Ok(()) => files.push(file),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(busy(folder, &file).into());
                }
                Err(error) => {
                    return Err(error).with_context(|| {
                        format!(
                            "cannot lock the folder {}, which keeps other hookshots out",
                            folder.display()
                        )
                    });
                }
            }
        }
        Ok(StateLock { _folders: files })
    }
}

fn busy(folder: &Path, file: &File) -> Failure {
    let holders = holder::lock_holders(file).unwrap_or_default();
    let described = holder::describe(&holders);
    Failure::new(
        Kind::Blocked,
        format!(
            "another hookshot is at work on {}: {described}",
            folder.display()
        ),
    )
    .hint("wait until it is done, then try again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_share_and_a_writer_is_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        // The same folder under two names is one folder.
        let folders = [folder.path().to_owned(), folder.path().join(".")];
        let one = StateLock::acquire(&folders, Hold::Shared).expect("shared");
        let two = StateLock::acquire(&folders, Hold::Shared).expect("shared as well");
        let blocked = StateLock::acquire(&folders, Hold::Exclusive).expect_err("not alone");
        assert_eq!(Failure::of(&blocked).kind, Kind::Blocked);
        assert!(
            blocked
                .to_string()
                .contains(&std::process::id().to_string()),
            "{blocked}"
        );
        drop((one, two));
        StateLock::acquire(&folders, Hold::Exclusive).expect("alone");
    }
}

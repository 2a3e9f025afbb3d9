//! How bytes stay: durable files, private staging, space, locks, and the transaction that replaces several files as one.
//!
//! The only layer that changes a file that lasts.
#![expect(
    clippy::disallowed_methods,
    reason = "this layer owns renames, links, removals and writes"
)]

pub mod holder;
pub mod journal;
pub mod lock;
pub mod publish;
pub mod space;
pub mod staging;
pub mod survey;
pub mod transaction;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// Makes the names in `folder` durable (fsync(2): a file's own sync does not cover its name).
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // Some file systems (FUSE, SMB) cannot sync a folder, and have no other way either.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(nix::libc::EINVAL | nix::libc::ENOTSUP)
            ) =>
        {
            Ok(())
        }
        result => result,
    }
}

/// The folder that `path` lies in; `.` for a bare name.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Whether something is at `path`, a dangling link included.
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Removes a file; that it is not there is fine.
pub fn remove_file(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Creates `folder` and those above it that are missing, 0700, and tells which, outermost first.
pub fn create_folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut missing = Vec::new();
    for ancestor in folder
        .ancestors()
        .filter(|ancestor| !ancestor.as_os_str().is_empty())
    {
        match ancestor.metadata() {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                missing.push(ancestor.to_owned())
            }
            Err(error) => return Err(error),
        }
    }
    missing.reverse();
    for folder in &missing {
        match std::fs::DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => sync_folder(&folder_of(folder))?,
        }
    }
    Ok(missing)
}

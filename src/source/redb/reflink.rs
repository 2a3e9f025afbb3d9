//! A clone of a file on file systems that share blocks between files: one moment of it, even while a process writes
//! (ioctl_ficlone(2)).
//!
//! The clone of a live database holds what a crash at that moment would have left.

use std::{fs::File, io, path::Path};

use nix::errno::Errno;

use crate::disk::folder_of;

/// Clones the file at `path`, open in `original`, into a file without a name beside it. Returns the reason if that
/// fails: the file system does not share blocks, or the folder cannot be written.
pub fn clone_beside(path: &Path, original: &File) -> Result<File, String> {
    let folder = path
        .canonicalize()
        .map(|path| folder_of(&path))
        .map_err(|error| error.to_string())?;
    let clone = tempfile::tempfile_in(&folder)
        .map_err(|error| format!("nothing can be written in {}: {error}", folder.display()))?;
    match rustix::fs::ioctl_ficlone(&clone, original) {
        Ok(()) => Ok(clone),
        Err(error) => Err(reason(error.into())),
    }
}

fn reason(error: io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EOPNOTSUPP | Errno::ENOTTY | Errno::EINVAL | Errno::EXDEV | Errno::ENOSYS) => {
            "its file system cannot clone files".to_owned()
        }
        _ => format!("it cannot be cloned: {error}"),
    }
}

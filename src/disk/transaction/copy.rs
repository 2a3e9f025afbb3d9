//! Copies of old files, and second names in place of copies.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown},
    path::Path,
};

use anyhow::Result;

/// Gives a file a second name, or makes a copy with the same attributes if the file system has no links.
pub fn link_or_copy(file: &Path, to: &Path) -> Result<()> {
    if fs::hard_link(file, to).is_ok() {
        return Ok(());
    }
    let metadata = file.metadata()?;
    copy_private(file, to)?;
    let copy = File::open(to)?;
    // An unprivileged owner cannot give files away, and then the copy is its own as the original was.
    let _ = fchown(&copy, Some(metadata.uid()), Some(metadata.gid()));
    copy.set_permissions(metadata.permissions())?;
    copy.set_modified(metadata.modified()?)?;
    Ok(copy.sync_all()?)
}

/// Copies a file's content to a new file, 0600.
pub fn copy_private(source: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(source)?;
    let mut copy = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    io::copy(&mut from, &mut copy)?;
    Ok(())
}

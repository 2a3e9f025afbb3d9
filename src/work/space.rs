//! The check for free space before anything is written.

use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::process::{Resource, getrlimit};

use crate::error::{Failure, Kind};

/// Room that stays free beside the request, in bytes: for metadata, a journal, a log line of another process.
const RESERVE_BYTES: u64 = 1 << 20;

/// Fails with [`Kind::Space`] if the file system of `path` has no room for `bytes` more.
///
/// Not promised: that the room is still there a moment later; writing fails with the same kind then.
pub fn require(path: &Path, bytes: u64, what: &str) -> Result<()> {
    let folder = path
        .ancestors()
        .find(|ancestor| ancestor.is_dir())
        .unwrap_or(Path::new("."));
    let free = fs2::available_space(folder)
        .with_context(|| format!("cannot ask for the free space of {}", folder.display()))?;
    // A file system that has no size does not count: ramfs, and some in user space.
    if free == 0 && fs2::total_space(folder).is_ok_and(|total| total == 0) {
        return Ok(());
    }
    let bytes = bytes.saturating_add(RESERVE_BYTES);
    if free >= bytes {
        return Ok(());
    }
    // Our own folders are gone when the message is read, and a rehearsal has none.
    let is_ours = |folder: &&Path| {
        let name = folder.file_name().unwrap_or_default();
        name.as_encoded_bytes().starts_with(b".hookshot-")
    };
    let shown = folder.ancestors().find(|folder| !is_ours(folder));
    let message = format!(
        "not enough space for {what} in {}: {bytes} bytes are needed, {free} are free",
        shown.unwrap_or(folder).display()
    );
    Err(Failure::new(Kind::Space, message)
        .hint("free some space and try again; nothing was changed")
        .into())
}

/// Fails with [`Kind::Space`] if this process may not write a file of `bytes`: `RLIMIT_FSIZE`, setrlimit(2).
pub fn require_file(bytes: u64, what: &str) -> Result<()> {
    let Some(limit) = getrlimit(Resource::Fsize)
        .current
        .filter(|limit| bytes > *limit)
    else {
        return Ok(());
    };
    let message = format!(
        "{what} takes a file of {bytes} bytes, and this process may write {limit} bytes into one"
    );
    Err(Failure::new(Kind::Space, message)
        .hint("raise the limit (`ulimit -f`, in KiB; LimitFSIZE= of a systemd unit) and try again; nothing was changed")
        .into())
}

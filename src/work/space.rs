//! The check for free space before anything is written.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::{
    fs::{statfs, statvfs},
    process::{Resource, getrlimit},
};

use crate::error::{Failure, Kind};

/// Room that stays free beside the request, in bytes: for metadata, a journal, a log line of another process.
const RESERVE_BYTES: u64 = 1 << 20;

/// Fails with [`Kind::Space`] if the file system of `path` has no room for `bytes` more.
///
/// Not promised: that the room is still there a moment later; writing fails with the same kind then.
pub fn require(path: &Path, bytes: u64, what: &str) -> Result<()> {
    let mut files = NewFiles::at(path)?;
    files.add(0, bytes);
    files.require(what)
}

/// `EXT4_SUPER_MAGIC` (ext2 and ext3 have it as well), `XFS_SUPER_MAGIC`, `TMPFS_MAGIC` and `OVERLAYFS_SUPER_MAGIC` of
/// linux/magic.h.
const EXT: i128 = 0xef53;
const XFS: i128 = 0x5846_5342;
const TMPFS: i128 = 0x0102_1994;
const OVERLAY: i128 = 0x794c_7630;
/// The length of a symbolic link's target that ext4 keeps outside of the inode.
const EXT_LONG_LINK: usize = 60;

/// The files, folders and links that are about to be made on one file system, and the room that they take there.
#[derive(Debug)]
pub struct NewFiles {
    /// A folder of the file system that is there.
    folder: PathBuf,
    /// The bytes that were free at first; `None` if the file system has no size.
    free: Option<u64>,
    /// The inodes that were free at first; `None` if it makes them as it needs them.
    free_inodes: Option<u64>,
    /// The content of a file takes a multiple of so many bytes.
    block_bytes: u64,
    is_ext: bool,
    bytes: u64,
    inodes: u64,
}

impl NewFiles {
    /// Creates an empty count for the file system of `path`, or of the nearest folder above it that is there.
    pub fn at(path: &Path) -> Result<NewFiles> {
        let folder = path
            .ancestors()
            .find(|ancestor| ancestor.is_dir())
            .unwrap_or(Path::new("."));
        let asked = statvfs(folder).and_then(|found| Ok((found, statfs(folder)?)));
        let (found, kind) = asked
            .with_context(|| format!("cannot ask for the free space of {}", folder.display()))?;
        // The type of the field differs between architectures.
        let kind = i128::from(kind.f_type);
        // Others keep small files beside their names (btrfs, f2fs, ZFS), or tell the size of a transfer (NFS).
        let has_blocks = [EXT, XFS, TMPFS].contains(&kind) || kind == OVERLAY && found.f_files > 0;
        Ok(NewFiles {
            folder: folder.to_owned(),
            // Some in user space have no size, and ramfs.
            free: (found.f_blocks > 0).then(|| found.f_bavail.saturating_mul(found.f_frsize)),
            free_inodes: (found.f_files > 0).then_some(found.f_favail),
            block_bytes: if has_blocks { found.f_frsize.max(1) } else { 1 },
            is_ext: kind == EXT,
            bytes: 0,
            inodes: 0,
        })
    }

    /// Returns the bytes that were free at first; `None` if the file system has no size.
    pub fn free_bytes(&self) -> Option<u64> {
        self.free
    }

    /// Adds a file with so many bytes of content.
    pub fn add_file(&mut self, bytes: u64) {
        let blocks = bytes.div_ceil(self.block_bytes);
        self.add(1, blocks.saturating_mul(self.block_bytes));
    }

    /// Adds a folder. A small one is a part of its inode in other file systems than ext4.
    pub fn add_folder(&mut self) {
        self.add(1, if self.is_ext { self.block_bytes } else { 0 });
    }

    /// Adds a symbolic link.
    pub fn add_link(&mut self, target: &[u8]) {
        let is_apart = self.is_ext && target.len() >= EXT_LONG_LINK;
        self.add(1, if is_apart { self.block_bytes } else { 0 });
    }

    /// Adds inodes and bytes, as they are.
    pub fn add(&mut self, inodes: u64, bytes: u64) {
        self.inodes = self.inodes.saturating_add(inodes);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Takes away what was [added](NewFiles::add) before.
    pub fn subtract(&mut self, inodes: u64, bytes: u64) {
        self.inodes = self.inodes.saturating_sub(inodes);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Returns true if there is room even if each of `inodes` takes a whole block more.
    pub fn is_roomy(&self, inodes: u64) -> bool {
        let most = inodes.saturating_mul(self.block_bytes);
        let most = most.saturating_add(self.bytes_with_reserve());
        self.free.is_none_or(|free| free >= most)
    }

    /// Fails with [`Kind::Space`] if they do not fit.
    pub fn require(&self, what: &str) -> Result<()> {
        let bytes = self.bytes_with_reserve();
        let (lack, hint) = match (self.free, self.free_inodes) {
            (Some(free), _) if free < bytes => (
                format!("{bytes} bytes are needed, {free} are free"),
                "free some space and try again; nothing was changed",
            ),
            (_, Some(free)) if free < self.inodes => (
                format!(
                    "{} inodes are needed (one for each file, folder and link), {free} are free",
                    self.inodes
                ),
                "remove files there, or give the file system more inodes (tmpfs: nr_inodes=, ext4: mkfs -N), and try \
                again; nothing was changed",
            ),
            _ => return Ok(()),
        };
        // Our own folders are gone when the message is read, and a rehearsal has none.
        let is_ours = |folder: &&Path| {
            let name = folder.file_name().unwrap_or_default();
            name.as_encoded_bytes().starts_with(b".hookshot-")
        };
        let shown = self.folder.ancestors().find(|folder| !is_ours(folder));
        let shown = shown.unwrap_or(&self.folder).display();
        let message = format!("not enough space for {what} in {shown}: {lack}");
        Err(Failure::new(Kind::Space, message).hint(hint).into())
    }

    fn bytes_with_reserve(&self) -> u64 {
        self.bytes.saturating_add(RESERVE_BYTES)
    }
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

//! The table of the mounts that a process sees.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::line::{Mount, parse};

/// The mounts that a process sees, in the order in which they were made.
#[derive(Debug, Clone)]
pub struct Mounts(pub(super) Vec<Mount>);

impl Mounts {
    /// Reads those of this process.
    pub fn ours() -> Result<Mounts> {
        Mounts::of("self").context("cannot read /proc/self/mountinfo: is /proc mounted?")
    }

    pub(super) fn of(pid: &str) -> io::Result<Mounts> {
        let text = fs::read(format!("/proc/{pid}/mountinfo"))?;
        Ok(Mounts(
            text.split(|byte| *byte == b'\n')
                .filter_map(parse)
                .collect(),
        ))
    }

    /// Returns the mount that shows what is at `path`, an absolute path without links.
    pub fn showing(&self, path: &Path) -> Option<&Mount> {
        match id_of(path) {
            Some(id) => self.0.iter().find(|mount| mount.id == id),
            // Before Linux 5.8: of several at one place, the last one is seen.
            None => {
                let around = self.0.iter().filter(|mount| path.starts_with(&mount.point));
                around.max_by_key(|mount| mount.point.as_os_str().len())
            }
        }
    }

    /// Returns true if something is mounted at `path`: it cannot be renamed, nor replaced by a rename.
    pub fn is_point(&self, path: &Path) -> bool {
        let Some(folder) = path.parent() else {
            return true;
        };
        match (id_of(path), id_of(folder)) {
            (Some(there), Some(above)) => there != above,
            _ => self.0.iter().any(|mount| mount.point == path),
        }
    }

    /// Returns the places below `folder` at which something is mounted and seen.
    pub fn below(&self, folder: &Path) -> Vec<&Path> {
        let inside = self
            .0
            .iter()
            .filter(|mount| mount.point != folder && mount.point.starts_with(folder));
        // A mount that lies under another one is not in the folder that is seen.
        let seen = inside.filter(|mount| match id_of(&mount.point) {
            Some(id) => id == mount.id,
            None => crate::disk::exists(&mount.point),
        });
        let mut places: Vec<&Path> = seen.map(|mount| mount.point.as_path()).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Returns the place of `path` in its file system, whatever it is called here.
    pub(super) fn inner(&self, path: &Path) -> Option<Inner> {
        let mount = self.showing(path)?;
        let below = path.strip_prefix(&mount.point).ok()?;
        let inside = match below.as_os_str().is_empty() {
            true => mount.root.clone(),
            false => mount.root.join(below),
        };
        Some(Inner {
            device: mount.device.clone(),
            path: inside,
        })
    }

    /// Returns the mounts that show `inner`, or something in it, by itself.
    pub(super) fn showing_alone<'a>(&'a self, inner: &'a Inner) -> impl Iterator<Item = &'a Mount> {
        let is_on_it = move |mount: &&Mount| mount.device == inner.device;
        let on_it = self.0.iter().filter(is_on_it);
        on_it.filter(move |mount| mount.root.starts_with(&inner.path))
    }
}

/// A place in a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inner {
    pub(super) device: String,
    pub(super) path: PathBuf,
}

/// Returns the number of the mount that shows `path`, from Linux 5.8 on; a link is not followed.
pub(super) fn id_of(path: &Path) -> Option<u64> {
    let found = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::MNT_ID).ok()?;
    let is_told = found.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    is_told.then_some(found.stx_mnt_id)
}

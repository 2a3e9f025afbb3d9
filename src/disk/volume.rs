//! Folders that are mount points: they cannot be renamed, so that their children are replaced, one by one, and they
//! themselves get their attributes.

use std::{
    fs::File,
    io,
    os::{
        fd::AsFd as _,
        unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    },
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rustix::fs::{self as sys, XattrFlags};
use serde::{Deserialize, Serialize};

use super::tree::beneath::{NodeKind, xattrs};
use crate::model::{
    relative::RelativeName,
    rules::{Decision, Rules},
    tree::Xattrs,
};

/// Names that the file system itself, or what makes snapshots of it, has in a mount point. They stay as they are.
pub const STAYING: [&str; 4] = ["lost+found", ".zfs", ".snapshots", ".snapshot"];

/// A mount point whose children are replaced, and its own attributes before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its path.
    #[serde(with = "super::written_path::one")]
    pub path: PathBuf,
    /// Its old attributes.
    pub before: Own,
    /// Its new ones.
    pub after: Own,
}

impl Volume {
    /// Gives it its new attributes. May be repeated.
    pub fn apply(&self) -> Result<()> {
        self.give(&self.after)
    }

    /// Gives it its old ones back. May be repeated.
    pub fn restore(&self) -> Result<()> {
        self.give(&self.before)
    }

    fn give(&self, wanted: &Own) -> Result<()> {
        let give = || -> io::Result<()> {
            let now = Own::of(&self.path)?;
            if (now.uid, now.gid) != (wanted.uid, wanted.gid) {
                chown(&self.path, Some(wanted.uid), Some(wanted.gid))?;
            }
            let folder = File::open(&self.path)?;
            for name in now.xattrs.keys() {
                if !wanted.xattrs.contains_key(name) {
                    sys::fremovexattr(&folder, name.as_str())?;
                }
            }
            for (name, value) in &wanted.xattrs {
                if now.xattrs.get(name) != Some(value) {
                    sys::fsetxattr(&folder, name.as_str(), value, XattrFlags::empty())?;
                }
            }
            // A new owner takes bits of the mode away, and an ACL changes those of the group.
            if Own::of(&self.path)?.mode != wanted.mode {
                let mode = std::fs::Permissions::from_mode(wanted.mode);
                std::fs::set_permissions(&self.path, mode)?;
            }
            Ok(())
        };
        give().with_context(|| format!("cannot give {} its attributes", self.path.display()))
    }

    /// Returns the change that undoes it.
    pub fn reversed(&self) -> Volume {
        Volume {
            path: self.path.clone(),
            before: self.after.clone(),
            after: self.before.clone(),
        }
    }
}

/// Permissions, owner and extended attributes of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// Permission bits.
    pub mode: u32,
    /// Number of the owner.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
    /// ACLs and other attributes that go along.
    #[serde(default, skip_serializing_if = "Xattrs::is_empty")]
    pub xattrs: Xattrs,
}

impl Own {
    /// Reads the attributes of the folder at `path`.
    pub fn of(path: &Path) -> io::Result<Own> {
        let metadata = path.metadata()?;
        Ok(Own {
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            xattrs: xattrs(File::open(path)?.as_fd())?,
        })
    }
}

/// Returns true if a child is one that an import replaces: nothing of ours, nothing that is excluded, no socket, fifo
/// or device.
pub fn is_replaced(rules: &Rules, name: &[u8], path: &Path) -> bool {
    if RelativeName::new(name).is_err() {
        return false;
    }
    let what = path.symlink_metadata().map(|metadata| {
        let kind = metadata.file_type();
        match (kind.is_dir(), kind.is_file(), kind.is_symlink()) {
            (true, ..) => NodeKind::Folder,
            (_, true, _) => NodeKind::File,
            (.., true) => NodeKind::Link,
            _ => NodeKind::Special("special"),
        }
    });
    match what {
        Ok(NodeKind::Special(_)) => false,
        Ok(what) => rules.keeps(name, what == NodeKind::Folder),
        // Nothing is there: what the archive has may come.
        Err(_) => rules.decide(name, true) != Decision::Excluded,
    }
}

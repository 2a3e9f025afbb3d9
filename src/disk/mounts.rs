//! Mounts and their mount points, for this process and for those of other mount namespaces (proc_pid_mountinfo(5),
//! mount_namespaces(7)).
//!
//! Mounts are told apart by their own numbers and never by the device: a bind mount has the device of what it shows,
//! and a subvolume of btrfs has a device of its own and is not a mount.

mod border;
mod line;
mod namespaces;
mod table;

use std::path::{Path, PathBuf};

pub(super) use self::border::Border;
use self::table::id_of;
pub use self::{
    line::Mount,
    namespaces::{Namespaces, OtherMount, namespace_of},
    table::Mounts,
};

/// Returns true if something is mounted at `path`, an absolute path without links. Nothing there is not a mount.
pub fn is_mount_point(path: &Path) -> bool {
    let Some(folder) = path.parent() else {
        return true;
    };
    match (id_of(path), id_of(folder)) {
        (Some(there), Some(above)) => there != above,
        _ => Mounts::ours().is_ok_and(|mounts| mounts.is_point(path)),
    }
}

/// Returns the folder that holds the new content of `target` before it has its name: the one that it lies in, or the
/// target itself if something is mounted there.
pub fn anchor(target: &Path) -> PathBuf {
    match is_mount_point(target) && target.is_dir() {
        true => target.to_owned(),
        false => super::folder_of(target),
    }
}

/// Returns true if two paths are shown by one mount, as far as the kernel tells.
pub fn is_same_mount(one: &Path, other: &Path) -> bool {
    id_of(one).is_some_and(|id| id_of(other) == Some(id))
}

/// Returns true if `path`, or the folder that would hold it, lies on another mount than `/`. A folder of the root's file
/// system that is bound onto itself, as by a sandbox of systemd, counts as not mounted.
pub fn is_mounted(path: &Path) -> bool {
    let path = super::real(path);
    let root = Path::new("/");
    let there = path.ancestors().find(|ancestor| ancestor.exists());
    let Some(there) = there.filter(|there| !is_same_mount(there, root)) else {
        return false;
    };
    let Ok(mounts) = Mounts::ours() else {
        return true;
    };
    match (mounts.inner(there), mounts.inner(root)) {
        (Some(inner), Some(top)) => {
            let below = there.strip_prefix("/").unwrap_or(there);
            inner.device != top.device || inner.path != top.path.join(below)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_a_mount_and_a_fresh_folder_is_none() {
        let ours = Mounts::ours().expect("/proc");
        assert!(ours.is_point(Path::new("/")));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().canonicalize().expect("real");
        assert!(!ours.is_point(&path));
        assert_eq!(ours.below(&path), Vec::<&Path>::new());
        let all = Namespaces::read().expect("/proc");
        assert_eq!(all.elsewhere(&path), vec![]);
        assert!(!is_mount_point(&path) && is_mount_point(Path::new("/")));
        assert_eq!(anchor(&path), folder.path().parent().expect("a folder"));
    }
}

//! The border of a mount, which no removal and no walk crosses.

use std::{
    ffi::CStr,
    io,
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, StatxFlags, fstat, statat, statx},
    io::Errno,
};

use super::table::Mounts;

/// The border of the mount that shows a folder.
#[derive(Debug)]
pub(in crate::disk) enum Border {
    /// By the number of the mount.
    Mount(u64),
    /// Before Linux 5.8: by the device of the folder and the points of all other mounts.
    Table { device: u64, points: Vec<PathBuf> },
}

impl Border {
    /// Returns the border of the mount that shows `folder`, which holds `path`, an absolute path without links.
    ///
    /// Errors: the kernel does not tell what is mounted.
    pub(in crate::disk) fn around(folder: BorrowedFd<'_>, path: &Path) -> io::Result<Border> {
        if let Ok(Some(id)) = id_in(folder, c"") {
            return Ok(Border::Mount(id));
        }
        let mounts = Mounts::of("self").map_err(|error| {
            let what = path.display();
            let message = format!(
                "cannot tell whether anything is mounted in {what}: cannot read /proc/self/mountinfo: {error}"
            );
            io::Error::new(error.kind(), message)
        })?;
        let points = mounts.0.into_iter().map(|mount| mount.point);
        Ok(Border::Table {
            device: fstat(folder)?.st_dev,
            points: points.filter(|point| point.starts_with(path)).collect(),
        })
    }

    /// Returns true if `name` in `folder`, or the folder itself for an empty name, is shown by another mount. `path` is
    /// its path. Nothing there is not another mount, but what the kernel does not tell is.
    pub(in crate::disk) fn is_across(
        &self,
        folder: BorrowedFd<'_>,
        name: &CStr,
        path: &Path,
    ) -> bool {
        match self {
            Border::Mount(own) => match id_in(folder, name) {
                Ok(id) => id != Some(*own),
                Err(error) => error != Errno::NOENT,
            },
            Border::Table { device, points } => {
                let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
                match statat(folder, name, flags) {
                    Ok(found) => found.st_dev != *device || points.iter().any(|at| at == path),
                    Err(error) => error != Errno::NOENT,
                }
            }
        }
    }
}

/// Returns the number of the mount that shows `name` in `folder`, or the folder itself for an empty name, from Linux 5.8
/// on. Neither follows a link nor waits for a server.
fn id_in(folder: BorrowedFd<'_>, name: &CStr) -> Result<Option<u64>, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW
        | AtFlags::EMPTY_PATH
        | AtFlags::NO_AUTOMOUNT
        | AtFlags::STATX_DONT_SYNC;
    match statx(folder, name, flags, StatxFlags::MNT_ID) {
        Ok(found) => {
            let is_told = found.stx_mask & StatxFlags::MNT_ID.bits() != 0;
            Ok(is_told.then_some(found.stx_mnt_id))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::fd::AsFd as _};

    use super::*;

    #[test]
    fn the_border_of_an_older_kernel_goes_by_device_and_table() {
        let bench = tempfile::tempdir().expect("a folder");
        let path = bench.path().canonicalize().expect("real");
        fs::create_dir(path.join("in")).expect("made");
        let folder = fs::File::open(&path).expect("open");
        let device = fstat(&folder).expect("known").st_dev;
        let is_across = |device, points: &[&str], name: &CStr| {
            let points = points.iter().map(|point| path.join(point)).collect();
            let border = Border::Table { device, points };
            let at = path.join(name.to_str().expect("text"));
            border.is_across(folder.as_fd(), name, &at)
        };
        assert!(!is_across(device, &[], c"in") && !is_across(device, &["other"], c"in"));
        assert!(is_across(device, &["in"], c"in"), "a bind mount");
        assert!(is_across(device + 1, &[], c"in"), "another file system");
        assert!(!is_across(device, &[], c"gone"));
        let now = Border::around(folder.as_fd(), &path.join("in")).expect("told");
        assert!(!now.is_across(folder.as_fd(), c"in", &path.join("in")));
        let proc = fs::File::open("/proc").expect("open");
        assert!(now.is_across(proc.as_fd(), c"", Path::new("/proc")));
    }
}

//! Moves what is in the way of a file or a folder aside, under a name of its own in the same folder.

use std::{
    ffi::OsString,
    fs::{OpenOptions, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

use nix::libc;

use super::{folder_of, rename_to_nothing, sync_folder};

/// The most numbers that are tried for a name.
const MOST: u32 = 1000;

/// Renames what is at `path` to `path` with this `ending`, and a number if another object has that name. Returns the new
/// path. Nothing is ever replaced.
pub fn move_aside(path: &Path, ending: &str) -> io::Result<PathBuf> {
    let named = |number: u32| {
        let mut name = OsString::from(path);
        name.push(ending);
        if number > 0 {
            name.push(format!(".{number}"));
        }
        PathBuf::from(name)
    };
    for number in 0..MOST {
        let to = named(number);
        match rename_to_nothing(path, &to) {
            Ok(()) => {
                // It has moved, whether or not that is on the disk already.
                let _ = sync_folder(&folder_of(path));
                return Ok(to);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Renames what was moved aside back to `path`, if nothing is there.
pub fn move_back(to: &Path, path: &Path) -> io::Result<()> {
    rename_to_nothing(to, path)?;
    sync_folder(&folder_of(path))
}

/// Makes a link at `path`, at which nothing is.
pub fn link_again(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)?;
    sync_folder(&folder_of(path))
}

/// Gives a folder of our own and the files in it back to `owner`, and takes the permission to write from others. Links in
/// it stay as they are. Fails if it is not a folder, or if that is not permitted.
pub fn own_again(folder: &Path, owner: u32) -> io::Result<()> {
    let give = |path: &Path, flags: i32| {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | flags)
            .open(path)?;
        let metadata = file.metadata()?;
        if metadata.uid() != owner {
            fchown(&file, Some(owner), None)?;
        }
        file.set_permissions(Permissions::from_mode(metadata.mode() & 0o7755))
    };
    give(folder, libc::O_DIRECTORY)?;
    for entry in folder.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            give(&entry.path(), 0)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_object_gets_a_name_that_none_has() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        for number in 0..3 {
            fs::write(&path, number.to_string()).expect("written");
            let to = move_aside(&path, ".failed").expect("moved");
            assert_eq!(fs::read_to_string(to).expect("it"), number.to_string());
            assert!(!path.exists());
        }
        let error = move_aside(&path, ".failed").expect_err("nothing there");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}

//! Moves what is in the way of a file or a folder aside, under a name of its own in the same folder.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

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

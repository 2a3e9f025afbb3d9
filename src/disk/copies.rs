//! Folders of copies: what lies in them may vanish, or change, at any time. Their reader proves what it reads.
//!
//! Promised: folders are 0700, files 0600, a file has all of its bytes or no name, and no link is followed below the
//! folder that the caller names. Not promised: that a file outlives a power cut, or is whole after one.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::Path,
};

use rustix::{
    fs::{self as sys, AtFlags, Mode, OFlags},
    io::Errno,
};

use super::{
    new_folders::create_folders,
    tree::beneath::{names, open_file},
};

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// An open folder of copies.
#[derive(Debug)]
pub struct CopyFolder(OwnedFd);

impl CopyFolder {
    /// Opens the folder at `path`, and makes it if it is missing. A link there is followed. Fails if the folder, or the
    /// one in which it would be made, belongs neither to this user nor to root.
    pub fn open(path: &Path) -> io::Result<CopyFolder> {
        let known = path.ancestors().find_map(|folder| folder.metadata().ok());
        require_owner(known.map(|known| known.uid()), &[0, user()])?;
        create_folders(path)?;
        let folder = sys::open(path, FOLDER, Mode::empty())?;
        require_owner(Some(sys::fstat(&folder)?.st_uid), &[0, user()])?;
        Ok(CopyFolder(folder))
    }

    /// Opens the folder called `name` in it, and makes it if it is missing. Fails if it is a link, or belongs to another
    /// user.
    pub fn below(&self, name: &str) -> io::Result<CopyFolder> {
        let open = || sys::openat(&self.0, name, FOLDER | OFlags::NOFOLLOW, Mode::empty());
        let folder = match open() {
            Err(Errno::NOENT) => match sys::mkdirat(&self.0, name, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => open(),
                Err(error) => Err(error),
            },
            opened => opened,
        }?;
        require_owner(Some(sys::fstat(&folder)?.st_uid), &[user()])?;
        Ok(CopyFolder(folder))
    }

    /// Returns the size of the regular file called `name` in bytes; `None` if there is none.
    pub fn size(&self, name: &str) -> Option<u64> {
        let found = sys::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let is_file = sys::FileType::from_raw_mode(found.st_mode).is_file();
        u64::try_from(found.st_size).ok().filter(|_| is_file)
    }

    /// Reads the regular file called `name`. Fails if it has more than `most_bytes`.
    pub fn read(&self, name: &str, most_bytes: u64) -> io::Result<Vec<u8>> {
        let file = open_file(self.0.as_fd(), OsStr::new(name))?;
        let found = file.metadata()?;
        if !found.is_file() || found.len() > most_bytes {
            return Err(io::Error::other("it is not a copy"));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default());
        file.take(most_bytes).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes the file called `name`, in place of an earlier one. If another thread or process writes it at the same
    /// moment, that one may do it alone.
    pub fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let part = format!(".{name}.{}", std::process::id());
        let file = match sys::openat(&self.0, &part, NEW_FILE, Mode::RUSR | Mode::WUSR) {
            Err(Errno::EXIST) => return Ok(()),
            opened => opened?,
        };
        let renamed = || match sys::renameat(&self.0, &part, &self.0, name) {
            // Another process took it for a leftover.
            Err(Errno::NOENT) => Ok(()),
            renamed => Ok(renamed?),
        };
        let written = File::from(file).write_all(bytes).and_then(|()| renamed());
        written.inspect_err(|_| self.remove(&part))
    }

    /// Removes the file called `name`, if it is there and can be removed.
    pub fn remove(&self, name: &str) {
        let _ = sys::unlinkat(&self.0, name, AtFlags::empty());
    }

    /// Removes the files that are not wanted, as far as they can be removed.
    pub fn retain(&self, is_wanted: impl Fn(&str) -> bool) -> io::Result<()> {
        for (name, ..) in names(self.0.as_fd())? {
            match str::from_utf8(&name) {
                Ok(name) if is_wanted(name) => {}
                _ => drop(sys::unlinkat(&self.0, &*name, AtFlags::empty())),
            }
        }
        Ok(())
    }
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn require_owner(owner: Option<u32>, allowed: &[u32]) -> io::Result<()> {
    match owner {
        Some(owner) if allowed.contains(&owner) => Ok(()),
        Some(_) => Err(io::Error::other("it belongs to another user")),
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn mode(path: &Path) -> u32 {
        let found = path.symlink_metadata().expect("it is there");
        found.permissions().mode() & 0o7777
    }

    #[test]
    fn copies_are_private_replaced_and_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let top = folder.path().join("made/cache");
        let copies = CopyFolder::open(&top).expect("open");
        let copies = copies.below("index").expect("made");
        assert_eq!(copies.size("one"), None);
        for text in ["first", "second"] {
            copies.put("one", text.as_bytes()).expect("written");
            assert_eq!(copies.read("one", 6).expect("read"), text.as_bytes());
        }
        assert_eq!(copies.size("one"), Some(6));
        assert!(copies.read("one", 5).is_err());
        for path in [&folder.path().join("made"), &top, &top.join("index")] {
            assert_eq!(mode(path), 0o700, "{}", path.display());
        }
        assert_eq!(mode(&top.join("index/one")), 0o600);
        copies.put("two", b"2").expect("written");
        std::fs::write(top.join("index/.three.1"), "left behind").expect("written");
        copies.retain(|name| name == "two").expect("listed");
        let left = std::fs::read_dir(top.join("index")).expect("a folder");
        assert_eq!(left.count(), 1);
        copies.remove("two");
        assert_eq!(copies.size("two"), None);
    }

    #[test]
    fn no_link_is_followed_below_the_top() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["top", "other"] {
            std::fs::create_dir(path(name)).expect("made");
        }
        symlink(path("top"), path("link")).expect("a link");
        symlink(path("other"), path("top/index")).expect("a link");
        let top = CopyFolder::open(&path("link")).expect("the caller names it");
        assert!(top.below("index").is_err());
        std::fs::write(path("other/one"), "kept").expect("written");
        let copies = top.below("snapshots").expect("made");
        symlink(path("other/one"), path("top/snapshots/one")).expect("a link");
        assert_eq!(copies.size("one"), None);
        assert!(copies.read("one", 100).is_err());
        copies.put("one", b"new").expect("written");
        assert_eq!(std::fs::read(path("other/one")).expect("there"), b"kept");
        assert_eq!(copies.read("one", 100).expect("read"), b"new");
    }

    #[test]
    fn a_file_in_place_of_a_folder_and_a_fifo_are_errors_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "").expect("written");
        assert!(CopyFolder::open(&path).is_err());
        assert!(CopyFolder::open(&path.join("below")).is_err());
        let copies = CopyFolder::open(&folder.path().join("top")).expect("open");
        nix::unistd::mkfifo(
            &folder.path().join("top/one"),
            nix::sys::stat::Mode::S_IRWXU,
        )
        .expect("a fifo");
        assert!(copies.read("one", 100).is_err());
        assert!(CopyFolder::open(Path::new("")).is_err());
    }
}

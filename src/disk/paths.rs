//! Paths: the folder, the file and the link behind one, and names that are made durable.

use std::{
    fs::File,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Component, Path, PathBuf},
};

use anyhow::Context as _;
use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};

use crate::error::{Failure, Kind};

/// Makes the names in `folder` durable (fsync(2): a file's own sync does not cover its name).
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // Some file systems (FUSE, SMB) cannot sync a folder, and have no other way either.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(nix::libc::EINVAL | nix::libc::ENOTSUP)
            ) =>
        {
            Ok(())
        }
        result => result,
    }
}

/// Makes the names of `files` durable, each folder once.
pub fn sync_folders(files: impl Iterator<Item = PathBuf>) -> anyhow::Result<()> {
    let mut folders: Vec<PathBuf> = files.map(|file| folder_of(&file)).collect();
    folders.sort();
    folders.dedup();
    for folder in folders {
        sync_folder(&folder).with_context(|| format!("cannot sync {}", folder.display()))?;
    }
    Ok(())
}

/// Returns the folder that `path` lies in; `.` for a bare name.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Opens a regular file for reading. Anything else is [`Kind::Usage`], at once: a fifo would wait for a writer.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        let failure = Failure::new(
            Kind::Usage,
            format!("{} is not a regular file", path.display()),
        );
        return Err(failure.hint("name a regular file").into());
    }
    Ok(file)
}

/// Returns true if something is at `path`, a dangling link included.
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Returns the failure of a link that leads to nothing; `None` if `path` is not such a link. The path may end in a
/// slash.
pub fn dangling(path: &Path) -> Option<Failure> {
    let path: PathBuf = path.components().collect();
    let to = path.read_link().ok().filter(|_| path.metadata().is_err())?;
    let (shown, to) = (path.display(), to.display());
    let message = format!("{shown} is a link to {to}, and there is nothing");
    let hint = "let the link lead to what should be there (is its disk mounted?), or remove it";
    Some(Failure::new(Kind::Usage, message).hint(hint))
}

/// Removes a file; that it is not there is fine.
pub fn remove_file(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Renames to a name that nothing has.
pub fn rename_to_nothing(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if exists(to) => {
            Err(io::ErrorKind::AlreadyExists.into())
        }
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => std::fs::rename(from, to),
        result => Ok(result?),
    }
}

/// Resolves links in the folders above: they may give one file two names.
pub fn in_real_folder(path: &Path) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => real(folder).join(name),
        _ => path.to_owned(),
    }
}

/// Returns a path without links and `..`, as far as it leads to something that is there.
pub fn real(path: &Path) -> PathBuf {
    let mut ancestors = path.ancestors();
    let found = ancestors.find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    match found {
        Some((ancestor, folder)) => match path.strip_prefix(ancestor) {
            Ok(rest) if rest.as_os_str().is_empty() => folder,
            // A component that is not there is not a link: `..` takes back the component before it.
            Ok(rest) => rest.components().fold(folder, |mut path, component| {
                match component {
                    Component::ParentDir => drop(path.pop()),
                    component => path.push(component),
                }
                path
            }),
            Err(_) => path.to_owned(),
        },
        None => path.to_owned(),
    }
}

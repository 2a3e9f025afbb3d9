//! How bytes stay: durable files, private staging, space, locks, and the transaction that replaces several files as one.
//!
//! The only layer that changes a file that lasts.
#![expect(
    clippy::disallowed_methods,
    reason = "this layer owns renames, links, removals and writes"
)]

pub mod backup;
pub mod holder;
pub mod journal;
pub mod life;
pub mod lock;
pub mod mounts;
pub mod owed;
pub mod publish;
pub mod range_lock;
pub mod redo;
pub mod space;
pub mod staging;
pub mod survey;
mod swap;
pub mod transaction;
pub mod tree;
pub mod volume;

use std::{
    fs::File,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
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
fn sync_folders(files: impl Iterator<Item = PathBuf>) -> anyhow::Result<()> {
    let mut folders: Vec<PathBuf> = files.map(|file| folder_of(&file)).collect();
    folders.sort();
    folders.dedup();
    for folder in folders {
        sync_folder(&folder).with_context(|| format!("cannot sync {}", folder.display()))?;
    }
    Ok(())
}

/// The folder that `path` lies in; `.` for a bare name.
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

/// Whether something is at `path`, a dangling link included.
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The failure of a link that leads to nothing; `None` if `path` is not such a link. The path may end in a slash.
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
fn rename_to_nothing(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if exists(to) => {
            Err(io::ErrorKind::AlreadyExists.into())
        }
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => std::fs::rename(from, to),
        result => Ok(result?),
    }
}

/// Creates `folder` and those above it that are missing, 0700 and durable.
pub fn create_folders(folder: &Path) -> io::Result<()> {
    let mut new = NewFolders::default();
    new.create(folder)?;
    new.keep();
    Ok(())
}

/// Something that comes to lie somewhere, with its owner and mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    target: PathBuf,
    owner: (u32, u32),
    mode: u32,
    is_database: bool,
    is_for_everybody: bool,
}

impl Placed {
    /// Looks at what lies at `staged` and will lie at `target`. What has an ACL is taken for something that everybody may use:
    /// whom it lets in stands in no mode.
    pub fn look(target: &Path, staged: &Path, is_database: bool) -> io::Result<Placed> {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = staged.symlink_metadata()?;
        let has_acl = rustix::fs::lgetxattr(staged, tree::beneath::ACLS[0], &mut [0u8; 0][..]);
        // What a directory lets others do was decided for it; what a file does, perhaps by a folder above it.
        let is_open = match metadata.is_dir() {
            true => metadata.mode() & 0o001 != 0,
            false => !is_database && metadata.uid() == 0 && metadata.mode() & 0o007 != 0,
        };
        Ok(Placed {
            target: target.to_owned(),
            owner: (metadata.uid(), metadata.gid()),
            mode: metadata.mode(),
            is_database,
            is_for_everybody: has_acl.is_ok() || is_open,
        })
    }
}

/// Folders that are made for something that may come to nothing: when this value goes, those that are still empty go
/// with it.
#[derive(Debug, Default)]
pub struct NewFolders {
    created: Vec<PathBuf>,
}

impl NewFolders {
    /// Creates `folder` and those above it that are missing, 0700 and durable.
    pub fn create(&mut self, folder: &Path) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        let mut missing = Vec::new();
        for ancestor in folder
            .ancestors()
            .filter(|ancestor| !ancestor.as_os_str().is_empty())
        {
            match ancestor.metadata() {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if let Some(failure) = dangling(ancestor) {
                        let kind = Kind::Failed;
                        return Err(Failure { kind, ..failure }.into());
                    }
                    missing.push(ancestor.to_owned())
                }
                Err(error) => return Err(error),
            }
        }
        for folder in missing.into_iter().rev() {
            match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
                // Somebody else was faster: then it is not ours to remove.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    sync_folder(&folder_of(&folder))?;
                    self.created.push(folder);
                }
            }
        }
        Ok(())
    }

    /// Gives each new folder an owner and a mode with which the owners, and the groups, of what comes to lie below it can
    /// reach that. A folder of which everything belongs to one owner is that owner's; else it is root's, or that of a
    /// database in it, whose service makes files beside it, and everybody may pass. A directory that everybody may pass, and a
    /// file that root lets everybody read, they reach; another file was perhaps protected by a folder, and stays so. No others may list
    /// `listed_by_none`, and so lock it.
    pub fn settle(&self, placed: &[Placed], listed_by_none: &Path) -> io::Result<()> {
        use std::os::unix::fs::{PermissionsExt as _, chown};
        for folder in &self.created {
            let below: Vec<&Placed> = placed
                .iter()
                .filter(|placed| placed.target.starts_with(folder))
                .collect();
            let Some(first) = below.first() else {
                continue;
            };
            let is_shared = below.iter().any(|other| other.owner != first.owner);
            let is_of_one = below.iter().all(|other| other.owner.0 == first.owner.0);
            let mut mode = match below.iter().any(|placed| placed.is_for_everybody) {
                _ if is_shared => 0o755,
                true => 0o755,
                false if below.iter().any(|placed| placed.mode & 0o070 != 0) => 0o750,
                false => 0o700,
            };
            if folder.as_path() == listed_by_none {
                mode &= !0o004;
            }
            let mut databases = below.iter().filter(|placed| {
                placed.is_database && placed.target.parent() == Some(folder.as_path())
            });
            let owner = match databases.next() {
                _ if is_of_one => first.owner,
                Some(database) if databases.all(|other| other.owner == database.owner) => {
                    database.owner
                }
                _ => (0, 0),
            };
            // Of who is not root everything is the caller's, and a file system without owners has none to give.
            match chown(folder, Some(owner.0), Some(owner.1)) {
                Err(error)
                    if !matches!(
                        error.kind(),
                        io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput
                    ) =>
                {
                    return Err(error);
                }
                _ => {}
            }
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode))?;
        }
        Ok(())
    }

    /// Leaves them where they are, empty or not.
    pub fn keep(mut self) {
        self.created.clear();
    }
}

impl Drop for NewFolders {
    fn drop(&mut self) {
        for folder in self.created.iter().rev() {
            // One that holds something stays, and so does everything above it.
            if std::fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
}

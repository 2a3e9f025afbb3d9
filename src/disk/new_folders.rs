//! Folders that are made for something that may come to nothing, and the owners and modes that they get.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{dangling, folder_of, sync_folder, tree::beneath::ACLS};
use crate::error::{Failure, Kind};

/// Creates `folder` and those above it that are missing, 0700 and durable.
pub fn create_folders(folder: &Path) -> io::Result<()> {
    let mut new = NewFolders::default();
    new.create(folder)?;
    new.keep();
    Ok(())
}

/// Creates `folder` and those above it that are missing, 0755 and durable: for what everybody may read.
pub fn create_readable_folders(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut new = NewFolders::default();
    new.create(folder)?;
    for made in &new.created {
        std::fs::set_permissions(made, std::fs::Permissions::from_mode(0o755))?;
    }
    new.keep();
    Ok(())
}

/// Something that comes to lie somewhere, with its owner and mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewItem {
    target: PathBuf,
    owner: (u32, u32),
    mode: u32,
    is_database: bool,
    is_for_everybody: bool,
}

impl NewItem {
    /// Looks at what lies at `staged` and will lie at `target`. What has an ACL is taken for something that everybody
    /// may use: whom it lets in stands in no mode.
    pub fn look(target: &Path, staged: &Path, is_database: bool) -> io::Result<NewItem> {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = staged.symlink_metadata()?;
        let has_acl = rustix::fs::lgetxattr(staged, ACLS[0], &mut [0u8; 0][..]);
        // The access of others to a directory was decided for it; that to a file, perhaps by a folder above it.
        let is_open = match metadata.is_dir() {
            true => metadata.mode() & 0o001 != 0,
            false => !is_database && metadata.uid() == 0 && metadata.mode() & 0o007 != 0,
        };
        Ok(NewItem {
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
                // Another process was faster: then it is not ours to remove.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let above = folder_of(&folder);
                    self.created.push(folder);
                    sync_folder(&above)?;
                }
            }
        }
        Ok(())
    }

    /// Gives each new folder an owner and a mode with which the owners, and the groups, of what comes to lie below it
    /// can reach that. A folder of which everything belongs to one owner is that owner's; else it is root's, or that of
    /// a database in it, whose service makes files beside it, and everybody may pass. A directory that everybody may
    /// pass, and a file that root lets everybody read, they reach; another file was perhaps protected by a folder, and
    /// stays so. No others may list `listed_by_none`, and so lock it.
    pub fn settle(&self, placed: &[NewItem], listed_by_none: &Path) -> io::Result<()> {
        use std::os::unix::fs::{PermissionsExt as _, chown};
        for folder in &self.created {
            let below: Vec<&NewItem> = placed
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
            // If the caller is not root, everything is the caller's, and a file system without owners has none to give.
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

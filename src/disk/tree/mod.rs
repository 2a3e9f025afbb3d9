//! Directories as a whole: a walk over one, and the other way, one that is built from what was staged.

pub mod attributes;
pub mod beneath;
pub mod foresight;
mod holes;
pub mod keep;
pub mod links;
pub mod listing;
pub mod names;
pub mod owners;
pub mod powers;
pub mod unpack;
pub mod walk;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::File,
    io,
    os::{fd::BorrowedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rustix::{
    fs::{self as sys, AtFlags, CWD, Mode, OFlags, RenameFlags},
    io::Errno,
};

use self::{
    attributes::AttributeWriter,
    beneath::{Folders, Look, Top, split},
    holes::copy_file,
};
pub use self::{
    attributes::Privilege,
    keep::{keep_excluded, keep_excluded_in_children, release},
    listing::{listing, listing_of_one},
};
use crate::{
    error::{Failure, Kind},
    model::{
        limits::MAX_ENTRIES,
        manifest::FileRecord,
        named::Named,
        relative::{ESCAPED, RelativeName},
        tree::{FolderRecord, LinkRecord, Tree},
    },
};

/// A file of a directory, verified, in the private staging folder.
#[derive(Debug)]
pub struct StagedFile<'a> {
    /// Its path in the directory.
    pub name: RelativeName,
    /// Its path in staging.
    pub staged: PathBuf,
    /// Its record in the manifest.
    pub record: &'a FileRecord,
}

/// The fate of the staged files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking<'a> {
    /// The folder that holds them, and nothing else, becomes the directory; they are copied if that lies on another
    /// file system.
    Move {
        /// The folder.
        folder: &'a Path,
        /// The refusals of the file system when [`unpack::Unpacking`] gave them their attributes.
        refused: &'a [String],
    },
    /// They stay, and are copied.
    Copy,
}

/// A directory that is to be built.
#[derive(Debug)]
pub struct Restoring<'a> {
    /// Its folders and links.
    pub tree: &'a Tree,
    /// Its files.
    pub files: &'a [StagedFile<'a>],
    /// The path at which it is built: nothing may be there.
    pub place: &'a Path,
    /// Its final path: links that lead there lead inside.
    pub target: &'a Path,
    /// The fate of the staged files.
    pub taking: Taking<'a>,
    /// The right to give owners.
    pub privilege: Privilege,
    /// The links that are made although they lead outside.
    pub outside: &'a BTreeMap<RelativeName, LinkRecord>,
}

/// The refusals of the file system for a directory, in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unrestored {
    /// Links that are not there.
    pub links: Vec<String>,
    /// Owners, times and attributes that are others.
    pub attributes: Vec<String>,
}

/// Builds a directory, 0700 until everything in it is as it should be, and durable when this returns. Names what the
/// file system refused. Links that lead outside are made only if the caller says so.
///
/// Set-id bits of files, capabilities and `trusted.*` attributes are restored by root alone ([`attributes`]). On an
/// error nothing stays, and what was moved is gone. Not promised: that an ACL means the same to this machine, because
/// it names users by number; and before Linux 5.8, that a write error of the disk is seen, because syncfs(2) did not
/// tell.
pub fn restore(restoring: &Restoring<'_>) -> Result<Unrestored> {
    let place = restoring.place;
    let begun = begin(restoring).with_context(|| format!("cannot create {}", place.display()))?;
    let built = build(restoring, begun);
    if built.is_err() {
        let _ = std::fs::remove_dir_all(place);
    }
    built
}

/// Gives a directory that was built beside `target` its name, durable when this returns. What has the name already
/// stays, and then the new directory goes.
pub fn publish(place: &Path, target: &Path) -> io::Result<()> {
    match super::rename_to_nothing(place, target) {
        Err(error) => {
            let _ = std::fs::remove_dir_all(place);
            Err(error)
        }
        Ok(()) => super::sync_folder(&super::folder_of(target)),
    }
}

/// Takes one file, folder or link out of a directory that was built at `whole`, to a place that nothing has. What was
/// not restored is not there to be taken.
pub fn take(whole: &Path, name: &OsStr, place: &Path) -> io::Result<()> {
    match super::rename_to_nothing(&whole.join(name), place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        taken => taken,
    }
}

/// The first state of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    /// An empty folder.
    Empty,
    /// The folder of the staged files, with their attributes.
    Filled,
}

fn begin(restoring: &Restoring<'_>) -> io::Result<Begun> {
    if let Taking::Move { folder, .. } = restoring.taking {
        match super::rename_to_nothing(folder, restoring.place) {
            // Another file system; or no file is staged.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::CrossesDevices | io::ErrorKind::NotFound
                ) => {}
            result => return result.map(|()| Begun::Filled),
        }
    }
    sys::mkdir(restoring.place, Mode::RWXU)?;
    Ok(Begun::Empty)
}

fn build(restoring: &Restoring<'_>, begun: Begun) -> Result<Unrestored> {
    let top = Top::open(restoring.place)
        .with_context(|| format!("cannot open {}", restoring.place.display()))?
        .shown_as(restoring.target);
    let mut building = Building {
        begun,
        tree: restoring.tree,
        top: &top,
        folders: Folders::new(&top),
        attributes: AttributeWriter::new(restoring.privilege),
        implied: BTreeSet::new(),
        nearest: Vec::new(),
        links: Named::default(),
        warnings: Named::default(),
    };
    // A default ACL of the folder above would go down into everything.
    building.attributes.clear_acls(&top)?;
    let at = |relative: &[u8]| format!("cannot restore {}", top.shown(relative));
    for folder in restoring.tree.folders.keys() {
        building
            .folder(folder.as_bytes())
            .with_context(|| at(folder.as_bytes()))?;
    }
    for file in restoring.files {
        let name = file.name.as_bytes();
        let placed = match (begun, restoring.taking) {
            (Begun::Filled, Taking::Move { folder, .. }) => {
                building.moved(file, folder, restoring.place)
            }
            _ => building.copied(file),
        };
        placed.with_context(|| at(name))?;
    }
    if let (Begun::Filled, Taking::Move { refused, .. }) = (begun, restoring.taking) {
        building.tidy()?;
        for refused in refused {
            building.warnings.add(|| refused.clone());
        }
    }
    for link in restoring.tree.links.keys() {
        let name = link.as_bytes();
        building.link(link, restoring).with_context(|| at(name))?;
    }
    // Whoever fills a folder changes its time, and some modes would keep us out: the deepest come first.
    for (folder, record) in restoring.tree.folders.iter().rev() {
        let name = folder.as_bytes();
        building
            .finish_folder(name, record)
            .with_context(|| at(name))?;
    }
    building
        .finish_folder(b"", &restoring.tree.root)
        .with_context(|| at(b""))?;
    top.sync()?;
    Ok(Unrestored {
        links: building.links.finish(),
        attributes: building.warnings.finish(),
    })
}

struct Building<'a> {
    begun: Begun,
    tree: &'a Tree,
    top: &'a Top,
    folders: Folders<'a>,
    attributes: AttributeWriter,
    /// Folders that no record lists.
    implied: BTreeSet<Vec<u8>>,
    /// The folder of what was placed last: those above it are there.
    nearest: Vec<u8>,
    /// Links that the file system cannot have.
    links: Named,
    warnings: Named,
}

impl Building<'_> {
    /// Creates a listed folder.
    fn folder(&mut self, folder: &[u8]) -> Result<()> {
        self.above(folder)?;
        self.create(folder)
    }

    /// Creates the folders above `relative` that no record lists: they are made like the top.
    fn above(&mut self, relative: &[u8]) -> Result<()> {
        let nearest = split(relative).0;
        if nearest == self.nearest {
            return Ok(());
        }
        let is_known = |folder: &[u8]| {
            folder.is_empty()
                || self.tree.folders.contains_key(folder)
                || self.implied.contains(folder)
        };
        let mut missing = Vec::new();
        let mut folder = nearest;
        while !is_known(folder) {
            missing.push(folder);
            folder = split(folder).0;
        }
        for folder in missing.into_iter().rev() {
            if self.implied.len() >= MAX_ENTRIES {
                let message = format!("more than {MAX_ENTRIES} folders are not listed");
                return Err(Failure::new(Kind::Refused, message).into());
            }
            self.create(folder)?;
            let root = &self.tree.root;
            let record = FolderRecord {
                mode: Some(root.mode.unwrap_or(0) | 0o700),
                owner: root.owner.clone(),
                ..FolderRecord::default()
            };
            let fd = self.folders.at(folder)?;
            let refused = self.attributes.set_folder(fd, &record)?;
            name_all(&mut self.warnings, self.top, folder, refused);
            self.implied.insert(folder.to_vec());
        }
        self.nearest = nearest.to_vec();
        Ok(())
    }

    /// Creates a folder, private, unless files were staged in it.
    fn create(&mut self, folder: &[u8]) -> Result<()> {
        let (parent, name) = self.folders.parent(folder)?;
        match sys::mkdirat(parent, name, Mode::RWXU) {
            Err(Errno::EXIST) if self.begun == Begun::Filled => Ok(()),
            result => Ok(result?),
        }
    }

    /// Gives a file its place that came with `folder`, which lies at `place` now.
    fn moved(&mut self, file: &StagedFile<'_>, folder: &Path, place: &Path) -> Result<()> {
        let relative = file.name.as_bytes();
        self.above(relative)?;
        if file.record.name.is_some() {
            let staged = place.join(file.staged.strip_prefix(folder)?);
            let (parent, name) = self.folders.parent(relative)?;
            rename(&staged, parent, name)?;
        }
        Ok(())
    }

    /// Removes the folder in which names were staged that no entry can have.
    fn tidy(&self) -> Result<()> {
        match sys::unlinkat(self.top, ESCAPED, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error).context("cannot remove a folder of staging"),
        }
    }

    fn copied(&mut self, file: &StagedFile<'_>) -> Result<()> {
        let relative = file.name.as_bytes();
        self.above(relative)?;
        let (parent, name) = self.folders.parent(relative)?;
        let copy = copy_staged(file, parent, name)?;
        let refused = self.attributes.set_file(&copy, file.record)?;
        name_all(&mut self.warnings, self.top, relative, refused);
        Ok(())
    }

    fn link(&mut self, link: &RelativeName, restoring: &Restoring<'_>) -> Result<()> {
        let relative = link.as_bytes();
        let record = match restoring.outside.get(link) {
            Some(record) => record,
            None if restoring.tree.is_inside(link, restoring.target) => &restoring.tree.links[link],
            None => return Ok(()),
        };
        self.above(relative)?;
        let (parent, name) = self.folders.parent(relative)?;
        match sys::symlinkat(OsStr::from_bytes(&record.target), parent, name) {
            Ok(()) => {}
            Err(Errno::PERM | Errno::OPNOTSUPP) => {
                let path = self.top.shown(relative);
                self.links.add(|| {
                    format!("{path} is not restored: the file system has no symbolic links")
                });
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        let refused = self.attributes.set_link(parent, name, record)?;
        name_all(&mut self.warnings, self.top, relative, refused);
        Ok(())
    }

    fn finish_folder(&mut self, folder: &[u8], record: &FolderRecord) -> Result<()> {
        let fd = self.folders.at(folder)?;
        let refused = self.attributes.set_folder(fd, record)?;
        name_all(&mut self.warnings, self.top, folder, refused);
        Ok(())
    }
}

fn name_all(warnings: &mut Named, top: &Top, relative: &[u8], refused: Vec<String>) {
    for refused in refused {
        warnings.add(|| format!("{}: {refused}", top.shown(relative)));
    }
}

/// Copies a staged file to a name in the directory, with mode 0600.
fn copy_staged(file: &StagedFile<'_>, parent: BorrowedFd<'_>, name: &OsStr) -> Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let copy = File::from(sys::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?);
    let opened = File::open(&file.staged).or_else(|error| {
        // It may have been given a mode already that keeps us out.
        if error.kind() != io::ErrorKind::PermissionDenied {
            return Err(error);
        }
        sys::chmod(&file.staged, Mode::RUSR)?;
        File::open(&file.staged)
    });
    let staged = opened.with_context(|| format!("cannot open {}", file.staged.display()))?;
    copy_file(&staged, &copy, file.record.sparse)?;
    Ok(copy)
}

/// Renames if nothing is in the way: two names may be one to a file system that does not tell their case apart.
fn rename(staged: &Path, parent: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    match sys::renameat_with(CWD, staged, parent, name, RenameFlags::NOREPLACE) {
        // Some file systems cannot (rename(2)): then it is asked before, and no other process is in there.
        Err(Errno::INVAL | Errno::NOSYS) => match Look::at(parent, name) {
            Ok(_) => Err(Errno::EXIST),
            Err(_) => sys::renameat(CWD, staged, parent, name),
        },
        result => result,
    }
}

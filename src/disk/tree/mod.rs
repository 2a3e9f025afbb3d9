//! Directories as a whole: a walk over one, and the other way, one that is built from what was staged.

pub mod attributes;
pub mod beneath;
pub mod foresight;
pub mod given;
mod holes;
pub mod keep;
pub mod links;
pub mod listing;
mod making;
pub mod names;
pub mod owners;
pub mod powers;
pub mod release;
pub mod unpack;
pub mod walk;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::File,
    io,
    os::{fd::BorrowedFd, unix::ffi::OsStrExt as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use rustix::{
    fs::{self as sys, AtFlags, CWD, Mode, OFlags, RenameFlags},
    io::Errno,
};

use self::{
    attributes::AttributeWriter,
    beneath::{Folders, Look, Top, split},
    given::clear_acls,
    holes::copy_file,
};
pub use self::{
    attributes::Privilege,
    keep::{carry_excluded, carry_excluded_in_children, keep_excluded},
    listing::{listing, listing_and_whole, listing_of_one},
    release::release,
};
use crate::{
    disk::removal::remove_tree,
    error::{Failure, Kind},
    model::{
        entry_name::EntryName,
        limits::MAX_ENTRIES,
        manifest::{FileRecord, ListedNode, ListingLine},
        named::Named,
        relative::{ESCAPED, RelativeName, is_at_or_above},
        tree::{FolderRecord, LinkRecord, Tree},
    },
};

/// The fate of the staged files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking<'a> {
    /// Their folder, which holds nothing else, becomes the directory; they are copied if that lies on another file
    /// system.
    Move {
        /// The refusals of the file system when [`unpack::Unpacking`] gave them their attributes.
        refused: &'a [String],
    },
    /// They stay, and are copied.
    Copy,
}

/// A directory that is to be built.
#[derive(Debug)]
pub struct Restoring<'a> {
    /// Its name in the archive.
    pub name: &'a EntryName,
    /// Its top folder and its links.
    pub tree: &'a Tree,
    /// The folder in which its files are staged, verified, by their keys.
    pub staged: &'a Path,
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

/// Builds a directory of the records `lines`, 0700 until everything in it is as it should be, and durable when this
/// returns. Names what the file system refused. Links that lead outside are made only if the caller says so.
///
/// The records come in the order of a listing ([`by_component`](crate::model::relative::by_component)), so that a
/// folder is complete when the first one that does not lie in it comes: memory is for the folders above one file.
///
/// Set-id bits of files, capabilities and `trusted.*` attributes are restored by root alone ([`attributes`]). On an
/// error nothing stays, and what was moved is gone. Not promised: that an ACL means the same to this machine, because
/// it names users by number; and before Linux 5.8, that a write error of the disk is seen, because syncfs(2) did not
/// tell.
pub fn restore(
    restoring: &Restoring<'_>,
    lines: &mut dyn Iterator<Item = Result<ListingLine>>,
) -> Result<Unrestored> {
    let (unrestored, top) = restore_unsynced(restoring, lines)?;
    let synced = top.sync();
    if synced.is_err() {
        let _ = remove_tree(restoring.place);
    }
    synced.map(|()| unrestored)
}

/// Does the same, but nothing is durable before the file system of the returned top folder is synced.
pub fn restore_unsynced(
    restoring: &Restoring<'_>,
    lines: &mut dyn Iterator<Item = Result<ListingLine>>,
) -> Result<(Unrestored, Top)> {
    let place = restoring.place;
    let begun = begin(restoring).with_context(|| format!("cannot create {}", place.display()))?;
    let top = Top::open(place)
        .map(|top| top.shown_as(restoring.target))
        .with_context(|| format!("cannot open {}", place.display()));
    let built = top.and_then(|top| Ok((build(restoring, begun, &top, lines)?, top)));
    if built.is_err() {
        let _ = remove_tree(place);
    }
    built
}

/// Gives a directory that was built beside `target` its name, durable when this returns. What has the name already
/// stays, and then the new directory goes.
pub fn publish(place: &Path, target: &Path) -> io::Result<()> {
    match super::rename_to_nothing(place, target) {
        Err(error) => {
            let _ = remove_tree(place);
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
    if let Taking::Move { .. } = restoring.taking {
        match super::rename_to_nothing(restoring.staged, restoring.place) {
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

fn build(
    restoring: &Restoring<'_>,
    begun: Begun,
    top: &Top,
    lines: &mut dyn Iterator<Item = Result<ListingLine>>,
) -> Result<Unrestored> {
    let mut building = Building {
        restoring,
        begun,
        top,
        folders: Folders::new(top),
        attributes: AttributeWriter::new(restoring.privilege),
        entered: Vec::new(),
        at: Vec::new(),
        implied: 0,
        links: Named::default(),
        warnings: Named::default(),
    };
    // A default ACL of the folder above would go down into everything.
    clear_acls(top)?;
    if let (Begun::Filled, Taking::Move { refused, .. }) = (begun, restoring.taking) {
        for refused in refused {
            building.warnings.add(|| refused.clone());
        }
    }
    for line in lines {
        let line = line?;
        let name = line.name.as_bytes();
        let placed = building.place(&line);
        placed.with_context(|| format!("cannot restore {}", top.shown(name)))?;
    }
    building.leave_to(b"")?;
    if begun == Begun::Filled {
        building.tidy()?;
    }
    building
        .finish_folder(b"", &restoring.tree.root)
        .with_context(|| format!("cannot restore {}", top.shown(b"")))?;
    Ok(Unrestored {
        links: building.links.finish(),
        attributes: building.warnings.finish(),
    })
}

struct Building<'a> {
    restoring: &'a Restoring<'a>,
    begun: Begun,
    top: &'a Top,
    folders: Folders<'a>,
    attributes: AttributeWriter,
    /// The folders that are not complete, each in the one before it: the length of that one's path, and the record.
    entered: Vec<(usize, FolderRecord)>,
    /// The path of the last of them.
    at: Vec<u8>,
    /// The number of folders that no record lists.
    implied: usize,
    /// Links that the file system cannot have.
    links: Named,
    warnings: Named,
}

impl Building<'_> {
    /// Makes what a record says, in its folder.
    fn place(&mut self, line: &ListingLine) -> Result<()> {
        let relative = line.name.as_bytes();
        self.enter(split(relative).0)?;
        match &line.node {
            ListedNode::File(record) => match self.begun {
                Begun::Filled => self.moved(&line.name, record),
                Begun::Empty => self.copied(&line.name, record),
            },
            ListedNode::Folder(record) => {
                self.create(relative)?;
                self.push(relative, record.clone());
                Ok(())
            }
            ListedNode::Link(record) => self.link(&line.name, record),
        }
    }

    /// Goes to `folder`. Folders on the way that no record lists are made like the top.
    fn enter(&mut self, folder: &[u8]) -> Result<()> {
        self.leave_to(folder)?;
        while self.at.len() < folder.len() {
            if self.implied >= MAX_ENTRIES {
                let message = format!("more than {MAX_ENTRIES} folders are not listed");
                return Err(Failure::new(Kind::Refused, message).into());
            }
            self.implied += 1;
            let start = match self.at.len() {
                0 => 0,
                length => length + 1,
            };
            let slash = folder[start..].iter().position(|byte| *byte == b'/');
            let next = &folder[..slash.map_or(folder.len(), |slash| start + slash)];
            self.create(next)?;
            let root = &self.restoring.tree.root;
            let record = FolderRecord {
                mode: Some(root.mode.unwrap_or(0) | 0o700),
                owner: root.owner.clone(),
                ..FolderRecord::default()
            };
            self.push(next, record);
        }
        Ok(())
    }

    fn push(&mut self, folder: &[u8], record: FolderRecord) {
        self.entered.push((self.at.len(), record));
        self.at.clear();
        self.at.extend_from_slice(folder);
    }

    /// Gives the folders in which `folder` does not lie their attributes. This comes last: filling a folder changes its
    /// time, and some modes would keep us out.
    fn leave_to(&mut self, folder: &[u8]) -> Result<()> {
        while !is_at_or_above(&self.at, folder) {
            let Some((above, record)) = self.entered.pop() else {
                break;
            };
            let path = std::mem::take(&mut self.at);
            self.finish_folder(&path, &record)
                .with_context(|| format!("cannot restore {}", self.top.shown(&path)))?;
            self.at = path;
            self.at.truncate(above);
        }
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

    /// Returns the path below the staging folder of the file called `name`.
    fn key(&self, name: &RelativeName) -> String {
        name.key(self.restoring.name).0
    }

    /// Gives a file its place that came with the staging folder, unless it has it already.
    fn moved(&mut self, file: &RelativeName, record: &FileRecord) -> Result<()> {
        if record.name.is_some() {
            let staged = self.restoring.place.join(self.key(file));
            let (parent, name) = self.folders.parent(file.as_bytes())?;
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

    fn copied(&mut self, file: &RelativeName, record: &FileRecord) -> Result<()> {
        let relative = file.as_bytes();
        let staged = self.restoring.staged.join(self.key(file));
        let (parent, name) = self.folders.parent(relative)?;
        let copy = copy_staged(&staged, record, parent, name)?;
        let refused = self.attributes.set_file(&copy, record)?;
        name_all(&mut self.warnings, self.top, relative, refused);
        Ok(())
    }

    fn link(&mut self, link: &RelativeName, record: &LinkRecord) -> Result<()> {
        let relative = link.as_bytes();
        let restoring = self.restoring;
        let record = match restoring.outside.get(link) {
            Some(record) => record,
            None if restoring.tree.is_inside(link, restoring.target) => record,
            None => return Ok(()),
        };
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
fn copy_staged(
    staged: &Path,
    record: &FileRecord,
    parent: BorrowedFd<'_>,
    name: &OsStr,
) -> Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let copy = File::from(sys::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?);
    let opened = File::open(staged).or_else(|error| {
        // It may have been given a mode already that keeps us out.
        if error.kind() != io::ErrorKind::PermissionDenied {
            return Err(error);
        }
        sys::chmod(staged, Mode::RUSR)?;
        File::open(staged)
    });
    let staged = opened.with_context(|| format!("cannot open {}", staged.display()))?;
    copy_file(&staged, &copy, record.size, record.sparse)?;
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

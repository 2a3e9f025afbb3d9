//! The folders of a directory, as they were right before their names were read.
//!
//! A folder that is listed while names come and go may show a file twice, or not at all (readdir(3)); so a listing is
//! trusted only if the folder's times are the same afterwards.

use std::{io, os::fd::BorrowedFd, path::Path};

use anyhow::Result;

use super::{
    seen::Seen,
    tape::{Tape, TapeWriter},
};
use crate::{
    disk::tree::{
        beneath::{Folders, Look, Top, xattrs},
        names::FolderNames,
        owners::Owners,
        walk::Leaf,
    },
    model::{
        limits::MAX_LINK_BYTES,
        relative::RelativeName,
        rules::Decision,
        tree::{FolderRecord, LinkRecord, Modified},
    },
};

/// A file that a folder names.
#[derive(Debug, Clone)]
pub struct FoundFile {
    /// Its path.
    pub name: RelativeName,
    /// The file system and the number in it, as the folder tells them.
    pub inode: (u64, u64),
    /// A moment at which it was there, by the clock of its file system.
    pub existed: Modified,
}

/// The folders of a directory, as they were right before their names were read, in the order of a listing.
#[derive(Debug, Clone, Default)]
pub struct ListedFolders(Tape);

/// Folders whose names may differ from the listed ones.
#[derive(Debug)]
pub struct ChangedFolders {
    /// Their paths, in the order of a listing.
    pub folders: Tape,
    /// True if there is none.
    pub is_empty: bool,
    /// True if it is certain for one of them at least: the others were changed so shortly before they were listed that
    /// their times would not tell.
    pub is_certain: bool,
}

/// The folders of a directory while they are listed.
pub struct FolderWriter<'a>(TapeWriter<'a>);

impl<'a> FolderWriter<'a> {
    /// Creates an empty one; its file lies in the folder `scratch`.
    pub fn new(scratch: &'a Path) -> FolderWriter<'a> {
        FolderWriter(TapeWriter::new(scratch))
    }

    /// Adds a folder.
    pub fn push(&mut self, path: &[u8], seen: &Seen) -> Result<()> {
        let mut bytes = vec![0; Seen::BYTES];
        seen.store(&mut bytes);
        bytes.extend_from_slice(path);
        self.0.push(&bytes)
    }

    /// Returns the folders.
    pub fn finish(self) -> Result<ListedFolders> {
        Ok(ListedFolders(self.0.finish()?))
    }
}

impl ListedFolders {
    /// Tells `visit` of each folder.
    pub fn each(&self, visit: &mut dyn FnMut(&[u8], Seen) -> Result<()>) -> Result<()> {
        let mut cursor = self.0.cursor();
        while let Some(bytes) = cursor.next()? {
            let (seen, path) = bytes.split_at(Seen::BYTES.min(bytes.len()));
            visit(path, Seen::load(seen))?;
        }
        Ok(())
    }

    /// Returns the folders that changed. A folder changed after `settled` may have changed again in the same tick.
    pub fn changed(&self, top: &Top, settled: Modified, scratch: &Path) -> Result<ChangedFolders> {
        let mut folders = Folders::new(top);
        let mut changed = TapeWriter::new(scratch);
        let (mut is_empty, mut is_certain) = (true, false);
        self.each(&mut |path, then| {
            let now = look_at(&mut folders, top, path);
            let is_other = !now.is_ok_and(|now| is_as_seen(&now, &then));
            if is_other || then.ctime.is_after(settled) {
                changed.push(path)?;
                is_empty = false;
                is_certain |= is_other;
            }
            Ok(())
        })?;
        Ok(ChangedFolders {
            folders: changed.finish()?,
            is_empty,
            is_certain,
        })
    }
}

/// Inspects the folder at a path; the top for an empty one.
pub fn look_at(folders: &mut Folders<'_>, top: &Top, path: &[u8]) -> io::Result<Look> {
    match path {
        b"" => Look::of(top),
        path => folders
            .parent(path)
            .and_then(|(parent, name)| Look::at(parent, name)),
    }
}

/// Returns true if a folder is, `now`, as it was seen.
pub fn is_as_seen(now: &Look, then: &Seen) -> bool {
    (now.inode, now.mtime, now.ctime) == (then.inode, then.mtime, then.ctime)
}

/// A folder that is listed by itself, without what lies below it.
pub struct OpenListing {
    /// Its path.
    pub path: Vec<u8>,
    /// The verdict of the rules.
    pub verdict: Decision,
    /// Its file system.
    pub device: u64,
    /// Its names.
    pub names: FolderNames,
}

impl OpenListing {
    /// Opens the folder at `path` and reads its names; keeps at most `room` bytes of them at a time.
    pub fn open<'f>(
        folders: &'f mut Folders<'_>,
        path: &[u8],
        verdict: Decision,
        room: usize,
    ) -> io::Result<(OpenListing, Look, BorrowedFd<'f>)> {
        let fd = folders.at(path)?;
        let look = Look::of(fd)?;
        let listing = OpenListing {
            path: path.to_vec(),
            verdict,
            device: look.inode.0,
            names: FolderNames::read(fd, room)?,
        };
        Ok((listing, look, fd))
    }

    /// Returns a listing of a folder that has no names any more.
    pub fn none(path: &[u8]) -> OpenListing {
        OpenListing {
            path: path.to_vec(),
            verdict: Decision::Excluded,
            device: 0,
            names: FolderNames::none(),
        }
    }
}

/// Returns the record of an open folder.
pub fn folder_record(
    look: &Look,
    fd: BorrowedFd<'_>,
    owners: &mut Owners,
) -> io::Result<FolderRecord> {
    Ok(FolderRecord {
        mode: Some(look.mode),
        owner: owners.describe(look.uid, look.gid),
        mtime: Some(look.mtime),
        xattrs: xattrs(fd)?,
    })
}

/// Returns the record of a symbolic link.
pub fn link_record(leaf: &Leaf<'_>, owners: &mut Owners) -> io::Result<LinkRecord> {
    let look = leaf.look()?;
    let target = match leaf.target() {
        // It has become something else since it was listed.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            return Err(rustix::io::Errno::NOENT.into());
        }
        read => read?,
    };
    if target.is_empty() || target.len() > MAX_LINK_BYTES {
        return Err(io::Error::other(
            "its target is empty, or longer than 4095 bytes",
        ));
    }
    Ok(LinkRecord {
        target,
        owner: owners.describe(look.uid, look.gid),
        mtime: Some(look.mtime),
    })
}

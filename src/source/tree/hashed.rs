//! A file that is read: its kind and content, its digest, and its line in a listing.

use std::{fs::File, io, sync::Arc};

use crate::{
    disk::tree::{
        beneath::{Look, NodeKind},
        owners::Owners,
    },
    model::{
        digest::Digest,
        entry_name::EntryName,
        manifest::{FileRecord, ListedNode, ListingLine},
        relative::RelativeName,
        tree::Xattrs,
    },
};

/// The result of reading a file.
pub struct Hashed {
    /// The file's metadata when reading began.
    pub look: Look,
    /// Its extended attributes.
    pub xattrs: Xattrs,
    /// SHA-256 of the content.
    pub digest: Digest,
    /// The bytes of the content.
    pub size: u64,
}

/// The writer of the lines of files.
pub struct Describer {
    directory: EntryName,
    /// The users and groups that were asked for.
    pub owners: Owners,
    /// The kind in each record.
    kind: Arc<str>,
}

impl Describer {
    /// Returns the writer for the directory called `directory`.
    pub fn new(directory: EntryName) -> Describer {
        Describer {
            directory,
            owners: Owners::default(),
            kind: "file".into(),
        }
    }

    /// Returns a file's record for the manifest.
    pub fn record(&mut self, relative: &RelativeName, hashed: Hashed) -> FileRecord {
        let (name, is_escaped) = relative.entry(&self.directory);
        let look = &hashed.look;
        let mut record = FileRecord::new(name, hashed.digest, hashed.size);
        let owner = self.owners.describe(look.uid, look.gid);
        record.mode = Some(look.mode);
        record.user = owner.user;
        record.group = owner.group;
        record.uid = owner.uid;
        record.gid = owner.gid;
        record.mtime = Some(look.mtime.seconds);
        record.mtime_ns = Some(look.mtime.nanoseconds).filter(|ns| *ns != 0);
        record.kind = Some(self.kind.clone());
        record.name = is_escaped.then(|| relative.as_bytes().to_vec());
        record.xattrs = hashed.xattrs;
        record.sparse = look.has_holes();
        record
    }

    /// Returns the line of what is at `relative`.
    pub fn line(&self, relative: &RelativeName, node: ListedNode) -> Vec<u8> {
        let mut text = Vec::with_capacity(512);
        let name = relative.clone();
        ListingLine { name, node }.write(&self.directory, &mut text);
        text
    }

    /// Returns the line of a file.
    pub fn file(&self, relative: &RelativeName, record: FileRecord) -> Vec<u8> {
        self.line(relative, ListedNode::File(Box::new(record)))
    }
}

/// Returns the kind of a file that is not a regular file, else `None`.
pub fn no_file(look: &Look) -> Option<&'static str> {
    match look.what {
        NodeKind::File => None,
        NodeKind::Special(kind) => Some(kind),
        NodeKind::Folder => Some("a folder"),
        NodeKind::Link => Some("a link"),
    }
}

/// Gives the first `size` bytes of `file` to `take`, or all if it is shorter.
pub fn read(
    mut file: &File,
    size: u64,
    buffer: &mut [u8],
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut left = size;
    while left > 0 {
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        match io::Read::read(&mut file, &mut buffer[..most]) {
            Ok(0) => break,
            Ok(read) => {
                take(&buffer[..read])?;
                left -= read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

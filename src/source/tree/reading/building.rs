//! A directory that is put together from its findings: in memory while they are few, else in a listing.

use std::{fs::File, sync::Arc};

use anyhow::{Context as _, Result};

use super::{
    super::{
        StagedTree, TreeContext,
        content::{Reopened, Spooled},
        found::{Place, ReadFile, marks},
        listed::{ListingSpool, StoredLine, read_line},
        opened::OpenDirectory,
    },
    links::LinkTargets,
    named,
};
use crate::{
    disk::tree::{
        beneath::{ACLS, split},
        given::without_acl,
    },
    model::{
        entry_name::EntryName,
        limits::{MAX_LINE_BYTES, UNLISTED_BYTES},
        manifest::{FileRecord, LineReader, ListedNode, ListingLine},
        named::Named,
        relative::by_component,
        tree::{FolderRecord, Tree},
    },
    source::staged::StagedContent,
};

/// A directory that is put together, in the order of a listing.
pub(super) struct Building<'a> {
    origin: &'a Arc<OpenDirectory>,
    caller: &'a TreeContext<'a>,
    reader: LineReader,
    /// The lines, while they are few.
    few: Vec<(StoredLine, Vec<u8>)>,
    few_bytes: u64,
    /// The lines, if they are many.
    spool: Option<ListingSpool>,
    files: u64,
    others: u64,
    /// The path of the last finding.
    last: Vec<u8>,
    /// The folders above it.
    above: Vec<Above>,
    root: FolderRecord,
    links: LinkTargets,
    databases: Vec<(EntryName, FileRecord)>,
    torn: Vec<EntryName>,
    unproven: Vec<(EntryName, String)>,
    stripped: Named,
}

struct Above {
    path: Vec<u8>,
    /// The line that is still to be written, if anything in the folder is.
    pending: Option<Vec<u8>>,
}

impl<'a> Building<'a> {
    /// Creates an empty one of the directory `origin` with the top folder `root`.
    pub(super) fn new(
        origin: &'a Arc<OpenDirectory>,
        root: FolderRecord,
        caller: &'a TreeContext<'a>,
    ) -> Building<'a> {
        Building {
            origin,
            caller,
            reader: LineReader::new(origin.name.clone()),
            few: Vec::new(),
            few_bytes: 0,
            spool: None,
            files: 0,
            others: 0,
            last: Vec::new(),
            above: Vec::new(),
            root,
            links: LinkTargets::new(caller.scratch),
            databases: Vec::new(),
            torn: Vec::new(),
            unproven: Vec::new(),
            stripped: Named::default(),
        }
    }

    /// Adds a folder; returns false if its folder is missing.
    pub(super) fn folder(&mut self, path: &[u8], text: &[u8]) -> Result<bool> {
        // The top has no line.
        if path.is_empty() {
            return Ok(true);
        }
        let is_placed = self.enter(path)?;
        if is_placed {
            self.above.push(Above {
                path: path.to_vec(),
                pending: None,
            });
            self.push(path, StoredLine::Folder, text)?;
        }
        Ok(is_placed)
    }

    /// Adds a folder that is a part of the directory only if something in it is.
    pub(super) fn pending_folder(&mut self, path: &[u8], text: &[u8]) {
        if self.is_placed(path) {
            self.above.push(Above {
                path: path.to_vec(),
                pending: Some(text.to_vec()),
            });
        }
    }

    /// Adds a link; returns false if its folder is missing.
    pub(super) fn link(&mut self, path: &[u8], text: &[u8]) -> Result<bool> {
        if !self.enter(path)? {
            return Ok(false);
        }
        let line = read_line(&mut self.reader, text)?;
        if let ListedNode::Link(record) = line.node {
            self.links.add(path, &record.target)?;
        }
        self.push(path, StoredLine::Link, text)?;
        Ok(true)
    }

    /// Adds a file, with the reason if it is a database that is not proven; returns false if its folder is missing.
    pub(super) fn file(
        &mut self,
        path: &[u8],
        file: &ReadFile<'_>,
        unproven: Option<String>,
    ) -> Result<bool> {
        if !self.enter(path)? {
            return Ok(false);
        }
        if file.is(marks::DATABASE) {
            let line = read_line(&mut self.reader, file.text)?;
            if let ListedNode::File(record) = line.node {
                self.databases.push((record.path.clone(), *record));
            }
        }
        let entry = || named(path).entry(&self.origin.name).0;
        if file.is(marks::TORN) {
            self.torn.push(entry());
        }
        if let Some(reason) = unproven {
            self.unproven.push((entry(), reason));
        }
        let stored = StoredLine::File {
            size: file.size,
            seen: file.seen,
            place: file.place,
            is_torn: file.is(marks::TORN | marks::UNPROVEN),
            is_torn_database: file.is(marks::UNPROVEN),
        };
        self.push(path, stored, file.text)?;
        Ok(true)
    }

    /// Leaves the folders that `path` does not lie in; returns true if it lies in the one that is left, and comes after
    /// all that was added.
    fn is_placed(&mut self, path: &[u8]) -> bool {
        if by_component(&self.last, path).is_ge() {
            return false;
        }
        self.last.clear();
        self.last.extend_from_slice(path);
        let folder = split(path).0;
        while let Some(last) = self.above.last() {
            if last.path == folder {
                return true;
            }
            self.above.pop();
        }
        folder.is_empty()
    }

    /// Does the same, and writes the lines of the folders above if they are still to be written.
    fn enter(&mut self, path: &[u8]) -> Result<bool> {
        if !self.is_placed(path) {
            return Ok(false);
        }
        let pending = self.above.iter_mut().filter_map(|above| {
            let line = above.pending.take()?;
            Some((above.path.clone(), line))
        });
        for (path, line) in pending.collect::<Vec<_>>() {
            self.push(&path, StoredLine::Folder, &line)?;
        }
        Ok(true)
    }

    fn push(&mut self, path: &[u8], stored: StoredLine, text: &[u8]) -> Result<()> {
        let count = match stored {
            StoredLine::File { .. } => &mut self.files,
            StoredLine::Folder | StoredLine::Link => &mut self.others,
        };
        *count += 1;
        if self.spool.is_some() {
            return self.spool_line(path, stored, text);
        }
        self.few.push((stored, text.to_vec()));
        self.few_bytes += text.len() as u64;
        if self.files.max(self.others) > self.caller.unlisted_files
            || self.few_bytes > UNLISTED_BYTES
        {
            let (name, root) = (&self.origin.name, self.root.clone());
            let spool = ListingSpool::create(name, root, self.caller.scratch)?;
            self.spool = Some(spool);
            for (stored, text) in std::mem::take(&mut self.few) {
                let line = read_line(&mut self.reader, &text)?;
                self.spool_line(line.name.as_bytes(), stored, &text)?;
            }
        }
        Ok(())
    }

    /// Writes a line to the listing, without the attributes if it would be too long with them.
    fn spool_line(&mut self, path: &[u8], stored: StoredLine, text: &[u8]) -> Result<()> {
        let mut stripped = Vec::new();
        if text.len() > MAX_LINE_BYTES {
            let mut line = read_line(&mut self.reader, text)?;
            for is_kept in [&is_first as &dyn Fn(&str) -> bool, &|_| false] {
                strip(&mut line, is_kept);
                stripped.clear();
                line.write(&self.origin.name, &mut stripped);
                if stripped.len() <= MAX_LINE_BYTES {
                    break;
                }
            }
            let shown = self.origin.top.shown(path);
            self.stripped.add(|| {
                format!(
                    "{shown} is archived without extended attributes: they take more than {} KiB",
                    MAX_LINE_BYTES / 1024
                )
            });
        }
        let text = if stripped.is_empty() { text } else { &stripped };
        match &mut self.spool {
            Some(spool) => spool.push(stored, text),
            None => Ok(()),
        }
    }

    /// Returns the directory. `kept` are copies that are files of their own, and `copies` is the file with all others.
    pub(super) fn finish(
        mut self,
        mut kept: Vec<Option<StagedContent>>,
        copies: &Arc<File>,
    ) -> Result<StagedTree> {
        self.databases
            .sort_by(|(one, _), (other, _)| one.cmp(other));
        self.torn.sort();
        let outside = self.links.outside(&self.origin.top)?;
        let mut tree = Tree {
            root: self.root,
            ..Tree::default()
        };
        let (mut records, mut contents) = (Vec::new(), Vec::new());
        for (stored, text) in &self.few {
            let line = read_line(&mut self.reader, text)?;
            match (line.node, *stored) {
                (ListedNode::Folder(record), _) => {
                    tree.folders.insert(line.name, record);
                }
                (ListedNode::Link(record), _) => {
                    tree.links.insert(line.name, record);
                }
                (
                    ListedNode::File(record),
                    StoredLine::File {
                        size, seen, place, ..
                    },
                ) => {
                    let digest = record.checksum;
                    let content = match place {
                        Place::Reopened => StagedContent::Reopened(Reopened::seen_as(
                            self.origin,
                            line.name,
                            seen,
                            digest,
                        )),
                        Place::Spooled(start) => {
                            StagedContent::Spooled(Spooled::at(copies, start, size, seen))
                        }
                        Place::Kept(number) => {
                            let kept = usize::try_from(number)
                                .ok()
                                .and_then(|number| kept.get_mut(number)?.take());
                            kept.context("a copy of a database was lost")?
                        }
                    };
                    contents.push((record.path.clone(), content));
                    records.push((record.path.clone(), *record));
                }
                _ => {}
            }
        }
        records.sort_by(|(one, _), (other, _)| one.cmp(other));
        contents.sort_by(|(one, _), (other, _)| one.cmp(other));
        let listing = self
            .spool
            .map(|spool| spool.finish(self.origin.clone(), kept, copies.clone()));
        Ok(StagedTree {
            records,
            contents,
            tree,
            listing: listing.transpose()?,
            databases: self.databases,
            outside,
            special: Vec::new(),
            own: Vec::new(),
            vanished: Vec::new(),
            torn: self.torn,
            unproven: self.unproven,
            stripped: self.stripped.finish(),
        })
    }
}

/// Takes the extended attributes away that are not kept. With an ACL go the permissions that it limits.
fn strip(line: &mut ListingLine, is_kept: &dyn Fn(&str) -> bool) {
    let (xattrs, mode) = match &mut line.node {
        ListedNode::File(record) => (&mut record.xattrs, &mut record.mode),
        ListedNode::Folder(record) => (&mut record.xattrs, &mut record.mode),
        ListedNode::Link(_) => return,
    };
    let has_acl = xattrs.keys().any(|name| is_acl(name));
    xattrs.retain(|name, _| is_kept(name));
    if has_acl && !xattrs.keys().any(|name| is_acl(name)) {
        *mode = mode.map(without_acl);
    }
}

fn is_acl(name: &str) -> bool {
    ACLS.contains(&name)
}

/// Returns true if an extended attribute goes along if there is room for few: it is short, and others may do what it
/// forbids, or it itself does.
fn is_first(name: &str) -> bool {
    is_acl(name) || name == "security.capability"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{digest::Digest, relative::RelativeName};

    fn file(name: &str) -> ListingLine {
        let entry = EntryName::new(&format!("data/{name}")).expect("a name");
        let mut record = FileRecord::new(entry, Digest::of(b""), 0);
        record.mode = Some(0o676);
        for name in ["user.a", ACLS[0]] {
            record.xattrs.insert(name.to_owned(), vec![7]);
        }
        let name = RelativeName::new(name.as_bytes()).expect("a name");
        ListingLine {
            name,
            node: ListedNode::File(Box::new(record)),
        }
    }

    #[test]
    fn an_acl_that_is_left_out_takes_the_permissions_of_its_mask_along() {
        let kept = |is_kept: &dyn Fn(&str) -> bool| {
            let mut line = file("a");
            strip(&mut line, is_kept);
            let record = line.file().expect("a file");
            (record.xattrs.len(), record.mode)
        };
        assert_eq!(kept(&|_| true), (2, Some(0o676)));
        assert_eq!(kept(&is_first), (1, Some(0o676)));
        assert_eq!(kept(&|name| name == "user.a"), (1, Some(0o606)));
        assert_eq!(kept(&|_| false), (0, Some(0o606)));
    }
}

//! The members of a tree of files, in the order in which an export would have written them.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, BufRead, BufReader, Cursor, Read},
    ops::Bound,
    rc::Rc,
};

use anyhow::Result;

use super::{
    source::{ArchiveTree, TreeFile},
    unlisted,
};
use crate::{
    archive::{
        listing::{Listing, ListingLines},
        member_stream::MemberStream,
        tar::stream::{HeaderAttributes, Member, MemberKind},
    },
    model::{
        entry_name::EntryName,
        limits::BUFFER_BYTES,
        manifest::{FileRecord, MANIFEST_NAME, Manifest},
    },
};

/// The root folder of an archive that has no name anywhere.
const NAMELESS: &str = "archive";

/// The members of a tree.
pub struct TreeMembers<'a> {
    tree: &'a mut dyn ArchiveTree,
    root: String,
    /// The text of the manifest, until it was given.
    text: Option<Vec<u8>>,
    manifest: Option<Rc<Manifest>>,
    /// The entry of the manifest that came last.
    last: Option<EntryName>,
    /// The files of the directory whose listing came last.
    coming: Option<(EntryName, ListingLines)>,
    listings: BTreeMap<EntryName, Listing>,
    /// The number of files with escaped names that came, by directory.
    escaped: BTreeMap<EntryName, u64>,
    /// The things that the manifest does not list, once they are known.
    others: Option<VecDeque<Member>>,
    content: Box<dyn BufRead>,
    /// The bytes of the content that are left.
    left: u64,
    /// The path of the member, for messages.
    current: String,
}

impl<'a> TreeMembers<'a> {
    /// Returns the members of `tree`, whose manifest has the text `text`.
    pub fn new(tree: &'a mut dyn ArchiveTree, text: Option<Vec<u8>>) -> TreeMembers<'a> {
        let manifest = text.as_deref().map(Manifest::parse);
        let root = root_of(tree, manifest.and_then(Result::ok).as_ref());
        TreeMembers {
            tree,
            root,
            text,
            manifest: None,
            last: None,
            coming: None,
            listings: BTreeMap::new(),
            escaped: BTreeMap::new(),
            others: None,
            content: Box::new(io::empty()),
            left: 0,
            current: MANIFEST_NAME.to_owned(),
        }
    }

    fn path(&self, inside: &str) -> String {
        format!("{}/{inside}", self.root)
    }

    /// Returns the manifest as a member.
    fn manifest_member(&mut self, text: Vec<u8>) -> Member {
        let size = text.len() as u64;
        self.left = size;
        self.content = Box::new(Cursor::new(text));
        let attributes = HeaderAttributes::default();
        Member::of_tree(
            self.path(MANIFEST_NAME),
            size,
            MemberKind::File,
            &attributes,
        )
    }

    /// Returns the next file of the directory whose listing came last.
    fn next_listed(&mut self) -> io::Result<Option<Member>> {
        while let Some((directory, lines)) = &mut self.coming {
            let Some(line) = lines.next().transpose().map_err(io::Error::other)? else {
                self.coming = None;
                break;
            };
            let Some(record) = line.file() else {
                continue;
            };
            let directory = directory.clone();
            if let Some(member) = self.file(record)? {
                if record.name.is_some() {
                    *self.escaped.entry(directory).or_default() += 1;
                }
                return Ok(Some(member));
            }
        }
        Ok(None)
    }

    /// Returns the next entry of the manifest.
    fn next_entry(&mut self) -> io::Result<Option<Member>> {
        while let Some(manifest) = self.manifest.clone() {
            let start = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let mut rest = manifest
                .files
                .range::<EntryName, _>((start, Bound::Unbounded));
            let Some((name, record)) = rest.next() else {
                break;
            };
            self.last = Some(name.clone());
            let member = self.file(record)?;
            if member.is_some() {
                return Ok(member);
            }
        }
        Ok(None)
    }

    /// Opens the file of a record; `None` if no regular file lies there. A file with an escaped name may lie under its
    /// real one.
    fn file(&mut self, record: &FileRecord) -> io::Result<Option<Member>> {
        let path = record.path.as_str();
        let mut found = self.tree.open(path.as_bytes())?;
        if let (None, Some(name), Some((directory, _))) =
            (&found, &record.name, path.split_once('/'))
        {
            found = self
                .tree
                .open(&[directory.as_bytes(), b"/", name].concat())?;
        }
        let member = found.map(|file| {
            let TreeFile {
                size,
                attributes,
                content,
            } = file;
            self.left = size;
            self.current = path.to_owned();
            self.content = Box::new(BufReader::with_capacity(BUFFER_BYTES, content));
            let attributes = HeaderAttributes::from(&attributes);
            Member::of_tree(self.path(path), size, MemberKind::File, &attributes)
        });
        Ok(member)
    }

    /// Returns the next of the things that the manifest does not list.
    fn next_other(&mut self) -> io::Result<Option<Member>> {
        if self.others.is_none() {
            let others = match self.manifest.clone() {
                Some(manifest) => {
                    unlisted::find(self.tree, &manifest, &self.listings, &self.escaped)?
                }
                None => Vec::new(),
            };
            let members = others.into_iter().map(|(path, what)| {
                let path = self.path(&path);
                Member::of_tree(path, 0, what, &HeaderAttributes::default())
            });
            self.others = Some(members.collect());
        }
        Ok(self.others.as_mut().and_then(VecDeque::pop_front))
    }
}

/// Returns the name of the root folder: that of the manifest, else that of the tree.
pub fn root_of(tree: &dyn ArchiveTree, manifest: Option<&Manifest>) -> String {
    let named = manifest.and_then(|manifest| manifest.root.clone());
    let is_good = |name: &String| !name.contains('/') && EntryName::new(name).is_ok();
    let named = named.or_else(|| tree.name()).filter(is_good);
    named.unwrap_or_else(|| NAMELESS.to_owned())
}

impl MemberStream for TreeMembers<'_> {
    fn next_member(&mut self) -> io::Result<Option<Member>> {
        self.left = 0;
        self.content = Box::new(io::empty());
        if let Some(text) = self.text.take() {
            return Ok(Some(self.manifest_member(text)));
        }
        if let Some(member) = self.next_listed()? {
            return Ok(Some(member));
        }
        if let Some(member) = self.next_entry()? {
            return Ok(Some(member));
        }
        self.next_other()
    }

    fn begin(&mut self, manifest: &Rc<Manifest>, _: u64) {
        self.manifest = Some(manifest.clone());
    }

    fn listing(&mut self, directory: &EntryName, listing: &Listing) -> Result<()> {
        self.coming = Some((directory.clone(), listing.lines()));
        self.listings.insert(directory.clone(), listing.clone());
        Ok(())
    }

    fn may_skip(&self) -> bool {
        true
    }

    fn is_plain(&self) -> bool {
        false
    }

    fn lacks_index(&self, _: &Manifest) -> bool {
        false
    }
}

impl Read for TreeMembers<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for TreeMembers<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let bytes = self.content.fill_buf()?;
        if bytes.is_empty() {
            let message = format!("{} became shorter while it was read", self.current);
            return Err(io::Error::other(message));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        Ok(&bytes[..bytes.len().min(most)])
    }

    fn consume(&mut self, amount: usize) {
        self.content.consume(amount);
        self.left = self.left.saturating_sub(amount as u64);
    }
}

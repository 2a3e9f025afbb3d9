//! The pages that a walk meets on its way down, and what it remembers of them.

use std::{borrow::Cow, collections::HashMap, ops::Range};

use super::super::pages::{self, Entries, LeafContent, Root};
use crate::{state, work::ReadAt};

/// The most pages that are remembered as missing.
pub(super) const MOST_SUSPECTS: usize = 16;

/// The state of a copied page: half of its checksum, and a flag for a complete subtree. This state saves reads; in the
/// end the copy is verified with whole checksums.
#[derive(Clone, Copy)]
pub(super) struct KnownPage(u64);

impl KnownPage {
    pub(super) fn of(checksum: u128, whole: bool) -> KnownPage {
        KnownPage((checksum as u64) << 1 | u64::from(whole))
    }

    pub(super) fn is(self, checksum: u128) -> bool {
        self.0 >> 1 == (checksum as u64) << 1 >> 1
    }

    pub(super) fn is_whole(self) -> bool {
        self.0 & 1 == 1
    }
}

/// A page on the way down. Plain halves of the checksum keep it small.
pub(super) struct Node {
    pub(super) page: u64,
    pub(super) checksum: [u64; 2],
    pub(super) parent: u32,
    pub(super) tree: u32,
    pub(super) found: bool,
}

impl Node {
    pub(super) fn new(root: Root, parent: u32, tree: u32) -> Node {
        Node {
            page: root.page,
            checksum: [root.checksum as u64, (root.checksum >> 64) as u64],
            parent,
            tree,
            found: false,
        }
    }

    pub(super) fn root(&self) -> Root {
        Root {
            page: self.page,
            checksum: u128::from(self.checksum[1]) << 64 | u128::from(self.checksum[0]),
        }
    }
}

/// The parent of a root.
pub(super) const NO_PARENT: u32 = u32::MAX;
/// The tables that show running work.
pub(super) const WORK: &[&str] = &state::WORK_TABLES;

/// The choice to skip pages that are known to be whole, or to read everything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    Known,
    Nothing,
}

/// The file that a page is read from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Source,
    Copy,
}

/// The entries of a page that is too large for memory.
pub(super) struct InFile<'a> {
    pub(super) file: &'a dyn ReadAt,
    pub(super) offset: u64,
}

impl Entries for InFile<'_> {
    fn start_of(&self, range: Range<usize>) -> Option<Cow<'_, [u8]>> {
        let mut bytes = vec![0; range.len().min(pages::ENTRY_BYTES)];
        let offset = self.offset.checked_add(range.start as u64)?;
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        Some(Cow::Owned(bytes))
    }
}

/// The kinds of tree that a descent found; a page carries the number of its kind.
#[derive(Default)]
pub(super) struct Trees {
    list: Vec<LeafContent>,
    numbers: HashMap<LeafContent, u32>,
}

impl Trees {
    pub(super) fn number(&mut self, tree: LeafContent) -> u32 {
        *self.numbers.entry(tree).or_insert_with(|| {
            self.list.push(tree);
            self.list.len() as u32 - 1
        })
    }

    pub(super) fn get(&self, number: u32) -> Option<LeafContent> {
        self.list.get(number as usize).copied()
    }
}

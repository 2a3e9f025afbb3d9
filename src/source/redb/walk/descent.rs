//! The descent: every page of a commit, level by level, verified and copied.

use std::{io, ops::Range, os::unix::fs::FileExt as _};

use anyhow::{Context as _, Result};
use twox_hash::XxHash3_128;

use super::{
    super::{
        header::Scope,
        pages::{self, Geometry, LeafContent, Root},
    },
    Walk,
    clear::clear,
    node::{From, InFile, KnownPage, MOST_SUSPECTS, NO_PARENT, Node, Trees, Trust, WORK},
};
use crate::work::ReadAt;

/// The greatest depth of a tree; no real one comes close (redb 4.6, `MAX_BTREE_DEPTH`).
const MAX_DEPTH: usize = 128;
/// The most bytes of adjacent pages that are read together.
const RUN_BYTES: u64 = 512 << 10;
/// The size from which a page is never in memory as a whole: its beginning is, and then one part after the other.
const LARGE_PAGE_BYTES: u64 = 4 << 20;

impl Walk<'_> {
    /// Descends level by level, each in the order of the file: the few upper pages, which change most, are read at
    /// once, and the many leaves follow.
    pub(super) fn descend(&mut self, trust: Trust) -> Result<bool> {
        let Some(header) = self.header else {
            return Ok(false);
        };
        let slot = *header.slot(self.which);
        self.nodes.clear();
        self.first_missed = None;
        self.missed = 0;
        self.absent.clear();
        self.met = None;
        self.walked.largest_page = 0;
        if !slot.is_whole {
            self.missed = 1;
            return Ok(false);
        }
        self.most = self.source.length()? / Geometry::PAGE_BYTES;
        self.trees = Trees::default();
        let system = slot.system.filter(|_| self.scope == Scope::Everything);
        for (root, tree) in [
            (system, LeafContent::SystemTables),
            (slot.user, LeafContent::Tables),
        ] {
            let tree = self.trees.number(tree);
            self.nodes
                .extend(root.map(|root| Node::new(root, NO_PARENT, tree)));
        }
        let (mut low, mut depth) = (0, 0);
        while low < self.nodes.len() {
            self.is_overfull |= depth > MAX_DEPTH;
            if self.is_overfull {
                self.missed += 1;
                return Ok(false);
            }
            let high = self.nodes.len();
            let geometry = header.geometry;
            self.nodes[low..high].sort_unstable_by_key(|node| geometry.locate(node.page));
            self.level(low..high, geometry, trust)?;
            low = high;
            depth += 1;
        }
        self.walked.mismatches += self.missed;
        self.walked.live_pages = self.nodes.len() as u64;
        Ok(self.remember())
    }

    /// Takes the pages of one level; reads adjacent pages together.
    fn level(&mut self, level: Range<usize>, geometry: Geometry, trust: Trust) -> Result<()> {
        let lengths = (
            self.source.length()?,
            self.copy.map_or(Ok(0), ReadAt::length)?,
        );
        let mut run = Run::default();
        for number in level {
            let root = self.nodes[number].root();
            let known = self
                .known
                .get(&root.page)
                .filter(|known| known.is(root.checksum));
            if trust == Trust::Known && known.is_some_and(|known| known.is_whole()) {
                self.nodes[number].found = true;
                continue;
            }
            let place = geometry
                .locate(root.page)
                .and_then(|(offset, length)| Some(offset..offset.checked_add(length)?));
            if let Some(place) = &place {
                let length = place.end - place.start;
                self.walked.largest_page = self.walked.largest_page.max(length);
            }
            // A page behind the end was cut off, or never existed.
            let (from, place) = match place {
                Some(place) if known.is_some() && place.end <= lengths.1 => (From::Copy, place),
                Some(place) if place.end <= lengths.0 => (From::Source, place),
                _ => {
                    self.miss(number);
                    continue;
                }
            };
            if !run.takes(from, &place) {
                self.take(&mut run)?;
            }
            run.add(number, from, place);
        }
        self.take(&mut run)
    }

    /// Reads a run of pages, verifies each, and writes to the copy the pages that it did not hold.
    fn take(&mut self, run: &mut Run) -> Result<()> {
        let Some(from) = run.from.take() else {
            return Ok(());
        };
        let place = std::mem::take(&mut run.place);
        let length = place.end - place.start;
        if length >= LARGE_PAGE_BYTES {
            for (number, place) in run.pages.drain(..) {
                self.take_large(number, from, place)?;
            }
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(
            usize::try_from(length).context("a page is larger than memory")?,
            0,
        );
        let is_read = match self.reader(from).read_exact_at(&mut buffer, place.start) {
            // The file became shorter meanwhile.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            result => result.context("cannot read a page").map(|()| true)?,
        };
        if from == From::Source {
            self.walked.bytes_read += length;
        }
        (self.step)(if from == From::Source { length } else { 0 })?;
        let mut good: Range<usize> = 0..0;
        let mut again = Vec::new();
        for (number, range) in run.pages.drain(..) {
            let within = (range.start - place.start) as usize..(range.end - place.start) as usize;
            if is_read && self.accept(number, &mut buffer[within.clone()]) {
                if from == From::Source && good.end != within.start {
                    self.write(&buffer, &good, place.start)?;
                    good.start = within.start;
                }
                good.end = within.end;
            } else if from == From::Copy {
                again.push((number, range));
            } else {
                self.miss(number);
            }
        }
        if from == From::Source {
            self.write(&buffer, &good, place.start)?;
        }
        self.buffer = buffer;
        // The copy does not hold the expected page: only the source may have it.
        for (number, place) in again {
            if place.end <= self.source.length()? {
                run.add(number, From::Source, place);
                self.take(run)?;
            } else {
                self.miss(number);
            }
        }
        Ok(())
    }

    /// Reads a large page part by part, verifies it, and writes it to the copy if the copy did not hold it.
    ///
    /// A page that does not match is already in the copy then, over data of earlier rounds. This is safe: a round is
    /// whole only after everything in the copy matched once more.
    fn take_large(&mut self, number: usize, from: From, place: Range<u64>) -> Result<()> {
        if self.accept_large(number, from, &place)? {
            return Ok(());
        }
        let is_in_source = place.end <= self.source.length()?;
        let is_accepted = from == From::Copy
            && is_in_source
            && self.accept_large(number, From::Source, &place)?;
        if !is_accepted {
            self.miss(number);
        }
        Ok(())
    }

    fn accept_large(&mut self, number: usize, from: From, place: &Range<u64>) -> Result<bool> {
        let (offset, length) = (place.start, place.end - place.start);
        let root = self.nodes[number].root();
        let mut start = [0; 4];
        let Some(tree) = self.trees.get(self.nodes[number].tree) else {
            return Ok(false);
        };
        // A hole in the file is not a page.
        if !self.fill(from, &mut start, offset)? || !pages::is_page(start) {
            return Ok(false);
        }
        let mut head = vec![0; length.min(pages::HEAD_BYTES) as usize];
        if !self.fill(from, &mut head, offset)? {
            return Ok(false);
        }
        let used = pages::covered(&head, tree).map(|used| used as u64);
        let Some(used) = used.filter(|used| *used <= length) else {
            return Ok(false);
        };
        let mut hash = XxHash3_128::new();
        let mut part = std::mem::take(&mut self.buffer);
        let mut at = 0;
        while at < used {
            let count = (used - at).min(RUN_BYTES) as usize;
            let bytes = match head.get(at as usize..at as usize + count) {
                Some(bytes) => bytes,
                None => {
                    part.resize(count, 0);
                    if !self.fill(from, &mut part, offset + at)? {
                        return Ok(false);
                    }
                    part.as_slice()
                }
            };
            hash.write(bytes);
            if from == From::Source {
                self.walked.bytes_read += count as u64;
                self.write(bytes, &(0..count), offset + at)?;
            }
            (self.step)(if from == From::Source {
                count as u64
            } else {
                0
            })?;
            at += count as u64;
        }
        self.buffer = part;
        if hash.finish_128() != root.checksum {
            return Ok(false);
        }
        if let Some(copy) = self.copy.filter(|_| from == From::Source) {
            // The unused part of the page may hold deleted rows.
            clear(copy, offset + used, length - used).context("cannot clear a part of the copy")?;
        }
        let entries = InFile {
            file: self.reader(From::Copy),
            offset,
        };
        let Some(below) = pages::children(&head, &entries, tree) else {
            return Ok(false);
        };
        let is_at_work = tree == LeafContent::Tables && pages::defines(&head, &entries, WORK);
        self.enter(number, below, is_at_work);
        Ok(true)
    }

    /// Reads a part of a page; false if the file became shorter meanwhile.
    fn fill(&self, from: From, buffer: &mut [u8], offset: u64) -> Result<bool> {
        match self.reader(from).read_exact_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            result => result.context("cannot read a page").map(|()| true),
        }
    }

    pub(super) fn reader(&self, from: From) -> &dyn ReadAt {
        match (from, self.copy) {
            (From::Copy, Some(copy)) => copy,
            _ => self.source,
        }
    }

    fn write(&self, buffer: &[u8], good: &Range<usize>, base: u64) -> Result<()> {
        let Some(copy) = self.copy.filter(|_| !good.is_empty()) else {
            return Ok(());
        };
        copy.write_all_at(&buffer[good.clone()], base + good.start as u64)
            .context("cannot write the copy")
    }

    /// Returns true if `page` matches its parent's checksum. Clears its unused part, which may hold deleted rows.
    fn accept(&mut self, number: usize, page: &mut [u8]) -> bool {
        let root = self.nodes[number].root();
        let Some(tree) = self.trees.get(self.nodes[number].tree) else {
            return false;
        };
        let Some(used) = pages::proven(page, root, tree) else {
            return false;
        };
        let Some(below) = pages::children(page, page, tree) else {
            return false;
        };
        let is_at_work = tree == LeafContent::Tables && pages::defines(page, page, WORK);
        self.enter(number, below, is_at_work);
        page[used..].fill(0);
        true
    }

    /// Remembers a page that matched, and adds the pages below it to the descent.
    fn enter(&mut self, number: usize, below: Vec<(Root, LeafContent)>, is_at_work: bool) {
        let root = self.nodes[number].root();
        for (child, tree) in below {
            self.meet(child, number, tree);
        }
        self.walked.may_be_at_work |= is_at_work;
        self.nodes[number].found = true;
        self.known
            .entry(root.page)
            .and_modify(|known| {
                if !known.is(root.checksum) {
                    *known = KnownPage::of(root.checksum, false);
                }
            })
            .or_insert(KnownPage::of(root.checksum, false));
    }

    /// Adds a page to the descent, unless it is there already: savepoints share pages with the tables.
    fn meet(&mut self, child: Root, parent: usize, tree: LeafContent) {
        if self.nodes.len() as u64 >= self.most {
            self.is_overfull = true;
            return;
        }
        if matches!(
            self.trees.get(self.nodes[parent].tree),
            Some(LeafContent::Savepoints(_))
        ) && self.met.is_none()
        {
            let met = self.nodes.iter().map(|node| (node.page, node.checksum[0]));
            self.met = Some(met.collect());
        }
        let tree = self.trees.number(tree);
        let node = Node::new(child, parent as u32, tree);
        let is_new = match &mut self.met {
            Some(met) => met.insert((node.page, node.checksum[0])),
            None => true,
        };
        if is_new {
            self.nodes.push(node);
        }
    }

    fn miss(&mut self, number: usize) {
        self.nodes[number].found = false;
        self.missed += 1;
        if self.absent.len() < MOST_SUSPECTS {
            self.absent.push(number);
        }
        self.first_missed.get_or_insert(number);
    }

    /// Marks the parents of missing pages as missing up to the root, and remembers the whole subtrees.
    fn remember(&mut self) -> bool {
        let mut all = true;
        for number in (0..self.nodes.len()).rev() {
            let node = &self.nodes[number];
            let (root, parent) = (node.root(), node.parent);
            if node.found {
                self.known
                    .insert(root.page, KnownPage::of(root.checksum, true));
            } else {
                all = false;
                if parent != NO_PARENT {
                    self.nodes[parent as usize].found = false;
                }
            }
        }
        all
    }

    /// Returns the ranges of the pages of the last descent, in the order of the file.
    pub(super) fn live_ranges(&self) -> Vec<Range<u64>> {
        let Some(header) = self.header else {
            return Vec::new();
        };
        let places = self
            .nodes
            .iter()
            .filter_map(|node| header.geometry.locate(node.page));
        let mut ranges: Vec<Range<u64>> = Vec::new();
        let mut places: Vec<(u64, u64)> = places.collect();
        places.sort_unstable();
        for (offset, length) in places {
            match ranges.last_mut() {
                Some(last) if last.end == offset => last.end += length,
                _ => ranges.push(offset..offset + length),
            }
        }
        ranges
    }
}

/// Adjacent pages that are read from one file.
#[derive(Default)]
struct Run {
    from: Option<From>,
    place: Range<u64>,
    pages: Vec<(usize, Range<u64>)>,
}

impl Run {
    fn takes(&self, from: From, place: &Range<u64>) -> bool {
        self.from.is_none()
            || self.from == Some(from)
                && self.place.end == place.start
                && place.end - self.place.start <= RUN_BYTES
    }

    fn add(&mut self, number: usize, from: From, place: Range<u64>) {
        if self.from.is_none() {
            self.from = Some(from);
            self.place = place.clone();
        }
        self.place.end = place.end;
        self.pages.push((number, place));
    }
}

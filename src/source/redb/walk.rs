//! A copy of one commit of a database, taken along its checksums, whoever writes to it meanwhile.
//!
//! A commit slot carries its own checksum and names the roots of two trees with theirs; every page names its children
//! with theirs; and no page of a commit is written again while the commit is the current one. So when every page of the
//! copy hashes to what its parent says, up to a slot that is whole, the copy is exactly that one commit
//! (docs/snapshots.md has the argument). A page that does not match was already used again: the round goes on, since
//! what it has copied need not be read again, and the next one begins at the new root.
//!
//! This is the mechanism, round by round; how many rounds there are, and what is tried then, is [`super::snapshot`]'s
//! affair.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::fcntl::{FallocateFlags, fallocate};

use crate::archive::ReadAt;

use super::{
    header::{HEADER_BYTES, Header, Seal, Which},
    pages::{self, Geometry, Root, Tree},
};

/// The deepest tree; no real one comes close (redb 4.4, `MAX_BTREE_DEPTH`).
const MAX_DEPTH: usize = 128;
/// How often a header is read until two readings agree.
const HEADER_READINGS: usize = 1000;
/// How often missing pages are looked for again while the header stays as it is: a commit may be on its way to the file.
const FLUSH_WAITS: usize = 20;
const FLUSH_WAIT: Duration = Duration::from_micros(100);
/// Pages that lie side by side are read together, up to so many bytes.
const RUN_BYTES: u64 = 512 << 10;

/// Pages that are remembered as missing, and commits that must miss one before it counts as damaged.
const MOST_SUSPECTS: usize = 16;
const ENOUGH_COMMITS: u32 = 3;
/// A page of this size and more is looked at before it is read as a whole.
const LARGE_PAGE_BYTES: u64 = 4 << 20;

/// What of a commit is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Both trees: tables, persistent savepoints, and what redb keeps for itself.
    Everything,
    /// The tables alone. A read transaction of the service pins exactly these pages.
    Tables,
}

/// Whether somebody may be writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A commit may be on its way to the file: what does not match may match in a moment.
    Live,
    /// What does not match now never will.
    AtRest,
}

/// How a round ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Round {
    /// Every page of the commit is in the copy, and proven.
    Whole,
    /// Some pages did not match.
    Missed(Missed),
    /// There is nothing to walk, and why.
    Unfit(String),
}

/// The pages that a round did not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// How many; what lies below them is not counted.
    pub pages: u64,
    /// The first of them.
    pub first: Fault,
    /// Whether the header names the same commits as when the round before began.
    pub is_steady: bool,
    /// Whether the first page is damaged: commits before this one needed it as well, and did not get it either.
    pub is_damage: bool,
}

/// A page that does not hash to what its parent says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it lies; `None` for the commit slot itself, or a page number that no page has.
    pub offset: Option<u64>,
    /// The table that it belongs to; `None` for what belongs to none.
    pub table: Option<String>,
    /// The commit whose page it is.
    pub transaction_id: u64,
}

/// What a walk did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Walked {
    /// The commit that the copy holds.
    pub transaction_id: u64,
    /// Rounds that it took.
    pub rounds: u64,
    /// Pages of the commit.
    pub live_pages: u64,
    /// Bytes of the commit's pages.
    pub live_bytes: u64,
    /// Bytes that were read from the source.
    pub bytes_read: u64,
    /// Pages that did not match, over all rounds.
    pub mismatches: u64,
}

/// What is known of a page that was copied: half of its checksum, and whether everything below it was copied too. What
/// is known saves reading; what the copy holds is proven in the end, whole checksums and all.
#[derive(Clone, Copy)]
struct Known(u64);

impl Known {
    fn of(checksum: u128, whole: bool) -> Known {
        Known((checksum as u64) << 1 | u64::from(whole))
    }

    fn is(self, checksum: u128) -> bool {
        self.0 >> 1 == (checksum as u64) << 1 >> 1
    }

    fn is_whole(self) -> bool {
        self.0 & 1 == 1
    }
}

/// A page on the way down. Plain halves of the checksum keep it small.
struct Node {
    page: u64,
    checksum: [u64; 2],
    parent: u32,
    tree: u32,
    found: bool,
}

impl Node {
    fn new(root: Root, parent: u32, tree: u32) -> Node {
        Node {
            page: root.page,
            checksum: [root.checksum as u64, (root.checksum >> 64) as u64],
            parent,
            tree,
            found: false,
        }
    }

    fn root(&self) -> Root {
        Root {
            page: self.page,
            checksum: u128::from(self.checksum[1]) << 64 | u128::from(self.checksum[0]),
        }
    }
}

const NO_PARENT: u32 = u32::MAX;

/// Whether pages that are known to be whole are taken for granted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    Known,
    Nothing,
}

/// Where a page is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Source,
    Copy,
}

/// Is told how many bytes were read, and may end the walk with an error.
pub type Step<'a> = dyn Fn(u64) -> Result<()> + 'a;

/// A walk over `source`, with all that its rounds have found so far.
pub struct Walk<'a> {
    source: &'a dyn ReadAt,
    copy: Option<&'a File>,
    scope: Scope,
    step: &'a Step<'a>,
    header: Option<Header>,
    which: Which,
    known: HashMap<u64, Known>,
    trees: Trees,
    most: u64,
    nodes: Vec<Node>,
    first_missed: Option<usize>,
    buffer: Vec<u8>,
    length: u64,
    missed: u64,
    /// The first pages that the last descent did not get, as numbers of nodes.
    absent: Vec<usize>,
    /// Pages that commits missed: half of what they should hash to, the last commit, and how many there were.
    suspects: HashMap<u64, (u64, u64, u32)>,
    is_damaged: bool,
    is_proven: bool,
    is_overfull: bool,
    /// Pages met in this descent; only kept where savepoints share pages with the tables.
    met: Option<HashSet<(u64, u64)>>,
    walked: Walked,
}

impl<'a> Walk<'a> {
    /// A walk that will fill `copy`, an empty file.
    pub fn new(
        source: &'a dyn ReadAt,
        copy: &'a File,
        scope: Scope,
        step: &'a Step<'a>,
    ) -> Walk<'a> {
        Walk {
            copy: Some(copy),
            ..Walk::over(source, scope, step)
        }
    }

    /// A walk that looks and copies nothing; its first round is the one that counts.
    pub fn over(source: &'a dyn ReadAt, scope: Scope, step: &'a Step<'a>) -> Walk<'a> {
        Walk {
            source,
            copy: None,
            scope,
            step,
            header: None,
            which: Which::Primary,
            known: HashMap::new(),
            trees: Trees::default(),
            most: 0,
            nodes: Vec::new(),
            first_missed: None,
            buffer: Vec::new(),
            length: 0,
            missed: 0,
            absent: Vec::new(),
            suspects: HashMap::new(),
            is_damaged: false,
            is_proven: false,
            is_overfull: false,
            met: None,
            walked: Walked::default(),
        }
    }

    /// What was done so far.
    pub fn walked(&self) -> Walked {
        self.walked
    }

    /// The header that the last round began with.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// One round: down from a slot of the header, and once more over the copy, trusting nothing, where earlier rounds
    /// have left anything in it.
    pub fn round(&mut self, which: Which, source: Source) -> Result<Round> {
        match self.catch(which, source)? {
            Round::Whole if !self.prove()? => Ok(self.missed(false)),
            round => Ok(round),
        }
    }

    /// The part of a round that reads the source.
    pub fn catch(&mut self, which: Which, source: Source) -> Result<Round> {
        let header = match stable_header(self.source)? {
            Ok(header) => header,
            Err(reason) => return Ok(Round::Unfit(reason.to_owned())),
        };
        if let Err(reason) = header.is_walkable() {
            return Ok(Round::Unfit(reason));
        }
        let before = self.header.replace(header);
        if before.is_some_and(|before| before.geometry != header.geometry) {
            return Ok(Round::Unfit(
                "it became another file while it was read".to_owned(),
            ));
        }
        let is_steady = before.is_none_or(|before| before.names_the_same(&header));
        self.which = which;
        self.length = self.source.length()?.max(self.length);
        if let Some(copy) = self.copy {
            copy.set_len(self.length)
                .context("cannot make room for the copy")?;
        }
        self.walked.rounds += 1;
        let mut complete = self.descend(Trust::Known)?;
        // One descent, with nothing known before it, has proven every page just before it was written.
        self.is_proven = complete && self.walked.rounds == 1;
        let waits = match source {
            Source::Live => FLUSH_WAITS,
            Source::AtRest => 0,
        };
        // The header may be in the file before the pages that it names: a look again is cheap.
        for _ in 0..waits {
            if complete || self.is_overfull {
                break;
            }
            if !self.is_undisturbed()? {
                return Ok(self.missed(false));
            }
            std::thread::sleep(FLUSH_WAIT);
            complete = self.descend(Trust::Known)?;
        }
        if self.is_overfull {
            return Ok(Round::Unfit(
                "its trees are deeper or have more pages than its size allows".to_owned(),
            ));
        }
        if !complete {
            if source == Source::Live && self.is_undisturbed()? {
                self.suspect();
            }
            return Ok(self.missed(is_steady));
        }
        self.walked.transaction_id = header.slot(which).transaction_id;
        Ok(Round::Whole)
    }

    /// Reads the copy from its roots, trusting nothing that is remembered, where that is not known to be needless.
    pub fn prove(&mut self) -> Result<bool> {
        if !self.is_proven {
            self.is_proven = self.descend(Trust::Nothing)?;
        }
        Ok(self.is_proven)
    }

    /// Whether the source names the same commits as when the last round began.
    pub fn is_undisturbed(&self) -> Result<bool> {
        let now = stable_header(self.source)?;
        let before = self.header.as_ref();
        Ok(now.is_ok_and(|now| before.is_some_and(|before| before.names_the_same(&now))))
    }

    /// Remembers which pages a commit misses although there was time for them to come: a commit that is on its way needs
    /// no more. What several commits miss one after the other is damaged.
    fn suspect(&mut self) {
        let commit = self
            .header
            .map_or(0, |header| header.slot(self.which).transaction_id);
        let missing = (0..self.nodes.len()).filter(|number| !self.nodes[*number].found);
        let mut damaged = None;
        for number in missing.take(MOST_SUSPECTS) {
            let (page, half) = (self.nodes[number].page, self.nodes[number].checksum[0]);
            let suspect = self.suspects.entry(page).or_insert((half, commit, 1));
            if suspect.0 != half {
                *suspect = (half, commit, 1);
            } else if suspect.1 != commit {
                *suspect = (half, commit, suspect.2 + 1);
            }
            if suspect.2 >= ENOUGH_COMMITS && self.absent.contains(&number) {
                damaged = Some(number);
            }
        }
        if damaged.is_some() {
            self.is_damaged = true;
            self.first_missed = damaged;
        }
    }

    /// Ends a walk whose last round was [`Round::Whole`]: the copy gets its header, and loses what earlier rounds left.
    pub fn finish(mut self, seal: Seal) -> Result<Walked> {
        let header = self.header.context("no round was made")?;
        let copy = self.copy.context("nothing was copied")?;
        self.known = HashMap::new();
        let ranges = self.live_ranges();
        self.walked.live_bytes = ranges.iter().map(|range| range.end - range.start).sum();
        if self.walked.rounds > 1 {
            clear_between(copy, &ranges, copy.length()?)?;
        }
        copy.write_all_at(&header.sealed(self.which, seal, self.scope), 0)
            .context("cannot write the copy")?;
        Ok(self.walked)
    }

    fn missed(&self, is_steady: bool) -> Round {
        let transaction_id = self
            .header
            .map_or(0, |header| header.slot(self.which).transaction_id);
        let node = self.first_missed.and_then(|number| self.nodes.get(number));
        let place = self
            .header
            .zip(node)
            .and_then(|(header, node)| header.geometry.locate(node.page));
        Round::Missed(Missed {
            pages: self.missed,
            first: Fault {
                offset: place.map(|(offset, _)| offset),
                table: self.first_missed.and_then(|number| self.table_of(number)),
                transaction_id,
            },
            is_steady,
            is_damage: self.is_damaged,
        })
    }

    /// The table that a node belongs to, from the definition above it.
    fn table_of(&self, number: usize) -> Option<String> {
        let geometry = self.header?.geometry;
        let mut below = self.nodes.get(number)?;
        loop {
            let above = self.nodes.get(below.parent as usize)?;
            let tree = self.trees.get(above.tree)?;
            if tree != self.trees.get(below.tree)? && tree == Tree::Tables {
                let (offset, length) = geometry.locate(above.page)?;
                let mut page = vec![0; usize::try_from(length).ok()?];
                self.reader(From::Copy)
                    .read_exact_at(&mut page, offset)
                    .ok()?;
                return pages::table_at(&page, tree, below.page);
            }
            below = above;
        }
    }

    /// Level by level, each in the order of the file: the few upper pages, which change most, are caught at once, and
    /// the many leaves follow.
    fn descend(&mut self, trust: Trust) -> Result<bool> {
        let Some(header) = self.header else {
            return Ok(false);
        };
        let slot = *header.slot(self.which);
        self.nodes.clear();
        self.first_missed = None;
        self.missed = 0;
        self.absent.clear();
        self.met = None;
        if !slot.is_whole {
            self.missed = 1;
            return Ok(false);
        }
        self.most = self.source.length()? / Geometry::PAGE_BYTES;
        self.trees = Trees::default();
        let system = slot.system.filter(|_| self.scope == Scope::Everything);
        for (root, tree) in [(system, Tree::SystemTables), (slot.user, Tree::Tables)] {
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

    /// Takes the pages of one level, those that lie side by side together.
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
            // A page behind the end is one that was cut off, or never was.
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

    /// Reads a run of pages, proves each, and writes to the copy what it did not hold.
    fn take(&mut self, run: &mut Run) -> Result<()> {
        let Some(from) = run.from.take() else {
            return Ok(());
        };
        let place = std::mem::take(&mut run.place);
        let length = place.end - place.start;
        if length >= LARGE_PAGE_BYTES && !self.is_page_at(from, place.start)? {
            for (number, _) in run.pages.drain(..) {
                self.miss(number);
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
        // Between rounds there is nothing to gain from a buffer as large as the largest page.
        buffer.truncate(RUN_BYTES as usize);
        buffer.shrink_to(RUN_BYTES as usize);
        self.buffer = buffer;
        // What was known of the copy is not so: the source has it, or nobody.
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

    /// Whether a page begins here, as far as its first bytes tell: a hole in the file is none.
    fn is_page_at(&self, from: From, offset: u64) -> Result<bool> {
        let mut head = [0; 4];
        match self.reader(from).read_exact_at(&mut head, offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            result => result
                .context("cannot read a page")
                .map(|()| pages::is_page(head)),
        }
    }

    fn reader(&self, from: From) -> &dyn ReadAt {
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

    /// Whether `page` is what its parent says. What it does not use is cleared: rows that were deleted may lie there.
    fn accept(&mut self, number: usize, page: &mut [u8]) -> bool {
        let root = self.nodes[number].root();
        let Some(tree) = self.trees.get(self.nodes[number].tree) else {
            return false;
        };
        let Some(used) = pages::proven(page, root, tree) else {
            return false;
        };
        let Some(below) = pages::children(page, tree) else {
            return false;
        };
        for (child, tree) in below {
            self.meet(child, number, tree);
        }
        page[used..].fill(0);
        self.nodes[number].found = true;
        self.known
            .entry(root.page)
            .and_modify(|known| {
                if !known.is(root.checksum) {
                    *known = Known::of(root.checksum, false);
                }
            })
            .or_insert(Known::of(root.checksum, false));
        true
    }

    /// Puts a page on the way down, unless it is there already: savepoints share pages with the tables.
    fn meet(&mut self, child: Root, parent: usize, tree: Tree) {
        if self.nodes.len() as u64 >= self.most {
            self.is_overfull = true;
            return;
        }
        if matches!(
            self.trees.get(self.nodes[parent].tree),
            Some(Tree::Savepoints(_))
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

    /// Passes what was not found up to the root, and remembers what is whole.
    fn remember(&mut self) -> bool {
        let mut all = true;
        for number in (0..self.nodes.len()).rev() {
            let node = &self.nodes[number];
            let (root, parent) = (node.root(), node.parent);
            if node.found {
                self.known.insert(root.page, Known::of(root.checksum, true));
            } else {
                all = false;
                if parent != NO_PARENT {
                    self.nodes[parent as usize].found = false;
                }
            }
        }
        all
    }

    /// Where the pages of the last descent lie, in the order of the file.
    fn live_ranges(&self) -> Vec<Range<u64>> {
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

/// Pages that lie side by side and are read from one place.
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

/// Reads the header until two readings agree: a single one may be torn. Says why there is none.
fn stable_header(source: &dyn ReadAt) -> Result<Result<Header, &'static str>> {
    let mut before = [0; HEADER_BYTES];
    for reading in 0..HEADER_READINGS {
        let mut bytes = [0; HEADER_BYTES];
        match source.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(Err("it is too short for a redb database"));
            }
            result => result.context("cannot read the header")?,
        }
        if reading > 0 && bytes == before {
            return Ok(Header::parse(&bytes).ok_or("it is not a redb database"));
        }
        before = bytes;
    }
    Ok(Err("its header changes all the time"))
}

/// The kinds of tree that a descent has met; a page carries a number for its own.
#[derive(Default)]
struct Trees {
    list: Vec<Tree>,
    numbers: HashMap<Tree, u32>,
}

impl Trees {
    fn number(&mut self, tree: Tree) -> u32 {
        *self.numbers.entry(tree).or_insert_with(|| {
            self.list.push(tree);
            self.list.len() as u32 - 1
        })
    }

    fn get(&self, number: u32) -> Option<Tree> {
        self.list.get(number as usize).copied()
    }
}

/// Makes everything between the pages of a copy read as zeros: pages of commits that the copy does not hold.
fn clear_between(copy: &File, live: &[Range<u64>], end: u64) -> Result<()> {
    let mut from = HEADER_BYTES as u64;
    let tail = end..end;
    for range in live.iter().chain([&tail]) {
        if range.start > from {
            clear(copy, from, range.start - from).context("cannot clear a part of the copy")?;
        }
        from = from.max(range.end);
    }
    Ok(())
}

fn clear(copy: &File, offset: u64, length: u64) -> io::Result<()> {
    let (from, count) = (
        i64::try_from(offset).map_err(io::Error::other)?,
        i64::try_from(length).map_err(io::Error::other)?,
    );
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    match fallocate(copy, flags, from, count) {
        Err(nix::errno::Errno::EOPNOTSUPP | nix::errno::Errno::ENOSYS) => {
            let zeros = vec![0; RUN_BYTES as usize];
            let mut at = offset;
            while at < offset + length {
                let count = (offset + length - at).min(RUN_BYTES);
                copy.write_all_at(&zeros[..count as usize], at)?;
                at += count;
            }
            Ok(())
        }
        result => Ok(result?),
    }
}

#[cfg(test)]
mod tests;

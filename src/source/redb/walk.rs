//! A copy of one commit of a database, taken along its checksums, even while a process writes to it.
//!
//! A commit slot carries its own checksum and names the roots of two trees with theirs; every page names its children
//! with theirs. No page of a commit is written again while the commit is the current one. So the copy is exactly that
//! one commit if every page of it matches its parent's checksum, up to a whole slot (docs/snapshots.md has the
//! argument). A page that does not match was already used again. The round goes on, since the pages that it copied need
//! not be read again, and the next round begins at the new root.
//!
//! This module is the mechanism, round by round. [`super::snapshot`] decides how many rounds there are, and what to try
//! then.

mod clear;
mod descent;
mod node;
mod sketch;

pub use super::header::Scope;
pub use sketch::{Sketch, sketch};

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::work::{Advance, ReadAt};

use self::{
    clear::clear_between,
    node::{From, InFile, KnownPage, MOST_SUSPECTS, Node, Trees, Trust},
};
use super::{
    header::{HEADER_BYTES, RedbHeader, Seal, SlotRole},
    pages::{self, LeafContent, Root},
};

/// The most readings of a header until two agree.
const HEADER_READINGS: usize = 1000;
/// The number of times that missing pages are read again while the header stays as it is: a commit may be on its way to
/// the file.
const FLUSH_WAITS: usize = 20;
const FLUSH_WAIT: Duration = Duration::from_micros(100);

/// The number of commits that must miss a page before it counts as damaged.
const ENOUGH_COMMITS: u32 = 3;

/// The state of the source: written, or at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceState {
    /// A commit may be on its way to the file: a page that does not match may match in a moment.
    Live,
    /// A page that does not match now never will.
    AtRest,
}

/// The end of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Round {
    /// Every page of the commit is in the copy, and verified.
    Whole,
    /// Some pages did not match.
    Missed(Missed),
    /// The file cannot be walked, and why.
    Unfit(String),
}

/// The pages that a round did not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The number of pages, without the pages below them.
    pub pages: u64,
    /// The first missing page.
    pub first: MismatchedPage,
    /// True if the header names the same commits as when the previous round began.
    pub is_steady: bool,
    /// True if the first page is damaged: earlier commits needed it as well, and it was missing then too.
    pub is_damage: bool,
}

/// A page that does not match its parent's checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MismatchedPage {
    /// The offset of the page; `None` for the commit slot itself, or a page number that no page has.
    pub offset: Option<u64>,
    /// The table that the page belongs to; `None` for a page outside of tables.
    pub table: Option<String>,
    /// The commit whose page it is.
    pub transaction_id: u64,
}

/// The figures of a walk.
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
    /// The number of pages that did not match, over all rounds.
    pub mismatches: u64,
    /// Bytes of the largest page of the commit.
    pub largest_page: u64,
    /// True if the commit has a table that shows running work.
    pub may_be_at_work: bool,
}

impl Walked {
    /// Returns the result that [`sketch`] would have for the commit.
    pub fn sketch(&self) -> Sketch {
        Sketch {
            largest_page: self.largest_page,
            may_be_at_work: self.may_be_at_work,
        }
    }
}

/// A walk over `source`, with all that its rounds found so far.
pub struct Walk<'a> {
    source: &'a dyn ReadAt,
    copy: Option<&'a File>,
    scope: Scope,
    step: &'a Advance<'a>,
    header: Option<RedbHeader>,
    which: SlotRole,
    known: HashMap<u64, KnownPage>,
    trees: Trees,
    most: u64,
    nodes: Vec<Node>,
    first_missed: Option<usize>,
    buffer: Vec<u8>,
    length: u64,
    missed: u64,
    /// The first pages that the last descent did not get, as numbers of nodes.
    absent: Vec<usize>,
    /// The pages that commits missed: half of the expected checksum, the last commit, and the number of commits.
    suspects: HashMap<u64, (u64, u64, u32)>,
    is_damaged: bool,
    is_proven: bool,
    is_overfull: bool,
    /// The pages found in this descent; only kept if savepoints share pages with the tables.
    met: Option<HashSet<(u64, u64)>>,
    walked: Walked,
}

impl<'a> Walk<'a> {
    /// Creates a walk that will fill `copy`, an empty file.
    pub fn new(
        source: &'a dyn ReadAt,
        copy: &'a File,
        scope: Scope,
        step: &'a Advance<'a>,
    ) -> Walk<'a> {
        Walk {
            copy: Some(copy),
            ..Walk::over(source, scope, step)
        }
    }

    /// Creates a walk that copies nothing; only its first round counts.
    pub fn over(source: &'a dyn ReadAt, scope: Scope, step: &'a Advance<'a>) -> Walk<'a> {
        Walk {
            source,
            copy: None,
            scope,
            step,
            header: None,
            which: SlotRole::Primary,
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

    /// Returns the figures so far.
    pub fn walked(&self) -> Walked {
        self.walked
    }

    /// Returns the header that the last round began with.
    pub fn header(&self) -> Option<&RedbHeader> {
        self.header.as_ref()
    }

    /// Returns the root of the tables of the commit that was walked last.
    pub fn tables(&self) -> Option<Root> {
        self.header?.slot(self.which).user
    }

    /// Returns the bytes of the current commit's pages, as far as they can be read now.
    pub fn measure(&mut self) -> Result<u64> {
        // A page that does not match is counted; what lies below it is left to the copy to find.
        self.catch(SlotRole::Primary, SourceState::Live)?;
        let ranges = self.live_ranges();
        Ok(ranges.iter().map(|range| range.end - range.start).sum())
    }

    /// Makes one round: down from a slot of the header. Then verifies the whole copy once more if earlier rounds left
    /// anything in it.
    pub fn round(&mut self, which: SlotRole, source: SourceState) -> Result<Round> {
        match self.catch(which, source)? {
            Round::Whole if !self.prove()? => Ok(self.missed(false)),
            round => Ok(round),
        }
    }

    /// Makes the part of a round that reads the source.
    pub fn catch(&mut self, which: SlotRole, source: SourceState) -> Result<Round> {
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
        // A single descent, with nothing known before it, verified every page just before writing it.
        self.is_proven = complete && self.walked.rounds == 1;
        let waits = match source {
            SourceState::Live => FLUSH_WAITS,
            SourceState::AtRest => 0,
        };
        // The header may be in the file before the pages that it names: reading them again is cheap.
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
            if source == SourceState::Live && self.is_undisturbed()? {
                self.suspect();
            }
            return Ok(self.missed(is_steady));
        }
        self.walked.transaction_id = header.slot(which).transaction_id;
        Ok(Round::Whole)
    }

    /// Verifies the copy from its roots, without relying on remembered pages, unless it is known to be verified.
    pub fn prove(&mut self) -> Result<bool> {
        if !self.is_proven {
            self.is_proven = self.descend(Trust::Nothing)?;
        }
        Ok(self.is_proven)
    }

    /// Returns true if the source names the same commits as when the last round began.
    pub fn is_undisturbed(&self) -> Result<bool> {
        let now = stable_header(self.source)?;
        let before = self.header.as_ref();
        Ok(now.is_ok_and(|now| before.is_some_and(|before| before.names_the_same(&now))))
    }

    /// Remembers the pages that a commit misses although there was time for them to come. A page that several commits
    /// miss one after the other is damaged.
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

    /// Ends a walk whose last round was [`Round::Whole`]: the copy gets its header, and the leftovers of earlier rounds
    /// are cleared.
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
            first: MismatchedPage {
                offset: place.map(|(offset, _)| offset),
                table: self.first_missed.and_then(|number| self.table_of(number)),
                transaction_id,
            },
            is_steady,
            is_damage: self.is_damaged,
        })
    }

    /// Returns the table that a node belongs to, from the definition above it.
    fn table_of(&self, number: usize) -> Option<String> {
        let geometry = self.header?.geometry;
        let mut below = self.nodes.get(number)?;
        loop {
            let above = self.nodes.get(below.parent as usize)?;
            let tree = self.trees.get(above.tree)?;
            if tree != self.trees.get(below.tree)? && tree == LeafContent::Tables {
                let (offset, length) = geometry.locate(above.page)?;
                let file = self.reader(From::Copy);
                let mut head = vec![0; length.min(pages::HEAD_BYTES) as usize];
                file.read_exact_at(&mut head, offset).ok()?;
                let entries = InFile { file, offset };
                return match head.len() as u64 == length {
                    true => pages::table_at(&head, head.as_slice(), tree, below.page),
                    false => pages::table_at(&head, &entries, tree, below.page),
                };
            }
            below = above;
        }
    }
}

/// Reads the header until two readings agree: a single one may be torn. Returns the reason if there is none.
fn stable_header(source: &dyn ReadAt) -> Result<Result<RedbHeader, &'static str>> {
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
            return Ok(RedbHeader::parse(&bytes).ok_or("it is not a redb database"));
        }
        before = bytes;
    }
    Ok(Err("its header changes all the time"))
}

#[cfg(test)]
mod tests;

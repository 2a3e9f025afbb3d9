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

mod clear;
mod descent;
mod sketch;

pub use sketch::{Sketch, sketch};

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::work::ReadAt;

use self::{
    clear::clear_between,
    descent::{From, InFile, Known, Node, Trees, Trust},
};
use super::{
    header::{HEADER_BYTES, Header, Seal, Which},
    pages::{self, Root, Tree},
};

/// How often a header is read until two readings agree.
const HEADER_READINGS: usize = 1000;
/// How often missing pages are looked for again while the header stays as it is: a commit may be on its way to the file.
const FLUSH_WAITS: usize = 20;
const FLUSH_WAIT: Duration = Duration::from_micros(100);

/// Pages that are remembered as missing, and commits that must miss one before it counts as damaged.
const MOST_SUSPECTS: usize = 16;
const ENOUGH_COMMITS: u32 = 3;

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
    /// Bytes of the largest page of the commit.
    pub largest_page: u64,
    /// True if the commit has a table that tells of running work.
    pub may_be_at_work: bool,
}

impl Walked {
    /// Returns what [`sketch`] would say of the commit.
    pub fn sketch(&self) -> Sketch {
        Sketch {
            largest_page: self.largest_page,
            may_be_at_work: self.may_be_at_work,
        }
    }
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

    /// The root of the tables of the commit that was walked last.
    pub fn tables(&self) -> Option<Root> {
        self.header?.slot(self.which).user
    }

    /// Returns the bytes of the current commit's pages, as far as they can be read now.
    pub fn measure(&mut self) -> Result<u64> {
        // A page that does not match is counted; what lies below it is left to the copy to find.
        self.catch(Which::Primary, Source::Live)?;
        let ranges = self.live_ranges();
        Ok(ranges.iter().map(|range| range.end - range.start).sum())
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

#[cfg(test)]
mod tests;

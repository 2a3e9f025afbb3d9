//! The files of a directory while they are found and read, and followed to the names that they get meanwhile.

mod building;
mod databases;
mod follow;
mod links;
mod resolve;
mod result;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    QUIET, TreeContext,
    folders::{FolderWriter, FoundFile, ListedFolders, folder_record, link_record},
    found::{Finding, FindingCount, FolderState, FoundNode, Place, ReadFile, counted, marks},
    hash::{Done, Hashers, Outcome, Recent},
    hashed::{Describer, Hashed},
    opened::OpenDirectory,
    seen::Seen,
    spool::Spool,
    tape::{Tape, TapeWriter},
};
use crate::{
    disk::tree::{
        beneath::{Folders, Look, NodeKind, is_gone},
        walk::{Met, walk},
    },
    model::{
        manifest::ListedNode,
        relative::RelativeName,
        tree::{FolderRecord, Modified},
    },
    source::staged::StagedContent,
};

/// The most times that folders that change are listed again, to find files that have no name for the moment.
const MOST_ROUNDS: u32 = 30;
/// The same limit if nothing is missing: a listing that was disturbed each time may have missed a file each time.
const MOST_ROUNDS_WHOLE: u32 = 6;
/// The number of rounds in which a file that still exists would have been found.
const PATIENCE: u32 = 5;
/// The most files without a name, and found ones, by which is decided if another round is worth it.
const REMEMBERED: usize = 100_000;

/// The files of a directory while they are read.
///
/// All findings go to a tape in the order of a listing, and each round of following writes a new one: only what is on
/// its way to and from the hashing threads is in memory.
pub struct Reading<'a> {
    top: &'a Path,
    /// The same path without links.
    real: Option<PathBuf>,
    origin: Arc<OpenDirectory>,
    caller: &'a TreeContext<'a>,
    /// The copies of files.
    spool: Spool,
    describer: Describer,
    hashers: Hashers<'a>,
    /// The record of the top folder.
    root: FolderRecord,
    /// The findings of this round.
    out: Findings<'a>,
    /// Databases without consistent copies, and why.
    unproven: HashMap<Vec<u8>, String>,
    /// Copies of databases that have files of their own.
    kept: Vec<Option<StagedContent>>,
    /// Files that lie beside the databases that were found, and are part of them.
    companions: BTreeSet<Vec<u8>>,
    /// True if the first pass took longer than a file must be untouched by default.
    is_long: bool,
    /// The number of files that were found.
    files: u64,
    /// The number of times that folders were listed again.
    round: u32,
    /// [`marks::FRESH`] when folders are listed again, else 0.
    fresh_mark: u8,
    /// Files that were read since folders are listed again, as far as they are remembered.
    fresh: HashSet<(u64, u64)>,
    /// True if anything new was found in this round.
    is_new: bool,
    /// True if nothing changed while folders were listed last.
    is_still: bool,
}

/// The findings of one round while they are written.
struct Findings<'a> {
    tape: TapeWriter<'a>,
    folders: FolderWriter<'a>,
    /// The number of findings that [`FindingCount::Suspect`] and [`FindingCount::Fault`] are of.
    suspects: u64,
    faults: u64,
    /// Files without a name, as far as they are remembered, with the round in which they lost it.
    lost: Vec<((u64, u64), u32)>,
}

/// The findings of one round.
#[derive(Default)]
struct Round {
    tape: Tape,
    folders: ListedFolders,
    suspects: u64,
    faults: u64,
    lost: Vec<((u64, u64), u32)>,
}

impl<'a> Findings<'a> {
    fn new(scratch: &'a Path) -> Findings<'a> {
        Findings {
            tape: TapeWriter::new(scratch),
            folders: FolderWriter::new(scratch),
            suspects: 0,
            faults: 0,
            lost: Vec::new(),
        }
    }

    fn count(&mut self, finding: &[u8]) {
        match counted(finding) {
            FindingCount::Suspect => self.suspects += 1,
            FindingCount::Fault => self.faults += 1,
            FindingCount::Other => {}
        }
    }

    fn finish(self) -> Result<Round> {
        Ok(Round {
            tape: self.tape.finish()?,
            folders: self.folders.finish()?,
            suspects: self.suspects,
            faults: self.faults,
            lost: self.lost,
        })
    }
}

impl<'a> Reading<'a> {
    /// Creates the reading of the directory `origin` at `top`.
    pub fn new(
        top: &'a Path,
        origin: Arc<OpenDirectory>,
        caller: &'a TreeContext<'a>,
        recent: Recent,
        spool: Spool,
    ) -> Reading<'a> {
        Reading {
            top,
            real: top.canonicalize().ok(),
            caller,
            spool,
            describer: Describer::new(origin.name.clone()),
            hashers: Hashers::new(&origin, recent, caller),
            root: FolderRecord::default(),
            out: Findings::new(caller.scratch),
            origin,
            unproven: HashMap::new(),
            kept: Vec::new(),
            companions: BTreeSet::new(),
            is_long: false,
            files: 0,
            round: 0,
            fresh_mark: 0,
            fresh: HashSet::new(),
            is_new: false,
            is_still: false,
        }
    }

    /// Walks over the directory and reads its files: hashes them in place, or copies them.
    fn walk(&mut self) -> Result<Round> {
        let origin = self.origin.clone();
        let begun = Instant::now();
        walk(&origin.top, &origin.rules, &mut |relative, met| {
            self.visit(relative, met)
        })?;
        let round = self.end_round();
        self.is_long = begun.elapsed() >= self.caller.quiet.min(QUIET);
        round
    }

    /// Waits for what is on its way, and returns all findings.
    fn end_round(&mut self) -> Result<Round> {
        if let Some(done) = self.hashers.take_small()? {
            self.store(done)?;
        }
        if self.hashers.has_rest() {
            self.hashers.send()?;
        }
        while let Some(done) = self.hashers.take()? {
            self.store(done)?;
        }
        let next = Findings::new(self.caller.scratch);
        std::mem::replace(&mut self.out, next).finish()
    }

    fn visit(&mut self, relative: &[u8], met: Met<'_>) -> Result<()> {
        match met {
            Met::Folder(look, fd) => self.visit_folder(relative, FolderState::Found, &look, fd),
            Met::Searched(look, fd) => {
                self.visit_folder(relative, FolderState::Searched, &look, fd)
            }
            Met::Leaf(leaf) if leaf.what == NodeKind::Link => {
                match link_record(&leaf, &mut self.describer.owners) {
                    Ok(record) => {
                        let line = self
                            .describer
                            .line(&named(relative), ListedNode::Link(record));
                        self.put(relative, FoundNode::Link(&line))
                    }
                    Err(error) if is_gone(&error) => Ok(()),
                    Err(error) => self.fault(relative, &error),
                }
            }
            Met::Leaf(leaf) => {
                if self.fresh_mark != 0 && self.companions.contains(relative) {
                    return Ok(());
                }
                self.is_new = true;
                self.files += 1;
                self.caller.events.count_one(self.files);
                self.hashers.add_file(FoundFile {
                    name: named(relative),
                    inode: leaf.inode,
                    existed: leaf.existed,
                });
                self.send_if_full()
            }
            Met::Special(kind) => self.put(relative, FoundNode::Special(kind)),
            // The old children of a mount point: known to the user that imported.
            Met::Own if relative.starts_with(b".hookshot-bak") && !relative.contains(&b'/') => {
                Ok(())
            }
            Met::Own => self.put(relative, FoundNode::Own),
            Met::Excluded => Ok(()),
            Met::Failed(reason) => self.put(relative, FoundNode::Fault(&reason)),
        }
    }

    fn visit_folder(
        &mut self,
        relative: &[u8],
        state: FolderState,
        look: &Look,
        fd: std::os::fd::BorrowedFd<'_>,
    ) -> Result<()> {
        let record = match folder_record(look, fd, &mut self.describer.owners) {
            Ok(record) => record,
            Err(error) => return self.fault(relative, &error),
        };
        let seen = Seen::of(look);
        self.out.folders.push(relative, &seen)?;
        let mut line = Vec::new();
        match relative {
            b"" => self.root = record,
            _ => {
                let node = ListedNode::Folder(record);
                line = self.describer.line(&named(relative), node);
            }
        }
        self.put(relative, FoundNode::Folder(state, seen, &line))
    }

    fn fault(&mut self, relative: &[u8], error: &std::io::Error) -> Result<()> {
        self.put(relative, FoundNode::Fault(&error.to_string()))
    }

    fn put(&mut self, path: &[u8], node: FoundNode<'_>) -> Result<()> {
        self.put_bytes(&Finding { path, node }.to_bytes())
    }

    /// Stores a finding behind those that were found before it.
    fn put_bytes(&mut self, finding: &[u8]) -> Result<()> {
        self.out.count(finding);
        if self.hashers.is_idle() {
            return self.out.tape.push(finding);
        }
        self.hashers.add(finding)?;
        self.send_if_full()
    }

    fn send_if_full(&mut self) -> Result<()> {
        if !self.hashers.has_batch() {
            return Ok(());
        }
        while self.hashers.is_full() {
            if let Some(done) = self.hashers.take()? {
                self.store(done)?;
            }
        }
        self.hashers.send()
    }

    /// Stores what comes from the threads.
    fn store(&mut self, all: Vec<Done>) -> Result<()> {
        let origin = self.origin.clone();
        let mut folders = Folders::new(&origin.top);
        for done in all {
            match done {
                Done::Ready(findings) => self.out.tape.push_framed(&findings)?,
                Done::File(found, outcome) => {
                    let is_companion = self.companions.contains(found.name.as_bytes());
                    if is_companion && !matches!(*outcome, Outcome::Database(_)) {
                        continue;
                    }
                    if let Some(finding) = self.finding(&mut folders, &found, *outcome)? {
                        self.out.count(&finding);
                        self.out.tape.push(&finding)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns the finding of a file that was read; copies it if it was touched a moment ago.
    fn finding(
        &mut self,
        folders: &mut Folders<'_>,
        found: &FoundFile,
        outcome: Outcome,
    ) -> Result<Option<Vec<u8>>> {
        let path = found.name.as_bytes();
        let node = |node| Finding { path, node }.to_bytes();
        let outcome = match outcome {
            Outcome::Unsettled => self.copy(folders, &found.name)?,
            outcome => outcome,
        };
        Ok(Some(match outcome {
            Outcome::Hashed(line) => self.file(
                &found.name,
                ReadFile {
                    seen: line.seen,
                    place: Place::Reopened,
                    size: line.size,
                    marks: 0,
                    since: 0,
                    text: &line.text,
                },
            ),
            Outcome::Copied(hashed, content) => self.copied(&found.name, hashed, &content, 0),
            Outcome::Torn(hashed, content) => {
                self.copied(&found.name, hashed, &content, marks::TORN)
            }
            Outcome::Database(database) => match self.database(folders, found, database)? {
                Ok(finding) => return Ok(finding),
                Err(error) => node(FoundNode::Fault(&error.to_string())),
            },
            Outcome::Gone | Outcome::Unsettled => self.missed(found),
            Outcome::Special(kind) => node(FoundNode::Special(kind)),
            Outcome::Failed(error) => node(FoundNode::Fault(&error.to_string())),
        }))
    }

    fn copied(
        &mut self,
        relative: &RelativeName,
        hashed: Hashed,
        content: &super::Spooled,
        marks: u8,
    ) -> Vec<u8> {
        let size = hashed.size;
        let mut record = self.describer.record(relative, hashed);
        record.torn = marks & marks::TORN != 0;
        let file = ReadFile {
            seen: *content.seen(),
            place: Place::Spooled(content.start()),
            size,
            marks,
            since: 0,
            text: &self.describer.file(relative, record),
        };
        self.file(relative, file)
    }

    fn file(&mut self, relative: &RelativeName, file: ReadFile<'_>) -> Vec<u8> {
        if self.fresh_mark != 0 && self.fresh.len() < REMEMBERED {
            self.fresh.insert(file.seen.inode);
        }
        let node = FoundNode::File(ReadFile {
            marks: file.marks | self.fresh_mark,
            ..file
        });
        let path = relative.as_bytes();
        Finding { path, node }.to_bytes()
    }

    fn missed(&mut self, found: &FoundFile) -> Vec<u8> {
        self.remember_lost(found.inode, self.round);
        let path = found.name.as_bytes();
        let node = FoundNode::Missed(found.inode, self.round, found.existed);
        Finding { path, node }.to_bytes()
    }

    fn remember_lost(&mut self, inode: (u64, u64), since: u32) {
        if self.out.lost.len() < REMEMBERED {
            self.out.lost.push((inode, since));
        }
    }

    /// Reads the directory, and lists changed folders again until none changes. Files that have another name now are
    /// read under it. `begun` is the time when the first listing began. Returns all findings.
    fn read(&mut self, begun: Modified) -> Result<Round> {
        let mut found = self.walk()?;
        self.fresh_mark = marks::FRESH;
        let mut settled = begun;
        for round in 0..MOST_ROUNDS {
            self.round = round;
            let (top, scratch) = (&self.origin.top, self.caller.scratch);
            let changed = found.folders.changed(top, settled, scratch)?;
            self.is_still = changed.is_empty;
            if self.is_still {
                break;
            }
            settled = self.spool.moment_before(Duration::ZERO)?;
            self.is_new = false;
            self.hashers.begin_round();
            self.list_again(&found.tape, &changed.folders)?;
            found = self.end_round()?;
            self.is_still = !self.is_new && !changed.is_certain;
            if self.is_still || round + 1 >= MOST_ROUNDS_WHOLE && !self.may_find_more(&found) {
                break;
            }
        }
        Ok(found)
    }

    /// Returns true if a file is missing that may be found yet: it has not been looked for often.
    fn may_find_more(&self, found: &Round) -> bool {
        let mut lost = found.lost.iter();
        lost.any(|(inode, since)| self.round - since < PATIENCE && !self.fresh.contains(inode))
    }
}

fn named(relative: &[u8]) -> RelativeName {
    RelativeName::new(relative).expect("a walk goes only where names are good")
}

//! The files of a directory while they are read, and followed to the names that they get meanwhile.

mod databases;
mod result;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    TreeContext,
    content::{OpenDirectory, Reopened, Seen},
    hash::{self, Outcome, Recent},
    hashed::Hashed,
    listing::{Collected, FoundFile},
    spool::Spool,
};
use crate::{
    disk::tree::{
        beneath::{Folders, Look, NodeKind, split},
        owners::Owners,
    },
    model::{entry_name::EntryName, manifest::FileRecord, relative::RelativeName, tree::Modified},
    source::staged::StagedContent,
};

/// The most times that folders that change are listed again, to find files that have no name for the moment.
const MOST_ROUNDS: usize = 30;
/// The same limit if nothing is missing: a listing that was disturbed each time may have missed a file each time.
const MOST_ROUNDS_WHOLE: usize = 6;
/// The number of rounds in which a file that still exists would have been found.
const PATIENCE: usize = 5;

/// The files of a directory while they are read.
pub struct Reading<'a> {
    top: &'a Path,
    /// The same path without links.
    real: Option<PathBuf>,
    origin: Arc<OpenDirectory>,
    caller: &'a TreeContext<'a>,
    recent: Recent,
    spool: Spool,
    collected: Collected,
    owners: Owners,
    /// The kind in each record.
    kind: Arc<str>,
    records: Vec<(EntryName, FileRecord)>,
    contents: Vec<(EntryName, StagedContent)>,
    /// Records of files that changed during each copy.
    torn: BTreeSet<usize>,
    /// Databases with consistent copies, as they were when they were found.
    copies: HashMap<usize, Seen>,
    /// Databases without consistent copies, and why.
    unproven: BTreeMap<usize, String>,
    /// The number of copies of databases that have files of their own.
    kept: usize,
    /// Files that lie beside the databases that were found, and are part of them.
    companions: BTreeSet<Vec<u8>>,
    /// Records of files that lost their names, with the round in which they did.
    homeless: BTreeMap<usize, usize>,
    /// Records that are given up.
    dropped: HashSet<usize>,
    /// Files that were gone when they were to be read, with the round.
    missed: Vec<(FoundFile, usize)>,
    /// The number of times that folders were listed again.
    round: usize,
    /// True if nothing changed while they were listed last.
    is_still: bool,
}

impl<'a> Reading<'a> {
    /// Creates the reading of the directory `origin` at `top`, in which `count` files were `collected`.
    pub fn new(
        top: &'a Path,
        origin: Arc<OpenDirectory>,
        caller: &'a TreeContext<'a>,
        recent: Recent,
        spool: Spool,
        collected: Collected,
        count: usize,
    ) -> Reading<'a> {
        Reading {
            top,
            real: top.canonicalize().ok(),
            origin,
            caller,
            recent,
            spool,
            collected,
            owners: Owners::default(),
            kind: "file".into(),
            records: Vec::with_capacity(count),
            contents: Vec::with_capacity(count),
            torn: BTreeSet::new(),
            copies: HashMap::new(),
            unproven: BTreeMap::new(),
            kept: 0,
            companions: BTreeSet::new(),
            homeless: BTreeMap::new(),
            dropped: HashSet::new(),
            missed: Vec::new(),
            round: 0,
            is_still: false,
        }
    }

    /// Reads `files`: hashes them in place, or copies them.
    pub fn read(&mut self, files: Vec<FoundFile>) -> Result<()> {
        let begun = Instant::now();
        let origin = self.origin.clone();
        let outcomes = hash::all(&origin.top, &files, self.recent, self.caller)?;
        // A file untouched for longer than that is rarely touched now, and the packing code checks as well.
        let is_soon = begun.elapsed() < self.caller.quiet;
        let mut folders = Folders::new(&origin.top);
        for (found, outcome) in files.iter().zip(outcomes) {
            let is_companion = self.companions.contains(found.name.as_bytes());
            if is_companion && !matches!(outcome, Outcome::Database(_)) {
                continue;
            }
            let is_stale = |folders: &mut Folders<'_>, hashed: &Hashed| {
                let now = folders.parent(found.name.as_bytes());
                let now = now.and_then(|(parent, name)| Look::at(parent, name));
                let seen = Seen::of(&hashed.look);
                now.is_ok_and(|now| now.inode == seen.inode && !seen.is_content_of(&now))
            };
            let outcome = match outcome {
                // It may have been written while the others were read.
                Outcome::Hashed(hashed) if !is_soon && is_stale(&mut folders, &hashed) => {
                    self.copy(&mut folders, &found.name)?
                }
                Outcome::Unsettled => self.copy(&mut folders, &found.name)?,
                outcome => outcome,
            };
            self.take(&mut folders, found, outcome)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        folders: &mut Folders<'_>,
        found: &FoundFile,
        outcome: Outcome,
    ) -> Result<()> {
        let path = || found.name.as_bytes().to_vec();
        match outcome {
            Outcome::Hashed(hashed) => {
                let content = Reopened::new(&self.origin, &found.name, &hashed);
                self.add(&found.name, hashed, StagedContent::Reopened(content));
            }
            Outcome::Copied(hashed, content) => {
                self.add(&found.name, hashed, StagedContent::Spooled(content));
            }
            Outcome::Torn(hashed, content) => {
                self.torn.insert(self.records.len());
                let mut record = self.describe(&found.name, hashed);
                record.torn = true;
                self.push(record, StagedContent::Spooled(content));
            }
            Outcome::Database(database) => {
                if let Err(error) = self.database(folders, found, database)? {
                    self.collected.faults.insert(path(), error.to_string());
                }
            }
            Outcome::Gone | Outcome::Unsettled => self.missed.push((found.clone(), self.round)),
            Outcome::Special(kind) => {
                self.collected.special.insert(path(), kind);
            }
            Outcome::Failed(error) => {
                self.collected.faults.insert(path(), error.to_string());
            }
        }
        Ok(())
    }

    fn add(&mut self, relative: &RelativeName, hashed: Hashed, content: StagedContent) {
        let record = self.describe(relative, hashed);
        self.push(record, content);
    }

    fn push(&mut self, record: FileRecord, content: StagedContent) {
        self.contents.push((record.path.clone(), content));
        self.records.push((record.path.clone(), record));
    }

    /// Returns a file's record for the manifest.
    fn describe(&mut self, relative: &RelativeName, hashed: Hashed) -> FileRecord {
        let (name, is_escaped) = relative.entry(&self.origin.name);
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

    /// Lists changed folders again until none changes. Files that have another name now get it, and new files are read.
    /// `begun` is the time when the first listing began.
    pub fn follow(&mut self, begun: Modified) -> Result<()> {
        let mut settled = begun;
        for round in 0..MOST_ROUNDS {
            self.round = round;
            let changed = self.collected.listing.changed(&self.origin.top, settled);
            self.is_still = changed.folders.is_empty();
            if self.is_still {
                break;
            }
            settled = self.spool.moment_before(Duration::ZERO)?;
            let origin = self.origin.clone();
            let present = self
                .collected
                .relist(&origin.top, &origin.rules, &changed)?;
            let mut is_new = self.part(&changed.folders, &present)?;
            let more = self.settle(present, &mut is_new);
            is_new |= !more.is_empty();
            self.read(more)?;
            self.is_still = !is_new && !changed.is_certain;
            if self.is_still || round + 1 >= MOST_ROUNDS_WHOLE && !self.may_find_more() {
                break;
            }
        }
        Ok(())
    }

    /// Returns true if a file is missing that may be found yet: it has not been looked for often.
    fn may_find_more(&self) -> bool {
        let is_young = |since: &usize| self.round - since < PATIENCE;
        self.homeless.values().any(is_young)
            || self.missed_still().any(|(_, since)| is_young(since))
    }

    fn path(&self, index: usize) -> &[u8] {
        let (name, record) = &self.records[index];
        let below = self.origin.name.as_str().len() + 1;
        let key = &name.as_str().as_bytes()[below..];
        record.name.as_deref().unwrap_or(key)
    }

    fn seen(&self, index: usize) -> Option<&Seen> {
        if let Some(seen) = self.copies.get(&index) {
            return Some(seen);
        }
        match &self.contents[index].1 {
            StagedContent::Reopened(content) => Some(content.seen()),
            StagedContent::Spooled(content) => Some(content.seen()),
            _ => None,
        }
    }

    fn alive(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.records.len()).filter(|index| !self.dropped.contains(index))
    }

    /// Divides the files read in the `changed` folders into those that still have their names, and those that do not.
    /// Returns true if any lost its name.
    fn part(&mut self, changed: &BTreeSet<Vec<u8>>, present: &[FoundFile]) -> Result<bool> {
        let origin = self.origin.clone();
        let mut folders = Folders::new(&origin.top);
        let names: HashSet<&[u8]> = present.iter().map(|found| found.name.as_bytes()).collect();
        let (mut lost, mut stale) = (Vec::new(), Vec::new());
        for index in self.alive() {
            let path = self.path(index);
            if !changed.contains(split(path).0) {
                continue;
            }
            let look = match names.contains(path) {
                true => folders
                    .parent(path)
                    .and_then(|(parent, name)| Look::at(parent, name))
                    .ok(),
                false => None,
            };
            match (look, self.seen(index)) {
                (Some(look), Some(seen)) if look.inode == seen.inode => {
                    let is_read_again =
                        matches!(self.contents[index].1, StagedContent::Reopened(_))
                            && !seen.is_content_of(&look);
                    if is_read_again {
                        stale.push(index);
                    }
                }
                _ => lost.push(index),
            }
        }
        for index in stale {
            self.read_again(index)?;
        }
        let count = self.homeless.len();
        for index in lost {
            self.homeless.entry(index).or_insert(self.round);
        }
        let is_new = self.homeless.len() > count;
        Ok(is_new)
    }

    /// Copies a file that was written since it was hashed.
    fn read_again(&mut self, index: usize) -> Result<()> {
        let origin = self.origin.clone();
        let mut folders = Folders::new(&origin.top);
        let name = RelativeName::new(self.path(index)).map_err(anyhow::Error::msg)?;
        let outcome = self.copy(&mut folders, &name)?;
        if matches!(
            outcome,
            Outcome::Copied(..) | Outcome::Torn(..) | Outcome::Database(_)
        ) {
            self.dropped.insert(index);
            let inode = self.seen(index).map_or((0, 0), |seen| seen.inode);
            self.take(&mut folders, &FoundFile { name, inode }, outcome)?;
        }
        Ok(())
    }

    /// Gives files that lost their names the names in `present` under which they are found, and returns the files not
    /// read so far.
    fn settle(&mut self, present: Vec<FoundFile>, is_new: &mut bool) -> Vec<FoundFile> {
        let origin = self.origin.clone();
        let mut folders = Folders::new(&origin.top);
        let mut known: HashMap<(u64, u64), Vec<usize>> = HashMap::new();
        let mut taken: HashSet<Vec<u8>> = HashSet::new();
        for index in self.alive() {
            if let Some(seen) = self.seen(index) {
                known.entry(seen.inode).or_default().push(index);
            }
            if !self.homeless.contains_key(&index) {
                taken.insert(self.path(index).to_vec());
            }
        }
        let mut more = Vec::new();
        for found in present {
            let path = found.name.as_bytes();
            if taken.contains(path) || self.companions.contains(path) {
                continue;
            }
            let look = folders
                .parent(found.name.as_bytes())
                .and_then(|(parent, name)| Look::at(parent, name));
            let look = match look {
                Ok(look) if look.what == NodeKind::File => look,
                // It has changed again, and so has its folder.
                _ => {
                    *is_new = true;
                    continue;
                }
            };
            let indices = known.get(&look.inode).map_or(&[][..], Vec::as_slice);
            let moved = indices.iter().copied().find(|index| {
                self.homeless.contains_key(index) || !self.is_still_there(&mut folders, *index)
            });
            match moved {
                Some(index)
                    if self
                        .seen(index)
                        .is_some_and(|seen| seen.is_content_of(&look)) =>
                {
                    *is_new = true;
                    self.homeless.remove(&index);
                    taken.insert(found.name.as_bytes().to_vec());
                    self.rename(index, found.name);
                }
                // It was written since, or is another file by the same number.
                Some(index) => {
                    self.homeless.remove(&index);
                    self.dropped.insert(index);
                    more.push(found);
                }
                None => more.push(found),
            }
        }
        more
    }

    fn is_still_there(&self, folders: &mut Folders<'_>, index: usize) -> bool {
        let look = folders
            .parent(self.path(index))
            .and_then(|(parent, name)| Look::at(parent, name));
        let seen = self.seen(index);
        look.is_ok_and(|look| seen.is_some_and(|seen| seen.inode == look.inode))
    }

    fn rename(&mut self, index: usize, relative: RelativeName) {
        let (name, is_escaped) = relative.entry(&self.origin.name);
        let (entry, record) = &mut self.records[index];
        record.path = name.clone();
        record.name = is_escaped.then(|| relative.as_bytes().to_vec());
        *entry = name.clone();
        let (entry, content) = &mut self.contents[index];
        *entry = name;
        if let StagedContent::Reopened(content) = content {
            content.rename(relative);
        }
    }

    /// Returns the files that were gone when they were to be read, unless a file with the same number was read later.
    fn missed_still(&self) -> impl Iterator<Item = &(FoundFile, usize)> {
        let (mut inodes, mut paths) = (HashSet::new(), HashSet::new());
        if !self.missed.is_empty() {
            inodes.extend(
                self.alive()
                    .filter_map(|index| Some(self.seen(index)?.inode)),
            );
            paths.extend(self.alive().map(|index| self.path(index)));
        }
        self.missed.iter().filter(move |(found, _)| {
            let path = found.name.as_bytes();
            !inodes.contains(&found.inode)
                && !paths.contains(path)
                && !self.companions.contains(path)
        })
    }
}

//! The result of reading a directory: records and contents in order, and everything that is not in the archive by name.

use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
};

use anyhow::Result;
use rustix::fs::{self as sys, AtFlags, StatxFlags};

use super::{
    super::staged::{StagedTree, is_database},
    PATIENCE, Reading,
};
use crate::{
    disk::tree::beneath::Folders,
    error::{Failure, Kind},
    model::{entry_name::EntryName, named::Named, relative::RelativeName, tree::Modified},
    source::staged::StagedContent,
};

impl Reading<'_> {
    /// Returns all that was read, in the order of names. Vanished files are named; `begun` is the time when the first
    /// listing began.
    pub fn finish(mut self, begun: Modified) -> Result<StagedTree> {
        let mut vanished = Named::default();
        self.give_up(&mut vanished);
        self.name_missed(&mut vanished, begun);
        self.refuse_faults()?;
        let shown = |relative: &[u8]| self.origin.top.shown(relative);
        let (mut special, mut own) = (Named::default(), Named::default());
        for (relative, kind) in &self.collected.special {
            special.add(|| format!("{} is {kind}", shown(relative)));
        }
        for relative in &self.collected.own {
            own.add(|| format!("{} is hookshot's own", shown(relative)));
        }
        let torn = self
            .torn
            .iter()
            .filter(|index| !self.dropped.contains(index));
        let mut torn: Vec<EntryName> = torn.map(|index| self.records[*index].0.clone()).collect();
        torn.sort();
        let unproven = std::mem::take(&mut self.unproven).into_iter();
        let unproven = unproven.filter(|(index, _)| !self.dropped.contains(index));
        let unproven = unproven
            .map(|(index, reason)| (self.records[index].0.clone(), reason))
            .collect();
        let (mut records, mut contents) = (self.records, self.contents);
        if !self.dropped.is_empty() {
            let dropped = &self.dropped;
            let kept = || (0..).map(|index| !dropped.contains(&index));
            let (mut of_records, mut of_contents) = (kept(), kept());
            records.retain(|_| of_records.next() == Some(true));
            contents.retain(|_| of_contents.next() == Some(true));
        }
        records.sort_by(|(one, _), (other, _)| one.cmp(other));
        contents.sort_by(|(one, _), (other, _)| one.cmp(other));
        let tree = std::mem::take(&mut self.collected.tree);
        let origin = self.origin.clone();
        let databases = records.iter().filter(|(_, record)| is_database(record));
        let databases = databases.cloned().collect();
        self.origin.remember(self.collected);
        Ok(StagedTree {
            records,
            contents,
            tree,
            special: special.finish(),
            own: own.finish(),
            vanished: vanished.finish(),
            torn,
            unproven,
            listing: None,
            databases,
            origin,
        })
    }

    /// Gives up the files without names. A copy of one stays under its old name, if no other file has that name.
    fn give_up(&mut self, vanished: &mut Named) {
        if self.homeless.is_empty() {
            return;
        }
        let homeless = std::mem::take(&mut self.homeless);
        let mut inodes = HashSet::new();
        let mut paths: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for index in self.alive().filter(|index| !homeless.contains_key(index)) {
            inodes.extend(self.seen(index).map(|seen| seen.inode));
            paths.insert(self.path(index).to_vec(), index);
        }
        for (index, since) in homeless {
            let path = self.path(index).to_vec();
            let name = RelativeName::new(&path).expect("it was listed");
            let is_elsewhere = self
                .seen(index)
                .is_some_and(|seen| !inodes.insert(seen.inode));
            let is_taken = paths.contains_key(&path);
            let is_below = name.folders().any(|folder| paths.contains_key(folder));
            let is_free = !is_taken && !is_below && self.collected.is_free(&name);
            let is_copied = matches!(self.contents[index].1, StagedContent::Spooled(_));
            // In a directory that is never still, a file that lost its name a moment ago is looked for when it is
            // packed.
            let is_young = !self.is_still && self.round - since < PATIENCE;
            if (is_copied || is_young) && is_free && !is_elsewhere {
                self.collected.keep_above(&name);
                paths.insert(path, index);
                continue;
            }
            self.dropped.insert(index);
            if !is_elsewhere && !is_taken && !self.companions.contains(&path) {
                vanished.add(|| self.say_vanished(&path));
            }
        }
    }

    fn say_vanished(&self, path: &[u8]) -> String {
        let path = self.origin.top.shown(path);
        format!("{path} vanished while the directory was read: the archive does not have it")
    }

    /// Names the files that were never read. A file made later with the number of one of them is another file.
    fn name_missed(&self, vanished: &mut Named, begun: Modified) {
        if self.missed.is_empty() {
            return;
        }
        let mut folders = Folders::new(&self.origin.top);
        let mut born_since = HashSet::new();
        let missed = self.missed.iter().map(|(found, _)| found.inode);
        let missed: HashSet<(u64, u64)> = missed.collect();
        let mut paths = HashSet::new();
        let mut read = HashSet::new();
        for index in self.alive() {
            paths.insert(self.path(index));
            let Some(inode) = self.seen(index).map(|seen| seen.inode) else {
                continue;
            };
            read.insert(inode);
            if missed.contains(&inode)
                && birth(&mut folders, self.path(index)).is_some_and(|birth| birth.is_after(begun))
            {
                born_since.insert(inode);
            }
        }
        let mut said = HashSet::new();
        for (found, _) in &self.missed {
            let is_read = read.contains(&found.inode) && !born_since.contains(&found.inode);
            let path = found.name.as_bytes();
            let is_part = self.companions.contains(path);
            if !is_read && !is_part && !paths.contains(path) && said.insert(path) {
                vanished.add(|| self.say_vanished(path));
            }
        }
    }

    fn refuse_faults(&self) -> Result<()> {
        let faults = &self.collected.faults;
        if faults.is_empty() {
            return Ok(());
        }
        let all = match faults.len() {
            1 => "1 file or folder".to_owned(),
            count => format!("{count} files and folders"),
        };
        let mut named = Named::default();
        for (relative, reason) in faults {
            named.add(|| format!("{}: {reason}", self.origin.top.shown(relative)));
        }
        let faults = named.finish();
        let message = match faults.as_slice() {
            [only] => format!("cannot read {only}"),
            _ => format!("{all} of {} cannot be read", self.top.display()),
        };
        let is_long = faults.iter().any(|fault| fault.contains("is longer than"));
        let hint = match is_long {
            true => {
                "exclude what has a longer path than any program can open, or give its folders shorter names"
            }
            false => "run as a user that may read them, or exclude them",
        };
        Err(Failure::new(Kind::Failed, message)
            .hint(hint)
            .faults(faults)
            .into())
    }
}

/// Returns the time when the file at a path was made, if the file system tells.
fn birth(folders: &mut Folders<'_>, path: &[u8]) -> Option<Modified> {
    let (parent, name) = folders.parent(path).ok()?;
    let name = OsStr::from_bytes(name.as_bytes());
    let found = sys::statx(parent, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BTIME).ok()?;
    let is_told = found.stx_mask & StatxFlags::BTIME.bits() != 0;
    is_told.then_some(Modified {
        seconds: found.stx_btime.tv_sec,
        nanoseconds: found.stx_btime.tv_nsec,
    })
}

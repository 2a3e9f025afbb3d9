//! Decides which of several findings of one file stays, and names the files that vanished.

use std::{collections::HashMap, ffi::OsStr, os::unix::ffi::OsStrExt as _};

use anyhow::Result;
use rustix::fs::{self as sys, AtFlags, StatxFlags};

use super::{
    super::found::{Finding, FoundNode, Place, ReadFile, marks},
    PATIENCE, Reading, Round,
};
use crate::{
    disk::tree::beneath::{Folders, Look},
    model::{named::Named, tree::Modified},
};

/// The most files that are decided about at once, in four passes over the findings: they take 33 MiB.
const AT_ONCE: u64 = 800_000;

/// Findings by their numbers, as bits.
#[derive(Debug, Default)]
pub(super) struct Dropped(Vec<u64>);

impl Dropped {
    fn insert(&mut self, number: u64) {
        let word = (number / 64) as usize;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (number % 64);
    }

    /// Returns true if the finding of this number is dropped.
    pub(super) fn contains(&self, number: u64) -> bool {
        let word = self.0.get((number / 64) as usize);
        word.is_some_and(|word| word >> (number % 64) & 1 == 1)
    }
}

/// The findings of one inode. There may be many: they are small.
#[derive(Debug)]
struct Namesakes {
    /// The time when the oldest of these was made, in nanoseconds, if a file with this inode was missed.
    made: i64,
    /// Those that have a name.
    alive: u32,
    /// The last round in which a name of it was lost or missed: until then it was there.
    last: u8,
    /// True if a copy without a name is kept.
    is_read: bool,
    /// True if a file with this inode was missed.
    is_missed: bool,
}

/// The time when a file was made if none was.
const NEVER: i64 = i64::MAX;

impl Default for Namesakes {
    fn default() -> Namesakes {
        Namesakes {
            made: NEVER,
            alive: 0,
            last: 0,
            is_read: false,
            is_missed: false,
        }
    }
}

impl Namesakes {
    /// Notes that a name of it was lost or missed in a round.
    fn lose(&mut self, round: u32) {
        self.last = self.last.max(u8::try_from(round).unwrap_or(u8::MAX));
    }

    /// Returns true if a file that was missed, and that was there at the moment `existed`, is among those that have a
    /// name: one of them is as old. One that was made later got the inode of a file that had gone.
    fn has(&self, existed: Modified) -> bool {
        self.made != NEVER && self.made <= nanoseconds(existed)
    }
}

impl Reading<'_> {
    /// Returns the findings that do not stay, and names the files that vanished.
    ///
    /// Of a file that was read under two names, of which it had only one at a time, one finding stays. One without a
    /// name stays as a copy under its old name, if that is free. A file that was never read vanished, unless a file
    /// with its inode was read that was there when the folder named it.
    pub(super) fn resolve(&self, found: &Round, vanished: &mut Named) -> Result<Dropped> {
        self.resolve_in_parts(found, AT_ONCE, vanished)
    }

    /// Does so for `at_once` files in each pass over the findings.
    fn resolve_in_parts(
        &self,
        found: &Round,
        at_once: u64,
        vanished: &mut Named,
    ) -> Result<Dropped> {
        let mut dropped = Dropped::default();
        if found.suspects == 0 {
            return Ok(dropped);
        }
        let parts = found.suspects / at_once + 1;
        for part in 0..parts {
            // Some file systems give only numbers that are multiples.
            let spread = |inode: (u64, u64)| inode.1.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            let is_in = |inode: (u64, u64)| spread(inode) % parts == part;
            let expected = (found.suspects / parts) as usize;
            self.resolve_part(found, (&is_in, expected), &mut dropped, vanished)?;
        }
        Ok(dropped)
    }

    /// Does so for the files that are in the part, about as many as expected.
    fn resolve_part(
        &self,
        found: &Round,
        (is_in, expected): (&dyn Fn((u64, u64)) -> bool, usize),
        dropped: &mut Dropped,
        vanished: &mut Named,
    ) -> Result<()> {
        let mut folders = Folders::new(&self.origin.top);
        // One that grows would hold the old and the new at once.
        let mut all: HashMap<(u64, u64), Namesakes> = HashMap::with_capacity(expected);
        let mut cursor = found.tape.cursor();
        while let Some(bytes) = cursor.next()? {
            match Finding::of_bytes(bytes)?.node {
                FoundNode::File(file)
                    if file.is(marks::HOMELESS | marks::FRESH) && is_in(file.seen.inode) =>
                {
                    let namesakes = all.entry(file.seen.inode).or_default();
                    namesakes.lose(file.since);
                }
                FoundNode::Missed(inode, since, _) if is_in(inode) => {
                    let namesakes = all.entry(inode).or_default();
                    namesakes.is_missed = true;
                    namesakes.lose(since);
                }
                _ => {}
            }
        }
        let mut cursor = found.tape.cursor();
        while let Some(bytes) = cursor.next()? {
            let Finding { path, node } = Finding::of_bytes(bytes)?;
            if let FoundNode::File(file) = node
                && !file.is(marks::HOMELESS)
                && let Some(namesakes) = all.get_mut(&file.seen.inode)
            {
                namesakes.alive = namesakes.alive.saturating_add(1);
                if namesakes.is_missed {
                    let made = birth(&mut folders, path, file.seen.inode).unwrap_or_default();
                    namesakes.made = namesakes.made.min(nanoseconds(made));
                }
            }
        }
        let mut leaf = Vec::new();
        let mut number = 0;
        let mut cursor = found.tape.cursor();
        while let Some(bytes) = cursor.next()? {
            let Finding { path, node } = Finding::of_bytes(bytes)?;
            let is_kept = match node {
                FoundNode::File(file) => match all.get_mut(&file.seen.inode) {
                    None => !dropped.contains(number) && !file.is(marks::HOMELESS),
                    Some(namesakes) if file.is(marks::HOMELESS) => {
                        let is_free = !file.is(marks::TAKEN) && !is_at_or_below(path, &leaf);
                        self.stays(&file, namesakes, is_free)
                    }
                    Some(namesakes) => {
                        let is_kept = namesakes.alive < 2 || is_there(&mut folders, path, &file);
                        namesakes.alive -= u32::from(!is_kept);
                        is_kept
                    }
                },
                FoundNode::Link(_) => true,
                _ => false,
            };
            match node {
                FoundNode::File(file) if all.contains_key(&file.seen.inode) && !is_kept => {
                    dropped.insert(number);
                }
                _ => {}
            }
            if is_kept {
                leaf.clear();
                leaf.extend_from_slice(path);
            }
            number += 1;
        }
        self.name_vanished(found, &mut all, dropped, vanished)
    }

    /// Names the files of which nothing stays.
    fn name_vanished(
        &self,
        found: &Round,
        all: &mut HashMap<(u64, u64), Namesakes>,
        dropped: &Dropped,
        vanished: &mut Named,
    ) -> Result<()> {
        let mut number = 0;
        let mut cursor = found.tape.cursor();
        while let Some(bytes) = cursor.next()? {
            let Finding { path, node } = Finding::of_bytes(bytes)?;
            let is_gone = match node {
                FoundNode::File(file) if file.is(marks::HOMELESS) && dropped.contains(number) => {
                    let namesakes = all.get_mut(&file.seen.inode);
                    namesakes.is_some_and(|namesakes| {
                        let is_found = namesakes.alive > 0 || namesakes.is_read;
                        let is_gone = !is_found && !file.is(marks::TAKEN);
                        // Its names followed one another: one is enough.
                        namesakes.is_read |= is_gone;
                        is_gone
                    })
                }
                FoundNode::Missed(inode, _, existed) => all
                    .get(&inode)
                    .is_some_and(|namesakes| !namesakes.is_read && !namesakes.has(existed)),
                _ => false,
            };
            if is_gone && !self.companions.contains(path) {
                vanished.add(|| self.say_vanished(path));
            }
            number += 1;
        }
        Ok(())
    }

    /// Returns true if a file without a name stays: a copy does, and in a directory that is never still, a file that
    /// lost its name a moment ago, which is looked for when it is packed.
    fn stays(&self, file: &ReadFile<'_>, namesakes: &mut Namesakes, is_free: bool) -> bool {
        let is_elsewhere = namesakes.alive > 0 || namesakes.is_read;
        let is_copied = file.place != Place::Reopened;
        let is_young =
            !self.is_still && self.round.saturating_sub(namesakes.last.into()) < PATIENCE;
        let stays = (is_copied || is_young) && is_free && !is_elsewhere;
        namesakes.is_read |= stays;
        stays
    }

    pub(super) fn say_vanished(&self, path: &[u8]) -> String {
        let path = self.origin.top.shown(path);
        format!("{path} vanished while the directory was read: the archive does not have it")
    }
}

fn is_at_or_below(path: &[u8], leaf: &[u8]) -> bool {
    let rest = path.strip_prefix(leaf).filter(|_| !leaf.is_empty());
    rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

fn is_there(folders: &mut Folders<'_>, path: &[u8], file: &ReadFile<'_>) -> bool {
    let look = folders
        .parent(path)
        .and_then(|(parent, name)| Look::at(parent, name));
    look.is_ok_and(|look| look.inode == file.seen.inode)
}

/// Returns a time in nanoseconds.
fn nanoseconds(time: Modified) -> i64 {
    let seconds = time.seconds.saturating_mul(1_000_000_000);
    seconds.saturating_add(time.nanoseconds.into())
}

/// Returns the time when the file at a path was made, if it is there with this inode and the file system tells.
fn birth(folders: &mut Folders<'_>, path: &[u8], inode: (u64, u64)) -> Option<Modified> {
    let (parent, name) = folders.parent(path).ok()?;
    let name = OsStr::from_bytes(name.as_bytes());
    let asked = StatxFlags::BTIME | StatxFlags::INO;
    let found = sys::statx(parent, name, AtFlags::SYMLINK_NOFOLLOW, asked).ok()?;
    let is_told = found.stx_mask & StatxFlags::BTIME.bits() != 0 && found.stx_ino == inode.1;
    is_told.then_some(Modified {
        seconds: found.stx_btime.tv_sec,
        nanoseconds: found.stx_btime.tv_nsec,
    })
}

#[cfg(test)]
mod tests;

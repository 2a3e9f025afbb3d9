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
mod tests {
    use std::{cell::Cell, fs::File, io::Write as _, path::Path, sync::Arc, time::Duration};

    use rustix::fs::Mode;

    use super::*;
    use crate::{
        disk::tree::beneath::Top,
        model::{entry_name::EntryName, rules::Rules},
        source::tree::{
            TreeContext, database::DatabaseHandling, hash::Recent, opened::OpenDirectory,
            spool::Spool,
        },
        work::{Threads, events::Events},
    };

    #[test]
    fn a_missed_file_is_one_that_is_as_old_as_its_listing() {
        assert_eq!(size_of::<Namesakes>(), 16);
        let at = |seconds| Modified {
            seconds,
            nanoseconds: 0,
        };
        let mut namesakes = Namesakes::default();
        assert!(!namesakes.has(at(9)));
        namesakes.made = nanoseconds(at(5));
        assert!(namesakes.has(at(9)) && namesakes.has(at(5)) && !namesakes.has(at(4)));
    }

    /// Reads the directory `top`, with `step` at each report of the threads, and gives the findings to `then`.
    fn read(
        top: &Path,
        scratch: &Path,
        step: &dyn Fn(),
        then: &mut dyn FnMut(&Reading<'_>, &Round),
    ) {
        let caller = TreeContext {
            step: &|_| {
                step();
                Ok(())
            },
            events: &Events::default(),
            scratch,
            threads: Threads::ONE,
            quiet: Duration::ZERO,
            unlisted_files: 3,
            databases: DatabaseHandling::AsFiles,
        };
        let spool = Spool::create(scratch).expect("made");
        let last = Look::of(Top::open(top).expect("open")).expect("looked");
        let mut begun = last.ctime;
        while !begun.is_after(last.ctime) {
            std::thread::sleep(Duration::from_millis(1));
            begun = spool.moment_before(Duration::ZERO).expect("told");
        }
        let recent = Recent {
            files: begun,
            folders: None,
        };
        let name = EntryName::new("data").expect("a good name");
        let opened = Top::open(top).expect("open");
        let origin = Arc::new(OpenDirectory::new(opened, name, Rules::everything()));
        let mut reading = Reading::new(top, origin, &caller, recent, spool);
        let found = reading.read(begun).expect("read");
        then(&reading, &found);
    }

    /// Returns the paths of the files that stay, and the messages of those that vanished.
    fn decided(reading: &Reading<'_>, found: &Round) -> (Vec<String>, Vec<String>) {
        let mut vanished = Named::default();
        let dropped = reading.resolve(found, &mut vanished).expect("decided");
        (kept(found, &dropped), vanished.finish())
    }

    fn kept(found: &Round, dropped: &Dropped) -> Vec<String> {
        let mut cursor = found.tape.cursor();
        let mut kept = Vec::new();
        let mut number = 0;
        while let Some(bytes) = cursor.next().expect("read") {
            let finding = Finding::of_bytes(bytes).expect("good");
            if matches!(finding.node, FoundNode::File(_)) && !dropped.contains(number) {
                kept.push(String::from_utf8(finding.path.to_vec()).expect("UTF-8"));
            }
            number += 1;
        }
        kept
    }

    /// A file that is made while the directory is read, listed, and renamed right before it is read: services write
    /// a file under a temporary name and rename it.
    #[test]
    fn a_new_file_that_is_renamed_before_it_is_read_is_found_and_one_that_is_replaced_vanished() {
        for is_replaced in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let (top, scratch) = (folder.path().join("data"), folder.path().join("scratch"));
            for folder in [&top, &top.join("a"), &top.join("b"), &scratch] {
                sys::mkdir(folder, Mode::RWXU).expect("made");
            }
            // One batch of the threads.
            for number in 0..32 {
                File::create_new(top.join(format!("a/{number:02}"))).expect("made");
            }
            let tick = || std::thread::sleep(Duration::from_millis(20));
            let temporary = top.join("b/x.tmp");
            let steps = Cell::new(0);
            let step = || {
                steps.set(steps.get() + 1);
                match steps.get() {
                    1 => {
                        tick();
                        File::create_new(&temporary).map(drop).expect("made");
                    }
                    // The first batch reports twice, since it starts the threads.
                    3 if is_replaced => {
                        tick();
                        sys::unlink(&temporary).expect("removed");
                        // It gets the inode on file systems that use them again at once.
                        File::create_new(top.join("b/x")).map(drop).expect("made");
                    }
                    3 => sys::rename(&temporary, top.join("b/x")).expect("renamed"),
                    _ => {}
                }
            };
            read(&top, &scratch, &step, &mut |reading, found| {
                let (kept, vanished) = decided(reading, found);
                assert_eq!(kept.len(), 33, "{kept:?}");
                assert_eq!(kept[32], "b/x");
                assert_eq!(vanished.len(), usize::from(is_replaced), "{vanished:?}");
            });
        }
    }

    #[test]
    fn many_files_that_lost_their_names_are_decided_about_in_parts() {
        let folder = tempfile::tempdir().expect("a folder");
        let (top, scratch) = (folder.path().join("data"), folder.path().join("scratch"));
        for folder in [&top, &top.join("cur"), &scratch] {
            sys::mkdir(folder, Mode::RWXU).expect("made");
        }
        for number in 0..100 {
            let path = top.join(format!("cur/{number:02}"));
            let mut file = File::create_new(&path).expect("made");
            write!(file, "{number}").expect("written");
            if number % 10 == 9 {
                sys::link(&path, top.join(format!("second{number}"))).expect("linked");
            }
        }
        let is_moved = Cell::new(false);
        let step = || {
            if !is_moved.replace(true) {
                sys::unlink(top.join("cur/98")).expect("removed");
                sys::rename(top.join("cur"), top.join("other")).expect("renamed");
            }
        };
        read(&top, &scratch, &step, &mut |reading, found| {
            decide_in_parts(reading, found)
        });
    }

    fn decide_in_parts(reading: &Reading<'_>, found: &Round) {
        assert!(found.suspects >= 100);
        let decide = |at_once| {
            let mut vanished = Named::default();
            let dropped = reading.resolve_in_parts(found, at_once, &mut vanished);
            (dropped.expect("decided").0, vanished.finish())
        };
        let (dropped, vanished) = decide(AT_ONCE);
        assert_eq!(vanished.len(), 1, "{vanished:?}");
        assert!(
            vanished[0].contains("/data/cur/98 vanished"),
            "{vanished:?}"
        );
        for at_once in [1, 7, 60u64] {
            assert_eq!(decide(at_once), (dropped.clone(), vanished.clone()));
        }
        let mut kept = kept(found, &Dropped(dropped));
        let expected = (0..100).filter(|number| *number != 98);
        let mut expected: Vec<String> = expected
            .map(|number| format!("other/{number:02}"))
            .collect();
        expected.extend((0..10).map(|number| format!("second{}", 10 * number + 9)));
        expected.sort();
        kept.sort();
        assert_eq!(kept, expected);
    }
}

//! Files whose names changed while a directory was read.

use std::{cell::Cell, fs::File, io::Write as _, path::Path, sync::Arc, time::Duration};

use rustix::fs::Mode;

use super::*;
use crate::{
    disk::tree::beneath::Top,
    model::{entry_name::EntryName, rules::Rules},
    source::tree::{
        TreeContext, database::DatabaseHandling, hash::Recent, opened::OpenDirectory, spool::Spool,
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
fn read(top: &Path, scratch: &Path, step: &dyn Fn(), then: &mut dyn FnMut(&Reading<'_>, &Round)) {
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

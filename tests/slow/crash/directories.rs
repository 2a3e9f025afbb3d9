//! Directories that are replaced as one: killed, and met by errors, at every call, where folders can change places and where
//! they cannot; and their recovery, killed again.

use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf};

use hookshot::{
    disk::tree,
    model::{digest::Digest, rules::Rules},
};
use serde_json::Value;

use super::{
    injection::{
        Failed, can_trace, fail_creations, fail_everywhere, kill_everywhere, kill_recoveries,
    },
    scenario::{Scenario, leftovers},
};

/// Calls that a directory's replacement makes of those that change something; the many that only read are left out.
const CHANGING: [&str; 13] = [
    "rename",
    "renameat",
    "renameat2",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "symlinkat",
    "fsync",
    "syncfs",
    "fchmod",
    "utimensat",
];
/// Calls whose failure is worth a try.
const FAILING: [&str; 19] = [
    "write",
    "pwrite64",
    "copy_file_range",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlinkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "fsync",
    "fdatasync",
    "syncfs",
    "fchmod",
    "utimensat",
];
/// Calls after which a killed import leaves something to do.
const RENAMING: [&str; 3] = ["rename", "renameat2", "unlinkat"];

#[test]
fn directories_whose_import_is_killed_at_any_call_are_the_old_or_the_new_ones() {
    if !can_trace() {
        return;
    }
    let killed = kill_everywhere(&Scenario::directories(), &["version"], &CHANGING);
    println!("directories: {killed:?}");
    assert!(killed.points > 60 && killed.finished > 5, "{killed:?}");
}

#[test]
fn directories_with_listings_whose_import_or_rollback_is_killed_are_the_old_or_the_new_ones() {
    if !can_trace() {
        return;
    }
    let killed = kill_everywhere(&Scenario::listed_directories(), &["version"], &CHANGING);
    println!("with listings: {killed:?}");
    assert!(killed.points > 60 && killed.finished > 5, "{killed:?}");
    let scenario = Scenario::rollback(Scenario::listed_directories());
    let killed = kill_everywhere(&scenario, &["version"], &RENAMING);
    println!("with listings, back: {killed:?}");
    assert!(killed.points > 5 && killed.finished > 1, "{killed:?}");
}

#[test]
fn directories_whose_rollback_is_killed_at_any_call_are_the_old_or_the_new_ones() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::rollback(Scenario::directories());
    let killed = kill_everywhere(&scenario, &["version"], &CHANGING);
    println!("directories, back: {killed:?}");
    assert!(killed.points > 20 && killed.finished > 3, "{killed:?}");
}

/// Excluded files are copied then into the directory that comes back, while that is the backup.
#[test]
fn directories_whose_rollback_copies_what_is_excluded_are_the_old_or_the_new_ones() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::rollback(Scenario::directories()).without_links();
    scenario.reset();
    let (run, seen) = scenario.watched(&scenario.arguments(), "linkat", None);
    run.exits(0);
    let refused = seen.0.iter().filter(|call| call.is_injected);
    assert!(refused.count() >= 2, "a file in each of two folders");
    let calls = [
        "openat",
        "write",
        "copy_file_range",
        "fchmod",
        "utimensat",
        "unlinkat",
        "fsync",
    ];
    let killed = kill_everywhere(&scenario, &["version"], &calls);
    println!("without links, back: {killed:?}");
    assert!(killed.points > 10, "{killed:?}");
    for error in ["EIO", "ENOSPC"] {
        let failed = fail_everywhere(&scenario, &FAILING, error);
        println!("without links, back, {error}: {failed:?}");
        assert!(failed.points > 3, "{failed:?}");
    }
}

/// Between two renames the target is missing for a moment: the next hookshot puts a folder there.
#[test]
fn directories_that_cannot_change_places_are_the_old_or_the_new_ones_after_a_kill() {
    if !can_trace() {
        return;
    }
    let calls = ["rename", "linkat", "unlinkat", "fsync"];
    let import = Scenario::directories().without_exchange();
    let killed = kill_everywhere(&import, &["version"], &calls);
    println!("without exchange: {killed:?}");
    assert!(killed.points > 40 && killed.finished > 8, "{killed:?}");
    assert!(killed.missing > 1, "the moment was not met: {killed:?}");
    let rollback = Scenario::rollback(Scenario::directories()).without_exchange();
    let killed = kill_everywhere(&rollback, &["version"], &calls);
    println!("without exchange, back: {killed:?}");
    assert!(killed.points > 15 && killed.finished > 5, "{killed:?}");
    assert!(killed.missing > 1, "the moment was not met: {killed:?}");
}

fn import_meets(error: &str) -> Failed {
    let scenario = Scenario::directories();
    let mut failed = fail_everywhere(&scenario, &FAILING, error);
    println!("directories, {error}: {failed:?}");
    let created = fail_creations(&scenario, error);
    println!("directories, {error} where a file is made: {created:?}");
    assert!(created.points > 3, "{created:?}");
    failed.points += created.points;
    failed
}

#[test]
fn directories_whose_import_meets_a_broken_disk_at_any_call_are_the_old_or_the_new_ones() {
    if !can_trace() {
        return;
    }
    let failed = import_meets("EIO");
    assert!(failed.points > 80 && failed.undone > 8, "{failed:?}");
}

#[test]
fn directories_whose_import_meets_a_full_disk_at_any_call_are_the_old_or_the_new_ones() {
    if !can_trace() {
        return;
    }
    let failed = import_meets("ENOSPC");
    assert!(failed.points > 80 && failed.undone > 8, "{failed:?}");
}

#[test]
fn directories_whose_rollback_meets_an_error_at_any_call_are_the_old_or_the_new_ones() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::rollback(Scenario::directories());
    for error in ["EIO", "ENOSPC"] {
        let failed = fail_everywhere(&scenario, &FAILING, error);
        println!("directories, back, {error}: {failed:?}");
        assert!(failed.points > 20 && failed.undone > 5, "{failed:?}");
    }
}

#[test]
fn directories_that_cannot_change_places_are_the_old_or_the_new_ones_after_an_error() {
    if !can_trace() {
        return;
    }
    let import = Scenario::directories();
    let rollback = Scenario::rollback(Scenario::directories());
    for scenario in [import, rollback] {
        let failed = fail_everywhere(&scenario.without_exchange(), &["rename", "unlinkat"], "EIO");
        println!("without exchange: {failed:?}");
        assert!(failed.points > 8 && failed.undone > 4, "{failed:?}");
    }
}

/// Forward: everything new is there, and no process has worked on the old state.
fn recover_forward(scenario: &Scenario, kills_at: &[&str]) {
    let kills = scenario.interesting_kills(kills_at);
    let killed = kill_recoveries(scenario, &kills, &CHANGING, |_| {});
    println!("recovery: {killed:?}");
    assert!(killed.points > 40 && killed.finished > 30, "{killed:?}");
}

#[test]
fn a_recovery_of_directories_that_is_killed_at_any_call_is_finished_by_the_next() {
    if !can_trace() {
        return;
    }
    recover_forward(&Scenario::directories(), &RENAMING);
}

#[test]
fn a_recovery_of_directories_that_cannot_change_places_is_finished_by_the_next() {
    if !can_trace() {
        return;
    }
    recover_forward(&Scenario::directories().without_exchange(), &["rename"]);
}

/// Returns true if one directory is in its place, the other one's new folder is still beside it, and nothing is ended.
fn is_between_two_directories(scenario: &Scenario) -> bool {
    let now = scenario.machine.files(scenario.files);
    let is = |name: &str, state: &support::Targets| now[name] == state[name];
    scenario.journal().contains("\"committed\"")
        && is("data/app/one", &scenario.new)
        && is("data/web/page", &scenario.old)
}

/// Kills behind which one directory is in its place, and the other one's new folder is still beside it.
fn between_two_directories(scenario: &Scenario) -> Vec<String> {
    let mut kills = Vec::new();
    for call in ["rename", "renameat2"] {
        for number in 1.. {
            scenario.reset();
            let kill = format!("{call}:signal=KILL:when={number}");
            if scenario.verb(Some(&kill)).code != -1 {
                break;
            }
            if is_between_two_directories(scenario) {
                kills.push(kill);
            }
        }
    }
    assert!(!kills.is_empty(), "no such moment");
    kills
}

/// Back: the new folder of the second directory is lost, so the first one has to go back.
fn recover_back(scenario: &Scenario) {
    let kills = between_two_directories(scenario);
    let kills = [kills[0].clone(), kills[kills.len() - 1].clone()];
    let lose = |scenario: &Scenario| {
        for path in leftovers(&scenario.machine, ".new") {
            if path.join("page").exists() {
                fs::remove_dir_all(path).expect("removed");
            }
        }
    };
    let killed = kill_recoveries(scenario, &kills, &CHANGING, lose);
    println!("recovery, going back: {killed:?}");
    assert!(killed.points > 20 && killed.finished == 0, "{killed:?}");
}

#[test]
fn a_recovery_that_brings_directories_back_is_finished_by_the_next() {
    if !can_trace() {
        return;
    }
    recover_back(&Scenario::directories());
    recover_back(&Scenario::directories().without_exchange());
}

/// Writes the journal as version 1 was: folders by device and inode, listings of everything in them, and nothing of what came
/// later. Only a committed journal can be written so: once it is done, version 2 has taken what is excluded from the backups,
/// which version 1 never did.
fn as_version_1(scenario: &Scenario) {
    assert!(
        scenario.journal().contains("\"committed\""),
        "another phase"
    );
    let path = scenario.machine.path("etc/.hookshot/journal.json");
    let sealed: Value = serde_json::from_str(&scenario.journal()).expect("JSON");
    let mut journal = sealed["journal"].clone();
    journal["version"] = 1.into();
    let fields = journal.as_object_mut().expect("an object");
    fields.remove("sources");
    fields.remove("backups");
    let device = scenario.machine.path("data").metadata().expect("it").dev();
    for step in journal["steps"].as_array_mut().expect("steps") {
        let places = ["target", "staged", "backup", "fresh_backup"];
        let places: Vec<PathBuf> = places
            .iter()
            .filter_map(|name| Some(PathBuf::from(step[*name].as_str()?)))
            .collect();
        let listing_of = |inode: u64| {
            let is_it = |path: &&PathBuf| path.metadata().is_ok_and(|it| it.ino() == inode);
            let path = places.iter().find(is_it).expect("it is somewhere");
            tree::listing(path, &Rules::everything())
                .expect("listed")
                .to_string()
        };
        if step["folder"].is_object() {
            for (which, digest) in [("old", "before"), ("new", "after")] {
                let inode = step["folder"][which]["inode"].as_u64().expect("a number");
                step[digest] = listing_of(inode).into();
                step["folder"][which]["device"] = device.into();
            }
            let folder = step["folder"].as_object_mut().expect("a folder");
            folder.remove("rules");
            folder.remove("whole");
        }
        let step = step.as_object_mut().expect("a step");
        step.remove("replaces");
        step.remove("old");
    }
    let sha256 = Digest::of(journal.to_string().as_bytes()).to_string();
    let sealed = serde_json::json!({ "journal": journal, "sha256": sha256 });
    fs::write(path, sealed.to_string()).expect("written");
}

#[test]
fn a_journal_of_version_1_is_followed_and_its_record_is_rolled_back() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::directories();
    for kill in between_two_directories(&scenario) {
        scenario.reset();
        assert_eq!(scenario.verb(Some(&kill)).code, -1, "{kill} must kill");
        assert!(
            is_between_two_directories(&scenario),
            "{kill}: another moment"
        );
        as_version_1(&scenario);
        let run = scenario.run(&["version"], None).exits(0);
        assert!(run.stderr.contains("finished it"), "{}", run.stderr);
        // It shares what is excluded with its backup, as version 1 did.
        assert_eq!(
            scenario.machine.files(scenario.files),
            scenario.new,
            "{kill}"
        );
        assert_eq!(scenario.litter(), Vec::<PathBuf>::new(), "{kill}");
        scenario.run(&["rollback", "--force"], None).exits(0);
        assert_eq!(
            scenario.machine.files(scenario.files),
            scenario.old,
            "{kill}"
        );
    }
}

#[test]
fn what_a_service_wrote_beside_half_done_directories_is_not_lost_by_going_back() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::directories();
    let kills = between_two_directories(&scenario);
    let kill = &kills[0];
    scenario.reset();
    assert_eq!(scenario.verb(Some(kill)).code, -1, "{kill} must kill");
    // A cache in the new folder, and a page in the old one.
    scenario
        .machine
        .write("data/app/cache/since", "cached", 0o600);
    scenario.run(&["export", "x.tar.gz"], None).exits(0);
    scenario.reset();
    assert_eq!(scenario.verb(Some(kill)).code, -1, "{kill} must kill");
    scenario
        .machine
        .write("data/app/cache/since", "cached", 0o600);
    scenario
        .machine
        .write("data/web/page", "written since", 0o600);
    let run = scenario.run(&["export", "x.tar.gz"], None).exits(11);
    assert!(run.stderr.contains("both old and new"), "{}", run.stderr);
    assert_eq!(scenario.machine.read("data/app/cache/since"), b"cached");
    assert_eq!(scenario.machine.read("data/web/page"), b"written since");
}

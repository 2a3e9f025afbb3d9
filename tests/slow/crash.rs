//! An import or a rollback that is killed at any system call, or that meets an error at any: all or nothing.
//!
//! strace(1) kills the real binary, or lets a call fail, at its n-th mutating system call, for every n. Afterwards one
//! more run of any verb must leave the old state or the new one, byte for byte and with modes; and at no instant is a
//! target missing.

use support::finish;

mod deliveries;
mod directories;
mod injection;
mod scenario;

use std::{fs, path::Path, process::Command};

use injection::{can_trace, fail_everywhere, kill_everywhere, kill_recoveries};
use scenario::{Scenario, copy, leftovers};

/// System calls that change something that lasts, and those that make it last.
const MUTATING: [&str; 22] = [
    "openat",
    "write",
    "pwrite64",
    "copy_file_range",
    "sendfile",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "fsync",
    "fdatasync",
    "ftruncate",
    "fchmod",
    "fchown",
    "utimensat",
    "chmod",
];
/// Calls whose failure is worth a try of its own: reading a library that is not there proves nothing.
const FAILING: [&str; 14] = [
    "write",
    "pwrite64",
    "copy_file_range",
    "rename",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "mkdir",
    "fsync",
    "fdatasync",
    "fchmod",
    "fchown",
    "utimensat",
];

#[test]
fn an_import_that_is_killed_at_any_call_is_all_or_nothing() {
    if !can_trace() {
        return;
    }
    let killed = kill_everywhere(&Scenario::import(), &["version"], &MUTATING);
    println!("import: {killed:?}");
    assert!(killed.points > 100 && killed.finished > 5, "{killed:?}");
}

#[test]
fn a_rollback_that_is_killed_at_any_call_is_all_or_nothing() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::rollback(Scenario::import());
    let killed = kill_everywhere(&scenario, &["validate"], &MUTATING);
    println!("rollback: {killed:?}");
    assert!(killed.points > 100 && killed.finished > 5, "{killed:?}");
}

#[test]
fn a_recovery_that_is_killed_at_any_call_is_finished_by_the_next() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::import();
    let kills = scenario.interesting_kills(&["rename", "unlink", "unlinkat"]);
    // What an `openat` made is seen by the kill at the call behind it.
    let mut calls = MUTATING.to_vec();
    calls.retain(|call| *call != "openat");
    let killed = kill_recoveries(&scenario, &kills, &calls, |_| {});
    println!("recovery: {killed:?}");
    assert!(killed.points > 100, "{killed:?}");
}

#[test]
fn an_import_that_meets_an_error_at_any_call_leaves_the_old_state_or_succeeds() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::import();
    for error in ["EIO", "ENOSPC"] {
        let failed = fail_everywhere(&scenario, &FAILING, error);
        println!("import, {error}: {failed:?}");
        assert!(failed.points > 50 && failed.undone > 3, "{failed:?}");
    }
}

/// An import that was killed between its renames: some targets are new, some old.
fn between_the_renames(scenario: &Scenario) {
    for number in 1.. {
        scenario.reset();
        let kill = format!("rename:signal=KILL:when={number}");
        assert_eq!(scenario.verb(Some(&kill)).code, -1, "no such moment");
        let now = scenario.machine.files(scenario.files);
        if scenario.journal().contains("\"committed\"")
            && now != scenario.old
            && now != scenario.new
        {
            return;
        }
    }
}

#[test]
fn an_interrupted_import_whose_new_files_are_lost_is_undone() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::import();
    between_the_renames(&scenario);
    for path in leftovers(&scenario.machine, ".new") {
        fs::remove_file(path).expect("removed");
    }
    scenario
        .machine
        .run(&["version"])
        .exits(0)
        .says("brought the old state back");
    assert!(!scenario.all_or_nothing("new files lost"));
}

#[test]
fn an_interrupted_import_is_undone_when_the_service_has_worked_since() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::import();
    between_the_renames(&scenario);
    scenario.machine.put_deployment("since", "succeeded");
    let worked = scenario.machine.read("data/state.redb");
    scenario
        .machine
        .run(&["version"])
        .exits(0)
        .says("brought the old state back")
        .says("worked on since");
    // What the service did is there, and everything around it is the old state.
    assert!(scenario.machine.read("data/state.redb") == worked);
    let mut now = scenario.machine.files(scenario.files);
    now.insert("data/state.redb", scenario.old["data/state.redb"].clone());
    assert_eq!(now, scenario.old);
}

#[test]
fn nobody_works_beside_the_unfinished_import_of_another() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::import();
    between_the_renames(&scenario);
    let machine = &scenario.machine;
    // Another configuration with the same data folder, whose journal lies elsewhere.
    fs::create_dir(machine.path("elsewhere")).expect("a folder");
    copy(
        &machine.path("etc/config.toml"),
        &machine.path("elsewhere/config.toml"),
    );
    copy(
        &machine.path("template/etc/services.toml"),
        &machine.path("elsewhere/services.toml"),
    );
    let export = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookshot"));
        command
            .arg("--config")
            .arg(machine.path("elsewhere/config.toml"))
            .args(["export", "x.tar.gz"]);
        finish(
            {
                command.current_dir(machine.path("out"));
                command
            },
            b"",
        )
    };
    export()
        .exits(11)
        .says("belongs to an import that is not finished");
    machine.run(&["version"]).exits(0).says("finished it");
    export().exits(0);
}

#[test]
fn a_journal_that_names_other_files_or_belongs_to_somebody_else_is_not_followed() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::import();
    between_the_renames(&scenario);
    let machine = &scenario.machine;
    let path = machine.path("etc/.hookshot/journal.json");
    let good = fs::read(&path).expect("a journal");
    let sealed: serde_json::Value = serde_json::from_slice(&good).expect("JSON");
    let victim = machine.path("victim");
    fs::write(&victim, "precious").expect("written");
    let mut journals = Vec::new();
    for (phase, pointer) in [
        ("preparing", "/litter/0"),
        ("committed", "/litter/0"),
        ("committed", "/steps/0/backup"),
        ("undoing", "/steps/0/earlier_backup"),
    ] {
        let mut journal = sealed["journal"].clone();
        journal["phase"] = phase.into();
        *journal.pointer_mut(pointer).expect("a path") = victim.to_str().expect("UTF-8").into();
        let sha256 =
            hookshot::model::digest::Digest::of(journal.to_string().as_bytes()).to_string();
        journals.push(serde_json::json!({ "journal": journal, "sha256": sha256 }).to_string());
    }
    journals.push("{}".to_owned());
    journals.push(String::from_utf8_lossy(&good).replace("committed", "preparing"));
    for journal in journals {
        fs::write(&path, &journal).expect("written");
        machine
            .run(&["export", "x.tar.gz"])
            .exits(1)
            .says("damaged");
        machine.run(&["version"]).exits(0).says("damaged");
        assert_eq!(fs::read(&victim).expect("the victim"), b"precious");
    }
    fs::write(&path, &good).expect("written");
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("a mode");
    machine
        .run(&["export", "x.tar.gz"])
        .exits(1)
        .says("cannot be trusted");
    if nix::unistd::geteuid().is_root() {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
        std::os::unix::fs::chown(&path, Some(65534), None).expect("given");
        machine
            .run(&["export", "x.tar.gz"])
            .exits(1)
            .says("cannot be trusted");
        std::os::unix::fs::chown(&path, Some(0), None).expect("given");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
    machine.run(&["version"]).exits(0).says("finished it");
}

/// A power cut keeps what was synced and any part of what was not. So the order of syncs is the promise itself: new
/// files, then the journal, then the second names of the old files, then the renames, then the end of the journal.
#[test]
fn everything_is_synced_before_what_relies_on_it() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::import();
    scenario.reset();
    let log = scenario.machine.path("tmp/log");
    let plain = scenario.command();
    let mut command = Command::new("strace");
    command
        .args([
            "-f",
            "-qq",
            "-y",
            "-e",
            "trace=rename,renameat,linkat,fsync,fdatasync",
            "-o",
        ])
        .arg(&log);
    command.arg(plain.get_program()).args(plain.get_args());
    finish(command, b"").exits(0);
    let log = fs::read_to_string(log).expect("a log");
    let lines: Vec<&str> = log.lines().collect();
    let first = |what: &str, from: usize| {
        let found = lines.iter().skip(from).position(|line| line.contains(what));
        found
            .map(|at| at + from)
            .unwrap_or_else(|| panic!("{what} is not behind line {from} of:\n{log}"))
    };
    let folders = [scenario.machine.path("etc"), scenario.machine.path("data")];
    let synced = |folder: &Path| format!("<{}>)", folder.display());
    // A file that was not there is linked, so that nothing that has appeared is replaced.
    let is_final_rename = |line: &&str| {
        (line.contains("rename(") || line.contains("linkat(")) && line.contains(".new\", ")
    };
    let renames: Vec<usize> = (0..lines.len())
        .filter(|at| is_final_rename(&lines[*at]))
        .collect();
    assert_eq!(renames.len(), 4, "{log}");
    // The journal gets its name before, at and after the commit point, when the new state stays; its file is synced before,
    // its folder after.
    let journals: Vec<usize> = (0..lines.len())
        .filter(|at| lines[*at].contains("journal.json\")"))
        .collect();
    assert_eq!(journals.len(), 3, "{log}");
    let commit = journals[1];
    let sealed = first(&synced(&scenario.machine.path("etc/.hookshot")), commit);
    // New files: synced with their folders before the commit.
    let new = (0..commit)
        .filter(|at| lines[*at].contains("fsync(") && lines[*at].contains(".new>"))
        .count();
    assert_eq!(new, 4, "{log}");
    for folder in &folders {
        assert!(
            (0..commit)
                .any(|at| lines[at].contains("fsync(") && lines[at].contains(&synced(folder))),
            "{log}"
        );
    }
    // Second names: behind the commit, and synced before the first rename.
    let backups: Vec<usize> = (0..lines.len())
        .filter(|at| lines[*at].contains("rename(") && lines[*at].contains(".old\""))
        .collect();
    assert_eq!(backups.len(), 3, "{log}");
    assert!(backups.iter().all(|at| *at > sealed), "{log}");
    for folder in &folders {
        let at = first(&synced(folder), *backups.last().expect("a backup"));
        assert!(at < renames[0], "{log}");
    }
    // The renames are synced before the journal ends.
    let end = first("last-import.json\")", 0);
    for folder in &folders {
        let at = first(&synced(folder), *renames.last().expect("a rename"));
        assert!(at < end, "{log}");
    }
}

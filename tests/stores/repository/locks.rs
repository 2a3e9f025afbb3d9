//! Locks between hookshot and restic, with real processes of both.

use std::{
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use support::{
    Machine, Run, clock, finish, program,
    restic::Restic,
    vaults::{all_verify, files_below, names, wait_for},
};

use super::machine;

/// Removes every state but one.
const PRUNE: [&str; 6] = [
    "prune",
    "@vault",
    "--keep-last",
    "1",
    "--max-remove",
    "100%",
];

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().expect("a process"))
}

/// Starts hookshot, and stops it when its lock is there.
fn stopped_with_its_lock(machine: &Machine, arguments: &[&str]) -> Child {
    let locks = machine.path("vault/locks");
    let mut command = machine.command();
    command.args(arguments).stdout(Stdio::null());
    let child = command.stderr(Stdio::null()).spawn().expect("hookshot");
    wait_for(|| complete(&locks));
    kill(pid(&child), Signal::SIGSTOP).expect("stopped");
    assert!(complete(&locks), "it has ended: {arguments:?}");
    child
}

/// Returns true if a lock has its name.
fn complete(locks: &Path) -> bool {
    files_below(locks)
        .iter()
        .any(|lock| lock.file_name().is_some_and(|name| name.len() == 64))
}

fn goes_on(mut child: Child) {
    kill(pid(&child), Signal::SIGCONT).expect("continued");
    assert!(child.wait().expect("an end").success());
}

/// Starts a `restic backup` that goes on until its input ends.
fn restic_at_work(restic: &Restic, machine: &Machine) -> Child {
    let mut command = restic.command(&machine.path("vault"), &["backup", "--stdin"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let child = command.stderr(Stdio::null()).spawn().expect("restic");
    wait_for(|| complete(&machine.path("vault/locks")));
    child
}

fn ends(mut child: Child) {
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(b"x").expect("written");
    drop(stdin);
    assert!(child.wait().expect("an end").success());
}

#[test]
fn restic_removes_nothing_while_an_export_runs() {
    let machine = machine();
    machine.fill_database(2000);
    machine.run(&["export", "@vault"]).exits(0);
    let vault = machine.path("vault");
    for restic in Restic::all() {
        let child = stopped_with_its_lock(&machine, &["export", "@vault"]);
        let before = files_below(&vault);
        for verb in ["prune", "forget"] {
            let words = [&[verb][..], &["latest", "--prune"][..verb.len() / 6 * 2]].concat();
            let run = restic.run(&vault, &words);
            assert_ne!(run.code, 0, "{}: {words:?}", restic.version);
            assert!(run.stderr.contains("already locked"), "{}", run.stderr);
        }
        assert_eq!(files_below(&vault), before, "{}", restic.version);
        goes_on(child);
        restic.run(&vault, &["prune"]).exits(0);
        restic.run(&vault, &["check", "--read-data"]).exits(0);
    }
    all_verify(&machine);
}

#[test]
fn hookshot_removes_nothing_while_restic_writes() {
    let machine = machine();
    for number in 0..3 {
        machine.write("etc/secrets", format!("{number}"), 0o600);
        machine.run(&["export", "@vault"]).exits(0);
    }
    for restic in Restic::all() {
        let child = restic_at_work(&restic, &machine);
        let before = names(&machine);
        machine.run(&PRUNE).exits(11);
        machine.run(&["keep", "@vault/latest"]).exits(11);
        assert_eq!(names(&machine), before, "{}", restic.version);
        ends(child);
        restic.run(&machine.path("vault"), &["check"]).exits(0);
    }
    machine.run(&PRUNE).exits(0);
    assert_eq!(all_verify(&machine).len(), 1);
    assert!(files_below(&machine.path("vault/locks")).is_empty());
}

#[test]
fn a_state_is_exported_while_restic_writes_and_not_while_it_prunes() {
    let machine = machine();
    machine.run(&["export", "@vault"]).exits(0);
    for restic in Restic::all() {
        let child = restic_at_work(&restic, &machine);
        machine.run(&["export", "@vault"]).exits(0);
        ends(child);
        // One that removes: it is stopped with its lock, which is exclusive.
        let mut command = restic.command(&machine.path("vault"), &["prune"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("restic");
        wait_for(|| complete(&machine.path("vault/locks")));
        kill(pid(&child), Signal::SIGSTOP).expect("stopped");
        if complete(&machine.path("vault/locks")) {
            machine.run(&["export", "@vault"]).exits(11);
        }
        goes_on(child);
        machine.run(&["export", "@vault"]).exits(0);
    }
    all_verify(&machine);
}

#[test]
fn of_a_prune_and_an_export_at_the_same_time_one_gives_way() {
    let machine = machine();
    machine.fill_database(2000);
    machine.run(&["export", "@vault"]).exits(0);
    let child = stopped_with_its_lock(&machine, &["export", "@vault"]);
    machine.run(&["keep", "@vault/latest"]).exits(11);
    goes_on(child);
    machine.run(&["keep", "@vault/latest"]).exits(0);
    all_verify(&machine);
}

/// Two machines with one prefix, in the same second: each archive that is told has a name of its own.
#[test]
fn exports_of_one_second_at_the_same_time_do_not_hide_each_other() {
    let machine = machine();
    let export = || {
        let mut command = Command::new(program());
        clock::set(&mut command, "2026-02-01 03:00:00");
        command.arg("--config").arg(machine.path("etc/config.toml"));
        command.args(["export", "@vault"]).env("TZ", "UTC");
        command.env("TMPDIR", machine.path("tmp"));
        finish(command, b"")
    };
    let runs: Vec<Run> = std::thread::scope(|scope| {
        let begun = [scope.spawn(export), scope.spawn(export)];
        begun
            .into_iter()
            .map(|run| run.join().expect("an end"))
            .collect()
    });
    let good = runs.iter().filter(|run| run.code == 0).count();
    assert_eq!(all_verify(&machine).len(), good, "{runs:?}");
    let records = files_below(&machine.path("vault/snapshots")).len();
    assert_eq!(records, good, "{runs:?}");
}

#[test]
fn a_wrong_password_is_told_before_anything_is_read() {
    let marker = "[[backup.sources]]\nname = \"told\"\nkind = \"command\"\nexport = \"touch ../told; echo x\"\nimport = \"cat\"\n";
    let machine = super::machine_with(marker);
    machine.run(&["repo", "init", "@vault"]).exits(0);
    machine.run(&["export", "@vault"]).exits(0);
    assert!(machine.path("told").exists(), "the command runs");
    std::fs::remove_file(machine.path("told")).expect("removed");
    machine.write("etc/vault.key", "another", 0o600);
    let before = files_below(&machine.path("vault"));
    for verb in [
        &["export", "@vault"][..],
        &["list", "@vault"],
        &["verify", "@vault/latest"],
        &["inspect", "@vault/latest"],
        &["import", "@vault/latest"],
        &["extract", "@vault/latest", "secrets", "-o", "-"],
        &["prune", "@vault", "--keep-last", "1"],
        &["keep", "@vault/latest"],
        &["repo", "check", "@vault"],
    ] {
        let run = machine.run(verb);
        assert_eq!(run.code, 12, "{verb:?}: {}", run.stderr);
        assert!(!machine.path("told").exists(), "{verb:?}");
    }
    assert_eq!(files_below(&machine.path("vault")), before);
}

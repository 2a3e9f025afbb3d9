//! Kills before every request that changes a repository: what restic finds afterwards are leftovers alone, every state is
//! good, and the next run goes on.

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use support::{
    Machine,
    restic::{Restic, SECOND_PASSWORD},
    servers::{Fault, Faults, Rule, Words, http::Head},
    vaults::{
        configure, files_below, names, noise, other_keys, takes_all, vault_at, with_states_at_s3,
    },
};

/// Runs hookshot and kills it right before the store sees the request that changes something with this number. Returns
/// false if it ended before.
fn is_killed_before(
    machine: &Machine,
    faults: &Faults,
    request: usize,
    arguments: &[&str],
) -> bool {
    let pid = Arc::new(AtomicI32::new(0));
    let killed = Arc::clone(&pid);
    let telling = move |_: &Head| {
        let id = loop {
            match killed.load(Ordering::Acquire) {
                0 => std::thread::yield_now(),
                id => break id,
            }
        };
        kill(Pid::from_raw(id), Signal::SIGKILL).expect("a process of ours");
        Words::refusal(503, "SlowDown", "it is dead")
    };
    let rule = Rule::on("*", Fault::Tell(Arc::new(telling)));
    let rule = rule.whose(|head| ["PUT", "POST", "DELETE"].contains(&head.method()));
    faults.add(rule.after(request));
    let mut command = machine.command();
    command.args(arguments).stdout(Stdio::null());
    let child = command.stderr(Stdio::null()).spawn();
    let mut child = child.expect("hookshot");
    pid.store(child.id().try_into().expect("an ID"), Ordering::Release);
    let status = child.wait().expect("an end");
    faults.clear();
    match status.code() {
        None => true,
        Some(code) => {
            assert_eq!(code, 0, "{arguments:?}");
            false
        }
    }
}

/// Fails the test unless the repository in `folder` is whole, and a new state is stored.
#[track_caller]
fn is_whole(machine: &Machine, folder: &std::path::Path, moment: &str) {
    if let Some(restic) = Restic::of_the_system() {
        let run = restic.run(folder, &["--no-lock", "check", "--read-data"]);
        assert_eq!(run.code, 0, "{moment}: {}{}", run.text(), run.stderr);
    }
    let run = machine.run(&["verify", "@vault", "--since", "2000-01-01"]);
    assert_eq!(run.code, 0, "{moment}: {}{}", run.text(), run.stderr);
    // The lock of the dead process is removed.
    let run = machine.run(&["export", "@vault"]);
    assert_eq!(run.code, 0, "{moment}: {}", run.stderr);
    let locks = files_below(&folder.join("locks"));
    assert!(locks.is_empty(), "{moment}: {locks:?}");
}

#[test]
fn a_kill_between_any_two_requests_of_an_export_costs_that_state_alone() {
    let (s3, faults, machine) = with_states_at_s3(1);
    let mut request = 0;
    loop {
        let before = names(&machine).len();
        machine.write("etc/secrets", noise(20_000, request as u64), 0o600);
        let is_killed = is_killed_before(&machine, &faults, request, &["export", "@vault"]);
        let listed = names(&machine).len();
        // Its record is the last but one: then the lock goes.
        assert!(is_killed && listed <= before + 1 || listed == before + 1);
        is_whole(&machine, &s3.file("vault"), &format!("request {request}"));
        if !is_killed {
            break;
        }
        request += 1;
    }
    println!("killed before each of {request} requests");
    assert!(request >= 5, "{request}");
}

#[test]
fn a_kill_between_any_two_requests_of_a_prune_loses_no_state_that_stays() {
    let (s3, faults, machine) = with_states_at_s3(2);
    let prune = ["prune", "@vault", "--keep-last", "1", "--yes"];
    // Every moment takes as long as a run of its own: `tests/run slow` takes them all.
    let step = if takes_all() { 1 } else { 3 };
    let mut request = 0;
    loop {
        let newest = names(&machine).remove(0);
        let is_killed = is_killed_before(&machine, &faults, request, &prune);
        assert!(names(&machine).contains(&newest), "request {request}");
        machine.write("etc/secrets", noise(20_000, 10 + request as u64), 0o600);
        is_whole(&machine, &s3.file("vault"), &format!("request {request}"));
        if !is_killed {
            break;
        }
        request += step;
    }
    println!("killed before each of {request} requests");
    assert!(request >= 5, "{request}");
    machine.run(&prune).exits(0);
    assert_eq!(names(&machine).len(), 1);
}

/// A mark replaces the record of a state: in between there are two.
#[test]
fn a_kill_between_any_two_requests_of_a_mark_leaves_one_archive() {
    let (s3, faults, machine) = with_states_at_s3(1);
    let name = names(&machine).remove(0);
    let word = format!("@vault/{name}");
    let mut request = 0;
    let mut most = 0;
    loop {
        let is_killed = is_killed_before(&machine, &faults, request, &["keep", &word]);
        let records = files_below(&s3.file("vault/snapshots")).len();
        most = most.max(records);
        assert_eq!(
            names(&machine),
            std::slice::from_ref(&name),
            "request {request}"
        );
        machine.run(&["verify", &word]).exits(0);
        if !is_killed {
            break;
        }
        machine.run(&["keep", &word]).exits(0);
        machine.run(&["keep", "--remove", &word]).exits(0);
        let records = files_below(&s3.file("vault/snapshots")).len();
        assert_eq!(records, 1, "request {request}");
        request += 1;
    }
    assert_eq!(most, 2, "no kill left two records");
}

#[test]
fn a_kill_between_any_two_requests_of_a_change_of_keys_leaves_both_passwords_or_the_old_one() {
    let (s3, faults, machine) = with_states_at_s3(1);
    machine.write("etc/second.key", SECOND_PASSWORD, 0o600);
    let second = machine.path("etc/second.key").display().to_string();
    let add = ["repo", "key", "add", "@vault", "--password-file", &second];
    let ids = || other_keys(&machine);
    let mut request = 0;
    while is_killed_before(&machine, &faults, request, &add) {
        if let Some(id) = ids().pop() {
            machine
                .run(&["repo", "key", "remove", &id, "@vault"])
                .exits(0);
        }
        request += 1;
    }
    assert!(request >= 2, "{request}");
    let id = ids().pop().expect("the second key");
    let remove = ["repo", "key", "remove", &id, "@vault"];
    request = 0;
    while is_killed_before(&machine, &faults, request, &remove) {
        machine.run(&["verify", "@vault/latest"]).exits(0);
        if ids().is_empty() {
            break;
        }
        request += 1;
    }
    is_whole(&machine, &s3.file("vault"), "after all");
    assert!(ids().is_empty());
}

/// The configuration is one file: in between there is none, and a copy of the old one.
#[test]
fn a_kill_between_any_two_requests_of_an_upgrade_is_mended_by_the_next_one() {
    let (s3, faults, machine) = with_states_at_s3(1);
    let before = names(&machine);
    let upgrade = ["repo", "upgrade", "@vault"];
    let mut request = 0;
    let mut without_configuration = 0;
    loop {
        // Each time to another level, so that there is something to change.
        let level = 3 + request % 5;
        let more = format!("level = {level}\n");
        configure(&machine, &vault_at(&faults.endpoint(), &more));
        let is_killed = is_killed_before(&machine, &faults, request, &upgrade);
        let listed = machine.run(&["list", "@vault"]);
        if listed.code != 0 {
            listed.exits(10).says("repo upgrade");
            without_configuration += 1;
        }
        machine.run(&upgrade).exits(0);
        let facts = machine.run(&["repo", "stats", "@vault", "--json"]);
        assert_eq!(facts.exits(0).json()["level"], level, "request {request}");
        assert!(!s3.file("vault/config.before").exists());
        if !is_killed {
            break;
        }
        request += 1;
    }
    println!("killed before each of {request} requests");
    assert!(request >= 6 && without_configuration > 0, "{request}");
    assert_eq!(names(&machine), before);
    is_whole(&machine, &s3.file("vault"), "after all");
}

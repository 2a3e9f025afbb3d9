//! Kills of what changes a repository in a folder, by the clock: at moments spread over the time that the change takes.
//!
//! Damage stays damage. So hookshot itself looks after each kill of what writes content, and restic looks at the end.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use support::{
    Machine, finish,
    restic::{Restic, SECOND_PASSWORD},
    vaults::{
        all_verify, configure, files_below, moments, names, noise, other_keys, vault, with_vault,
    },
};

/// Runs hookshot, and kills it after `wait`. Returns false if it ended before.
fn is_killed_after(machine: &Machine, wait: Duration, words: &[String]) -> bool {
    let mut command = machine.command();
    command.args(words).stdout(Stdio::null());
    let child = command.stderr(Stdio::null()).spawn();
    let mut child = child.expect("hookshot");
    std::thread::sleep(wait);
    drop(child.kill());
    let code = child.wait().expect("an end").code();
    assert!(code.is_none_or(|code| code == 0), "{words:?}: {code:?}");
    code.is_none()
}

/// Kills runs at every moment. `prepare` returns the words of the next run, and `holds` looks at what a kill left.
///
/// The first run and the last one are not killed: the moments are parts of the time that the first one takes.
fn kill_at_each_moment(
    machine: &Machine,
    prepare: impl Fn(u32) -> Vec<String>,
    holds: impl Fn(&str),
) {
    let whole = |round: u32| {
        let words = prepare(round);
        let begun = Instant::now();
        let mut command = machine.command();
        command.args(words);
        finish(command, b"").exits(0);
        begun.elapsed()
    };
    let time = whole(0);
    let mut killed = 0;
    for moment in 1..=moments() {
        let words = prepare(moment);
        let wait = time * moment / (moments() + 1);
        killed += u32::from(is_killed_after(machine, wait, &words));
        holds(&format!("{words:?} after {wait:?}"));
    }
    println!("{killed} of {} runs of {time:.1?} were killed", moments());
    // The first one may have taken long, on a machine with other work.
    assert!(killed * 3 >= moments(), "{killed}");
    whole(moments() + 1);
    is_whole(machine, &machine.path("vault"));
}

/// Fails the test unless everything in the repository is good, for restic as well, and no lock is left.
fn is_whole(machine: &Machine, folder: &Path) {
    machine.run(&["export", "@vault"]).exits(0);
    let locks = files_below(&folder.join("locks"));
    assert!(locks.is_empty(), "{locks:?}");
    all_verify(machine);
    machine
        .run(&["repo", "check", "@vault", "--read-data"])
        .exits(0);
    if let Some(restic) = Restic::of_the_system() {
        restic.run(folder, &["check", "--read-data"]).exits(0);
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().copied().map(str::to_owned).collect()
}

fn checks(machine: &Machine, moment: &str) {
    let run = machine.run(&["repo", "check", "@vault"]);
    assert_eq!(run.code, 0, "{moment}: {}{}", run.text(), run.stderr);
}

#[test]
fn an_export_that_is_killed_at_any_moment_costs_that_state_alone() {
    let machine = with_vault("");
    machine.run(&["export", "@vault"]).exits(0);
    let prepare = |round: u32| {
        machine.write("etc/secrets", noise(60_000, round.into()), 0o600);
        owned(&["export", "@vault"])
    };
    kill_at_each_moment(&machine, prepare, |moment| checks(&machine, moment));
}

#[test]
fn a_prune_that_is_killed_at_any_moment_loses_no_state_that_stays() {
    let machine = with_vault("");
    machine.run(&["export", "@vault"]).exits(0);
    let prepare = |round: u32| {
        machine.write("etc/secrets", noise(60_000, round.into()), 0o600);
        machine.run(&["export", "@vault"]).exits(0);
        owned(&["prune", "@vault", "--keep-last", "1", "--yes"])
    };
    let holds = |moment: &str| {
        checks(&machine, moment);
        machine.run(&["verify", "@vault/latest"]).exits(0);
    };
    kill_at_each_moment(&machine, prepare, holds);
    // The one after all kills is beside it.
    assert_eq!(names(&machine).len(), 2);
}

/// Adds a key if there is none beside the first, and removes it otherwise: a kill leaves either.
#[test]
fn a_change_of_keys_that_is_killed_at_any_moment_leaves_both_passwords_or_the_first() {
    let machine = with_vault("");
    machine.run(&["export", "@vault"]).exits(0);
    machine.write("etc/second.key", SECOND_PASSWORD, 0o600);
    let second = machine.path("etc/second.key").display().to_string();
    let others = || other_keys(&machine);
    let prepare = |_| match others().pop() {
        Some(id) => owned(&["repo", "key", "remove", &id, "@vault"]),
        None => owned(&["repo", "key", "add", "@vault", "--password-file", &second]),
    };
    // The next one is prepared with the first password, and never finds more than one other key.
    let holds = |moment: &str| assert!(others().len() <= 1, "{moment}");
    kill_at_each_moment(&machine, prepare, holds);
}

#[test]
fn an_upgrade_that_is_killed_at_any_moment_is_mended_by_the_next_one() {
    let machine = with_vault("");
    machine.run(&["export", "@vault"]).exits(0);
    let before = names(&machine);
    let upgrade = ["repo", "upgrade", "@vault"];
    let prepare = |round: u32| {
        machine.run(&upgrade).exits(0);
        // Another level each time, so that there is something to change.
        let level = 1 + round % 20;
        configure(&machine, &vault(&machine, &format!("level = {level}\n")));
        owned(&upgrade)
    };
    let holds = |moment: &str| {
        machine.run(&upgrade).exits(0);
        assert_eq!(names(&machine), before, "{moment}");
        assert!(!machine.path("vault/config.before").exists(), "{moment}");
    };
    kill_at_each_moment(&machine, prepare, holds);
}

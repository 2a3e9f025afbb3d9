//! Exports of a database that another process commits to as fast as it can: every one is exactly one commit.

use support::invariant;
use support::{Holder, Machine};

use std::fs;

/// Exports for each kind of commit; the environment variable `HOOKSHOT_TORTURE_EXPORTS` asks for more.
const EXPORTS: usize = 16;

fn exports() -> usize {
    let asked = std::env::var("HOOKSHOT_TORTURE_EXPORTS").ok();
    asked.map_or(EXPORTS, |asked| asked.parse().expect("a number of exports"))
}

fn torture(mode: &str) {
    let machine = Machine::new();
    fs::remove_file(machine.path("data/state.redb")).expect("removed");
    let writer = Holder::start(&format!("torture-{mode}"), &machine.path("data/state.redb"));
    let (mut rounds, mut transactions) = (Vec::new(), Vec::new());
    let exports = exports();
    for _ in 0..exports {
        let report = machine
            .run(&[
                "export",
                "live.tar.gz",
                "--json",
                "--snapshot-timeout",
                "120",
            ])
            .exits(0)
            .json();
        let snapshot = &report["snapshot"];
        assert_eq!(snapshot["method"], "merkle-walk");
        assert_eq!(snapshot["writer_pid"], writer.pid());
        rounds.push(snapshot["rounds"].as_u64().expect("rounds"));
        transactions.push(snapshot["transaction_id"].as_u64().expect("a transaction"));
        machine
            .run(&[
                "extract",
                "live.tar.gz",
                "state.redb",
                "-o",
                "look",
                "--overwrite",
            ])
            .exits(0);
        let count = invariant::check(
            redb::Database::open(machine.path("out/look/state.redb")).expect("a database"),
        );
        assert_eq!(count, Ok(3000), "{mode}");
    }
    drop(writer);
    assert!(transactions.is_sorted(), "{transactions:?}");
    assert_ne!(
        transactions.first(),
        transactions.last(),
        "the writer must write"
    );
    rounds.sort_unstable();
    println!(
        "{mode}: {exports} exports, median {} rounds, most {}",
        rounds[exports / 2],
        rounds[exports - 1]
    );
    // And what was exported imports, once the service is gone.
    machine.run(&["import", "live.tar.gz"]).exits(0);
    invariant::check(redb::Database::open(machine.path("data/state.redb")).expect("a database"))
        .expect("the invariant");
}

#[test]
fn immediate_commits_are_exported_whole() {
    torture("immediate");
}

#[test]
fn two_phase_commits_are_exported_whole() {
    torture("two-phase");
}

#[test]
fn quick_repair_commits_are_exported_whole() {
    torture("quick-repair");
}

#[test]
fn commits_that_are_not_durable_are_exported_whole() {
    torture("none");
}

/// The same harness, without the walk: it must be able to fail.
#[test]
fn a_plain_copy_of_a_live_database_fails() {
    let machine = Machine::new();
    fs::remove_file(machine.path("data/state.redb")).expect("removed");
    let _writer = Holder::start("torture-immediate", &machine.path("data/state.redb"));
    let copy = machine.path("out/copy.redb");
    let fails = |_: &usize| {
        fs::write(&copy, machine.read("data/state.redb")).expect("copied");
        let checked =
            std::panic::catch_unwind(|| redb::Database::open(&copy).map(invariant::check));
        !matches!(checked, Ok(Ok(Ok(_))))
    };
    let tries = (1..=300).find(fails);
    println!("a plain copy fails after {tries:?} tries");
    assert!(
        tries.is_some(),
        "no plain copy of 300 failed: the torture is too mild"
    );
}

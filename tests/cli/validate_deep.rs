//! `validate --deep`: would an export of this machine's state be good?

use std::fs;

use support::Machine;

#[test]
fn the_state_is_read_as_by_an_export_and_no_archive_is_made() {
    let machine = Machine::new();
    let run = machine.run(&["validate", "--deep", "--json"]).exits(0);
    let report = run.json();
    let exported = machine
        .run(&["export", "../out/a.tar.gz", "--json"])
        .exits(0);
    let exported = exported.json();
    assert_eq!(report["state"]["databases"][0]["name"], "state.redb");
    assert_eq!(report["state"]["files"], exported["files"]);
    assert_eq!(report["state"]["bytes"], exported["content_bytes"]);
    let text = machine.run(&["validate", "--deep"]).exits(0);
    let words = "the database was copied and checked";
    assert!(text.text().contains(words), "{}", text.text());
    assert_eq!(
        fs::read_dir(machine.path("out")).expect("a folder").count(),
        1
    );
    // Without it, nothing is read.
    let report = machine.run(&["validate", "--json"]).exits(0).json();
    assert!(report.get("state").is_none());
}

#[test]
fn a_database_that_no_export_would_take_is_found() {
    let machine = Machine::new();
    let path = machine.path("data/state.redb");
    let mut bytes = fs::read(&path).expect("a database");
    bytes[4096..].fill(0x5a);
    fs::write(&path, bytes).expect("written");
    machine.run(&["validate"]).exits(0);
    let deep = machine.run(&["validate", "--deep"]).exits(15);
    let export = machine.run(&["export", "../out/a.tar.gz"]).exits(15);
    let message = |run: &support::Run| {
        let line = run.stderr.lines().find(|line| line.contains("ERROR"));
        line.expect("an error").to_owned()
    };
    assert_eq!(message(&deep), message(&export));
}

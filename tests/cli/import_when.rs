//! Imports that wait, and imports that do nothing if the state is here.

use support::Machine;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
};

/// A machine with a file whose service is at work while `data/busy` exists.
fn machine() -> Machine {
    let machine = Machine::empty();
    machine.write("data/f", "archived", 0o600);
    let busy = machine.path("data/busy");
    let text = format!(
        "[[backup.sources]]\nname = \"f\"\nkind = \"file\"\npath = \"../data/f\"\n\
         active_command = \"if [ -e {} ]; then echo a job; fi\"\n",
        busy.display()
    );
    machine.write("etc/config.toml", text, 0o600);
    machine.run(&["export", "a.tar.gz"]).exits(0);
    machine.write("data/f", "present", 0o600);
    machine
}

#[test]
fn an_import_waits_until_the_work_is_done() {
    let machine = machine();
    machine.write("data/busy", "", 0o600);
    machine.run(&["import", "a.tar.gz"]).exits(11);
    let mut command = machine.command();
    command.args(["import", "a.tar.gz", "--wait", "10m"]);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("hookshot");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let waits = lines.by_ref().map_while(Result::ok);
    assert!(waits.into_iter().any(|line| line.contains("Waiting: ")));
    assert_eq!(machine.read("data/f"), b"present");
    fs::remove_file(machine.path("data/busy")).expect("removed");
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert!(child.wait().expect("an end").success(), "{rest:?}");
    assert_eq!(machine.read("data/f"), b"archived");
}

#[test]
fn an_import_that_waited_long_enough_is_refused() {
    let machine = machine();
    machine.write("data/busy", "", 0o600);
    let archive = machine.read("out/a.tar.gz");
    machine
        .run_with(&["import", "-", "--wait", "1"], &archive)
        .exits(11)
        .says("a job");
    assert_eq!(machine.read("data/f"), b"present");
    machine
        .run(&["import", "a.tar.gz", "--wait", "1", "--dry-run"])
        .exits(2);
    fs::remove_file(machine.path("data/busy")).expect("removed");
    machine
        .run_with(&["import", "-", "--wait", "1"], &archive)
        .exits(0);
}

#[test]
fn an_import_if_missing_does_nothing_where_the_state_is() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    let before = machine.targets();
    let run = machine
        .run(&["import", "@nowhere/latest", "--if-missing", "--json"])
        .exits(0)
        .says("The state is here already");
    let report = run.json();
    assert_eq!(report["skipped"], "present");
    assert_eq!(report["applied"], false);
    assert_eq!(machine.targets(), before);
    // The database tells. An import brings back everything, once.
    fs::remove_file(machine.path("data/state.redb")).expect("removed");
    for _ in 0..2 {
        machine.run(&["import", &archive, "--if-missing"]).exits(0);
        assert_eq!(machine.targets(), before);
    }
}

#[test]
fn a_state_that_is_here_in_part_is_not_replaced_unasked() {
    let machine = Machine::empty();
    let mut text = String::new();
    for name in ["a", "b"] {
        machine.write(&format!("data/{name}"), name, 0o600);
        text += &format!(
            "[[backup.sources]]\nname = \"{name}\"\nkind = \"file\"\npath = \"../data/{name}\"\n"
        );
    }
    machine.write("etc/config.toml", &text, 0o600);
    machine.run(&["export", "a.tar.gz"]).exits(0);
    fs::remove_file(machine.path("data/b")).expect("removed");
    machine
        .run(&["import", "a.tar.gz", "--if-missing"])
        .exits(11)
        .says("a part of the state is here: a is, and b is not");
    fs::remove_file(machine.path("data/a")).expect("removed");
    machine
        .run(&["import", "a.tar.gz", "--if-missing"])
        .exits(0);
    assert_eq!(machine.read("data/b"), b"b");
    // An empty folder, as a new volume is, is not a state.
    fs::create_dir(machine.path("data/site")).expect("a folder");
    let text =
        "[[backup.sources]]\nname = \"site\"\nkind = \"directory\"\npath = \"../data/site\"\n";
    machine.write("etc/config.toml", text, 0o600);
    machine.write("data/site/page", "page", 0o600);
    machine.run(&["export", "b.tar.gz"]).exits(0);
    fs::remove_file(machine.path("data/site/page")).expect("removed");
    machine
        .run(&["import", "b.tar.gz", "--if-missing"])
        .exits(0);
    assert_eq!(machine.read("data/site/page"), b"page");
}

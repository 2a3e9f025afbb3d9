//! `export` with a name, a description and a mark, and its older words.

use support::Machine;

fn machine() -> Machine {
    let machine = Machine::new();
    let folders = ["one", "two"].map(|name| {
        let folder = machine.path(name);
        format!(
            "[backup.destinations.{name}]\nurl = \"{}\"\n",
            folder.display()
        )
    });
    let text = machine.config_text(&format!(
        "[backup]\nto = [\"one\", \"two\"]\n{}",
        folders.concat()
    ));
    machine.write("etc/config.toml", text, 0o600);
    machine
}

#[test]
fn a_named_archive_is_found_by_its_name() {
    let machine = machine();
    machine
        .run(&[
            "export",
            "--name",
            "before-2.0",
            "--description",
            "the last of 1.x",
        ])
        .exits(0);
    machine.run(&["export"]).exits(0);
    let found = machine
        .run(&["inspect", "@two/name=before-2.0", "--json"])
        .exits(0)
        .json();
    assert_eq!(found["manifest"]["tags"]["description"], "the last of 1.x");
    machine
        .run(&["export", "--name", "a", "--tag", "name=b"])
        .exits(2)
        .says("the label `name` is given twice");
}

#[test]
fn a_mark_is_given_at_every_destination() {
    let machine = machine();
    let path = machine.path("out/a.tar.gz").display().to_string();
    let report = machine
        .run(&["export", "@one", "@two", &path, "--keep", "--json"])
        .exits(0)
        .json();
    assert_eq!(report["mark"], "forever");
    for place in ["@one", "@two"] {
        let listed = machine.run(&["list", place, "--json"]).exits(0).json();
        assert_eq!(listed["archives"][0]["mark"], "forever", "{listed}");
    }
    assert!(machine.path("out/a.tar.gz.keep").exists());
    let report = machine
        .run(&["export", "--keep=2099-01-01", "--json"])
        .exits(0)
        .json();
    assert!(
        report["mark"]
            .as_str()
            .expect("a mark")
            .starts_with("2099-01-01"),
        "{report}"
    );
    let count = |machine: &Machine| {
        let folder = machine.path("one").read_dir().expect("a folder");
        folder.count()
    };
    let before = count(&machine);
    machine
        .run(&["export", "--keep=2001-01-01"])
        .exits(2)
        .says("would have ended already");
    machine
        .run(&["export", "-", "--keep"])
        .exits(2)
        .says("cannot be marked");
    machine.run(&["export", "--keep=soon"]).exits(2);
    assert_eq!(count(&machine), before, "nothing was exported");
}

#[test]
fn the_nightly_job_takes_the_same_words() {
    let machine = machine();
    machine
        .run(&[
            "backup",
            "--name",
            "n",
            "--description",
            "d",
            "--keep=2099-01-01",
        ])
        .exits(0);
    for place in ["@one/name=n", "@two/name=n"] {
        let found = machine.run(&["inspect", place, "--json"]).exits(0).json();
        assert_eq!(found["manifest"]["tags"]["description"], "d");
    }
    let listed = machine.run(&["list", "@two", "--json"]).exits(0).json();
    assert!(
        listed["archives"][0]["mark"]
            .as_str()
            .is_some_and(|mark| mark.starts_with("2099"))
    );
}

#[test]
fn a_mark_that_cannot_be_written_is_left_undone() {
    let machine = machine();
    machine.run(&["export"]).exits(0);
    std::fs::create_dir(machine.path("out/a.tar.gz.keep")).expect("a folder in the way");
    let path = machine.path("out/a.tar.gz").display().to_string();
    let report = machine
        .run(&["export", &path, "--keep", "--json"])
        .exits(3)
        .json();
    assert_eq!(report["left_undone"][0]["kind"], "mark", "{report}");
    assert!(machine.path("out/a.tar.gz").exists());
}

#[test]
fn the_older_words_for_reuse_are_understood() {
    let machine = machine();
    let first = machine.export("first.tar.gz");
    for words in [
        &["export", "again.tar.gz", "--since", &first][..],
        &["export", "again.tar.gz", "--reuse", &first],
    ] {
        machine.run(words).exits(0);
    }
    machine
        .run(&["export", "again.tar.gz", "--no-since"])
        .exits(0);
    let help = machine.run(&["export", "--help"]).exits(0).text();
    assert!(
        help.contains("--reuse <ARCHIVE>") && !help.contains("--since"),
        "{help}"
    );
}

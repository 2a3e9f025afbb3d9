//! Disabled parts of the configuration, and files that several services share.

use support::{Content, Machine};

/// A machine with two files, one of them disabled, and the destinations `on` and `off`.
fn machine(more: &str) -> Machine {
    let machine = Machine::empty();
    machine.write("data/kept", "kept", 0o600);
    machine.write("data/out", "out", 0o600);
    configure(&machine, more);
    machine
}

fn configure(machine: &Machine, more: &str) {
    let text = format!(
        "[backup]\nto = [\"on\", \"off\"]\ninclude_config = false\n[[backup.sources]]\nname = \"kept\"\nkind = \"file\"\npath = \"../data/kept\"\n\
         [[backup.sources]]\nname = \"out\"\nkind = \"file\"\npath = \"../data/out\"\n{more}\
         [backup.destinations.on]\nurl = \"../on\"\n[backup.destinations.off]\nurl = \"../off\"\n"
    );
    machine.write("etc/config.toml", text, 0o600);
}

fn disable_destination(machine: &Machine) {
    let text = String::from_utf8(machine.read("etc/config.toml")).expect("text");
    machine.write("etc/config.toml", format!("{text}enabled = false\n"), 0o600);
}

#[test]
fn a_disabled_source_is_not_exported_and_its_place_is_left_alone() {
    let machine = machine("");
    machine.run(&["export", "all.tar.gz"]).exits(0);
    configure(&machine, "enabled = false\n");
    machine
        .run(&["export", "some.tar.gz"])
        .exits(0)
        .says("Left out out: it is disabled");
    let inspected = machine
        .run(&["inspect", "some.tar.gz", "--json"])
        .exits(0)
        .json();
    assert!(inspected["manifest"]["files"].get("out").is_none());
    machine.write("data/kept", "changed", 0o600);
    machine.write("data/out", "changed", 0o600);
    machine
        .run(&["import", "all.tar.gz"])
        .exits(0)
        .says("out is disabled");
    let after = machine.files(&["data/kept", "data/out"]);
    assert_eq!(after["data/kept"], Some((0o600, Content(b"kept".to_vec()))));
    assert_eq!(
        after["data/out"],
        Some((0o600, Content(b"changed".to_vec())))
    );
    machine
        .run(&["import", "all.tar.gz", "--only", "out"])
        .exits(2)
        .says("the source out is disabled");
    let diff = machine
        .run(&["diff", "some.tar.gz", "--json"])
        .exits(0)
        .json();
    assert!(!diff["entries"].to_string().contains("\"out\""), "{diff}");
}

#[test]
fn a_disabled_destination_gets_nothing_and_can_be_read() {
    let machine = machine("");
    machine.run(&["export"]).exits(0);
    disable_destination(&machine);
    machine
        .run(&["export"])
        .exits(0)
        .says("Left @off out: the destination is disabled");
    let count = |name: &str| {
        let listed = machine.run(&["list", name, "--json"]).exits(0).json();
        listed["archives"].as_array().map_or(0, Vec::len)
    };
    assert_eq!((count("@on"), count("@off")), (2, 1));
    machine.run(&["verify", "@off/latest"]).exits(0);
    machine
        .run(&["import", "@off/latest", "--dry-run"])
        .exits(0);
    for writing in [
        &["export", "@off"][..],
        &["backup", "@off"],
        &["copy", "@on", "@off"],
        &["keep", "@off/latest"],
        &["prune", "@off", "--keep-last", "1"],
        &["delete", "@off/latest", "--yes"],
    ] {
        machine.run(writing).exits(2).says("@off is disabled");
    }
    let text = String::from_utf8(machine.read("etc/config.toml")).expect("text");
    let text = text.replace("\"../on\"\n", "\"../on\"\nenabled = false\n");
    machine.write("etc/config.toml", text, 0o600);
    machine
        .run(&["list"])
        .exits(2)
        .says("the configured ones are disabled: @on, @off");
}

#[test]
fn validate_says_what_is_disabled_and_a_disabled_policy_removes_nothing() {
    let more = "enabled = false\n[backup.retention]\nkeep_last = 1\nenabled = false\n\
        [[backup.hooks]]\nstage = \"before\"\nrun = \"true\"\nenabled = false\n";
    let machine = machine(more);
    for _ in 0..2 {
        machine.run(&["export"]).exits(0);
    }
    disable_destination(&machine);
    let disabled = machine.run(&["validate", "--json"]).exits(0).json()["disabled"].to_string();
    for part in [
        "the policy of [backup.retention]",
        "the destination @off",
        "the source out",
        "hook 1 (before)",
    ] {
        assert!(disabled.contains(part), "{part}: {disabled}");
    }
    assert!(
        machine
            .run(&["validate"])
            .exits(0)
            .text()
            .contains("disabled: the source out")
    );
    let pruned = machine.run(&["prune", "@on", "--json"]).exits(0).json();
    assert_eq!(pruned["removed"], 0);
    let pruned = machine
        .run(&["prune", "@on", "--json", "--keep-last", "1"])
        .exits(0)
        .json();
    assert_eq!(pruned["removed"], 1);
}

#[test]
fn services_share_a_file_and_each_has_the_last_word() {
    let machine = Machine::empty();
    machine.write("data/f", "f", 0o600);
    std::fs::create_dir(machine.path("shared")).expect("a folder");
    let own = "[backup]\ninclude = [\"../shared/common.toml\"]\nprefix = \"own\"\n[backup.retention]\nkeep_daily = 3\n\
        [[backup.sources]]\nname = \"f\"\nkind = \"file\"\npath = \"../data/f\"\n";
    machine.write("etc/config.toml", own, 0o600);
    machine
        .run(&["export"])
        .exits(2)
        .says("the included file")
        .says("common.toml does not exist");
    let common = "[backup]\nto = [\"shelf\"]\nprefix = \"shared\"\n[backup.retention]\nkeep_daily = 9\nkeep_weekly = 4\n\
        [backup.destinations.shelf]\nurl = \"shelf\"\n";
    machine.write("shared/common.toml", common, 0o600);
    machine.run(&["export"]).exits(0);
    let listed = machine.run(&["list", "--json"]).exits(0).json();
    let name = listed["archives"][0]["name"].as_str().expect("a name");
    assert!(name.starts_with("own-"), "{name}");
    assert!(machine.path("shared/shelf").join(name).exists());
    let policy = machine
        .run(&["prune", "--dry-run", "--json"])
        .exits(0)
        .json()["policy"]
        .clone();
    assert_eq!(
        (&policy["keep_daily"], &policy["keep_weekly"]),
        (&3.into(), &4.into()),
        "{policy}"
    );
    let good = machine.run(&["validate"]).exits(0).text();
    assert!(
        good.contains("no archive holds the included file"),
        "{good}"
    );
    machine.write(
        "shared/common.toml",
        common.replace("keep_weekly", "keep_weakly"),
        0o600,
    );
    machine
        .run(&["list"])
        .exits(2)
        .says("common.toml: unknown key `keep_weakly` under [backup.retention]; did you mean `keep_weekly`?");
}

#[test]
fn an_archive_restores_a_machine_that_has_no_shared_file_yet() {
    let machine = Machine::empty();
    machine.write("data/f", "f", 0o600);
    let own = "[backup]\ninclude = [\"common.toml\"]\n[[backup.sources]]\nname = \"f\"\nkind = \"file\"\npath = \"../data/f\"\n";
    machine.write("etc/config.toml", own, 0o600);
    machine.write("etc/common.toml", "[backup]\nprefix = \"shared\"\n", 0o600);
    machine.run(&["export", "a.tar.gz"]).exits(0);
    for gone in ["etc/config.toml", "etc/common.toml", "data/f"] {
        std::fs::remove_file(machine.path(gone)).expect("removed");
    }
    machine
        .run(&["import", "a.tar.gz", "--use-archive-config"])
        .exits(0);
    assert_eq!(machine.read("data/f"), b"f");
    assert_eq!(machine.read("etc/config.toml"), own.as_bytes());
    // With the file in place, the same configuration on both sides is not a difference.
    machine.write("etc/common.toml", "[backup]\nprefix = \"shared\"\n", 0o600);
    machine.write("data/f", "changed", 0o600);
    machine.run(&["import", "a.tar.gz"]).exits(0);
    assert_eq!(machine.read("data/f"), b"f");
}

//! The configuration of this machine wins: what the archive's says under `[backup]` does not replace it unasked.

use support::Machine;

use std::{fs, path::Path};

use serde_json::Value;

/// A service of one file, whose configuration says `more` under `[backup]`.
fn service(more: &str) -> Machine {
    let machine = Machine::empty();
    configure(&machine, more, "app.ini");
    machine.write("data/app.ini", "archived\n", 0o640);
    machine
}

fn configure(machine: &Machine, more: &str, file: &str) {
    let path = machine.path("data").join(file);
    let source = format!(
        "[[backup.sources]]\nname = \"app.ini\"\nkind = \"file\"\npath = \"{}\"\n",
        path.display()
    );
    let text = machine.config_text(&format!("[backup]\n{more}\n{source}"));
    machine.write("etc/config.toml", text, 0o640);
}

fn step<'a>(report: &'a Value, entry: &str) -> &'a Value {
    let steps = report["steps"].as_array().expect("steps");
    let found = steps.iter().find(|step| step["entry"] == entry);
    found.unwrap_or_else(|| panic!("{entry}: {report}"))
}

#[test]
fn a_configuration_with_other_sources_stays_and_the_archives_is_laid_beside_it() {
    let machine = service("prefix = \"old\"");
    let archive = machine.export("a.tar.gz");
    let archived = machine.read("etc/config.toml");
    // The staging copy on the same machine: other places; the files at the old ones belong to another service.
    configure(&machine, "prefix = \"new\"", "staging.ini");
    let own = machine.read("etc/config.toml");
    machine.write("data/app.ini", "production\n", 0o640);
    let rehearsed = machine.run(&["import", &archive, "--dry-run", "--json"]);
    assert!(!machine.path("etc/config.toml.archive").exists());
    let real = machine.run(&["import", &archive, "--json"]);
    for run in [rehearsed, real] {
        let report = run.exits(3).json();
        assert_eq!(step(&report, "config.toml")["action"], "skip", "{report}");
        assert_eq!(step(&report, "app.ini")["action"], "create", "{report}");
        let undone = &report["left_undone"][0];
        assert_eq!(undone["kind"], "configuration", "{report}");
        for word in ["prefix, sources", "config.toml.archive", "--with-config"] {
            assert!(undone["message"].to_string().contains(word), "{undone}");
        }
    }
    assert_eq!(machine.read("etc/config.toml"), own);
    assert_eq!(machine.read("etc/config.toml.archive"), archived);
    assert_eq!(machine.mode("etc/config.toml.archive"), 0o600);
    assert_eq!(machine.read("data/staging.ini"), b"archived\n");
    assert_eq!(machine.read("data/app.ini"), b"production\n");
    // Twice is once. The record says that the second one changed nothing.
    let state = || {
        let mut state = machine.state();
        state.remove(Path::new(".hookshot/last-import.json"));
        state
    };
    let before = state();
    machine
        .run(&["import", &archive])
        .exits(3)
        .says("config.toml.archive");
    assert_eq!(state(), before);
    machine.write("data/staging.ini", "worked\n", 0o640);
    machine.run(&["import", &archive]).exits(3);
    machine.run(&["rollback"]).exits(0);
    assert_eq!(machine.read("data/staging.ini"), b"worked\n");
    assert_eq!(machine.read("etc/config.toml"), own);
    assert_eq!(machine.read("etc/config.toml.archive"), archived);
}

#[test]
fn with_config_puts_the_archives_in_place_and_so_does_naming_it() {
    for arguments in [["--with-config"].as_slice(), &["--only", "config.toml"]] {
        let machine = service("prefix = \"old\"");
        let archive = machine.export("a.tar.gz");
        let archived = machine.read("etc/config.toml");
        configure(&machine, "prefix = \"new\"", "other.ini");
        let own = machine.read("etc/config.toml");
        let mut verb = vec!["import", &archive, "--json"];
        verb.extend(arguments);
        let report = machine.run(&verb).exits(0).json();
        assert_eq!(step(&report, "config.toml")["action"], "replace");
        assert_eq!(report["warnings"][0]["kind"], "configuration", "{report}");
        assert_eq!(machine.read("etc/config.toml"), archived);
        assert_eq!(machine.read("etc/config.toml.bak"), own);
        assert!(!machine.path("etc/config.toml.archive").exists());
    }
}

#[test]
fn each_key_under_backup_makes_a_configuration_this_machines_own() {
    let machine = service("");
    let archive = machine.export("a.tar.gz");
    let destination = "to = [\"vault\"]\n[backup.destinations.vault]\nurl = \"/srv/vault\"";
    for more in [
        destination,
        "prefix = \"other\"",
        "app_version_command = \"cat /etc/version\"",
        "level = 9",
        "tags = { why = \"test\" }",
        "[backup.retention]\nkeep_last = 3",
    ] {
        configure(&machine, more, "app.ini");
        let own = machine.read("etc/config.toml");
        machine.run(&["import", &archive, "--dry-run"]).exits(3);
        machine.run(&["import", &archive]).exits(3);
        assert_eq!(machine.read("etc/config.toml"), own, "{more}");
    }
}

#[test]
fn a_configuration_that_differs_elsewhere_or_says_nothing_of_backups_is_replaced() {
    let machine = service("");
    let archive = machine.export("a.tar.gz");
    let archived = String::from_utf8(machine.read("etc/config.toml")).expect("text");
    let spaced = archived.replace(
        "[backup]",
        "# a comment\n[logging]\nlevel = \"debug\"\n[backup]",
    );
    machine.write("etc/config.toml", &spaced, 0o640);
    machine.run(&["import", &archive, "--dry-run"]).exits(0);
    machine.run(&["import", &archive]).exits(0);
    assert_eq!(machine.read("etc/config.toml"), archived.as_bytes());

    // The four files of a hookshot service, and another data_dir.
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    let archived = machine.read("etc/config.toml");
    fs::rename(machine.path("data"), machine.path("moved")).expect("moved");
    fs::create_dir(machine.path("data")).expect("a folder");
    let text = format!(
        "[storage]\ndata_dir = \"{}\"\n",
        machine.path("moved").display()
    );
    machine.write("etc/config.toml", text, 0o640);
    let report = machine.run(&["import", &archive, "--json"]).exits(0).json();
    assert!(
        report["warnings"][0]["message"]
            .to_string()
            .contains("data_dir"),
        "{report}"
    );
    assert_eq!(machine.read("etc/config.toml"), archived);
}

#[test]
fn what_lies_beside_a_configuration_already_is_kept() {
    let machine = service("");
    let archive = machine.export("a.tar.gz");
    let archived = machine.read("etc/config.toml");
    configure(&machine, "prefix = \"new\"", "app.ini");
    machine.write("etc/config.toml.archive", "mine\n", 0o644);
    machine
        .run(&["import", &archive])
        .exits(3)
        .says("config.toml.archive.1");
    machine.run(&["import", &archive]).exits(3);
    assert_eq!(machine.read("etc/config.toml.archive"), b"mine\n");
    assert_eq!(machine.read("etc/config.toml.archive.1"), archived);
    assert!(!machine.path("etc/config.toml.archive.2").exists());
}

#[test]
fn an_import_that_fails_leaves_no_configuration_beside() {
    let command = "[[backup.sources]]\nname = \"dump\"\nkind = \"command\"\nexport = \"echo 1\"\nimport = \"false\"\n";
    let machine = service("");
    let add = |machine: &Machine| {
        let text = String::from_utf8(machine.read("etc/config.toml")).expect("text");
        machine.write("etc/config.toml", format!("{text}{command}"), 0o640);
    };
    add(&machine);
    let archive = machine.export("a.tar.gz");
    configure(&machine, "prefix = \"new\"", "app.ini");
    add(&machine);
    for content in ["archived\n", "changed\n"] {
        machine.write("data/app.ini", content, 0o640);
        let run = machine.run(&["import", &archive]);
        assert!([1, 20].contains(&run.code), "{run:?}");
        assert!(!machine.path("etc/config.toml.archive").exists());
        assert_eq!(machine.read("data/app.ini"), content.as_bytes());
    }
}

#[test]
fn entries_that_are_excepted_stay_as_they_are() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    machine.write("etc/services.toml", "[services.new]\n", 0o640);
    machine.write("etc/secrets", "new\n", 0o600);
    let report = machine
        .run(&["import", &archive, "--except", "secrets", "--json"])
        .exits(0)
        .json();
    let steps = report["steps"].to_string();
    assert!(!steps.contains("\"secrets\""), "{report}");
    // The database stays beside secrets that are others than those of its machine.
    assert_eq!(report["warnings"][0]["kind"], "secrets", "{report}");
    assert_eq!(machine.read("etc/secrets"), b"new\n");
    assert!(machine.path("etc/services.toml.bak").exists());
    machine
        .run(&["import", &archive, "--except", "nothing"])
        .exits(10);
}

#[test]
fn entries_without_a_place_are_named_and_the_end_says_that_it_is_not_all() {
    let machine = service("");
    let archive = machine.export("a.tar.gz");
    let text = machine.config_text("");
    machine.write("etc/config.toml", text, 0o600);
    let run = machine.run(&["import", &archive, "--dry-run"]).exits(3);
    assert!(!run.stderr.contains("no place)"), "{}", run.stderr);
    let run = machine
        .run(&["import", &archive])
        .exits(3)
        .says("app.ini is left out: this machine has no place for it");
    assert!(
        !run.stderr.contains("completed successfully"),
        "{}",
        run.stderr
    );
}

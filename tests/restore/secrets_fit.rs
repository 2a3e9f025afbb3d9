//! A database that comes without its secrets: import says if this machine's secrets are others.

use std::fs;

use serde_json::Value;
use support::Machine;

/// The remarks of the kind `secrets` in a report.
fn about_secrets(report: &Value) -> Vec<String> {
    let remarks = report["warnings"].as_array().cloned().unwrap_or_default();
    let remarks = remarks.iter().filter(|remark| remark["kind"] == "secrets");
    remarks
        .map(|remark| remark["message"].to_string())
        .collect()
}

/// The key of the manifest.
fn fingerprint(machine: &Machine, archive: &str) -> Value {
    let inspected = machine.run(&["inspect", archive, "--json"]).exits(0).json();
    inspected["manifest"]["secrets_fingerprint"].clone()
}

/// Imports with `arguments`, first as a dry run; both say the same about secrets.
fn imported(machine: &Machine, arguments: &[&str]) -> Vec<String> {
    let run = |more: &[&str]| {
        let arguments = [&["import", "--json"], arguments, more].concat();
        about_secrets(&machine.run(&arguments).exits(0).json())
    };
    let rehearsed = run(&["--dry-run"]);
    let real = run(&[]);
    assert_eq!(rehearsed, real);
    real
}

#[test]
fn a_database_without_its_secrets_is_warned_of_if_this_machine_has_others() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    let alone = [&*archive, "--only", "state.redb"];
    assert!(
        imported(&machine, &alone).is_empty(),
        "these are its secrets"
    );
    machine.write("etc/secrets", "hmac_key = another\n", 0o600);
    for arguments in [&alone[..], &[&archive, "--except", "secrets"]] {
        let said = imported(&machine, arguments);
        assert!(said[0].contains("holds other secrets"), "{said:?}");
        assert!(said[0].contains("etc/secrets"), "{said:?}");
        assert!(!said[0].contains("another"), "{said:?}");
    }
    fs::remove_file(machine.path("etc/secrets")).expect("removed");
    let said = imported(&machine, &alone);
    assert!(said[0].contains("does not exist"), "{said:?}");
    // What the service does not write itself needs no secrets, and with its secrets the database fits.
    assert!(imported(&machine, &[&archive, "--only", "services.toml"]).is_empty());
    assert!(imported(&machine, &[&archive]).is_empty());
}

#[test]
fn an_export_without_secrets_tells_which_secrets_belong_to_it() {
    let machine = Machine::new();
    let archive = machine.path("out/a.tar.gz").display().to_string();
    machine
        .run(&["export", &archive, "--exclude-secrets"])
        .exits(0);
    let told = fingerprint(&machine, &archive);
    assert_eq!(told.as_str().map(str::len), Some(32), "{told}");
    assert!(imported(&machine, &[&archive]).is_empty());
    machine.write("etc/secrets", "hmac_key = another\n", 0o600);
    let said = imported(&machine, &[&archive]);
    assert!(
        said[0].contains("state.redb comes without its secrets"),
        "{said:?}"
    );
    // The warning is for people, too.
    machine
        .run(&["import", &archive])
        .exits(0)
        .says("holds other secrets");
}

#[test]
fn a_machine_without_a_secrets_file_tells_nothing_about_secrets() {
    let machine = Machine::new();
    fs::remove_file(machine.path("etc/secrets")).expect("removed");
    let archive = machine.export("a.tar.gz");
    assert_eq!(fingerprint(&machine, &archive), Value::Null);
    machine.write("etc/secrets", "hmac_key = another\n", 0o600);
    assert!(imported(&machine, &[&archive, "--only", "state.redb"]).is_empty());
}

#[test]
fn the_fingerprint_is_that_of_the_file_that_a_source_called_secrets_names() {
    let machine = Machine::empty();
    machine.write("data/app.env", "token = a\n", 0o600);
    fs::create_dir(machine.path("data/files")).expect("a folder");
    machine.write("data/files/one", "1\n", 0o600);
    let source = |name: &str, kind: &str, path: &str| {
        let path = machine.path(path);
        let path = path.display();
        format!("[[backup.sources]]\nname = \"{name}\"\nkind = \"{kind}\"\npath = \"{path}\"\n")
    };
    let text =
        source("secrets", "file", "data/app.env") + &source("files", "directory", "data/files");
    machine.write("etc/config.toml", text, 0o600);
    let archive = machine.export("a.tar.gz");
    assert!(imported(&machine, &[&archive, "--only", "files"]).is_empty());
    machine.write("data/app.env", "token = b\n", 0o600);
    let said = imported(&machine, &[&archive, "--only", "files"]);
    assert!(said[0].contains("data/app.env"), "{said:?}");
}

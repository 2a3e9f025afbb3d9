//! Nights of a host with public keys only, whose second folder holds the same archives without seals.

use std::{collections::BTreeSet, fs, process::Command};

use hookshot::crypt::generate;
use serde_json::Value;
use support::{Machine, clock, finish, program};

/// Runs so many nights, the last of them yesterday. Each removes the same archives, sealed or not.
pub fn nights_without_a_key(nights: u32) {
    let machine = Machine::new();
    let path = |name: &str| machine.path(name).display().to_string();
    let recipients = [generate().public, generate().public];
    let text = machine.config_text(&format!(
        "[backup.encryption]\nrecipients = {recipients:?}\n\
        [backup]\napp = \"shop\"\nprefix = \"shop\"\nto = [\"sealed\", \"plain\"]\n\
        [backup.retention]\nkeep_daily = 7\nkeep_weekly = 4\nkeep_monthly = 12\nmax_remove = \"100%\"\n\
        [backup.destinations.sealed]\nurl = \"{}\"\n\
        [backup.destinations.plain]\nurl = \"{}\"\nencryption = false\n\
        [[backup.sources]]\nname = \"notes\"\nkind = \"file\"\npath = \"{}\"\n",
        path("sealed"),
        path("plain"),
        path("notes")
    ));
    machine.write("etc/config.toml", text, 0o600);
    let mut count = 0;
    for night in (1..=nights).rev() {
        machine.write("notes", format!("night {night}"), 0o600);
        let report = backup(&machine, night);
        let removed = |at: usize| -> BTreeSet<String> {
            let removed = report["destinations"][at]["removed"].as_array();
            let names = removed.expect("a list").iter().filter_map(Value::as_str);
            names.map(|name| name.replace(".age", "")).collect()
        };
        assert_eq!(removed(0), removed(1), "night {night}: {report}");
        count += removed(0).len();
    }
    let list = |destination: &str| {
        let list = machine
            .run(&["list", destination, "--json"])
            .exits(0)
            .json();
        let rows = list["archives"].as_array().cloned();
        rows.expect("rows")
    };
    let sealed = list("@sealed");
    assert_eq!(sealed.len(), list("@plain").len());
    assert_eq!(count + sealed.len(), nights as usize);
    assert!(
        sealed.iter().all(|row| row["standing"] == "good"),
        "{sealed:?}"
    );
    let folder = fs::read_dir(machine.path("sealed")).expect("a folder");
    let names = folder.flatten().map(|entry| entry.file_name());
    let archives = names.filter(|name| name.to_string_lossy().ends_with(".age"));
    assert_eq!(archives.count(), sealed.len());
}

/// Runs `backup` with a clock that is some days late.
fn backup(machine: &Machine, days: u32) -> Value {
    let mut command = Command::new(program());
    clock::set_back(&mut command, days * 24);
    command.args(["--json", "--config"]);
    command.arg(machine.path("etc/config.toml")).arg("backup");
    command.env("TMPDIR", machine.path("tmp"));
    finish(command, b"").exits(0).json()
}

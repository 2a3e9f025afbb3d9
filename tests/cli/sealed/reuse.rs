//! An export reuses what a sealed archive has already compressed, if a key opens it.

use serde_json::Value;
use support::Run;

use super::{Sealing, noise};

/// A host that seals to a folder; `identity` stands below [backup.encryption].
fn host(identity: &str) -> Sealing {
    let sealing = Sealing::new();
    let secrets = noise(3 << 20);
    sealing.machine.write("etc/secrets", secrets, 0o600);
    let url = sealing.path("vault");
    sealing.configure(&format!(
        "{identity}[backup.destinations.vault]\nurl = \"{url}\"\n"
    ));
    sealing
}

fn reused(run: Run) -> u64 {
    run.json()["reused_bytes"].as_u64().expect("a number")
}

#[test]
fn the_newest_sealed_archive_is_reused_with_a_key() {
    let host = host("");
    let export = ["export", "@vault", "--json"];
    assert_eq!(reused(host.run(&export).exits(0)), 0);
    let again = host.run(&export).exits(0);
    let report = again.json();
    assert!(reused(again) > 2 << 20, "{report}");
    let archive = report["archive"].as_str().expect("a path");
    assert!(archive.ends_with(".age"));
    host.run(&["verify", archive]).exits(0);
    // Without a key nothing is wrong, and -v says why nothing is reused.
    let quiet = host.machine.run(&export).exits(0);
    assert!(!quiet.stderr.contains("reused"), "{}", quiet.stderr);
    assert_eq!(reused(quiet), 0);
    let more = host.machine.run(&["export", "@vault", "-v"]).exits(0);
    more.says("Nothing is reused from the newest archive: it is sealed");
}

#[test]
fn a_named_sealed_archive_is_reused_or_it_is_said_why_not() {
    let host = host("");
    let first = host.path("out/a.tar.gz.age");
    host.machine.run(&["export", &first]).exits(0);
    // In another folder, which has no archive.
    let second = host.path("tmp/b.tar.gz");
    let export = [
        "export",
        &second,
        "--no-encrypt",
        "--json",
        "--reuse",
        &first,
    ];
    assert!(reused(host.run(&export).exits(0)) > 2 << 20);
    host.machine.run(&["verify", &second]).exits(0);
    let without = host.machine.run(&export).exits(0);
    let without = without.says("it is sealed, and no given key opens it");
    assert_eq!(reused(without), 0);
}

#[test]
fn a_host_with_a_key_counts_what_changed_since_a_sealed_archive() {
    let host = host("");
    let key = host.path("key.txt");
    let text = String::from_utf8(host.machine.read("etc/config.toml")).expect("text");
    let text = text.replace(
        "[backup.encryption]\n",
        &format!("[backup.encryption]\nidentity_file = \"{key}\"\n"),
    ) + "[backup]\nto = [\"vault\"]\n";
    host.machine.write("etc/config.toml", &text, 0o600);
    let backup = |code| {
        let run = host.machine.run(&["backup", "--json"]).exits(code);
        run.json()
    };
    assert_eq!(backup(0)["entries"], Value::Null);
    host.machine
        .write("etc/services.toml", "[services.new]\n", 0o640);
    let entries = &backup(0)["entries"];
    assert_eq!(entries["changed"], 1, "{entries}");
    assert_eq!(entries["new"], 0, "{entries}");
}

//! The nightly job on a host with public keys only.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::Value;
use support::{clock, finish, program, servers::Moto};

use super::{Sealing, year::nights_without_a_key};

/// A host that backs up a file to two folders, and to what `more` adds; `to` names all of them.
fn night(to: &str, more: &str) -> Sealing {
    let sealing = Sealing::new();
    fs::write(sealing.machine.path("notes"), "first").expect("written");
    let (one, two, notes) = (
        sealing.path("one"),
        sealing.path("two"),
        sealing.path("notes"),
    );
    sealing.configure(&format!(
        "[backup]\napp = \"shop\"\nprefix = \"shop\"\nto = [{to}]\n{more}\n\
        [backup.destinations.one]\nurl = \"{one}\"\n[backup.destinations.two]\nurl = \"{two}\"\n\
        [[backup.sources]]\nname = \"notes\"\nkind = \"file\"\npath = \"{notes}\"\n"
    ));
    sealing
}

/// Runs `backup` with a clock that is some hours late.
#[track_caller]
fn run_before(sealing: &Sealing, hours: u32, arguments: &[&str], code: i32) -> Value {
    let mut command = Command::new(program());
    clock::set_back(&mut command, hours);
    command.args(["--json", "--config"]);
    command.arg(sealing.machine.path("etc/config.toml"));
    command.arg("backup").args(arguments);
    command.env("TMPDIR", sealing.machine.path("tmp"));
    finish(command, b"").exits(code).json()
}

fn archives(sealing: &Sealing, folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(sealing.machine.path(folder)).expect("a folder");
    let names = entries.map(|entry| {
        entry
            .expect("read")
            .file_name()
            .to_string_lossy()
            .into_owned()
    });
    names
        .filter(|name| name.contains(".tar.gz") && !name.starts_with('.'))
        .collect()
}

#[test]
fn folders_and_a_bucket_are_kept_without_a_key() {
    let Some(moto) = Moto::start() else { return };
    let more = format!(
        "[backup.retention]\nkeep_last = 2\nmax_remove = \"100%\"\n[backup.destinations.bucket]\n{}\n",
        moto.destination()
    );
    let host = night(r#""one", "two", "bucket""#, &more);
    let notes = host.machine.path("notes");
    for (hours, text) in [(4, "first"), (3, "second"), (2, "third")] {
        fs::write(&notes, text).expect("written");
        let report = run_before(&host, hours, &["--if-changed"], 0);
        assert_eq!(report["result"], "success", "{report}");
        for destination in report["destinations"].as_array().expect("rows") {
            assert!(destination["sha256"].is_string(), "{destination}");
            let removed = destination["removed"].as_array().expect("names").len();
            assert_eq!(removed, usize::from(hours == 2), "{destination}");
        }
    }
    let report = run_before(&host, 1, &["--if-changed"], 0);
    assert_eq!(report["skipped"], "unchanged", "{report}");
    assert_eq!(archives(&host, "one").len(), 2);
    let is_archive = |key: &&String| key.ends_with(".tar.gz.age");
    assert_eq!(moto.objects().iter().filter(is_archive).count(), 2);
    // The store tells tags, and the listing has the same ones.
    let known =
        fs::read_to_string(host.machine.path("etc/.hookshot/known.jsonl")).expect("records");
    let records = known
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let in_bucket: Vec<Value> = records
        .filter(|one| one["destination"].to_string().contains("s3:"))
        .collect();
    assert!(
        in_bucket.iter().all(|one| one["etag"].is_string()),
        "{in_bucket:?}"
    );
    let status = host.machine.run(&["status", "--json"]).exits(0).json();
    assert_eq!(status["healthy"], true);
    for destination in status["destinations"].as_array().expect("rows") {
        assert_eq!(
            destination["remarks"],
            serde_json::json!([]),
            "{destination}"
        );
        assert!(
            destination["newest"]["content_bytes"].is_u64(),
            "{destination}"
        );
    }
    let list = host.machine.run(&["list", "--json"]).exits(0).json();
    for row in list["archives"].as_array().expect("rows") {
        assert_eq!(row["standing"], "good", "{row}");
    }
    // Without the records, an archive is made.
    fs::remove_file(host.machine.path("etc/.hookshot/known.jsonl")).expect("removed");
    let report = host
        .machine
        .run(&["backup", "--if-changed", "--json"])
        .exits(0)
        .json();
    assert_eq!(report["skipped"], Value::Null, "{report}");
}

/// tests/slow runs a year of them.
#[test]
fn nights_of_sealed_archives_are_kept_as_plain_ones_are() {
    nights_without_a_key(60);
}

#[test]
fn what_a_destination_missed_is_copied_as_it_is_or_stays_owed() {
    let other = hookshot::crypt::generate();
    let host = night(
        r#""one", "two", "three""#,
        "[backup.destinations.three]\nurl = \"THREE\"\n[backup.destinations.three.encryption]\nrecipients = [\"OTHER\"]",
    );
    let text = fs::read_to_string(host.machine.path("etc/config.toml")).expect("read");
    let text = text
        .replace("THREE", &host.path("three"))
        .replace("OTHER", &other.public);
    host.machine.write("etc/config.toml", text, 0o600);
    run_before(&host, 3, &[], 0);
    for folder in ["two", "three"] {
        let path = host.machine.path(folder);
        fs::rename(&path, path.with_extension("away")).expect("renamed");
        fs::write(&path, "no folder").expect("written");
    }
    fs::write(host.machine.path("notes"), "second").expect("written");
    run_before(&host, 2, &[], 17);
    for folder in ["two", "three"] {
        let path = host.machine.path(folder);
        fs::remove_file(&path).expect("removed");
        fs::rename(path.with_extension("away"), &path).expect("renamed");
    }
    let report = run_before(&host, 1, &[], 3);
    let row = |name: &str| {
        let rows = report["destinations"].as_array().expect("rows");
        rows.iter()
            .find(|row| row["name"] == name)
            .expect("there")
            .clone()
    };
    assert_eq!(
        row("two")["caught_up"].as_array().expect("names").len(),
        1,
        "{report}"
    );
    assert_eq!(row("three")["caught_up"], serde_json::json!([]), "{report}");
    assert_eq!(archives(&host, "two"), archives(&host, "one"));
    let list = host
        .machine
        .run(&["list", "@two", "--json"])
        .exits(0)
        .json();
    for archive in list["archives"].as_array().expect("rows") {
        assert_eq!(archive["standing"], "good", "{archive}");
    }
    // With a key it is sealed anew for the others.
    let [option, file] = host.identity();
    let report = host
        .machine
        .run(&["backup", "--json", &option, &file])
        .exits(0)
        .json();
    let rows = report["destinations"].as_array().expect("rows");
    let three = rows
        .iter()
        .find(|row| row["name"] == "three")
        .expect("there");
    assert_eq!(
        three["caught_up"].as_array().expect("names").len(),
        1,
        "{report}"
    );
}

#[test]
fn a_source_that_shrank_is_warned_of_without_a_key() {
    let host = night(r#""one""#, "");
    let notes = host.machine.path("notes");
    fs::write(&notes, "x".repeat(10_000)).expect("written");
    run_before(&host, 2, &[], 0);
    fs::write(&notes, "x").expect("written");
    host.machine
        .run(&["export", "@one"])
        .exits(0)
        .says("has lost more than half");
}

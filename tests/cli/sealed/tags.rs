//! The tags of stores: an object that was replaced by another of its name and size is not the one that was proven.

use std::fs;

use serde_json::Value;
use support::servers::{Azurite, Gcs, Moto, s3::BUCKET};

use super::Sealing;

/// A host with a destination of these lines.
fn host(lines: &str) -> Sealing {
    let sealing = Sealing::new();
    sealing.configure(&format!(
        "[backup]\nto = [\"store\"]\nprefix = \"host\"\n[backup.destinations.store]\n{lines}\n"
    ));
    sealing
}

/// Returns names and standings of the archives, the newest first.
fn standings(host: &Sealing) -> Vec<(String, Value)> {
    let list = host.machine.run(&["list", "--json", "--long"]).exits(0);
    let list = list.json();
    let rows = list["archives"].as_array().expect("rows").iter();
    let rows = rows.map(|row| {
        let name = row["name"].as_str().expect("a name");
        (name.to_owned(), row["standing"].clone())
    });
    rows.collect()
}

/// Replaces an archive that a host proved, by another of its name and size.
fn tells(lines: &str, prepare: impl Fn(&Sealing)) {
    let (host, other) = (host(lines), host(lines));
    prepare(&host);
    prepare(&other);
    for _ in 0..2 {
        host.machine.run(&["export"]).exits(0);
    }
    let before = standings(&host);
    assert_eq!(before.len(), 2);
    assert!(before.iter().all(|(_, one)| one == "good"), "{before:?}");
    let known = host.machine.read("etc/.hookshot/known.jsonl");
    for line in String::from_utf8_lossy(&known).lines() {
        let record: Value = serde_json::from_str(line).expect("a record");
        assert!(record["etag"].is_string(), "{record}");
    }
    // Another machine does it, so the records of this one stay as they are.
    let name = &before[1].0;
    let stored = format!("@store/{name}");
    let folder = other.path("out/");
    other.machine.run(&["copy", &stored, &folder]).exits(3);
    let path = other.path(&format!("out/{name}"));
    let mut bytes = fs::read(&path).expect("an archive");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).expect("written");
    other.machine.run(&["delete", &stored, "--yes"]).exits(0);
    other.machine.run(&["copy", &path, "@store"]).exits(3);
    let after = standings(&host);
    assert_eq!(after[0], before[0]);
    assert_eq!(after[1], (name.clone(), Value::from("sealed")));
    assert_eq!(host.machine.read("etc/.hookshot/known.jsonl"), known);
    host.machine.run(&["verify", &stored]).exits(13);
}

#[test]
fn s3_tells_a_replaced_object() {
    let Some(server) = Moto::start() else { return };
    tells(&server.destination(), |_| {});
}

#[test]
fn azure_tells_a_replaced_object() {
    let Some(server) = Azurite::start() else {
        return;
    };
    tells(&server.destination(), |_| {});
}

#[test]
fn gcs_tells_a_replaced_object() {
    let server = Gcs::start();
    let lines = format!(
        "url = \"gs://{BUCKET}/host\"\nallow_http = true\nservice_account_key = \"file:gcs.json\""
    );
    tells(&lines, |host| {
        let key = Gcs::service_account(&server.endpoint());
        host.machine.write("etc/gcs.json", key, 0o600);
    });
}

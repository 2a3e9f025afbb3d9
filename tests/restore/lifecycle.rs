//! The life of archives at every store that a URL reaches: they arrive, are listed, marked, pruned, and what is left is good.

use support::servers::{Azurite, Gcs, Moto, S3, Sshd, s3::BUCKET};
use support::{Machine, Run};

use std::fs;

use serde_json::Value;

/// Archives of five nights, the oldest first.
const NAMES: [&str; 5] = [
    "hookshot-state-20200301-030000.tar.gz",
    "hookshot-state-20200302-030000.tar.gz",
    "hookshot-state-20200303-030000.tar.gz",
    "hookshot-state-20200304-030000.tar.gz",
    "hookshot-state-20200305-030000.tar.gz",
];

/// A machine on which `@place` has these lines, and of which two archives are to stay there.
fn machine_with(lines: &str) -> Machine {
    let machine = Machine::new();
    let more = format!(
        "[backup.destinations.place]\n{lines}\ntimeout = \"20s\"\n\
         [backup.destinations.place.retention]\nkeep_last = 2\n"
    );
    machine.write("etc/config.toml", machine.config_text(&more), 0o600);
    machine
}

/// Lists the place: names and marks, the newest first.
fn listed(machine: &Machine) -> Vec<(String, Option<String>)> {
    let said = machine.run(&["list", "@place", "--json"]).exits(0).json();
    assert_eq!(
        (&said["others"], &said["failed"]),
        (&1.into(), &Value::Array(Vec::new()))
    );
    let archives = said["archives"].as_array().expect("archives").iter();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    archives
        .map(|one| (text(&one["name"]).expect("a name"), text(&one["mark"])))
        .collect()
}

fn named(names: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    let owned = names
        .iter()
        .map(|(name, mark)| ((*name).to_owned(), mark.map(str::to_owned)));
    owned.collect()
}

fn names(report: &Value, key: &str) -> Vec<String> {
    let list = report[key].as_array().expect("a list").iter();
    list.map(|one| one["name"].as_str().expect("a name").to_owned())
        .collect()
}

/// All of it, at a place that has nothing yet.
fn lives(machine: &Machine) {
    let run = |arguments: &[&str]| -> Run { machine.run(arguments) };
    let [first, second, third, fourth, fifth] = NAMES;
    let archive = fs::read(machine.export("source.tar.gz")).expect("an archive");
    fs::create_dir(machine.path("shelf")).expect("a folder");
    for name in NAMES.into_iter().chain(["other-20200306-030000.tar.gz"]) {
        machine.write(&format!("shelf/{name}"), &archive, 0o600);
    }
    let shelf = machine.path("shelf").display().to_string();
    let copied = run(&["copy", "--all-hosts", &shelf, "@place", "--json"]).exits(0);
    assert_eq!(names(&copied.json(), "copied").len(), 6);

    let all = named(&[
        (fifth, None),
        (fourth, None),
        (third, None),
        (second, None),
        (first, None),
    ]);
    assert_eq!(listed(machine), all);
    let long = run(&["list", "@place", "--long", "--json"]).exits(0).json();
    for (one, verdict) in long["archives"]
        .as_array()
        .expect("archives")
        .iter()
        .zip(0..)
    {
        assert_eq!(one["size_bytes"], archive.len(), "{one}");
        assert_eq!(one["verified"], "manifest", "{one}");
        assert_eq!(
            one["verdict"],
            if verdict < 2 { "keep" } else { "remove" },
            "{one}"
        );
    }

    run(&["keep", &format!("@place/{second}")]).exits(0);
    run(&["keep", "@place/none-20200301-030000.tar.gz"]).exits(10);
    let marked = named(&[
        (fifth, None),
        (fourth, None),
        (third, None),
        (second, Some("forever")),
        (first, None),
    ]);
    assert_eq!(listed(machine), marked);

    for (mode, removed) in [(&["--dry-run"][..], 0), (&[], 2)] {
        let report = run(&[&["prune", "@place", "--json"], mode].concat())
            .exits(0)
            .json();
        assert_eq!(names(&report, "keep"), [fifth, fourth, second], "{report}");
        assert_eq!(names(&report, "remove"), [third, first], "{report}");
        assert_eq!(report["removed"], removed, "{report}");
        if removed == 0 {
            assert_eq!(listed(machine), marked, "a rehearsal removes nothing");
        }
    }
    let left = named(&[(fifth, None), (fourth, None), (second, Some("forever"))]);
    assert_eq!(listed(machine), left);
    let again = run(&["prune", "@place", "--json"]).exits(0).json();
    assert_eq!(again["removed"], 0, "{again}");

    // Without its mark it goes; more than half at once, only if the user says so; the newest never.
    run(&["keep", "--remove", &format!("@place/{second}")]).exits(0);
    run(&["prune", "@place", "--keep-last", "1"])
        .exits(2)
        .says("--yes");
    assert_eq!(listed(machine).len(), 3);
    run(&["prune", "@place", "--keep-last", "1", "--yes"]).exits(0);
    assert_eq!(listed(machine), named(&[(fifth, None)]));
    run(&["prune", "@place", "--keep-within", "1d", "--yes"]).exits(0);
    assert_eq!(listed(machine), named(&[(fifth, None)]));
    run(&[
        "verify",
        "@place/latest",
        "@place/other-20200306-030000.tar.gz",
    ])
    .exits(0);
    run(&["import", "@place/latest", "--dry-run"]).exits(0);
    let checked = run(&["check", "@place", "--json"]).exits(0).json();
    let capabilities = checked["destinations"][0]["capabilities"].as_array();
    let list = capabilities
        .expect("a list")
        .iter()
        .find(|one| one["name"] == "list");
    assert_eq!(
        list.expect("it")["message"],
        "2 objects",
        "two archives, without the probe"
    );
}

#[test]
fn archives_live_in_a_folder() {
    let machine = machine_with("url = \"../place\"");
    lives(&machine);
    let left = fs::read_dir(machine.path("place"))
        .expect("a folder")
        .count();
    assert_eq!(left, 2, "nothing but the two archives");
}

#[test]
fn archives_live_in_s3() {
    let server = S3::start();
    let machine = machine_with(&format!(
        "url = \"s3://{BUCKET}/host\"\nendpoint = \"{}\"\nregion = \"us-east-1\"\nallow_http = true\n\
         access_key_id = \"{}\"\nsecret_access_key = \"file:secret\"",
        server.endpoint(),
        S3::ACCESS_KEY,
    ));
    machine.write("etc/secret", S3::SECRET_KEY, 0o600);
    lives(&machine);
    assert_eq!(server.objects().len(), 2, "{:?}", server.objects());
    assert_eq!(server.leftovers(), [""; 0]);
}

#[test]
fn archives_live_in_moto() {
    let Some(server) = Moto::start() else { return };
    let machine = machine_with(&server.destination());
    lives(&machine);
    assert_eq!(server.objects().len(), 2, "{:?}", server.objects());
    assert_eq!(server.uploads(), [""; 0]);
}

#[test]
fn archives_live_in_azure() {
    let Some(server) = Azurite::start() else {
        return;
    };
    let machine = machine_with(&server.destination());
    lives(&machine);
    assert_eq!(server.blobs().len(), 2, "{:?}", server.blobs());
}

#[test]
fn archives_live_in_gcs() {
    let server = Gcs::start();
    let machine = machine_with(&format!(
        "url = \"gs://{BUCKET}/host\"\nallow_http = true\nservice_account_key = \"file:gcs.json\"",
    ));
    let key = Gcs::service_account(&server.endpoint());
    machine.write("etc/gcs.json", key, 0o600);
    lives(&machine);
    assert_eq!(server.objects().len(), 2, "{:?}", server.objects());
    assert_eq!(server.uploads(), [""; 0]);
}

#[test]
fn archives_live_on_an_ssh_server() {
    let Some(server) = Sshd::start() else { return };
    let machine = machine_with(&server.destination());
    lives(&machine);
    let left = fs::read_dir(server.files().join("archives")).expect("a folder");
    assert_eq!(left.count(), 2, "nothing but the two archives");
}

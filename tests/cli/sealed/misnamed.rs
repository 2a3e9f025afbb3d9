//! An archive that is not sealed under the name of a sealed one: its bytes decide as soon as they are read, and that is
//! said.

use std::fs;

use serde_json::Value;

use super::Sealing;

const PLAIN: &str = "hookshot-state-20250101-030000.tar.gz.age";
const SEALED: &str = "hookshot-state-20250102-030000.tar.gz.age";
const SAYS: &str = "although its name says so";

fn warnings(report: &Value) -> String {
    report["warnings"].to_string()
}

#[test]
fn an_unsealed_archive_with_the_name_of_a_sealed_one_is_told_and_left_alone() {
    let sealing = Sealing::configured("");
    let machine = &sealing.machine;
    let url = sealing.path("vault");
    fs::create_dir(&url).expect("a folder");
    sealing.configure(&format!("[backup.destinations.vault]\nurl = \"{url}\"\n"));
    let plain = format!("{url}/plain.tar.gz");
    machine.run(&["export", &plain, "--no-encrypt"]).exits(0);
    let path = format!("{url}/{PLAIN}");
    fs::rename(&plain, &path).expect("renamed");
    let bytes = fs::read(&path).expect("an archive");
    for word in [&*path, "@vault/latest"] {
        let report = machine.run(&["verify", word, "--json"]).exits(0).json();
        assert!(warnings(&report).contains(SAYS), "{report}");
    }
    let tested = machine.run(&["key", "test", "@vault"]).exits(0);
    assert!(tested.text().contains(SAYS), "{}", tested.text());
    let row = |run: support::Run| {
        let row = run.exits(0).json()["archives"][0].clone();
        (row["sealed"].clone(), row["standing"].clone())
    };
    // By its name, until its bytes are read.
    let short = row(machine.run(&["list", "@vault", "--json"]));
    assert_eq!(short.0, true);
    let long = ["list", "@vault", "--long", "--json"];
    for read in [row(machine.run(&long)), row(sealing.run(&long))] {
        assert_eq!(read, (Value::Bool(false), "good".into()));
    }
    let rekey = ["rekey", "@vault", "--yes", "--json"];
    sealing.run(&rekey).exits(10);
    machine
        .run(&["export", &format!("{url}/{SEALED}")])
        .exits(0);
    let report = sealing.run(&rekey).exits(0).json();
    assert!(warnings(&report).contains(SAYS), "{report}");
    assert!(warnings(&report).contains("stay as they are"), "{report}");
    assert_eq!(report["unchanged"].as_array().map(Vec::len), Some(1));
    assert!(fs::read(&path).expect("an archive") == bytes);
    // Nothing is said of one that is sealed.
    let sealed = ["verify", &format!("{url}/{SEALED}"), "--json"];
    let report = sealing.run(&sealed).exits(0).json();
    assert!(!warnings(&report).contains(SAYS), "{report}");
}

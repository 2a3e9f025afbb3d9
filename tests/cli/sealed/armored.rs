//! Armored archives at a destination: text that `age -a` made, under the name of a sealed archive.

use std::{fs, process::Command};

use support::Run;

use super::{Sealing, noise};

const NAME: &str = "host-20260102-030405.tar.gz.age";

/// A host whose destination has an older archive of its own, and a newer armored one for its key.
fn host() -> Sealing {
    let sealing = Sealing::new();
    sealing.machine.write("etc/secrets", noise(200_000), 0o600);
    let url = sealing.path("out");
    sealing.configure(&format!(
        "[backup]\nto = [\"out\"]\nprefix = \"host\"\n[backup.destinations.out]\nurl = \"{url}\"\n"
    ));
    let old = sealing.path("out/host-20260101-030405.tar.gz.age");
    sealing.machine.run(&["export", &old]).exits(0);
    let plain = sealing.path("plain.tar.gz");
    let newer = ["export", &plain, "--no-encrypt", "--tag", "n=newer"];
    sealing.machine.run(&newer).exits(0);
    let armored = Command::new("age")
        .args(["-a", "-r", &sealing.pair.public, "-o"])
        .arg(sealing.machine.path("out").join(NAME))
        .arg(&plain)
        .status();
    assert!(armored.expect("age (the package `age`)").success());
    sealing
}

fn standing(run: &Run) -> serde_json::Value {
    let list = run.json();
    assert_eq!(list["archives"][0]["name"], NAME, "{list}");
    list["archives"][0]["standing"].clone()
}

#[test]
fn the_latest_is_an_armored_one_if_that_is_the_newest() {
    let host = host();
    let shown = host.run(&["inspect", "@out/latest", "--json"]).exits(0);
    assert_eq!(shown.json()["manifest"]["tags"]["n"], "newer");
    let verified = host.run(&["verify", "@out/latest", "--json"]).exits(0);
    let report = verified.json();
    let archive = report["archives"][0]["archive"].as_str().expect("a name");
    assert!(archive.ends_with(NAME), "{report}");
    host.run(&["import", "@out/latest", "--dry-run"]).exits(0);
    // Without a key it is not passed over either.
    host.machine.run(&["inspect", "@out/latest"]).exits(12);
    let listed = host.run(&["list", "--json", "--long"]).exits(0);
    assert_eq!(standing(&listed), "good");
}

#[test]
fn an_armored_archive_without_its_end_is_damaged_with_and_without_a_key() {
    let host = host();
    let list = ["list", "--json", "--long"];
    // Unknown, and whole as far as that can be told.
    assert_eq!(standing(&host.machine.run(&list).exits(0)), "sealed");
    let path = format!("out/{NAME}");
    let bytes = host.machine.read(&path);
    let length = bytes.len();
    for cut in [1, 50, 70_000] {
        let end = bytes.trim_ascii_end().len() - cut;
        fs::write(host.machine.path(&path), &bytes[..end]).expect("written");
        assert_eq!(
            standing(&host.machine.run(&list).exits(0)),
            "damaged",
            "{cut} of {length}"
        );
        host.run(&["verify", &host.path(&path)]).exits(13);
    }
}

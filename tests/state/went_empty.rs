//! Sources and destinations that are not there although their folder is, through the real binary.

use support::servers::{self, S3};
use support::{self, Machine, Mounted, is_root};

use std::{fs, path::Path};

use serde_json::Value;

/// A machine whose state is the folder `data/app`, and archives in `out/kept`; `source` stands in the section of the folder, and
/// `destination` in that of `local`.
fn machine(source: &str, destination: &str) -> Machine {
    let machine = Machine::empty();
    at(&machine, &machine.path("data/app"), source, destination);
    fs::create_dir(machine.path("data/app")).expect("a folder");
    machine
}

fn at(machine: &Machine, folder: &Path, source: &str, destination: &str) {
    let text = format!(
        "[backup]\nprefix = \"app\"\n[backup.destinations.local]\nurl = \"../out/kept\"\n{destination}\n[[backup.sources]]\nname = \"app\"\nkind = \"directory\"\npath = \"{}\"\n{source}\n",
        folder.display()
    );
    machine.write("etc/config.toml", text, 0o600);
}

fn fill(machine: &Machine, count: usize, bytes: usize) {
    for number in 0..count {
        machine.write(&format!("data/app/{number}"), vec![b'x'; bytes], 0o644);
    }
}

/// The sources that an export to `@local` warns of.
fn warned(machine: &Machine) -> Vec<String> {
    let report = machine.run(&["export", "@local", "--json"]).exits(0).json();
    let warnings = report["warnings"].as_array().cloned().unwrap_or_default();
    let of = |warning: &Value| {
        assert_eq!(warning["kind"], "empty", "{report}");
        warning["entry"].as_str().expect("an entry").to_owned()
    };
    warnings.iter().map(of).collect()
}

/// Returns how many archives there are.
fn kept(machine: &Machine) -> usize {
    fs::read_dir(machine.path("out/kept")).map_or(0, Iterator::count)
}

#[test]
fn a_folder_that_is_suddenly_empty_is_warned_of() {
    let machine = machine("", "");
    fill(&machine, 10, 100);
    assert_eq!(warned(&machine), [""; 0]);
    for number in 0..10 {
        fs::remove_file(machine.path(&format!("data/app/{number}"))).expect("removed");
    }
    assert_eq!(warned(&machine), ["app"]);
    // Also if there is nothing to compare it with.
    fs::remove_dir_all(machine.path("out/kept")).expect("removed");
    let run = machine.run(&["export", "@local"]).exits(0);
    run.says("app is empty: found no file at");
}

#[test]
fn a_source_that_lost_more_than_half_is_warned_of_and_one_that_lost_half_is_not() {
    let machine = machine(
        "[[backup.sources]]\nname = \"dump\"\nkind = \"command\"\nexport = \"cat ../tmp/dump\"\n[[backup.sources]]\nname = \"key\"\nkind = \"file\"\npath = \"../tmp/key\"\noptional = true",
        "",
    );
    machine.write("tmp/dump", vec![b'd'; 5000], 0o600);
    machine.write("tmp/key", "k", 0o600);
    fill(&machine, 10, 1000);
    assert_eq!(warned(&machine), [""; 0]);
    // Half of the files.
    for number in 5..10 {
        fs::remove_file(machine.path(&format!("data/app/{number}"))).expect("removed");
    }
    assert_eq!(warned(&machine), [""; 0]);
    fill(&machine, 5, 400);
    machine.write("tmp/dump", vec![b'd'; 2000], 0o600);
    fs::remove_file(machine.path("tmp/key")).expect("removed");
    let mut sources = warned(&machine);
    sources.sort();
    assert_eq!(sources, ["app", "dump", "key"]);
    assert_eq!(warned(&machine), [""; 0]);
}

#[test]
fn less_than_is_expected_is_an_error_and_nothing_is_written() {
    for (key, says) in [
        (
            "min_files = 3",
            "app has 2 files, and `min_files` asks for 3",
        ),
        (
            "min_bytes = \"1 kB\"",
            "app has 200 bytes, and `min_bytes` asks for 1000",
        ),
    ] {
        let machine = machine(key, "");
        fill(&machine, 2, 100);
        machine.run(&["export", "@local"]).exits(10).says(says);
        assert_eq!(kept(&machine), 0);
        fill(&machine, 3, 1000);
        machine.run(&["export", "@local"]).exits(0);
        assert_eq!(kept(&machine), 1);
    }
}

#[test]
fn a_source_that_has_to_be_mounted_is_an_error_while_it_is_not() {
    if !is_root("mounts") {
        return;
    }
    // The other tests' folder may be a mount itself.
    let outside = tempfile::tempdir_in("/").expect("a folder");
    let folder = outside.path().join("disk");
    fs::create_dir(&folder).expect("a folder");
    let machine = machine("", "");
    at(&machine, &folder, "mounted = true\noptional = true", "");
    let refused = machine.run(&["export", "@local"]).exits(10);
    refused.says("nothing is mounted at");
    assert_eq!(kept(&machine), 0);
    let mounted = Mounted::tmpfs(&folder, "1m");
    fs::write(folder.join("here"), "1").expect("written");
    machine.run(&["export", "@local"]).exits(0);
    drop(mounted);
    machine.run(&["export", "@local"]).exits(10);
    assert_eq!(kept(&machine), 1);
}

#[test]
fn a_destination_that_has_to_be_mounted_gets_nothing_while_it_is_not() {
    if !is_root("mounts") {
        return;
    }
    let outside = tempfile::tempdir_in("/").expect("a folder");
    let disk = outside.path().join("disk");
    fs::create_dir(&disk).expect("a folder");
    let machine = machine("", "");
    fill(&machine, 2, 10);
    let usb = format!(
        "[backup.destinations.usb]\nurl = \"{}\"\nmounted = true",
        disk.join("archives").display()
    );
    at(&machine, &machine.path("data/app"), "", &usb);
    for arguments in [
        &["export", "@usb"][..],
        &["list", "@usb"],
        &["check", "@usb"],
        &["verify", "@usb/latest"],
    ] {
        let run = machine.run(arguments).exits(10);
        run.says("the disk of @usb is missing");
    }
    // The others still get theirs.
    machine.run(&["export", "@usb", "@local"]).exits(17);
    assert_eq!(kept(&machine), 1);
    assert_eq!(fs::read_dir(&disk).expect("a folder").count(), 0);
    let mounted = Mounted::tmpfs(&disk, "10m");
    machine.run(&["export", "@usb"]).exits(0);
    machine.run(&["verify", "@usb/latest"]).exits(0);
    drop(mounted);
    assert_eq!(fs::read_dir(&disk).expect("a folder").count(), 0);
}

#[test]
fn a_destination_that_is_not_to_be_made_has_to_be_there() {
    let machine = machine("", "create = false");
    fill(&machine, 2, 10);
    let refused = machine.run(&["export", "@local"]).exits(10);
    refused.says("does not exist, and @local does not allow to create it");
    assert!(!machine.path("out/kept").exists());
    fs::create_dir(machine.path("out/kept")).expect("a folder");
    machine.run(&["export", "@local"]).exits(0);
    assert_eq!(kept(&machine), 1);
}

#[test]
fn what_went_empty_is_told_from_what_a_bucket_has_if_nothing_is_nearer() {
    let s3 = S3::start();
    let machine = machine("", "");
    let bucket = format!(
        "[backup.destinations.offsite]\nurl = \"s3://{}/host\"\nendpoint = \"{}\"\nregion = \"us-east-1\"\npath_style = true\nallow_http = true\naccess_key_id = \"{}\"\nsecret_access_key = \"env:SECRET\"",
        servers::s3::BUCKET,
        s3.endpoint(),
        S3::ACCESS_KEY,
    );
    at(&machine, &machine.path("data/app"), "", &bucket);
    fill(&machine, 10, 1000);
    let export = |name: &str| {
        let mut command = machine.command();
        let url = format!("@offsite/{name}");
        command
            .args(["export", &url, "--json"])
            .env("SECRET", S3::SECRET_KEY);
        support::finish(command, b"").exits(0).json()
    };
    let first = export("app-20260101-000000.tar.gz");
    assert_eq!(first.get("warnings"), None, "{first}");
    for number in 2..10 {
        fs::remove_file(machine.path(&format!("data/app/{number}"))).expect("removed");
    }
    let second = export("app-20260102-000000.tar.gz");
    assert_eq!(second["warnings"][0]["kind"], "empty", "{second}");
    assert_eq!(second["warnings"][0]["entry"], "app", "{second}");
}

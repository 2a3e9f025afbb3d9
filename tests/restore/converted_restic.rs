//! Snapshots of restic that become archives. Without restic on the machine, the tests say so and end.

use std::{
    fs,
    os::unix::{fs::MetadataExt as _, net::UnixListener},
    path::{Path, PathBuf},
};

use serde_json::Value;
use support::{
    Machine, Run, directories, finish,
    programs::{run, text},
    restic::{PASSWORD, Restic},
};

/// A machine whose files restic backs up.
struct Converted {
    machine: Machine,
    restic: Restic,
    repository: String,
    to: String,
}

impl Converted {
    /// Lets restic make the repository; `None` if this machine does not have it.
    fn of_restic() -> Option<Converted> {
        let converted = Converted::without()?;
        converted.restic(&["init"]);
        Some(converted)
    }

    /// Makes the repository itself: to open one of restic's own takes half a second of each run.
    fn new() -> Option<Converted> {
        let converted = Converted::without()?;
        let url = format!("restic:{}", converted.repository);
        converted.hookshot(&["repo", "init", &url]).exits(0);
        Some(converted)
    }

    /// Writes what is backed up.
    fn without() -> Option<Converted> {
        let restic = Restic::of_the_system()?;
        let machine = directories::data_and_page();
        let data = machine.path("srv/data");
        let long = "n".repeat(120);
        fs::create_dir_all(data.join(&long)).expect("made");
        machine.write(&format!("srv/data/{long}/{long}"), "long", 0o644);
        machine.write("srv/data/nothing", "", 0o4750);
        // Larger than a chunk of restic, and the same bytes twice.
        let noise = support::forge::Xorshift::new(5).bytes(3 << 20);
        machine.write("srv/data/noise", [&noise[..], &noise[..]].concat(), 0o600);
        // Not every file system has attributes.
        let value = b"a\nb\xff";
        let _ = rustix::fs::setxattr(
            data.join("a-b"),
            "user.k",
            value,
            rustix::fs::XattrFlags::CREATE,
        );
        run("touch", &["-d", "@1764200000.25", &text(&data.join("a-b"))]);
        run("touch", &["-d", "@-5.75", &text(&data.join("nothing"))]);
        machine.write("etc/restic.key", PASSWORD, 0o600);
        Some(Converted {
            repository: text(&machine.path("restic")),
            to: text(&machine.path("to")),
            restic: restic.with_key(machine.path("etc/restic.key")),
            machine,
        })
    }

    fn restic(&self, arguments: &[&str]) {
        self.restic
            .run(Path::new(&self.repository), arguments)
            .exits(0);
    }

    /// Backs up `srv` at a time.
    fn back_up(&self, time: &str) {
        let srv = text(&self.machine.path("srv"));
        self.restic(&["backup", "--host", "old-host", "--time", time, &srv]);
    }

    /// Returns the identifiers of the snapshots.
    fn snapshots(&self) -> Vec<String> {
        let entries = fs::read_dir(Path::new(&self.repository).join("snapshots"));
        let entries = entries.expect("a folder").flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }

    fn hookshot(&self, arguments: &[&str]) -> Run {
        let mut command = self.machine.command();
        command.args(arguments);
        command.env("RESTIC_PASSWORD_FILE", self.machine.path("etc/restic.key"));
        finish(command, b"")
    }

    /// Converts `srv` in the newest snapshot.
    fn convert(&self, more: &[&str]) -> Run {
        let srv = text(&self.machine.path("srv"));
        self.convert_with(&[&["--json", "--path", &srv], more].concat())
    }

    fn convert_with(&self, more: &[&str]) -> Run {
        let all = ["convert", "--from", "restic", &self.repository, &self.to];
        self.hookshot(&[&all, more].concat())
    }

    fn archives(&self) -> usize {
        let entries = fs::read_dir(&self.to).into_iter().flatten();
        entries.count()
    }
}

#[test]
fn a_snapshot_becomes_an_archive_that_restores_what_was_backed_up() {
    let Some(converted) = Converted::of_restic() else {
        return;
    };
    converted.back_up("2026-01-02 03:04:05");
    let id = converted.snapshots().remove(0);
    let report = converted.convert(&["--tag", "team=ops"]).exits(0).json();
    assert_eq!(report["time_from"], "snapshot", "{report}");
    assert_eq!(report["tags"]["origin-snapshot"], *id);
    assert_eq!(report["tags"]["team"], "ops");
    let repository = report["tags"]["origin-repository"].as_str();
    assert_eq!(repository.map(str::len), Some(64));
    let archive = report["to"].as_str().expect("a location");
    assert!(archive.contains("x-20260102-"), "{archive}");
    let machine = &converted.machine;
    machine.run(&["verify", archive]).exits(0);
    let inspected = machine.run(&["--json", "inspect", archive]).exits(0).json();
    assert_eq!(inspected["manifest"]["hostname"], "old-host");
    assert_eq!(inspected["manifest"]["app"], "shop");
    let diff = machine.run(&["--json", "diff", archive]).exits(0).json();
    for entry in diff["entries"].as_array().expect("a list") {
        assert_eq!(entry["state"], "unchanged", "{entry}");
    }
    let other = directories::without_data_and_page();
    other.run(&["import", archive]).exits(0);
    assert_eq!(
        support::tree(&other.path("srv")),
        support::tree(&machine.path("srv"))
    );
    for (name, time) in [
        ("a-b", (1_764_200_000, 250_000_000)),
        ("nothing", (-6, 250_000_000)),
    ] {
        let metadata = other.path("srv/data").join(name).metadata();
        let metadata = metadata.expect("there");
        assert_eq!((metadata.mtime(), metadata.mtime_nsec()), time, "{name}");
    }
    // The same once more adds nothing.
    let again = converted.convert(&["--tag", "team=ops"]).exits(0).json();
    assert_eq!(again["proof"], Value::Null);
    assert_eq!(converted.archives(), 1);
}

#[test]
fn what_no_archive_can_have_of_a_snapshot_is_named() {
    let Some(converted) = Converted::new() else {
        return;
    };
    let data = converted.machine.path("srv/data");
    fs::hard_link(data.join("a/x"), data.join("same")).expect("a link");
    let _socket = UnixListener::bind(data.join("s")).expect("a socket");
    run("mkfifo", &[&text(&data.join("ff"))]);
    converted.back_up("2026-01-02 03:04:05");
    let run = converted
        .convert(&[])
        .exits(3)
        .says("data/same is a hard link to data/a/x")
        .says("data/ff is a fifo");
    let report = run.json();
    let undone = report["left_undone"].as_array().expect("a list");
    // restic 0.14 leaves sockets out itself.
    assert!(undone.len() >= 2, "{report}");
    let archive = report["to"].as_str().expect("a location");
    let file = converted
        .machine
        .run(&["extract", archive, "data/same", "-o", "-"])
        .exits(0);
    assert_eq!(file.stdout, b"a/x");
    converted.machine.run(&["verify", archive]).exits(0);
}

#[test]
fn the_newest_snapshot_is_taken_of_one_group_and_asked_for_of_several() {
    let Some(converted) = Converted::new() else {
        return;
    };
    converted.back_up("2026-01-03 03:04:05");
    converted.back_up("2026-01-02 03:04:05");
    let report = converted.convert(&["--snapshot", "latest"]).exits(0).json();
    assert!(
        report["archive"]
            .as_str()
            .expect("a name")
            .starts_with("x-20260103-")
    );
    let page = text(&converted.machine.path("srv/page"));
    converted.restic(&["backup", "--host", "old-host", &page]);
    let asked = converted.convert(&[]).exits(2);
    let error = &asked.json()["error"];
    assert_eq!(error["faults"].as_array().map(Vec::len), Some(2), "{error}");
    assert!(error.to_string().contains("--snapshot ID"), "{error}");
    let ids = converted.snapshots();
    for id in &ids {
        let more = ["--path", "/", "--directory", "all", "--snapshot", &id[..8]];
        converted.convert_with(&more).exits(0);
    }
    assert_eq!(converted.archives(), 1 + ids.len());
    converted.convert(&["--snapshot", "0000000000"]).exits(10);
    converted.convert(&["--snapshot", "xyz"]).exits(10);
    let mut wrong = converted.machine.command();
    wrong.args([
        "convert",
        "--from",
        "restic",
        &converted.repository,
        &converted.to,
    ]);
    wrong.env("RESTIC_PASSWORD", "wrong");
    finish(wrong, b"").exits(12);
    let more = ["--snapshot", &ids[0], "--path", "/absent"];
    converted
        .convert_with(&more)
        .exits(10)
        .says("nothing at /absent");
}

#[test]
fn copy_takes_a_snapshot_of_another_program_and_a_state_of_our_own_by_its_id() {
    let Some(converted) = Converted::new() else {
        return;
    };
    let machine = &converted.machine;
    converted.back_up("2026-01-02 03:04:05");
    let foreign = converted.snapshots().remove(0);
    let word = format!("restic:{}/{}", converted.repository, &foreign[..8]);
    let report = converted.hookshot(&["--json", "copy", &word, &converted.to]);
    let report = report.exits(0).json();
    let archive = report["copied"][0]["to"].as_str().expect("a location");
    machine.run(&["verify", archive]).exits(0);
    let again = converted.hookshot(&["--json", "copy", &word, &converted.to]);
    let again = again.exits(0).json();
    assert_eq!(again["copied"], Value::Array(Vec::new()));
    assert_eq!(again["skipped"][0]["known_by"], "manifest");
    // Into the same repository: from then on, it is a state of our own there.
    let vault = format!("restic:{}", converted.repository);
    converted.hookshot(&["copy", &word, &vault]).exits(0);
    let mut ids = converted.snapshots();
    ids.retain(|id| *id != foreign);
    let [own] = &ids[..] else { panic!("{ids:?}") };
    let word = format!("{vault}/{own}");
    let other = text(&machine.path("other"));
    fs::create_dir(machine.path("other")).expect("a folder");
    converted.hookshot(&["copy", &word, &other]).exits(0);
    let copied: Vec<PathBuf> = fs::read_dir(&other)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    assert_eq!(copied.len(), 1);
    machine.run(&["verify", &text(&copied[0])]).exits(0);
    let all = [
        "convert",
        "--from",
        "restic",
        &vault,
        &other,
        "--snapshot",
        own,
    ];
    converted.hookshot(&all).exits(2).says("hookshot copy");
    // The newest of other programs is still one.
    let newest = ["convert", "--from", "restic", &vault, &other];
    converted.hookshot(&newest).exits(0);
    converted.restic(&["check", "--read-data"]);
}

#[test]
fn a_damaged_snapshot_becomes_no_archive() {
    let Some(converted) = Converted::new() else {
        return;
    };
    converted.back_up("2026-01-02 03:04:05");
    let mut packs = Vec::new();
    for folder in fs::read_dir(Path::new(&converted.repository).join("data")).expect("a folder") {
        let folder = folder.expect("an entry").path();
        packs.extend(fs::read_dir(folder).expect("a folder").flatten());
    }
    let largest = packs.iter().map(|pack| pack.path());
    let largest = largest.max_by_key(|path| path.metadata().expect("there").len());
    let largest = largest.expect("a pack");
    let mut bytes = fs::read(&largest).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::remove_file(&largest).expect("removed");
    fs::write(&largest, bytes).expect("written");
    converted.convert(&[]).exits(13);
    assert_eq!(converted.archives(), 0);
}

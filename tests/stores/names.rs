//! Archives under every name: those of a wrong clock, those that scripts give, and files that are none.

use support::forge::{self, ENTRIES, ROOT};
use support::servers::{Fault, Faults, Rule, S3, http::Head};
use support::{Machine, Run};

use std::{collections::BTreeSet, fs, path::PathBuf};

use chrono::DateTime;
use hookshot::model::{
    digest::Digest,
    entry_name::EntryName,
    limits::MAX_LOOKS,
    manifest::{FileRecord, Manifest},
};

/// An archive of our own that says that it was made at `time`, with the root folder that export would give it.
fn made_at(time: &str, prefix: &str) -> Vec<u8> {
    let time = DateTime::parse_from_rfc3339(time).expect("a time");
    let records = ENTRIES.map(|(name, content)| {
        let name = EntryName::new(name).expect("a name");
        let record = FileRecord::new(name.clone(), Digest::of(content), content.len() as u64);
        (name, record)
    });
    let manifest = Manifest {
        created_at: time.timestamp(),
        root: Some(format!("{prefix}-{}", time.format("%Y%m%d-%H%M%S"))),
        ..forge::current(records.into())
    };
    forge::write(&manifest, &ENTRIES)
}

/// A tarball of another program.
fn tarball() -> Vec<u8> {
    let mut tar = forge::Tar::new();
    tar.file("etc/hosts", b"127.0.0.1 localhost\n");
    tar.gzip()
}

struct Shelf {
    machine: Machine,
}

impl Shelf {
    fn new() -> Shelf {
        let machine = Machine::new();
        fs::create_dir(machine.path("shelf")).expect("a folder");
        let local = "[backup.destinations.local]\nurl = \"../shelf\"\n";
        machine.write("etc/config.toml", machine.config_text(local), 0o600);
        Shelf { machine }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.machine.path("shelf").join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("written");
    }

    /// An archive whose name and manifest tell the same time.
    fn put_night(&self, day: &str) -> String {
        let name = format!("hookshot-state-{}-030000.tar.gz", day.replace('-', ""));
        let time = format!("{day}T03:00:00Z");
        self.put(&name, &made_at(&time, "hookshot-state"));
        name
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.machine.run(arguments)
    }

    fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.machine.path("shelf")).expect("a folder");
        entries
            .map(|entry| entry.expect("one").file_name().into_string().expect("text"))
            .collect()
    }
}

fn listed(run: &Run) -> Vec<String> {
    let report = run.json();
    let archives = report["archives"].as_array().expect("a list").iter();
    archives
        .map(|one| one["name"].as_str().expect("a name").to_owned())
        .collect()
}

#[test]
fn the_newest_is_never_one_that_is_dated_in_the_future() {
    let shelf = Shelf::new();
    let older = shelf.put_night("2025-01-29");
    let night = shelf.put_night("2025-01-30");
    let ahead = shelf.put_night("2999-01-01");
    for word in ["@local", "@local/latest"] {
        for verb in [
            &["verify", word, "--json"][..],
            &["inspect", word, "--json"],
            &[
                "import",
                word,
                "--json",
                "--dry-run",
                "--only",
                "services.toml",
            ],
        ] {
            let run = shelf.run(verb).exits(0);
            let run = run.says(&ahead).says("dated in the future are skipped");
            let text = run.text();
            assert!(text.contains(&night), "{verb:?}: {text}");
            assert!(!text.contains(&ahead), "{verb:?}: {text}");
        }
    }
    let kept = shelf
        .run(&["keep", "@local/latest", "--json"])
        .exits(0)
        .json();
    assert_eq!(kept["name"], night.as_str());
    let copied = shelf.run(&["copy", "@local/latest", "../copies", "--json"]);
    assert_eq!(copied.exits(0).json()["copied"][0]["name"], night.as_str());
    // Only what the future has is left: nothing is restored from it unasked, and it can be named.
    for name in [&night, &older] {
        fs::remove_file(shelf.path(name)).expect("removed");
    }
    let run = shelf.run(&["verify", "@local/latest"]).exits(10);
    run.says("is dated in the future")
        .says("set this machine's clock");
    let word = format!("@local/{ahead}");
    shelf.run(&["verify", &word]).exits(0).says("in the future");
}

#[test]
fn a_clock_that_is_ahead_by_hours_does_not_hide_the_newest_archive() {
    let shelf = Shelf::new();
    let soon = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now())
        + chrono::TimeDelta::hours(3);
    let name = format!("hookshot-state-{}.tar.gz", soon.format("%Y%m%d-%H%M%S"));
    shelf.put(&name, &made_at(&soon.to_rfc3339(), "hookshot-state"));
    shelf.put_night("2025-01-30");
    let run = shelf.run(&["verify", "@local/latest", "--json"]).exits(0);
    assert!(run.text().contains(&name), "{}", run.text());
    let report = shelf
        .run(&[
            "prune",
            "@local",
            "--keep-last",
            "1",
            "--json",
            "--dry-run",
            "--yes",
        ])
        .exits(0)
        .json();
    assert_eq!(report["keep"][0]["name"], name.as_str());
    assert_eq!(report["remove"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_name_that_tells_another_time_than_the_manifest_is_named() {
    let shelf = Shelf::new();
    let name = "hookshot-state-20200101-030000.tar.gz";
    shelf.put(name, &made_at("2025-01-30T03:00:00Z", "hookshot-state"));
    let path = shelf.path(name).display().to_string();
    let says = ["2020-01-01T03:00:00Z", "2025-01-30T03:00:00Z"];
    for verb in [
        &["verify", &path, "--json"][..],
        &["inspect", &path, "--json"],
        &[
            "import",
            &path,
            "--json",
            "--dry-run",
            "--only",
            "services.toml",
        ],
    ] {
        let run = shelf.run(verb).exits(0).says(says[0]).says(says[1]);
        let warnings = run.json()["warnings"].clone();
        let is_date = |warning: &serde_json::Value| warning["kind"] == "date";
        let warnings = warnings.as_array().expect("a list");
        assert!(warnings.iter().any(is_date), "{verb:?}: {warnings:?}");
    }
    shelf
        .run(&["list", "@local", "--long"])
        .exits(0)
        .says(says[1]);
    // A script may take the time a moment before it exports, and the day of any time zone.
    shelf.put(
        "ok-20250130-030030.tar.gz",
        &made_at("2025-01-30T03:00:00Z", "ok"),
    );
    shelf.put("ok-20250131.tar.gz", &made_at("2025-01-30T23:00:00Z", "ok"));
    for name in ["ok-20250130-030030.tar.gz", "ok-20250131.tar.gz"] {
        let path = shelf.path(name).display().to_string();
        let run = shelf.run(&["verify", &path]).exits(0);
        assert_eq!(run.stderr, "", "{name}");
    }
}

/// Files as scripts write them: a day alone, no time at all, another prefix, a copy of a browser, and not an archive.
fn scripts(shelf: &Shelf) {
    let ours = "hookshot-state";
    shelf.put(
        "hookshot-state-20250130.tar.gz",
        &made_at("2025-01-30T03:00:00Z", ours),
    );
    shelf.put(
        "before-upgrade.tar.gz",
        &made_at("2025-01-31T12:00:00Z", ours),
    );
    shelf.put(
        "hookshot-state-20250129-030000 (1).tar.gz",
        &made_at("2025-01-29T03:00:00Z", ours),
    );
    shelf.put("theirs.tar.gz", &made_at("2025-02-01T03:00:00Z", "other"));
    shelf.put("website.tar.gz", &tarball());
}

#[test]
fn archives_under_the_names_of_scripts_are_listed_kept_copied_and_restored() {
    let shelf = Shelf::new();
    shelf.put_night("2025-01-28");
    scripts(&shelf);
    let run = shelf.run(&["list", "@local", "--json"]).exits(0);
    let expected = [
        "before-upgrade.tar.gz",
        "hookshot-state-20250130.tar.gz",
        "hookshot-state-20250129-030000 (1).tar.gz",
        "hookshot-state-20250128-030000.tar.gz",
    ];
    assert_eq!(listed(&run), expected);
    let report = run.json();
    assert_eq!(report["archives"][0]["time"], "2025-01-31T12:00:00Z");
    assert_eq!(report["archives"][0]["time_from"], "manifest");
    assert_eq!(report["archives"][0]["prefix"], "hookshot-state");
    assert_eq!(report["archives"][1]["time"], "2025-01-30T03:00:00Z");
    assert_eq!(report["archives"][3]["time_from"], "name");
    assert_eq!(report["others"], 1);
    assert_eq!(report["other_files"][0]["name"], "website.tar.gz");
    let text = shelf.run(&["list", "@local"]).exits(0).text();
    assert!(
        text.contains("other files: 1") && text.contains("website.tar.gz"),
        "{text}"
    );
    let all = shelf.run(&["list", "@local", "--all-hosts", "--long", "--json"]);
    assert_eq!(listed(&all.exits(0)).len(), 5);

    let latest = shelf
        .run(&["verify", "@local/latest", "--json"])
        .exits(0)
        .json();
    assert_eq!(
        latest["archives"][0]["archive"],
        "@local/before-upgrade.tar.gz"
    );
    shelf
        .run(&["import", "@local/latest", "--only", "services.toml"])
        .exits(0);
    assert_eq!(shelf.machine.read("etc/services.toml"), ENTRIES[1].1);

    shelf
        .run(&["keep", "@local/before-upgrade.tar.gz"])
        .exits(0);
    let report = shelf.run(&["list", "@local", "--json"]).exits(0).json();
    assert_eq!(report["archives"][0]["mark"], "forever");
    shelf
        .run(&["keep", "@local/before-upgrade.tar.gz", "--remove"])
        .exits(0);

    fs::remove_file(shelf.path("hookshot-state-20250129-030000 (1).tar.gz")).expect("removed");
    let copied = shelf
        .run(&["copy", "@local", "../copies", "--json"])
        .exits(0)
        .json();
    let names = copied["copied"].as_array().expect("a list").iter();
    let names: BTreeSet<&str> = names.filter_map(|one| one["name"].as_str()).collect();
    let expected = [
        "before-upgrade.tar.gz",
        "hookshot-state-20250128-030000.tar.gz",
        "hookshot-state-20250130.tar.gz",
    ];
    assert_eq!(names, BTreeSet::from(expected));
    let again = shelf
        .run(&["copy", "@local", "../copies", "--json"])
        .exits(0)
        .json();
    assert_eq!(again["skipped"].as_array().map(Vec::len), Some(3));
}

#[test]
fn no_policy_removes_an_archive_under_another_name() {
    let shelf = Shelf::new();
    for day in ["2025-01-26", "2025-01-27", "2025-01-28"] {
        shelf.put_night(day);
    }
    scripts(&shelf);
    // A mark beside an archive that is gone is not ours to remove either, if its name tells nothing.
    shelf.put("gone.tar.gz.keep", b"forever\n");
    let others = [
        "before-upgrade.tar.gz",
        "hookshot-state-20250129-030000 (1).tar.gz",
        "theirs.tar.gz",
        "website.tar.gz",
    ];
    let prune = [
        "prune",
        "@local",
        "--keep-last",
        "1",
        "--yes",
        "--all-hosts",
    ];
    for more in [&["--json", "--dry-run"][..], &["--json"]] {
        let report = shelf.run(&[&prune, more].concat()).exits(0).json();
        let named = report["others"].as_array().expect("a list").iter();
        let named: BTreeSet<&str> = named.filter_map(|one| one["name"].as_str()).collect();
        assert_eq!(named, BTreeSet::from(others));
        // The day alone is a name that the policy knows, and the newest of those it judges.
        assert_eq!(report["keep"][0]["name"], "hookshot-state-20250130.tar.gz");
        assert_eq!(report["remove"].as_array().map(Vec::len), Some(3));
    }
    let left = [
        &others[..],
        &["hookshot-state-20250130.tar.gz", "gone.tar.gz.keep"],
    ]
    .concat();
    let left: BTreeSet<String> = left.into_iter().map(str::to_owned).collect();
    assert_eq!(shelf.names(), left);
    let text = shelf.run(&[&prune[..5], &["-n"]].concat()).exits(0).text();
    assert!(
        text.contains("with other names, never removed: 4") && text.contains("website.tar.gz"),
        "{text}"
    );
}

#[test]
fn verify_takes_a_folder_and_every_archive_in_it() {
    let shelf = Shelf::new();
    scripts(&shelf);
    let folder = shelf.machine.path("shelf").display().to_string();
    let run = shelf.run(&["verify", &folder, "--json"]).exits(0);
    let report = run.json();
    assert_eq!(report["archives"].as_array().map(Vec::len), Some(4));
    assert_eq!(report["other_files"].as_array().map(Vec::len), Some(1));
    assert_eq!(report["warnings"][0]["kind"], "other");
    // Whatever may be a damaged archive is not passed over: cut, empty, or an answer of a server.
    let whole = fs::read(shelf.path("before-upgrade.tar.gz")).expect("read");
    for damaged in [&whole[..whole.len() / 2], b"", b"<html></html>", &[0; 2000]] {
        shelf.put("before-upgrade.tar.gz", damaged);
        let run = shelf.run(&["verify", &folder, "--json"]).exits(13);
        assert_eq!(run.json()["archives"][0]["good"], false);
    }
    fs::create_dir(shelf.machine.path("empty")).expect("a folder");
    let empty = shelf.machine.path("empty").display().to_string();
    shelf
        .run(&["verify", &empty])
        .exits(10)
        .says("empty has no archive");
}

#[test]
fn a_store_is_asked_for_no_more_manifests_than_there_is_patience_for() {
    let s3 = S3::start();
    let faults = Faults::in_front_of(&s3.endpoint());
    let shelf = Shelf::new();
    let text = format!(
        "[backup.destinations.s3]\nurl = \"s3://{}/p\"\nendpoint = \"{}\"\nregion = \"eu-1\"\n\
         allow_http = true\npath_style = true\naccess_key_id = \"{}\"\nsecret_access_key = \"{}\"\n",
        support::servers::s3::BUCKET,
        faults.endpoint(),
        S3::ACCESS_KEY,
        S3::SECRET_KEY,
    );
    shelf
        .machine
        .write("etc/config.toml", shelf.machine.config_text(&text), 0o600);
    let archive = made_at("2025-01-30T03:00:00Z", "hookshot-state");
    let put = |name: &str, bytes: &[u8]| {
        let file = s3.file(&format!("p/{name}"));
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, bytes).expect("written");
    };
    for day in 10..30 {
        put(
            &format!("hookshot-state-202501{day}-030000.tar.gz"),
            &archive,
        );
    }
    shelf.run(&["list", "@s3"]).exits(0);
    let plain = faults.seen().len();
    assert!(plain < 5, "{:?}", faults.seen());
    put("before-upgrade.tar.gz", &archive);
    let run = shelf.run(&["list", "@s3", "--json"]).exits(0);
    assert_eq!(listed(&run)[0], "before-upgrade.tar.gz");
    let looked = faults.seen().len() - plain;
    assert!(looked < plain + 6, "{:?}", faults.seen());
    // One that the store does not give may be an archive: nothing is known of it.
    let is_hers = |head: &Head| head.line[1].contains("before-upgrade");
    faults.add(Rule::on("GET", Fault::Answer(403)).whose(is_hers).always());
    let report = shelf.run(&["list", "@s3", "--json"]).exits(3).json();
    assert_eq!(report["error"]["kind"], "partial");
    let fault = report["error"]["faults"][0].as_str().expect("a fault");
    assert!(fault.contains("before-upgrade.tar.gz"), "{fault}");
    faults.clear();
    for number in 0..MAX_LOOKS + 5 {
        put(&format!("copy {number}.tar.gz"), &archive);
    }
    let report = shelf.run(&["list", "@s3", "--json"]).exits(0).json();
    let unread = report["other_files"].as_array().expect("a list");
    assert_eq!(unread.len(), 6, "{unread:?}");
    let says = unread[0]["reason"].as_str().expect("a reason");
    assert!(says.contains("not read"), "{says}");
}

#[test]
fn an_archive_without_an_index_tells_its_prefix_and_time_from_its_beginning() {
    let shelf = Shelf::new();
    // As format 1.0 and other programs pack it, below `./`, and with a manifest of a thousand lines.
    let mut tar = forge::Tar::new();
    tar.file(
        format!("./{ROOT}/manifest.json"),
        &forge::text(&forge::manifest(&ENTRIES)),
    );
    for (name, content) in ENTRIES {
        tar.file(format!("./{ROOT}/{name}"), content);
    }
    shelf.put("packed.tar.gz", &tar.gzip());
    let run = shelf.run(&["list", "@local", "--json"]).exits(0);
    assert_eq!(listed(&run), ["packed.tar.gz"]);
    let report = run.json();
    assert_eq!(report["archives"][0]["prefix"], "hookshot-state");
}

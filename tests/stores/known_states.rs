//! States that a copy knows wherever they went: by the SHA-256 of their manifests, whatever their names.

use support::{Machine, Run, finish, programs::unpack, vaults::configured};

use std::{fs, path::Path};

use serde_json::Value;

/// A machine with two repositories, `@vault` and `@other`, and with two folders, `@folder` and `@back`.
fn machine() -> Machine {
    let machine = configured(|machine| {
        let section = |name: &str, scheme: &str, more: &str| {
            let path = machine.path(name);
            format!(
                "[backup.destinations.{name}]\nurl = \"{scheme}{}\"\n{more}",
                path.display()
            )
        };
        let repositories = ["vault", "other"]
            .map(|name| section(name, "restic:", "password = \"file:vault.key\"\n"));
        let folders = ["folder", "back"].map(|name| section(name, "", ""));
        repositories.concat() + &folders.concat()
    });
    for name in ["folder", "back"] {
        fs::create_dir(machine.path(name)).expect("a folder");
    }
    machine.run(&["repo", "init", "@vault"]).exits(0);
    machine.run(&["repo", "init", "@other"]).exits(0);
    machine
}

/// Exports states that differ to `@folder`.
fn export(machine: &Machine, names: &[&str]) {
    for name in names {
        machine.write("etc/secrets", name, 0o600);
        machine.run(&["export", "@folder"]).exits(0);
    }
}

/// Copies, and returns the numbers of copied and of skipped archives.
fn copied(machine: &Machine, from: &str, to: &str) -> (usize, usize) {
    let report = machine.run(&["--json", "copy", from, to]).exits(0).json();
    let count = |key: &str| report[key].as_array().expect("a list").len();
    (count("copied"), count("skipped"))
}

fn only(folder: &Path) -> String {
    let mut entries = fs::read_dir(folder).expect("a folder").flatten();
    let only = entries.next().expect("an archive").path();
    assert!(entries.next().is_none());
    only.display().to_string()
}

/// Returns the times of the archives there.
fn times(machine: &Machine, place: &str) -> Vec<Value> {
    let listed = machine.run(&["--json", "list", place]).exits(0).json();
    let archives = listed["archives"].as_array().expect("a list");
    archives
        .iter()
        .map(|archive| archive["time"].clone())
        .collect()
}

/// Returns the identifiers of the snapshots in a repository.
fn ids(machine: &Machine, name: &str) -> Vec<String> {
    let entries = fs::read_dir(machine.path(name).join("snapshots")).into_iter();
    let entries = entries.flatten();
    entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect()
}

#[test]
fn a_state_that_went_somewhere_is_known_there_whatever_its_name() {
    let machine = machine();
    export(&machine, &["one"]);
    let archive = only(&machine.path("folder"));
    let renamed = machine.path("before-upgrade.tar.gz");
    fs::copy(&archive, &renamed).expect("copied");
    let renamed = renamed.display().to_string();
    let unpacked = unpack(&archive, &machine.path("unpacked"));
    let unpacked = unpacked.display().to_string();
    // An archive into a repository, under a name that tells no time.
    assert_eq!(copied(&machine, &renamed, "@vault"), (1, 0));
    for from in [&*renamed, &archive, "@folder", "@folder/latest", &unpacked] {
        assert_eq!(copied(&machine, from, "@vault"), (0, 1), "{from}");
    }
    let run = machine.run(&["copy", &archive, "@vault"]).exits(0);
    assert!(run.text().contains("already there"), "{}", run.text());
    assert_eq!(ids(&machine, "vault").len(), 1);
    // A repository into another one.
    let from = "@vault/before-upgrade.tar.gz";
    assert_eq!(copied(&machine, from, "@other"), (1, 0));
    assert_eq!(copied(&machine, from, "@other"), (0, 1));
    assert_eq!(copied(&machine, "@folder", "@other"), (0, 1));
    // A repository into a folder, in which it gets another name then.
    assert_eq!(copied(&machine, from, "@back"), (1, 0));
    assert_eq!(copied(&machine, from, "@back"), (0, 1));
    let there = only(&machine.path("back"));
    for name in [
        "other.tar.gz",
        &archive[archive.rfind('/').expect("a slash") + 1..],
    ] {
        let other = machine.path("back").join(name);
        fs::rename(only(&machine.path("back")), other).expect("renamed");
        assert_eq!(copied(&machine, from, "@back"), (0, 1), "{name}");
        assert_eq!(copied(&machine, "@other", "@back"), (0, 1), "{name}");
    }
    assert!(!Path::new(&there).exists());
    // It is packed by another hand, but it is the same state: another size is not another archive.
    assert_eq!(copied(&machine, "@folder", "@back"), (0, 1));
    let expected = times(&machine, "@folder");
    for place in ["@vault", "@other", "@back"] {
        assert_eq!(times(&machine, place), expected, "{place}");
    }
}

#[test]
fn all_states_are_sent_once_and_later_only_the_new_ones() {
    let machine = machine();
    export(&machine, &["one", "two", "three"]);
    assert_eq!(copied(&machine, "@folder", "@vault"), (3, 0));
    assert_eq!(copied(&machine, "@vault", "@other"), (3, 0));
    export(&machine, &["four", "five", "six"]);
    for (from, to) in [("@folder", "@vault"), ("@vault", "@other")] {
        assert_eq!(copied(&machine, from, to), (3, 3), "{from} {to}");
        assert_eq!(copied(&machine, from, to), (0, 6), "{from} {to}");
    }
    assert_eq!(copied(&machine, "@other", "@folder"), (0, 6));
    assert_eq!(copied(&machine, "@other", "@back"), (6, 0));
    assert_eq!(copied(&machine, "@other", "@back"), (0, 6));
    assert_eq!(times(&machine, "@back"), times(&machine, "@folder"));
}

#[test]
fn another_state_of_the_same_name_and_a_cut_archive_are_not_known() {
    let machine = machine();
    export(&machine, &["one"]);
    let archive = only(&machine.path("folder"));
    let name = Path::new(&archive).file_name().expect("a name");
    assert_eq!(copied(&machine, "@folder", "@vault"), (1, 0));
    fs::remove_file(&archive).expect("removed");
    export(&machine, &["two"]);
    let second = only(&machine.path("folder"));
    let other = machine.path("elsewhere");
    fs::create_dir(&other).expect("a folder");
    fs::rename(&second, other.join(name)).expect("renamed");
    let before = ids(&machine, "vault");
    let refused = machine.run(&["copy", &other.join(name).display().to_string(), "@vault"]);
    assert_ne!(refused.code, 0);
    assert_eq!(ids(&machine, "vault"), before);
    // An archive without its end is not the state.
    assert_eq!(copied(&machine, "@vault", "@back"), (1, 0));
    let there = only(&machine.path("back"));
    let bytes = fs::read(&there).expect("readable");
    fs::write(&there, &bytes[..bytes.len() - 100]).expect("written");
    let refused = machine.run(&["copy", "@vault", "@back"]);
    assert_ne!(refused.code, 0, "{}", refused.text());
}

#[test]
fn a_sealed_archive_is_opened_for_a_repository_and_sealed_when_it_leaves() {
    let machine = machine();
    let identity = machine.path("key.txt").display().to_string();
    machine.run(&["key", "generate", "-o", &identity]).exits(0);
    let key = fs::read_to_string(&identity).expect("readable");
    let public = key.split_whitespace().find(|word| word.starts_with("age1"));
    let text = fs::read_to_string(machine.path("etc/config.toml")).expect("readable");
    let more = format!(
        "{text}encryption = {{ recipients = [\"{}\"] }}\n",
        public.expect("a public key")
    );
    // `@back` is the last one of the configuration.
    machine.write("etc/config.toml", more, 0o644);
    export(&machine, &["one"]);
    let run = |arguments: &[&str], with_key: bool| -> Run {
        let mut command = machine.command();
        command.args(["--json"]).args(arguments);
        if with_key {
            command.args(["--identity", &identity]);
        }
        finish(command, b"")
    };
    // Without a key, this machine knows what it sealed.
    run(&["copy", "@folder", "@vault"], false).exits(0);
    run(&["copy", "@vault", "@back"], false).exits(0);
    let sealed = only(&machine.path("back"));
    assert!(sealed.ends_with(".tar.gz.age"), "{sealed}");
    let again = run(&["copy", "@vault", "@back"], false).exits(0).json();
    assert_eq!(again["skipped"][0]["known_by"], "manifest", "{again}");
    let again = run(&["copy", "@back", "@vault"], false).exits(0).json();
    assert_eq!(again["skipped"][0]["known_by"], "manifest", "{again}");
    // A new repository gets it with a key alone.
    run(&["copy", "@back", "@other"], false).exits(12);
    assert!(ids(&machine, "other").is_empty());
    run(&["copy", "@back", "@other"], true).exits(0);
    assert_eq!(times(&machine, "@other"), times(&machine, "@vault"));
    let listed = machine.run(&["--json", "list", "@other"]).exits(0).json();
    let name = listed["archives"][0]["name"].as_str().expect("a name");
    assert!(name.ends_with(".tar.gz"), "{name}");
}

#[test]
fn a_state_is_copied_by_the_beginning_of_its_snapshot_id() {
    let machine = machine();
    export(&machine, &["one", "two"]);
    assert_eq!(copied(&machine, "@folder", "@vault"), (2, 0));
    for id in ids(&machine, "vault") {
        let word = format!("@vault/{}", &id[..12]);
        assert_eq!(copied(&machine, &word, "@back"), (1, 0), "{word}");
        assert_eq!(copied(&machine, &word, "@back"), (0, 1), "{word}");
    }
    let names = |folder: &str| {
        let entries = fs::read_dir(machine.path(folder)).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(names("back"), names("folder"));
    machine
        .run(&["copy", "@vault/0000000000000000", "@back"])
        .exits(10)
        .says("has no snapshot");
}

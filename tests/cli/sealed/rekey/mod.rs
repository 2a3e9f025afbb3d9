//! `rekey`: archives are sealed anew for other recipients, keep their marks, and are never lost on the way.

mod at_once;
mod killed;
mod rehearsal;
mod room;
mod stores;

use std::{collections::BTreeSet, fs, process::Command};

use hookshot::{
    crypt::{ExposeSecret as _, KeyPair, generate},
    model::digest::Digest,
};
use serde_json::Value;
use support::{Machine, Run, finish};

const ONE: &str = "hookshot-state-20250101-030000";
const TWO: &str = "hookshot-state-20250102-030000";

/// A machine with a destination `@vault`, whose archives are sealed for two keys: one that leaves, and one that stays.
struct Vault {
    machine: Machine,
    leaves: KeyPair,
    stays: KeyPair,
    comes: KeyPair,
}

impl Vault {
    fn new() -> Vault {
        let vault = Vault {
            machine: Machine::new(),
            leaves: generate(),
            stays: generate(),
            comes: generate(),
        };
        for (name, pair) in [
            ("leaves", &vault.leaves),
            ("stays", &vault.stays),
            ("comes", &vault.comes),
        ] {
            let secret = pair.secret.expose_secret();
            vault.machine.write(&format!("{name}.key"), secret, 0o600);
        }
        fs::create_dir(vault.machine.path("vault")).expect("a folder");
        let url = format!("url = \"{}\"", vault.path("vault"));
        vault.configure(&url);
        vault
    }

    /// Configures the destination `@vault` with these lines.
    fn configure(&self, lines: &str) {
        let recipients = format!("\"{}\", \"{}\"", self.leaves.public, self.stays.public);
        let text = self.machine.config_text(&format!(
            "[backup.encryption]\nrecipients = [{recipients}]\n[backup.destinations.vault]\n{lines}\n"
        ));
        self.machine.write("etc/config.toml", text, 0o600);
    }

    fn path(&self, name: &str) -> String {
        self.machine.path(name).display().to_string()
    }

    /// Exports into the folder of the destination, sealed as configured, with the label `n`.
    fn export(&self, name: &str, label: &str) {
        let path = self.path(&format!("vault/{name}.tar.gz.age"));
        let label = format!("n={label}");
        self.machine
            .run(&["export", &path, "--tag", &label])
            .exits(0);
    }

    /// Runs hookshot with the identities of `keys`.
    fn run(&self, keys: &[&str], arguments: &[&str]) -> Run {
        let mut command = self.machine.command();
        command.args(arguments);
        for key in keys {
            let file = self.path(&format!("{key}.key"));
            command.arg("--identity").arg(file);
        }
        finish(command, b"")
    }

    /// The arguments that replace the key that leaves by the one that comes.
    fn replace<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let (comes, leaves) = (&*self.comes.public, &*self.leaves.public);
        [
            &[
                "rekey", "@vault", "--add", comes, "--remove", leaves, "--json",
            ],
            more,
        ]
        .concat()
    }

    /// The names in the folder of the destination.
    fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.machine.path("vault")).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names
            .map(|name| name.into_string().expect("UTF-8"))
            .collect()
    }

    /// The manifest of an archive, opened with a key.
    fn manifest(&self, key: &str, name: &str) -> Value {
        let word = format!("@vault/{name}.tar.gz.age");
        let run = self.run(&[key], &["inspect", &word, "--json"]).exits(0);
        run.json()["manifest"].clone()
    }

    /// Fails unless the keys that stay and come open the archive, and the one that left does not.
    fn is_for_the_new(&self, name: &str) {
        let word = format!("@vault/{name}.tar.gz.age");
        for (key, code) in [("stays", 0), ("comes", 0), ("leaves", 12)] {
            self.run(&[key], &["verify", &word]).exits(code);
        }
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn list<'a>(report: &'a Value, key: &str) -> &'a [Value] {
    report[key].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn archives_are_sealed_anew_for_the_stated_recipients_and_keep_their_marks() {
    let vault = Vault::new();
    vault.export(ONE, "one");
    vault.export(TWO, "two");
    let first = format!("@vault/{ONE}.tar.gz.age");
    vault
        .machine
        .run(&["keep", &first, "--until", "2099-01-01"])
        .exits(0);
    let before = vault.names();
    let manifests = [ONE, TWO].map(|name| vault.manifest("stays", name));
    let rehearsed = vault.run(&["stays"], &vault.replace(&["--dry-run"]));
    let rehearsed = rehearsed.exits(0).json();
    assert_eq!(rehearsed["dry_run"], true);
    assert_eq!(
        rehearsed["resealed"][0]["name"],
        format!("{ONE}.1.tar.gz.age")
    );
    assert_eq!(list(&rehearsed, "resealed").len(), 2, "{rehearsed}");
    let refused = vault.run(&["stays"], &vault.replace(&[])).exits(2);
    assert!(refused.text().contains("without --yes"), "{refused:?}");
    assert_eq!(vault.names(), before, "nothing is changed");

    let report = vault
        .run(&["stays"], &vault.replace(&["--yes"]))
        .exits(0)
        .json();
    let new = [ONE, TWO].map(|name| format!("{name}.1"));
    let marked = format!("{}.tar.gz.age.keep", new[0]);
    let expected = [
        &*format!("{}.tar.gz.age", new[0]),
        &marked,
        &format!("{}.tar.gz.age", new[1]),
    ];
    assert_eq!(vault.names(), set(&expected));
    let mark = vault.machine.read(&format!("vault/{marked}"));
    assert!(mark.starts_with(b"2099-01-01"), "{mark:?}");
    for (at, name) in new.iter().enumerate() {
        vault.is_for_the_new(name);
        let archive = &report["resealed"][at];
        let bytes = vault.machine.read(&format!("vault/{name}.tar.gz.age"));
        assert_eq!(archive["sha256"], Digest::of(&bytes).to_string());
        assert_eq!(archive["size_bytes"], bytes.len());
        assert_eq!(archive["proof"], "read-back");
        assert_eq!(vault.manifest("comes", name), manifests[at]);
    }
    let opened = Command::new("age")
        .args(["-d", "-i", &vault.path("comes.key")])
        .arg(vault.path(&format!("vault/{}.tar.gz.age", new[0])))
        .output()
        .expect("age");
    assert!(opened.status.success() && opened.stdout.starts_with(&[0x1f, 0x8b]));
    // The configuration is the user's: what it names still is said.
    let said = report["warnings"].to_string();
    for (key, says) in [
        (&vault.leaves.public, "still names"),
        (&vault.comes.public, "does not name"),
    ] {
        assert!(said.contains(says) && said.contains(key), "{said}");
    }
    // Once more changes nothing.
    let again = vault
        .run(&["stays"], &vault.replace(&["--yes"]))
        .exits(0)
        .json();
    assert_eq!(list(&again, "unchanged").len(), 2, "{again}");
    assert!(list(&again, "resealed").is_empty(), "{again}");
    assert_eq!(vault.names(), set(&expected));
}

#[test]
fn the_recipients_of_the_configuration_are_the_new_ones_unless_more_is_said() {
    let vault = Vault::new();
    let path = vault.path(&format!("vault/{ONE}.tar.gz.age"));
    let sealed = ["export", &path, "--recipient", &vault.comes.public];
    vault.machine.run(&sealed).exits(0);
    let plain = vault.path(&format!("vault/{TWO}.tar.gz"));
    vault
        .machine
        .run(&["export", &plain, "--no-encrypt"])
        .exits(0);
    let rekey = ["rekey", "@vault", "--yes", "--json"];
    let report = vault.run(&["comes"], &rekey).exits(0).json();
    let said = report["warnings"].to_string();
    assert!(said.contains("no key that is given opens"), "{said}");
    assert!(said.contains("are not sealed, and stay"), "{said}");
    let new = format!("@vault/{ONE}.1.tar.gz.age");
    for (key, code) in [("leaves", 0), ("stays", 0), ("comes", 12)] {
        vault.run(&[key], &["verify", &new]).exits(code);
    }
    assert!(vault.names().contains(&format!("{TWO}.tar.gz")));
    // By the path of the folder, too; there is nothing left to do.
    let folder = vault.path("vault") + "/";
    let again = vault
        .run(&["stays"], &["rekey", &folder, "--json"])
        .exits(0);
    assert_eq!(list(&again.json(), "unchanged").len(), 1);
}

#[test]
fn what_no_key_opens_or_what_is_damaged_is_named_and_stays() {
    let vault = Vault::new();
    vault.export(ONE, "one");
    let foreign = vault.path(&format!("vault/{TWO}.tar.gz.age"));
    let other = generate();
    vault
        .machine
        .run(&["export", &foreign, "--recipient", &other.public])
        .exits(0);
    let bytes = fs::read(&foreign).expect("an archive");
    let report = vault
        .run(&["stays"], &vault.replace(&["--yes"]))
        .exits(3)
        .json();
    let failed = list(&report, "failed");
    assert_eq!(failed.len(), 1, "{report}");
    assert_eq!(failed[0]["name"], format!("{TWO}.tar.gz.age"));
    assert_eq!(failed[0]["kind"], "wrong_key");
    assert_eq!(list(&report, "resealed").len(), 1, "{report}");
    assert_eq!(fs::read(&foreign).expect("an archive"), bytes);
    // If no key opens any of them, or none is given, that is the wrong key.
    fs::remove_file(vault.machine.path(&format!("vault/{ONE}.1.tar.gz.age"))).expect("removed");
    for keys in [&["stays"][..], &[]] {
        let run = vault.run(keys, &vault.replace(&["--yes"])).exits(12);
        assert_eq!(run.json()["error"]["kind"], "wrong_key");
    }
    fs::remove_file(&foreign).expect("removed");
    vault.run(&["stays"], &vault.replace(&["--yes"])).exits(10);
    // A damaged one is not sealed anew: it stays for whoever can mend it.
    vault.export(ONE, "one");
    let damaged = format!("vault/{ONE}.tar.gz.age");
    let mut bytes = vault.machine.read(&damaged);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    vault.machine.write(&damaged, &bytes, 0o600);
    vault.run(&["stays"], &vault.replace(&["--yes"])).exits(13);
    assert_eq!(vault.names(), set(&[&format!("{ONE}.tar.gz.age")]));
    assert_eq!(vault.machine.read(&damaged), bytes);
}

#[test]
fn recipients_that_make_no_sense_are_refused_and_a_private_key_is_not_repeated() {
    let vault = Vault::new();
    vault.export(ONE, "one");
    let rekey = |more: &[&str]| {
        let arguments = [&["rekey", "@vault", "--yes"], more].concat();
        vault.run(&["stays"], &arguments).exits(2)
    };
    let secret = vault.comes.secret.expose_secret();
    for option in ["--add", "--remove"] {
        let run = rekey(&[option, secret]).says("is a private key");
        assert!(!run.stderr.contains(&secret[20..40]), "{}", run.stderr);
    }
    let (leaves, stays) = (&*vault.leaves.public, &*vault.stays.public);
    rekey(&["--remove", leaves, "--remove", stays]).says("no recipient would be left");
    rekey(&["--add", stays, "--remove", stays]).says("both added and removed");
    let named = format!("@vault/{ONE}.tar.gz.age");
    vault
        .run(&["stays"], &["rekey", &named, "--yes"])
        .exits(2)
        .says("names an archive");
    let url = format!("url = \"{}\"\nencryption = false", vault.path("vault"));
    vault.configure(&url);
    rekey(&[]).says("no recipients are configured");
    assert_eq!(vault.names(), set(&[&format!("{ONE}.tar.gz.age")]));
    let config = vault.machine.config_text(&format!(
        "[backup.encryption]\npassphrase = \"file:phrase\"\n[backup.destinations.vault]\nurl = \"{}\"\n",
        vault.path("vault")
    ));
    vault.machine.write("etc/config.toml", config, 0o600);
    vault
        .machine
        .write("etc/phrase", "correct horse battery staple\n", 0o600);
    rekey(&["--add", leaves]).says("stands alone");
    // A passphrase takes the place of keys, and what it seals is recognized.
    let rekey = ["rekey", "@vault", "--yes", "--json"];
    vault.run(&["stays"], &rekey).exits(0);
    let again = vault.machine.run(&rekey).exits(0).json();
    assert_eq!(list(&again, "unchanged").len(), 1, "{again}");
    let new = format!("@vault/{ONE}.1.tar.gz.age");
    vault.machine.run(&["verify", &new]).exits(0);
}

#[test]
fn a_run_that_ended_between_two_steps_is_finished_by_the_next() {
    let vault = Vault::new();
    vault.export(ONE, "one");
    // Another archive of the same second, which is not the same one.
    vault.export(&format!("{ONE}.1"), "other");
    let old = [ONE.to_owned(), format!("{ONE}.1")].map(|name| format!("vault/{name}.tar.gz.age"));
    let kept = old.clone().map(|path| vault.machine.read(&path));
    vault.run(&["stays"], &vault.replace(&["--yes"])).exits(0);
    let new = [2, 3].map(|number| format!("{ONE}.{number}"));
    let done = new.clone().map(|name| format!("{name}.tar.gz.age"));
    let done = BTreeSet::from(done);
    assert_eq!(vault.names(), done);
    // Both are there again, the old one with a mark that the new one does not have yet.
    vault.machine.write(&old[0], &kept[0], 0o600);
    vault
        .machine
        .write(&format!("{}.keep", old[0]), "forever\n", 0o600);
    let report = vault
        .run(&["stays"], &vault.replace(&["--yes"]))
        .exits(0)
        .json();
    let finished = list(&report, "resealed");
    assert_eq!(finished.len(), 1, "{report}");
    assert_eq!(finished[0]["before"], format!("{ONE}.tar.gz.age"));
    assert_eq!(finished[0]["name"], format!("{}.tar.gz.age", new[0]));
    // The host knows it, although an earlier run sealed it, perhaps on another machine.
    let known = vault.machine.path("etc/.hookshot/known.jsonl");
    fs::remove_file(&known).expect("removed");
    vault.machine.write(&old[0], &kept[0], 0o600);
    vault.run(&["stays"], &vault.replace(&["--yes"])).exits(0);
    let record = fs::read(&known).expect("a record");
    let record: Value = serde_json::from_slice(&record).expect("one record");
    let bytes = vault.machine.read(&format!("vault/{}.tar.gz.age", new[0]));
    assert_eq!(record["name"], format!("{}.tar.gz.age", new[0]));
    assert_eq!(record["sha256"], Digest::of(&bytes).to_string());
    assert_eq!(record["size_bytes"], bytes.len());
    let mut expected = done;
    expected.insert(format!("{}.tar.gz.age.keep", new[0]));
    assert_eq!(vault.names(), expected);
    for name in &new {
        vault.is_for_the_new(name);
    }
    let labels = new
        .each_ref()
        .map(|name| vault.manifest("comes", name)["tags"]["n"].clone());
    assert_eq!(labels, ["one", "other"]);
}

#[test]
fn a_new_archive_that_is_damaged_does_not_cost_the_old_one() {
    let vault = Vault::new();
    vault.export(ONE, "one");
    let old = format!("vault/{ONE}.tar.gz.age");
    let kept = vault.machine.read(&old);
    vault.run(&["stays"], &vault.replace(&["--yes"])).exits(0);
    vault.machine.write(&old, &kept, 0o600);
    let new = format!("vault/{ONE}.1.tar.gz.age");
    let mut bytes = vault.machine.read(&new);
    let at = bytes.len() - 70_000_usize.min(bytes.len() / 2);
    bytes[at] ^= 1;
    vault.machine.write(&new, &bytes, 0o600);
    let run = vault.run(&["stays"], &vault.replace(&["--yes"]));
    assert!(run.code == 0 || run.code == 13 || run.code == 3, "{run:?}");
    let is_good = |name: &str| {
        let word = format!("@vault/{name}");
        vault.run(&["stays"], &["verify", &word]).code == 0
    };
    assert!(vault.names().iter().any(|name| is_good(name)));
}

//! `repo key`: further passwords of a repository, with restic as the referee.

use std::fs;

use support::{
    Machine, Run,
    bounds::limited,
    finish,
    restic::{GUESSABLE, PASSWORD, Restic, SECOND_PASSWORD},
    vaults::{configure, vault, with_vault},
};

use hookshot::model::digest::Digest;
use serde_json::{Value, json};

/// A machine whose repository has a state, and which has a second password.
fn machine() -> Machine {
    let machine = with_vault("");
    machine.run(&["export", "@vault"]).exits(0);
    machine.write("etc/second.key", format!("{SECOND_PASSWORD}\n"), 0o600);
    machine
}

fn add(machine: &Machine) -> Run {
    let file = machine.path("etc/second.key").display().to_string();
    machine.run(&[
        "repo",
        "key",
        "add",
        "@vault",
        "--password-file",
        &file,
        "--json",
    ])
}

fn keys(machine: &Machine) -> Vec<Value> {
    let run = machine.run(&["repo", "key", "list", "@vault", "--json"]);
    let report = run.exits(0).json();
    report["keys"].as_array().expect("keys").clone()
}

fn id(key: &Value) -> String {
    key["id"].as_str().expect("an ID").to_owned()
}

#[test]
fn a_second_password_opens_the_repository_until_its_key_is_removed() {
    let machine = machine();
    machine.write("etc/second.key", format!("{GUESSABLE}\n"), 0o600);
    let repository = machine.path("vault");
    let before = keys(&machine);
    assert_eq!(before.len(), 1);
    assert_eq!(before[0]["current"], true);
    assert!(
        before[0]["created"].is_string() && before[0]["user"].is_string(),
        "{before:?}"
    );
    let added = add(&machine).exits(0);
    assert!(!format!("{}{}", added.text(), added.stderr).contains(GUESSABLE));
    let added = id(&added.json());
    let after = keys(&machine);
    let ids: Vec<String> = after.iter().map(id).collect();
    assert!(ids.len() == 2 && ids.contains(&added), "{ids:?}");
    let is_current = |key: &&Value| key["current"] == true;
    assert_eq!(
        id(after.iter().find(is_current).expect("one")),
        id(&before[0])
    );
    let first = Restic::of_the_system();
    let second = first
        .as_ref()
        .map(|restic| restic.with_key(machine.path("etc/second.key")));
    if let Some(second) = &second {
        let listed = second.run(&repository, &["key", "list"]).exits(0).text();
        assert!(ids.iter().all(|id| listed.contains(&id[..8])), "{listed}");
        assert!(listed.contains(&format!("*{}", &added[..8])), "{listed}");
        second.run(&repository, &["check", "--read-data"]).exits(0);
    }
    // The machine goes on with the second one, and removes the first.
    machine.write("etc/vault.key", GUESSABLE, 0o600);
    machine
        .run(&["repo", "key", "remove", &id(&before[0])[..10], "@vault"])
        .exits(0);
    assert_eq!(keys(&machine).len(), 1);
    machine.run(&["verify", "@vault/latest"]).exits(0);
    machine.run(&["export", "@vault"]).exits(0);
    machine.write("etc/vault.key", PASSWORD, 0o600);
    machine.run(&["verify", "@vault/latest"]).exits(12);
    if let (Some(first), Some(second)) = (first, second) {
        assert_ne!(first.run(&repository, &["snapshots"]).code, 0);
        second.run(&repository, &["check"]).exits(0);
    }
}

#[test]
fn the_key_in_use_stays_and_so_does_the_last_one() {
    let machine = machine();
    let first = id(&keys(&machine)[0]);
    machine
        .run(&["repo", "key", "remove", &first, "@vault"])
        .exits(2)
        .says("in use");
    add(&machine).exits(0);
    machine
        .run(&["repo", "key", "remove", &first, "@vault"])
        .exits(2)
        .says("in use");
    machine
        .run(&["repo", "key", "remove", "", "@vault"])
        .exits(2)
        .says("more than one");
    machine
        .run(&["repo", "key", "remove", "zz", "@vault"])
        .exits(10)
        .says("does not exist");
    assert_eq!(keys(&machine).len(), 2);
}

#[test]
fn a_password_that_opens_it_already_gets_no_second_key() {
    let machine = machine();
    let refused = |says: &str| {
        let said = add(&machine).exits(2).text();
        assert!(said.contains(says), "{said}");
    };
    machine.write("etc/second.key", PASSWORD, 0o600);
    refused("already");
    machine.write("etc/second.key", "\n", 0o600);
    refused("empty");
    machine.write("etc/second.key", SECOND_PASSWORD, 0o644);
    refused("chmod 600");
    std::fs::remove_file(machine.path("etc/second.key")).expect("removed");
    refused("second.key");
    assert_eq!(keys(&machine).len(), 1);
}

#[test]
fn restics_keys_are_listed_and_removed() {
    let Some(restic) = Restic::of_the_system() else {
        return;
    };
    let machine = machine();
    let repository = machine.path("vault");
    let file = machine.path("etc/second.key").display().to_string();
    restic
        .run(&repository, &["key", "add", "--new-password-file", &file])
        .exits(0);
    let all = keys(&machine);
    let theirs = all.iter().find(|key| key["current"] == false).expect("one");
    assert!(
        theirs["host"].is_string() && theirs["created"].is_string(),
        "{theirs}"
    );
    let theirs = id(theirs);
    // Under a lock of its own, as every removal.
    let locks = machine.path("vault/locks");
    machine
        .run(&["repo", "key", "remove", &theirs, "@vault"])
        .exits(0);
    assert_eq!(std::fs::read_dir(locks).expect("a folder").count(), 0);
    let second = restic.with_key(machine.path("etc/second.key"));
    assert_ne!(second.run(&repository, &["snapshots"]).code, 0);
}

#[test]
fn a_repository_that_only_grows_keeps_its_keys() {
    let machine = machine();
    let added = id(&add(&machine).exits(0).json());
    configure(&machine, &vault(&machine, "append_only = true\n"));
    machine
        .run(&["repo", "key", "remove", &added, "@vault"])
        .exits(2)
        .says("append_only");
    assert_eq!(keys(&machine).len(), 2);
}

#[test]
fn a_damaged_key_is_told_and_stops_no_other_one() {
    let machine = machine();
    let added = id(&add(&machine).exits(0).json());
    let file = machine.path("vault/keys").join(&added);
    let mut bytes = fs::read(&file).expect("a key");
    bytes[40] ^= 4;
    fs::write(&file, bytes).expect("written");
    let listed = machine
        .run(&["repo", "key", "list", "@vault", "--json"])
        .exits(3)
        .json();
    let keys_of = |listed: &Value| listed["keys"].as_array().expect("keys").clone();
    let damaged: Vec<String> = keys_of(&listed)
        .iter()
        .filter(|key| key["damaged"] == true)
        .map(id)
        .collect();
    assert_eq!(damaged, [&*added]);
    assert_eq!(keys_of(&listed).len(), 2);
    let shown = machine.run(&["repo", "key", "list", "@vault"]).exits(3);
    let line = format!("{}  damaged", &added[..8]);
    assert!(shown.text().contains(&line), "{}", shown.text());
    machine.run(&["export", "@vault"]).exits(0);
    // Its password gets a new key, and the damaged one goes.
    let again = id(&add(&machine).exits(0).json());
    machine
        .run(&["repo", "key", "remove", &added, "@vault"])
        .exits(0);
    let left = keys(&machine);
    assert!(left.iter().all(|key| key["damaged"] == false), "{left:?}");
    assert!(left.len() == 2 && left.iter().any(|key| id(key) == again));
    machine.write("etc/vault.key", SECOND_PASSWORD, 0o600);
    machine.run(&["verify", "@vault/latest"]).exits(0);
}

#[test]
fn a_key_that_asks_for_much_costs_nothing_if_the_password_has_its_own() {
    let machine = machine();
    let folder = machine.path("vault/keys");
    let own = folder.join(id(&keys(&machine)[0]));
    let own: Value = serde_json::from_slice(&fs::read(own).expect("a key")).expect("JSON");
    // A gigabyte each: as much as a key may ask for.
    for number in 0..16 {
        let mut file = own.clone();
        file["N"] = json!(1 << 20);
        file["p"] = json!(6);
        file["hostname"] = json!(format!("thief{number}"));
        let file = serde_json::to_vec(&file).expect("JSON");
        fs::write(folder.join(Digest::of(&file).to_string()), file).expect("written");
    }
    // Larger than any key.
    let huge = vec![b' '; 1 << 20];
    fs::write(folder.join(Digest::of(&huge).to_string()), huge).expect("written");
    let mut command = machine.command();
    command.args(["verify", "@vault/latest"]);
    let bounded = limited(&command, &["--data=600000000".to_owned()]);
    finish(bounded, b"").exits(0);
    let listed = machine.run(&["repo", "key", "list", "@vault", "--json"]);
    let listed = listed.exits(3).json();
    let all = listed["keys"].as_array().expect("keys");
    let damaged = all.iter().filter(|key| key["damaged"] == true);
    assert_eq!((all.len(), damaged.count()), (18, 1));
}

//! Damage of each kind of file of a repository: it is found and named, and an import changes nothing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use support::{
    Machine,
    vaults::{copy_folder, files_below, json, names, noise},
};

use super::machine;

/// A kind of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Deleted,
    Cut,
    Flipped,
}

const DAMAGES: [Damage; 3] = [Damage::Deleted, Damage::Cut, Damage::Flipped];

impl Damage {
    fn strike(self, file: &Path) {
        let mut bytes = fs::read(file).expect("a file");
        match self {
            Damage::Deleted => return fs::remove_file(file).expect("removed"),
            Damage::Cut => bytes.truncate(bytes.len() / 2),
            Damage::Flipped => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 4;
            }
        }
        fs::write(file, bytes).expect("written");
    }
}

/// The files of a repository with one state, by their kind.
fn by_kind(machine: &Machine) -> Vec<(&'static str, PathBuf)> {
    let vault = machine.path("vault");
    let one = |folder: &str| files_below(&vault.join(folder)).remove(0);
    let mut packs = files_below(&vault.join("data"));
    assert_eq!(packs.len(), 2, "one of trees, and one of content");
    packs.sort_by_key(|pack| pack.metadata().expect("it").len());
    let [trees, content] = [packs.remove(0), packs.remove(0)];
    vec![
        ("config", vault.join("config")),
        ("key", one("keys")),
        ("index", one("index")),
        ("snapshot", one("snapshots")),
        ("trees", trees),
        ("content", content),
    ]
}

#[test]
fn damage_of_each_kind_is_named_and_an_import_changes_nothing() {
    let machine = machine();
    // Content that does not compress, so that its pack is the larger one.
    machine.write("etc/secrets", noise(300_000, 7), 0o600);
    machine.run(&["export", "@vault"]).exits(0);
    let good = machine.path("good");
    copy_folder(&machine.path("vault"), &good);
    machine.write("etc/secrets", "now", 0o600);
    let before = machine.targets();
    for (kind, file) in by_kind(&machine) {
        for damage in DAMAGES {
            copy_folder(&good, &machine.path("vault"));
            damage.strike(&file);
            let case = format!("{kind} {damage:?}");
            let name = file.file_name().expect("a name").to_string_lossy();
            let short = &name[..name.len().min(8)];
            let (verify, check) = match (kind, damage) {
                // Nothing but the file itself tells of a state.
                ("snapshot", Damage::Deleted) => (10, 0),
                _ => (13, 13),
            };
            let run = machine.run(&["verify", "@vault/latest"]);
            assert_eq!(run.code, verify, "{case}: {}{}", run.text(), run.stderr);
            let run = machine.run(&["repo", "check", "@vault", "--read-data"]);
            assert_eq!(run.code, check, "{case}: {}{}", run.text(), run.stderr);
            let said = format!("{}{}", run.text(), run.stderr);
            // The only key is not needed by its name, and an index not by one either.
            let is_named = said.contains(short)
                || matches!((kind, damage), ("key" | "index", Damage::Deleted));
            assert!(check == 0 || is_named, "{case}: {said}");
            assert!(
                !said.contains("rustic_core") && !said.contains("\\n"),
                "{case}: {said}"
            );
            let run = machine.run(&["import", "@vault/latest"]);
            assert_eq!(run.code, verify, "{case}: {}", run.stderr);
            assert_eq!(machine.targets(), before, "{case}");
        }
    }
}

#[test]
fn a_damaged_repository_is_not_made_anew() {
    let machine = machine();
    machine.run(&["export", "@vault"]).exits(0);
    let config = machine.read("vault/config");
    fs::remove_file(machine.path("vault/config")).expect("removed");
    machine
        .run(&["repo", "init", "@vault"])
        .exits(13)
        .says("has keys");
    machine.write("vault/config", config, 0o600);
    machine.run(&["verify", "@vault/latest"]).exits(0);
}

#[test]
fn an_older_state_is_taken_if_the_newest_one_is_damaged() {
    let machine = machine();
    machine.run(&["export", "@vault"]).exits(0);
    let packs = files_below(&machine.path("vault/data"));
    machine.write("etc/secrets", noise(300_000, 7), 0o600);
    machine.run(&["export", "@vault"]).exits(0);
    let mut new = files_below(&machine.path("vault/data"));
    new.retain(|pack| !packs.contains(pack));
    new.into_iter().for_each(|pack| Damage::Cut.strike(&pack));
    let dry = json(machine.run(&["--json", "import", "@vault/latest", "--dry-run"]));
    let names = names(&machine);
    assert_eq!(dry["archive"], format!("@vault/{}", names[1]));
    machine.run(&["import", "@vault/latest"]).exits(0);
}

/// Damages everything that only the newest of several states has, and returns the name of its archive.
fn damage_the_newest(machine: &Machine) -> String {
    let before = files_below(&machine.path("vault/data"));
    machine.write("etc/secrets", noise(300_000, 9), 0o600);
    machine.run(&["export", "@vault"]).exits(0);
    let mut new = files_below(&machine.path("vault/data"));
    new.retain(|pack| !before.contains(pack));
    assert!(!new.is_empty());
    new.into_iter().for_each(|pack| Damage::Cut.strike(&pack));
    names(machine).remove(0)
}

#[test]
fn the_only_state_that_is_damaged_has_one_exit_code_for_every_verb() {
    let machine = machine();
    let newest = damage_the_newest(&machine);
    for arguments in [
        &["verify", "@vault/latest"][..],
        &["copy", "@vault/latest", "@folder"],
        &["copy", "@vault", "@folder"],
        &["drill", "@vault/latest"],
        &["drill", "@vault"],
        &["import", "@vault/latest"],
        &["inspect", "@vault/latest"],
        &["extract", "@vault/latest", "-o", "out"],
    ] {
        let run = machine.run(arguments);
        let said = format!("{}{}", run.text(), run.stderr);
        assert_eq!(run.code, 13, "{arguments:?}: {said}");
        let is_named = ["verify", "copy", "drill"].contains(&arguments[0]);
        assert!(!is_named || said.contains(&newest), "{arguments:?}: {said}");
    }
}

#[test]
fn an_older_state_is_copied_and_drilled_if_the_newest_one_is_damaged() {
    let machine = machine();
    machine.run(&["export", "@vault"]).exits(0);
    let good = names(&machine).remove(0);
    let damaged = damage_the_newest(&machine);
    let copied = machine.run(&["copy", "@vault/latest", "@folder"]);
    assert!(copied.stderr.contains(&damaged), "{}", copied.stderr);
    copied.exits(0);
    assert!(machine.path("folder").join(good).exists());
    let drilled = machine.run(&["drill", "@vault/latest"]);
    let said = format!("{}{}", drilled.text(), drilled.stderr);
    assert_eq!(drilled.code, 13, "{said}");
    assert!(said.contains(&damaged), "{said}");
}

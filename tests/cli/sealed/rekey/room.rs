//! `rekey` at a full destination: nothing is lost.

use std::fs;

use support::{Mounted, is_root};

use super::{ONE, TWO, Vault, list, set};
use crate::sealed::{can_trace, noise, traced};

/// The archives of a vault, as they are.
fn contents(vault: &Vault) -> Vec<(String, Vec<u8>)> {
    let names = vault.names().into_iter();
    let contents = names.map(|name| {
        let content = vault.machine.read(&format!("vault/{name}"));
        (name, content)
    });
    contents.collect()
}

#[test]
fn a_full_destination_is_refused_and_nothing_is_lost() {
    if !is_root("a full file system") {
        return;
    }
    let vault = Vault::new();
    vault.machine.write("etc/secrets", noise(600_000), 0o600);
    let folder = vault.machine.path("vault");
    let _mounted = Mounted::tmpfs(&folder, "2m");
    vault.export(ONE, "one");
    vault.export(TWO, "two");
    fs::write(folder.join("ballast"), noise(500_000)).expect("written");
    let before = contents(&vault);
    let run = vault.run(&["stays"], &vault.replace(&["--yes"])).exits(18);
    assert_eq!(run.json()["error"]["kind"], "no_space");
    assert!(contents(&vault) == before, "nothing changed");
    // With room for one archive more, each takes the place of the one before.
    fs::remove_file(folder.join("ballast")).expect("removed");
    let report = vault.run(&["stays"], &vault.replace(&["--yes"])).exits(0);
    assert_eq!(list(&report.json(), "resealed").len(), 2);
    for name in [ONE, TWO] {
        vault.is_for_the_new(&format!("{name}.1"));
    }
}

#[test]
fn a_destination_that_fills_while_it_is_written_keeps_the_old_archives() {
    if !can_trace() {
        return;
    }
    let vault = Vault::new();
    vault.machine.write("etc/secrets", noise(600_000), 0o600);
    vault.export(ONE, "one");
    vault.export(TWO, "two");
    let before = contents(&vault);
    let key = vault.path("stays.key");
    let arguments = [&*vault.replace(&["--yes"]), &["--identity", &key]].concat();
    // The second call of each thread; that which uploads writes the archive, and nothing else.
    let inject = "inject=write:error=ENOSPC:when=2";
    let options = ["-o", "/dev/null", "-e", inject];
    let run = traced(&vault.machine, &options, &arguments);
    run.exits(18);
    assert!(contents(&vault) == before, "nothing changed");
    vault.run(&["stays"], &vault.replace(&["--yes"])).exits(0);
    let names = [ONE, TWO].map(|name| format!("{name}.1.tar.gz.age"));
    assert_eq!(vault.names(), set(&[&names[0], &names[1]]));
}

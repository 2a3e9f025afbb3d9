//! Two runs of `rekey` at once: on one machine the second is refused, and on two no archive is sealed twice.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use hookshot::crypt::ExposeSecret as _;
use nix::{sys::stat::Mode, unistd::mkfifo};
use support::program;

use super::{ONE, TWO, Vault, list, set};
use crate::sealed::typed;

#[test]
fn a_second_run_of_a_configuration_is_refused_and_names_the_first() {
    let vault = Vault::new();
    vault.export(ONE, "one");
    vault.export(TWO, "two");
    let (fifo, begun) = (vault.machine.path("fifo"), vault.machine.path("begun"));
    mkfifo(&fifo, Mode::from_bits_truncate(0o600)).expect("a fifo");
    // The first gets its key late.
    let key = format!("command:touch {}; cat {}", begun.display(), fifo.display());
    let mut command = vault.machine.command();
    command
        .args(vault.replace(&["--yes", "--identity", &key]))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut first = command.spawn().expect("started");
    let until = Instant::now() + Duration::from_secs(60);
    while !begun.exists() {
        assert!(Instant::now() < until, "the first run does not begin");
        thread::yield_now();
    }
    let second = vault.run(&["stays"], &vault.replace(&["--yes"])).exits(11);
    let said = second.text() + &second.stderr;
    assert!(said.contains(&first.id().to_string()), "{said}");
    // A rehearsal only reads.
    vault
        .run(&["stays"], &vault.replace(&["--dry-run"]))
        .exits(0);
    let secret = vault.stays.secret.expose_secret();
    fs::write(&fifo, secret).expect("written");
    assert!(first.wait().expect("ended").success());
    let names = [ONE, TWO].map(|name| format!("{name}.1.tar.gz.age"));
    assert_eq!(vault.names(), set(&[&names[0], &names[1]]));
}

#[test]
fn an_archive_that_another_machine_seals_meanwhile_is_not_sealed_twice_and_is_no_failure() {
    let vault = Vault::new();
    vault.export(ONE, "one");
    vault.export(TWO, "two");
    let old = vault.machine.read(&format!("vault/{ONE}.tar.gz.age"));
    vault.machine.write("old", old, 0o600);
    // The other machine has a configuration of its own, and so another lock.
    let config = vault.machine.read("etc/config.toml");
    fs::create_dir(vault.machine.path("other")).expect("a folder");
    vault.machine.write("other/config.toml", config, 0o600);
    let (comes, leaves) = (&*vault.comes.public, &*vault.leaves.public);
    let key = vault.path("stays.key");
    let rekey = [
        "rekey",
        "@vault",
        "--add",
        comes,
        "--remove",
        leaves,
        "--identity",
        &key,
    ];
    let (program, other) = (
        program().display().to_string(),
        vault.path("other/config.toml"),
    );
    let (kept, back) = (
        vault.path("old"),
        vault.path(&format!("vault/{ONE}.tar.gz.age")),
    );
    // While the first run asks, the other one does all of the work. Of one archive, the old file is not removed yet.
    let meanwhile = format!(
        "{program} --config {other} {} --yes; cp -p {kept} {back}",
        rekey.join(" ")
    );
    let run = typed(&vault.machine, &rekey, &meanwhile, &[("[y/N] ", "y\n")]).exits(0);
    let names = [ONE, TWO].map(|name| format!("{name}.1.tar.gz.age"));
    assert_eq!(vault.names(), set(&[&names[0], &names[1]]), "{run:?}");
    for name in [ONE, TWO] {
        vault.is_for_the_new(&format!("{name}.1"));
    }
    let said = run.text();
    assert!(said.contains("another run sealed"), "{said}");
    let again = vault.run(&["stays"], &vault.replace(&["--yes"])).exits(0);
    assert_eq!(list(&again.json(), "unchanged").len(), 2);
}

#[test]
fn another_archive_under_the_next_name_is_no_twin() {
    let vault = Vault::new();
    vault.export(ONE, "one");
    let (comes, leaves) = (&*vault.comes.public, &*vault.leaves.public);
    let key = vault.path("stays.key");
    let rekey = [
        "rekey",
        "@vault",
        "--add",
        comes,
        "--remove",
        leaves,
        "--identity",
        &key,
    ];
    // Sealed for the same, and of another state.
    let next = vault.path(&format!("vault/{ONE}.1.tar.gz.age"));
    let mut export = Command::new(program());
    export
        .args(["--config", &vault.path("etc/config.toml"), "export"])
        .args([&vault.path("next.tar.gz.age"), "--tag", "n=other"])
        .args(["--recipient", comes, "--recipient", &vault.stays.public]);
    assert!(export.status().expect("hookshot").success());
    let meanwhile = format!("cp -p {} {next}", vault.path("next.tar.gz.age"));
    typed(&vault.machine, &rekey, &meanwhile, &[("[y/N] ", "y\n")]).exits(0);
    let names = [1, 2].map(|number| format!("{ONE}.{number}.tar.gz.age"));
    assert_eq!(vault.names(), set(&[&names[0], &names[1]]));
    let label =
        |number: u32| vault.manifest("comes", &format!("{ONE}.{number}"))["tags"]["n"].clone();
    assert_eq!([label(1), label(2)], ["other", "one"]);
}

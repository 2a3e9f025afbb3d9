//! The program age opens what hookshot seals, and hookshot opens what age seals.

use std::{fs, process::Command};

use hookshot::crypt::generate;

use super::Sealing;

fn age(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("age")
        .args(arguments)
        .output()
        .expect("age (the package `age`)");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "age {arguments:?}: {errors}");
    output.stdout
}

#[test]
fn age_opens_what_hookshot_seals() {
    let sealing = Sealing::new();
    let sealed = sealing.export("a.tar.gz.age");
    let opened = sealing.path("out/a.tar.gz");
    age(&["-d", "-i", &sealing.path("key.txt"), "-o", &opened, &sealed]);
    sealing.machine.run(&["verify", &opened]).exits(0);
    let listed = Command::new("tar")
        .args(["-tzf", &opened])
        .output()
        .expect("tar");
    assert!(String::from_utf8_lossy(&listed.stdout).contains("/config.toml"));
}

#[test]
fn hookshot_opens_what_age_seals_for_several_recipients_and_in_armor() {
    let sealing = Sealing::new();
    let other = generate();
    let plain = sealing.machine.export("a.tar.gz");
    for armor in [&[][..], &["-a"]] {
        let sealed = sealing.path("out/b.tar.gz.age");
        let own = &sealing.pair.public;
        let recipients = ["-r", &other.public, "-r", own, "-o", &sealed, &plain];
        let arguments: Vec<&str> = armor.iter().copied().chain(recipients).collect();
        age(&arguments);
        sealing.run(&["verify", &sealed]).exits(0);
        sealing.run(&["inspect", &sealed]).exits(0);
        sealing.run(&["import", &sealed, "--dry-run"]).exits(0);
        let mut bytes = fs::read(&sealed).expect("an archive");
        let middle = bytes.len() / 2;
        bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
        fs::write(&sealed, bytes).expect("written");
        sealing.run(&["verify", &sealed]).exits(13);
    }
}

#[test]
fn keys_of_openssh_seal_and_open() {
    let sealing = Sealing::new();
    let key = sealing.path("id_ed25519");
    let options = ["-q", "-t", "ed25519", "-N", "", "-C", "me@host", "-f", &key];
    let made = Command::new("ssh-keygen").args(options).status();
    assert!(made.expect("ssh-keygen").success());
    let public = fs::read_to_string(format!("{key}.pub")).expect("a key");
    let sealed = sealing.path("out/a.tar.gz.age");
    sealing
        .machine
        .run(&["export", &sealed, "--recipient", &public])
        .exits(0);
    sealing
        .machine
        .run(&["verify", &sealed, "--identity", &key])
        .exits(0);
    sealing
        .run(&["verify", &sealed])
        .exits(12)
        .says("ssh-ed25519");
    age(&[
        "-d",
        "-i",
        &key,
        "-o",
        &sealing.path("out/a.tar.gz"),
        &sealed,
    ]);
    sealing
        .machine
        .run(&["verify", &sealing.path("out/a.tar.gz")])
        .exits(0);
    let by_age = sealing.path("out/b.tar.gz.age");
    age(&[
        "-R",
        &format!("{key}.pub"),
        "-o",
        &by_age,
        &sealing.path("out/a.tar.gz"),
    ]);
    sealing
        .machine
        .run(&["verify", &by_age, "--identity", &key])
        .exits(0);
}

#[test]
fn a_recipients_file_and_a_passphrase_are_those_of_age() {
    let sealing = Sealing::new();
    let other = generate();
    sealing.machine.write(
        "etc/recipients",
        format!("# both\n{}\n{}\n", other.public, sealing.pair.public),
        0o644,
    );
    let text = sealing
        .machine
        .config_text("[backup.encryption]\nrecipients_file = \"recipients\"\n");
    sealing.machine.write("etc/config.toml", text, 0o600);
    let sealed = sealing.path("out/a.tar.gz.age");
    sealing.machine.run(&["export", &sealed]).exits(0);
    age(&[
        "-d",
        "-i",
        &sealing.path("key.txt"),
        "-o",
        &sealing.path("out/a.tar.gz"),
        &sealed,
    ]);
    sealing
        .machine
        .write("etc/phrase", "correct horse battery staple\n", 0o600);
    let text = sealing
        .machine
        .config_text("[backup.encryption]\npassphrase = \"file:phrase\"\n");
    sealing.machine.write("etc/config.toml", text, 0o600);
    let by_phrase = sealing.path("out/b.tar.gz.age");
    sealing.machine.run(&["export", &by_phrase]).exits(0);
    sealing.machine.run(&["verify", &by_phrase]).exits(0);
    sealing.machine.write("etc/phrase", "another\n", 0o600);
    sealing.machine.run(&["verify", &by_phrase]).exits(12);
}

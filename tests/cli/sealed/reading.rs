//! Every verb that reads an archive reads a sealed one, with the right key, and says what is missing without.

use std::{fs, process::Command};

use hookshot::crypt::{ExposeSecret as _, generate};
use support::finish;

use super::Sealing;

#[test]
fn every_verb_reads_a_sealed_archive() {
    let sealing = Sealing::new();
    let sealed = sealing.export("a.tar.gz.age");
    let bytes = fs::read(&sealed).expect("an archive");
    assert!(bytes.starts_with(b"age-encryption.org/v1\n"));
    let before = sealing.machine.targets();
    sealing.run(&["verify", &sealed]).exits(0);
    let inspected = sealing.run(&["inspect", &sealed, "--json"]).exits(0).json();
    assert!(
        inspected["manifest"]["files"]["config.toml"].is_object(),
        "{inspected}"
    );
    sealing.run(&["diff", &sealed]).exits(0);
    let out = sealing.path("taken");
    sealing
        .run(&["extract", &sealed, "config.toml", "-o", &out])
        .exits(0);
    assert_eq!(
        fs::read(sealing.machine.path("taken/config.toml")).expect("an entry"),
        sealing.machine.read("etc/config.toml")
    );
    sealing
        .machine
        .write("etc/services.toml", "[changed]\n", 0o600);
    sealing.run(&["import", &sealed, "--dry-run"]).exits(0);
    sealing.run(&["import", &sealed]).exits(0);
    assert!(sealing.machine.targets() == before);
    sealing.machine.run(&["rollback"]).exits(0);
    let [option, file] = sealing.identity();
    for verb in [
        &["verify", "-"][..],
        &["inspect", "-"],
        &["import", "-", "--dry-run"],
    ] {
        let arguments: Vec<&str> = verb.iter().copied().chain([&*option, &*file]).collect();
        sealing.machine.run_with(&arguments, &bytes).exits(0);
    }
}

#[test]
fn the_key_comes_from_an_option_a_variable_or_the_configuration() {
    let sealing = Sealing::new();
    let sealed = sealing.export("a.tar.gz.age");
    let verify = &["verify", &*sealed];
    sealing.machine.run(verify).exits(3).says("no key is given");
    let mut command = sealing.machine.command();
    command
        .args(verify)
        .env("HOOKSHOT_IDENTITY", sealing.path("key.txt"));
    finish(command, b"").exits(0);
    sealing.configure("identity_file = \"../key.txt\"\n");
    sealing.machine.run(verify).exits(0);
    let other = generate();
    sealing
        .machine
        .write("other.txt", other.secret.expose_secret(), 0o600);
    let both = format!(
        "identity_file = [\"../other.txt\", \"{}\"]\n",
        sealing.path("key.txt")
    );
    sealing.configure(&both);
    sealing.machine.run(verify).exits(0);
    let wrong = sealing
        .machine
        .run(&["verify", &sealed, "--identity", &sealing.path("other.txt")]);
    let wrong = wrong.exits(12).says("no given key opens it");
    assert!(
        wrong.text().contains(&other.public),
        "the tried key is named"
    );
    let error = sealing.machine.run(&[
        "inspect",
        &sealed,
        "--json",
        "--identity",
        &sealing.path("other.txt"),
    ]);
    assert_eq!(error.exits(12).json()["error"]["kind"], "wrong_key");
}

#[test]
fn an_identity_file_that_others_can_read_is_refused() {
    let sealing = Sealing::new();
    let sealed = sealing.export("a.tar.gz.age");
    let secret = sealing.pair.secret.expose_secret();
    sealing.machine.write("open.txt", secret, 0o644);
    let run = sealing
        .machine
        .run(&["verify", &sealed, "--identity", &sealing.path("open.txt")]);
    let run = run.exits(12).says("chmod 600");
    assert!(!run.text().contains(&secret[20..40]));
    let missing =
        sealing
            .machine
            .run(&["verify", &sealed, "--identity", &sealing.path("none.txt")]);
    missing.exits(12).says("none.txt");
    // A plain archive needs no key, and a wrong one does no harm.
    let plain = sealing.machine.export("plain.tar.gz");
    sealing
        .machine
        .run(&["verify", &plain, "--identity", &sealing.path("none.txt")])
        .exits(0);
}

#[test]
fn a_damaged_sealed_archive_is_refused_and_nothing_changes() {
    let sealing = Sealing::new();
    let sealed = sealing.export("a.tar.gz.age");
    let bytes = fs::read(&sealed).expect("an archive");
    sealing
        .machine
        .write("etc/services.toml", "[changed]\n", 0o600);
    let before = sealing.machine.state();
    let length = bytes.len();
    let mut changed: Vec<(String, Vec<u8>)> = Vec::new();
    for at in [60, 120, 250, length / 2, length - 20, length - 1] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x04;
        changed.push((format!("byte {at}"), bytes));
    }
    for cut in [10, 40, 190, length / 2, length - 1] {
        changed.push((format!("cut at {cut}"), bytes[..cut].to_vec()));
    }
    changed.push(("a byte more".to_owned(), [&bytes[..], b"x"].concat()));
    for (what, bytes) in changed {
        fs::write(&sealed, &bytes).expect("written");
        for verb in [&["verify"][..], &["import"], &["import", "--dry-run"]] {
            let arguments: Vec<&str> = verb.iter().copied().chain([&*sealed]).collect();
            let run = sealing.run(&arguments);
            // Without a part of its header it may be for other keys.
            let is_of_header = what == "byte 60" || what == "byte 120";
            let code = run.code;
            assert!(
                code == 13 || is_of_header && code == 12,
                "{what}: {verb:?}: {code:?}\n{}",
                run.text()
            );
        }
    }
    assert!(sealing.machine.state() == before, "nothing changed");
}

#[test]
fn a_sealed_archive_of_another_program_is_read_from_a_file_and_leaves_no_plain_copy() {
    let sealing = Sealing::new();
    let plain = sealing.machine.export("a.tar.gz");
    let folder = sealing.path("packed");
    fs::create_dir(&folder).expect("a folder");
    let tar = |arguments: &[&str]| {
        let status = Command::new("tar").args(arguments).status();
        assert!(status.expect("tar").success(), "{arguments:?}");
    };
    tar(&["-xzf", &plain, "-C", &folder]);
    let again = sealing.path("out/b.tar.gz");
    // In the order of names, the manifest is not the first.
    tar(&["-czf", &again, "--sort=name", "-C", &folder, "."]);
    sealing.machine.run(&["verify", &again]).exits(0);
    let sealed = sealing.path("out/b.tar.gz.age");
    let public = &sealing.pair.public;
    let status = Command::new("age")
        .args(["-r", public, "-o", &sealed, &again])
        .status();
    assert!(status.expect("age").success());
    sealing.run(&["verify", &sealed]).exits(0);
    let bytes = fs::read(&sealed).expect("an archive");
    let [option, file] = sealing.identity();
    let run = sealing
        .machine
        .run_with(&["verify", "-", &option, &file], &bytes);
    run.exits(1).says("write it to a file");
}

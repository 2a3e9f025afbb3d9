//! `hookshot key`: keys are made, shown and tested, and no private key is seen that was not asked for.

use std::{collections::BTreeMap, fs, process::Command};

use hookshot::{
    crypt::{ExposeSecret as _, PublicKey, generate},
    model::digest::Digest,
};

use support::servers::{Faults, Moto};

use super::{Sealing, noise};

#[test]
fn a_generated_key_is_private_from_its_first_byte_and_never_overwritten() {
    let sealing = Sealing::new();
    let file = sealing.path("new.key");
    let run = sealing.machine.run(&["key", "generate", "-o", &file]);
    let run = run.exits(0).says("Wrote the private key to");
    let public = run.text().trim().to_owned();
    assert_eq!(sealing.machine.mode("new.key"), 0o600);
    let text = fs::read_to_string(&file).expect("a file");
    assert!(
        text.contains(&format!("# public key: {public}\n")),
        "{public}"
    );
    let secret = text.lines().last().expect("a line");
    assert!(secret.starts_with("AGE-SECRET-KEY-1"));
    assert!(!run.stderr.contains(secret) && !run.text().contains(secret));
    // It is a file of age.
    let shown = Command::new("age-keygen").args(["-y", &file]).output();
    let shown = shown.expect("age-keygen (the package `age`)").stdout;
    assert_eq!(String::from_utf8_lossy(&shown).trim(), public);
    sealing
        .machine
        .run(&["key", "generate", "-o", &file])
        .exits(2)
        .says("never overwritten");
    assert_eq!(fs::read_to_string(&file).expect("a file"), text);
    let archive = sealing.path("out/a.tar.gz.age");
    sealing
        .machine
        .run(&["export", &archive, "--recipient", &public])
        .exits(0);
    sealing
        .machine
        .run(&["verify", &archive, "--identity", &file])
        .exits(0);
}

#[test]
fn a_key_without_a_file_goes_to_standard_output_and_not_into_json() {
    let sealing = Sealing::new();
    let run = sealing.machine.run(&["key", "generate"]).exits(0);
    let text = run.text();
    let public = text
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "))
        .expect("a public key");
    assert!(run.stderr.contains(public), "{}", run.stderr);
    assert!(!run.stderr.contains("AGE-SECRET-KEY-"));
    let refused = sealing.machine.run(&["key", "generate", "--json"]).exits(2);
    assert!(!refused.text().contains("AGE-SECRET-KEY-"));
    let file = sealing.path("new.key");
    let made = sealing
        .machine
        .run(&["key", "generate", "-o", &file, "--json"])
        .exits(0)
        .json();
    let public = made["public_key"].as_str().expect("a key");
    let digits = Digest::of(public.as_bytes()).to_string();
    let grouped = made["fingerprint"].as_str().expect("a fingerprint");
    assert_eq!(grouped.replace(' ', ""), digits[..16]);
    assert_eq!(made["file"], file);
}

#[test]
fn the_public_keys_of_every_kind_of_file_are_shown() {
    let sealing = Sealing::new();
    let other = generate();
    let key = sealing.path("id_ed25519");
    let options = [
        "-q", "-t", "ed25519", "-N", "phrase", "-C", "me", "-f", &key,
    ];
    let made = Command::new("ssh-keygen").args(options).status();
    assert!(made.expect("ssh-keygen").success());
    let of_ssh = fs::read_to_string(format!("{key}.pub")).expect("a key");
    let of_ssh = PublicKey::parse(&of_ssh).expect("a public key");
    sealing.machine.write(
        "two.key",
        format!("{}{}", &*sealing.pair.file("now"), &*other.file("now")),
        0o600,
    );
    let both = format!("{}\n{}\n", sealing.pair.public, other.public);
    sealing
        .machine
        .write("recipients", format!("# both\n{both}"), 0o644);
    for (file, expected) in [
        ("two.key", both.clone()),
        ("recipients", both),
        // Locked by a passphrase that is not needed.
        ("id_ed25519", format!("{}\n", of_ssh.text())),
        ("id_ed25519.pub", format!("{}\n", of_ssh.text())),
    ] {
        let path = sealing.path(file);
        let shown = sealing.machine.run(&["key", "show", &path]).exits(0);
        assert_eq!(shown.text(), expected, "{file}");
    }
    let json = sealing
        .machine
        .run(&["key", "show", &sealing.path("recipients"), "--json"])
        .exits(0)
        .json();
    assert_eq!(json["keys"][1]["kind"], "X25519");
    assert_eq!(json["keys"][1]["public_key"], other.public.as_str());
    let secret = other.secret.expose_secret();
    sealing.machine.write("open.key", secret, 0o644);
    sealing.machine.write("text", "hello\n", 0o644);
    for (file, says) in [
        ("open.key", "chmod 600"),
        ("text", "chmod 600"),
        ("none", "does not exist"),
    ] {
        let run = sealing.machine.run(&["key", "show", &sealing.path(file)]);
        let code = if file == "none" { 10 } else { 12 };
        let run = run.exits(code).says(says);
        assert!(!run.stderr.contains(&secret[20..40]), "{}", run.stderr);
    }
}

#[test]
fn a_test_says_which_key_opens_which_archive() {
    let sealing = Sealing::new();
    let (other, lost) = (generate(), generate());
    sealing
        .machine
        .write("other.key", other.file("now").as_bytes(), 0o600);
    let folder = sealing.path("offsite");
    let (own, others, losts) = (&sealing.pair.public, &other.public, &lost.public);
    for (day, recipients) in [
        (1, vec![own, others]),
        (2, vec![others]),
        (3, vec![losts]),
        (4, vec![]),
    ] {
        let ending = if recipients.is_empty() { "" } else { ".age" };
        let name = format!("{folder}/hookshot-state-2026110{day}-030000.tar.gz{ending}");
        let mut arguments = vec!["export".to_owned(), name];
        fs::create_dir_all(&folder).expect("a folder");
        for recipient in recipients {
            arguments.extend(["--recipient".to_owned(), recipient.clone()]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        sealing.machine.run(&arguments).exits(0);
    }
    let more = format!("[backup.destinations.offsite]\nurl = \"{folder}\"\n");
    let text = sealing.machine.config_text(&more);
    sealing.machine.write("etc/config.toml", text, 0o600);
    let (first, second) = (sealing.path("key.txt"), sealing.path("other.key"));
    let keys = ["--identity", &first, "--identity", &second];
    let test = |words: &[&str], keys: &[&str]| {
        let words = ["key", "test"].iter().chain(words).chain(keys);
        sealing.machine.run(&words.copied().collect::<Vec<_>>())
    };
    let run = test(&[], &keys)
        .exits(12)
        .says("1 of 4 archives stays shut");
    assert!(run.text().contains("NONE"), "{}", run.text());
    let json = test(&["@offsite", "--json"], &keys).exits(12).json();
    let archives = json["archives"].as_array().expect("archives");
    let opened: Vec<String> = archives
        .iter()
        .map(|one| format!("{} {}", one["sealed"], one["opened_by"]))
        .collect();
    // The newest first: plain, for a lost key, for the other key, for both.
    assert_eq!(opened, ["false []", "true []", "true [1]", "true [0,1]"]);
    assert_eq!(json["unopened"], 1);
    assert_eq!(json["error"]["kind"], "wrong_key");
    assert_eq!(json["keys"][1]["opens"], 2);
    assert_eq!(archives[3]["recipients"][0], "X25519");
    let named = "@offsite/hookshot-state-20261102-030000.tar.gz.age";
    test(&[named], &keys).exits(0);
    test(&[named], &keys[..2]).exits(12);
    test(&[named], &[]).exits(12).says("no key is given");
    let path = format!("{folder}/hookshot-state-20261101-030000.tar.gz.age");
    test(&[&path], &keys[..2]).exits(0);
    let plain = format!("{folder}/hookshot-state-20261104-030000.tar.gz");
    let armored = sealing.path("out/armored.age");
    let made = Command::new("age")
        .args(["-a", "-r", own, "-o", &armored, &plain])
        .status();
    assert!(made.expect("age (the package `age`)").success());
    test(&[&armored], &keys[..2]).exits(0);
    test(&[&armored], &keys[2..]).exits(12);
    test(&["@none"], &keys).exits(10);
    test(&["-"], &keys).exits(2);
    // A damaged header says nothing of keys, and hides no other archive.
    let mut bytes = fs::read(&path).expect("an archive");
    bytes[30] = b'\n';
    fs::write(&path, &bytes[..100]).expect("written");
    let json = test(&[&path, named, "--json"], &keys).exits(13).json();
    assert_eq!(json["archives"][1]["opened_by"][0], 1, "{json}");
    assert_eq!(json["unopened"], 0);
}

#[test]
fn status_says_if_a_key_is_there_and_does_not_open_the_newest_archive() {
    let sealing = Sealing::new();
    let other = generate();
    sealing
        .machine
        .write("other.key", other.file("now").as_bytes(), 0o600);
    let folder = sealing.path("offsite");
    let (own, others) = (sealing.path("key.txt"), sealing.path("other.key"));
    let configure = |identity: &str| {
        sealing.configure(&format!(
            "{identity}[backup]\nto = [\"offsite\"]\n[backup.destinations.offsite]\nurl = \"{folder}\"\n"
        ));
    };
    configure("");
    sealing.machine.run(&["export"]).exits(0);
    let status = |code: i32| {
        let run = sealing.machine.run(&["status", "--json"]).exits(code);
        let json = run.json();
        let one = json["destinations"][0].clone();
        (one["opened_by"].to_string(), one["details"].to_string())
    };
    configure(&format!("identity_file = [\"{others}\", \"{own}\"]\n"));
    assert_eq!(status(0).0, format!("[\"{own}\"]"));
    configure(&format!("identity_file = \"{others}\"\n"));
    let (_, details) = status(19);
    assert!(details.contains(" key opens "), "{details}");
}

#[test]
fn a_test_of_a_store_reads_headers_alone() {
    const MOST_BYTES: u64 = 64 << 10;
    let Some(moto) = Moto::start() else { return };
    let faults = Faults::in_front_of(&moto.endpoint());
    let sealing = Sealing::new();
    let (other, lines) = (generate(), moto.destination());
    let lines = lines.replace(&moto.endpoint(), &faults.endpoint());
    sealing.machine.write("etc/secrets", noise(400_000), 0o600);
    sealing.configure(&format!("[backup.destinations.store]\n{lines}\n"));
    for day in 1..=4 {
        let name = format!("@store/hookshot-state-2026110{day}-030000.tar.gz.age");
        let public = match day {
            4 => &other.public,
            _ => &sealing.pair.public,
        };
        let export = ["export", &name, "--recipient", public];
        sealing.machine.run(&export).exits(0);
    }
    let before = faults.seen().len();
    let json = sealing.run(&["key", "test", "--json"]).exits(12).json();
    assert_eq!(json["keys"][0]["opens"], 3, "{json}");
    assert_eq!(json["unopened"], 1, "{json}");
    let mut read: BTreeMap<String, u64> = BTreeMap::new();
    for seen in &faults.seen()[before..] {
        let head = &seen.head;
        if head.method() != "GET" || !head.path().ends_with(".age") {
            continue;
        }
        let range = head.header("range").expect("a part of the archive");
        let (from, to) = range
            .strip_prefix("bytes=")
            .and_then(|range| range.split_once('-'))
            .expect("from and to");
        let number = |text: &str| text.parse::<u64>().expect("a number");
        *read.entry(head.path().to_owned()).or_default() += number(to) - number(from) + 1;
    }
    assert_eq!(read.len(), 4, "{read:?}");
    assert!(read.values().all(|bytes| *bytes < MOST_BYTES), "{read:?}");
}

#[test]
fn a_test_of_nothing_is_not_passed() {
    let sealing = Sealing::new();
    let (empty, full) = (sealing.path("empty"), sealing.path("full"));
    for folder in [&empty, &full] {
        fs::create_dir(folder).expect("a folder");
    }
    sealing.configure(&format!(
        "[backup.destinations.empty]\nurl = \"{empty}\"\n[backup.destinations.full]\nurl = \"{full}\"\n"
    ));
    let run = sealing.run(&["key", "test", "@empty"]).exits(10);
    let run = run.says("@empty has no archive of hookshot-state");
    assert!(run.stderr.contains("list --all-hosts"), "{}", run.stderr);
    sealing.machine.run(&["export", "@full"]).exits(0);
    let report = sealing.run(&["key", "test", "--json"]).exits(3).json();
    assert_eq!(report["keys"][0]["opens"], 1, "{report}");
    assert_eq!(report["failed"][0]["destination"], "@empty", "{report}");
    sealing.run(&["key", "test", "@full"]).exits(0);
    // That no key opens one counts more.
    sealing.machine.run(&["key", "test"]).exits(12);
}

#[test]
fn a_key_for_no_folder_and_a_private_key_for_a_public_one_say_what_to_do() {
    let sealing = Sealing::new();
    let file = sealing.path("none/new.key");
    let run = sealing.machine.run(&["key", "generate", "-o", &file]);
    let run = run.exits(1).says("does not exist, and no key was made");
    let hint = format!(
        "hint: make it first (`mkdir -p -m 700 {}`)",
        sealing.path("none")
    );
    assert!(run.stderr.contains(&hint), "{}", run.stderr);
    assert!(!sealing.machine.path("none").exists());
    let secret = sealing.pair.secret.expose_secret();
    let rekey = ["rekey", &sealing.path("out/"), "--add", secret];
    let run = sealing
        .machine
        .run(&rekey)
        .exits(2)
        .says("is a private key");
    assert!(
        run.stderr.contains("hint: `hookshot key show FILE`"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains(&secret[20..40]));
}

//! The way to sealed archives: `validate` says what is missing, and a starter configuration has the commands.

use std::process::Command;

use hookshot::crypt::generate;
use support::{Machine, program};

use super::Sealing;

/// The warnings of `validate` about encryption.
fn warnings(sealing: &Sealing, more: &str) -> Vec<String> {
    let text = sealing.machine.config_text(more);
    sealing.machine.write("etc/config.toml", text, 0o600);
    let report = sealing.machine.run(&["validate", "--json"]).exits(0).json();
    let warnings = report["warnings"].as_array().expect("a list");
    let texts = warnings.iter().map(|warning| match warning.as_str() {
        Some(text) => text.to_owned(),
        None => warning["message"].as_str().expect("a message").to_owned(),
    });
    let about = |text: &String| text.contains("sealed") || text.contains("key");
    texts.filter(about).collect()
}

#[test]
fn validate_warns_of_secrets_that_leave_the_machine_and_of_a_single_key() {
    let sealing = Sealing::new();
    let (own, other) = (&sealing.pair.public, &generate().public);
    let remote = "[backup.destinations.off]\nurl = \"s3://bucket/host\"\nregion = \"us-east-1\"\n";
    let local = "[backup.destinations.here]\nurl = \"../vault\"\n";
    let keys = |keys: &[&String]| format!("[backup.encryption]\nrecipients = {keys:?}\n");
    let said = warnings(&sealing, remote);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("[backup.destinations.off]"), "{said:?}");
    assert!(
        said[0].contains("(secrets), and are not sealed"),
        "{said:?}"
    );
    // A folder is on this machine, and the user may say that it is meant.
    assert!(warnings(&sealing, local).is_empty());
    assert!(warnings(&sealing, &format!("{remote}encryption = false\n")).is_empty());
    let without = format!("[backup]\nexclude = [\"secrets\"]\n{remote}");
    let said = warnings(&sealing, &without);
    assert!(said.len() <= 1, "{said:?}");
    let said = warnings(&sealing, &(keys(&[own]) + remote));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("[backup.encryption] names one key"));
    assert!(warnings(&sealing, &(keys(&[own, other]) + remote)).is_empty());
    // Twice the same key is one.
    let said = warnings(&sealing, &(keys(&[own, own]) + local));
    assert_eq!(said.len(), 1, "{said:?}");
    let own_keys = format!("{remote}encryption = {{ recipients = [\"{other}\"] }}\n");
    let said = warnings(&sealing, &(keys(&[own, other]) + &own_keys));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("[backup.destinations.off.encryption] names one key"));
}

#[test]
fn the_two_commands_of_a_starter_configuration_lead_to_sealed_archives() {
    let machine = Machine::empty();
    let path = |name: &str| machine.path(name).display().to_string();
    let (config, data) = (path("new/config.toml"), path("new/data"));
    let config_of = ["--config", &config];
    let init = ["init", "--data-dir", &data];
    machine.run(&[&init[..], &config_of].concat()).exits(0);
    let text = String::from_utf8(machine.read("new/config.toml")).expect("text");
    let commands = text.lines().filter_map(|line| line.strip_prefix("#   "));
    let commands: Vec<&str> = commands.collect();
    assert_eq!(commands.len(), 2, "{text}");
    let keys = commands.iter().map(|line| {
        // Their files belong into folders of the administrator's.
        let line = line
            .replace("hookshot ", &format!("{} ", program().display()))
            .replace("/root/", &path("out/"))
            .replace("/media/usb/", &path("tmp/"));
        let output = Command::new("sh").args(["-c", &line]).output();
        let output = output.expect("a shell");
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout)
            .expect("text")
            .trim()
            .to_owned()
    });
    let keys: Vec<String> = keys.collect();
    // As a user does it: the section without its signs, the keys in place of the dots.
    let section = text
        .split("# [backup.encryption]")
        .nth(1)
        .expect("a section");
    let section = section
        .replace("# ", "")
        .replacen("age1...", &keys[0], 1)
        .replacen("age1...", &keys[1], 1);
    let (before, _) = text.split_once("# [backup.encryption]").expect("a section");
    let text = format!("{before}[backup.encryption]{section}");
    machine.write("new/config.toml", &text, 0o600);
    machine.write("new/secrets", "token = 1\n", 0o600);
    let validate = [&["validate"][..], &config_of].concat();
    let run = machine.run(&validate).exits(0);
    assert!(!run.text().contains("names one key"), "{}", run.text());
    let archive = path("out/a.tar.gz.age");
    machine
        .run(&[&["export", &archive][..], &config_of].concat())
        .exits(0);
    for key in ["out/hookshot.key", "tmp/recovery.key"] {
        assert_eq!(machine.mode(key), 0o600);
        let verify = ["verify", &archive, "--identity", &path(key)];
        machine.run(&verify).exits(0);
    }
}

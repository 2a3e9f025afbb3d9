//! Passphrases that change: on a terminal the earlier one is asked for, and without one the configuration names both.

use support::Machine;

use super::{Sealing, typed};

const OLD: &str = "correct horse battery staple";
const NEW: &str = "another horse without a battery";
const PROMPT: &str = "Passphrase of the archive: ";

/// Configures a destination `@out`, and what seals its archives.
fn configure(sealing: &Sealing, encryption: &str, own: &str) {
    let url = sealing.path("vault");
    let text = sealing.machine.config_text(&format!(
        "[backup.encryption]\n{encryption}\n[backup.destinations.out]\nurl = \"{url}\"\n{own}"
    ));
    sealing.machine.write("etc/config.toml", text, 0o600);
}

/// A machine with an archive at `@out` that the old passphrase seals.
fn with_archive() -> Sealing {
    let sealing = Sealing::new();
    sealing.machine.write("etc/old", OLD, 0o600);
    sealing.machine.write("etc/new", NEW, 0o600);
    configure(&sealing, "passphrase = \"file:old\"", "");
    sealing.machine.run(&["export", "@out"]).exits(0);
    sealing
}

fn verify(machine: &Machine) -> i32 {
    machine.run(&["verify", "@out/latest"]).code
}

#[test]
fn on_a_terminal_the_earlier_passphrase_is_asked_for_and_rekey_seals_by_the_new_one() {
    let sealing = with_archive();
    let machine = &sealing.machine;
    configure(&sealing, "passphrase = \"file:new\"", "");
    assert_eq!(verify(machine), 12, "without a terminal");
    let typed = |arguments: &[&str], phrase: &str| {
        typed(machine, arguments, "", &[(PROMPT, &format!("{phrase}\n"))])
    };
    typed(&["verify", "@out/latest"], OLD).exits(0);
    let wrong = typed(&["verify", "@out/latest"], "wrong").exits(12);
    assert!(!wrong.text().contains(OLD), "{}", wrong.text());
    // A look at what is there asks for nothing.
    let list = typed(&["list", "@out", "--long"], OLD).exits(0);
    assert!(!list.text().contains(PROMPT), "{}", list.text());
    typed(&["rekey", "@out", "--yes"], OLD).exits(0);
    assert_eq!(verify(machine), 0);
}

#[test]
fn on_a_terminal_keys_take_the_place_of_a_passphrase() {
    let sealing = with_archive();
    let recipients = format!("recipients = [\"{}\"]", sealing.pair.public);
    configure(&sealing, &recipients, "");
    let rekey = ["rekey", "@out", "--yes"];
    let none = sealing.machine.run(&rekey).exits(12);
    assert!(none.stderr.contains("no key is given"), "{}", none.stderr);
    let old = format!("{OLD}\n");
    typed(&sealing.machine, &rekey, "", &[(PROMPT, &old)]).exits(0);
    sealing.run(&["verify", "@out/latest"]).exits(0);
}

#[test]
fn without_a_terminal_the_destination_names_the_new_passphrase_before_the_rest_does() {
    let sealing = with_archive();
    let machine = &sealing.machine;
    let own = "encryption = { passphrase = \"file:new\" }\n";
    configure(&sealing, "passphrase = \"file:old\"", own);
    machine.run(&["rekey", "@out", "--yes"]).exits(0);
    configure(&sealing, "passphrase = \"file:new\"", "");
    assert_eq!(verify(machine), 0);
    configure(&sealing, "passphrase = \"file:old\"", "");
    assert_eq!(verify(machine), 12);
}

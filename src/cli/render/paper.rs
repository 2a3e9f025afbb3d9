//! The recovery kit as a page of text, 80 columns wide.

use anyhow::Result;
use zeroize::Zeroizing;

use super::{page::Page, printer::Printer};
use crate::{
    model::entry_name::printable,
    ops::key::{KitDestination, KitEntry, KitSeal, RecoveryKit},
};

/// Shows a recovery kit, and returns the exit code.
pub fn show(printer: &Printer, kit: &RecoveryKit) -> Result<u8> {
    if !printer.is_json() {
        printer.tell(&Zeroizing::new(page(kit)))?;
        return Ok(0);
    }
    printer.report(kit, String::new)
}

fn page(kit: &RecoveryKit) -> String {
    let mut page = Page::default();
    let host = kit.host.as_deref().map(|host| format!(" on {host}"));
    page.line(&format!(
        "RECOVERY KIT of {}{}",
        printable(&kit.app),
        printable(&host.unwrap_or_default())
    ));
    page.line(&format!("made at {} by hookshot {}", kit.time, kit.version));
    page.gap();
    page.text(
        "Keep this page off the machine, in a place that you reach if everything else is gone.",
    );
    page.text(match kit.has_private_keys {
        true if kit.private_keys.is_empty() => {
            "IT HOLDS THE PASSPHRASE. Its owner reads every archive: lock it up."
        }
        true => "IT HOLDS THE PRIVATE KEY. Its owner reads every archive: lock it up.",
        false => {
            "It has nothing secret in it. Sealed archives need a private key or a passphrase: keep it apart from this page, \
            and off the machine, too."
        }
    });
    archives(&mut page, kit);
    keys(&mut page, kit);
    restore(&mut page, kit);
    open(&mut page, kit);
    secrets(&mut page, kit);
    private_keys(&mut page, kit);
    page.finish()
}

fn archives(page: &mut Page, kit: &RecoveryKit) {
    page.title("1. ARCHIVES");
    page.text(&format!(
        "Their names are {}-YYYYMMDD-HHMMSS[.N].tar.gz, with .age at the end if they are sealed. The time is in UTC: the \
        highest name is the newest archive.",
        printable(&kit.prefix)
    ));
    if kit.destinations.is_empty() {
        page.text("The configuration names no destination.");
    }
    for destination in &kit.destinations {
        page.gap();
        let url = printable(&destination.url);
        page.line(&format!("@{}: {url}", printable(&destination.name)));
        for (key, value) in &destination.settings {
            page.line(&format!("  {key} = {}", printable(value)));
        }
        page.line(&format!("  {}", seal(destination)));
        page.command(&destination.fetch);
    }
}

fn seal(destination: &KitDestination) -> String {
    match destination.seal {
        KitSeal::None => "not sealed".to_owned(),
        KitSeal::Passphrase => "sealed by a passphrase".to_owned(),
        KitSeal::Keys => {
            let numbers = destination.keys.iter().map(|at| (at + 1).to_string());
            let numbers: Vec<String> = numbers.collect();
            format!("sealed for key {}", numbers.join(" and key "))
        }
    }
}

fn keys(page: &mut Page, kit: &RecoveryKit) {
    page.title("2. PUBLIC KEYS");
    if kit.keys.is_empty() {
        page.text("Archives are not sealed for public keys.");
        return;
    }
    page.text(
        "The private key of any one of them opens an archive that is sealed for it. The fingerprint is the beginning of \
        its SHA-256: printf %s KEY | sha256sum",
    );
    for (number, key) in (1..).zip(&kit.keys) {
        page.gap();
        page.line(&format!(
            "key {number} ({}), fingerprint {}",
            key.kind, key.fingerprint
        ));
        page.line(&key.public_key);
        page.code(&key.public_key);
    }
}

fn restore(page: &mut Page, kit: &RecoveryKit) {
    page.title("3. RESTORE WITH HOOKSHOT");
    page.text(
        "Install hookshot, and the service without starting it. Bring the newest archive (section 1), in an empty folder.",
    );
    if !kit.keys.is_empty() {
        page.text("Put the private key there into key.txt (chmod 600).");
    }
    let is_by_phrase = |one: &KitDestination| one.seal == KitSeal::Passphrase;
    if kit.destinations.iter().any(is_by_phrase) {
        page.text(
            "hookshot asks for the passphrase of an archive that is sealed by one, on the terminal.",
        );
    }
    page.text("Then, as root, with the name of the archive:");
    page.commands(&kit.restore);
    page.text(
        "Enter the secrets of section 5 again, and start the service. For a rehearsal, add --root FOLDER to import.",
    );
}

fn open(page: &mut Page, kit: &RecoveryKit) {
    page.title("4. RESTORE WITHOUT HOOKSHOT");
    page.text("With age (https://age-encryption.org), tar, jq and sha256sum, in an empty folder:");
    page.commands(&kit.open);
    page.text(
        "The last command shows mode, owner and place of each file. Put the files there (install -m MODE -o OWNER). A \
        folder NAME goes to its place as a whole. The places on this machine:",
    );
    for KitEntry { name, path } in &kit.entries {
        let place = match path {
            Some(path) => printable(path),
            None => "goes to a command of the configuration".to_owned(),
        };
        page.line(&format!("  {}: {place}", printable(name)));
    }
}

fn secrets(page: &mut Page, kit: &RecoveryKit) {
    page.title("5. SECRETS TO ENTER AGAIN");
    let config = printable(&kit.config);
    if kit.secrets.is_empty() {
        page.text(&format!("{config} refers to no secret elsewhere."));
        return;
    }
    page.text(&format!(
        "{config} refers to these, and archives do not hold them:"
    ));
    for secret in &kit.secrets {
        page.line(&format!("  {}", printable(&secret.place)));
        page.line(&format!("    {}", printable(&secret.reference)));
    }
}

fn private_keys(page: &mut Page, kit: &RecoveryKit) {
    if !kit.has_private_keys {
        return;
    }
    if kit.private_keys.is_empty() {
        page.title("6. PASSPHRASE");
        page.text("`age -d` and hookshot ask for it. Its owner reads every archive.");
    } else {
        page.title("6. PRIVATE KEY");
        page.text("The content of key.txt. Its owner reads every archive.");
    }
    for key in &kit.private_keys {
        page.gap();
        let number = key.public.as_ref().and_then(|public| {
            let mut known = kit.keys.iter();
            known.position(|known| known.public_key == public.text())
        });
        page.line(&match number {
            Some(at) => format!("of key {}, in {}", at + 1, printable(&key.shown)),
            None => format!(
                "of none of the public keys above, in {}",
                printable(&key.shown)
            ),
        });
        for line in key.text.lines() {
            page.line(line);
        }
        page.code(&key.text);
    }
    for passphrase in &kit.passphrases {
        page.gap();
        page.line("a passphrase of the configuration, which `age -d` and hookshot ask for:");
        page.line(passphrase);
    }
}

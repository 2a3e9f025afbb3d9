//! The runbook as a page of text.

use anyhow::Result;

use super::{page::Page, printer::Printer};
use crate::{
    cli::size::size,
    error::Failure,
    jobs::status::{Runbook, RunbookPlace},
    model::{entry_name::printable, readable::span},
    ops::key::KitSeal,
};

/// Shows a runbook, and returns the exit code: that of `failure`, which the status has.
pub fn show(printer: &Printer, runbook: &Runbook, failure: Option<&Failure>) -> Result<u8> {
    printer.ended(runbook, failure, || page(runbook))
}

fn page(runbook: &Runbook) -> String {
    let mut page = Page::default();
    let host = runbook.host.as_deref().map(|host| format!(" on {host}"));
    page.line(&format!(
        "RUNBOOK of {}{}: the machine is lost",
        printable(&runbook.app),
        printable(&host.unwrap_or_default())
    ));
    page.line(&format!(
        "made at {} by hookshot {}",
        runbook.time, runbook.version
    ));
    page.gap();
    page.text(
        "Keep a copy off the machine, beside the recovery kit (`hookshot key export --paper`). It has no secret in it.",
    );
    if !runbook.healthy {
        page.text("Something was wrong when it was made: `hookshot status` says what.");
    }
    page.title("WHERE THE ARCHIVES ARE");
    if runbook.archives.is_empty() {
        page.text("The configuration names no destination.");
    }
    for place in &runbook.archives {
        archive(&mut page, place);
    }
    let is_folder = |place: &RunbookPlace| place.url.starts_with('/');
    if !runbook.archives.is_empty() && runbook.archives.iter().all(is_folder) {
        page.gap();
        page.text(
            "These are folders of the machine itself. Those on its own disks are lost with it: keep archives elsewhere, \
            too.",
        );
    }
    page.title("WHERE THE KEYS ARE");
    keys(&mut page, runbook);
    page.title("STEPS");
    for (number, step) in (1..).zip(&runbook.steps) {
        page.gap();
        page.text(&format!("{number}. {}", step.text));
        step.commands
            .iter()
            .for_each(|command| page.command(command));
    }
    page.title("SECRETS TO ENTER AGAIN");
    if runbook.secrets.is_empty() {
        page.text("The configuration refers to no secret elsewhere.");
    }
    for secret in &runbook.secrets {
        page.line(&format!("  {}", printable(&secret.place)));
        page.line(&format!("    {}", printable(&secret.reference)));
    }
    page.finish()
}

fn archive(page: &mut Page, place: &RunbookPlace) {
    page.gap();
    page.line(&format!(
        "@{}: {}",
        printable(&place.destination),
        printable(&place.url)
    ));
    for (key, value) in &place.settings {
        page.line(&format!("  {key} = {}", printable(value)));
    }
    match &place.newest {
        Some(newest) => page.line(&format!(
            "  newest good archive: {} ({}, {} old)",
            printable(&newest.name),
            size(newest.size_bytes),
            span(newest.age_seconds)
        )),
        None => page.line("  newest good archive: not known; the highest name is the newest"),
    }
    match &place.last_drill {
        Some(drill) => page.line(&format!(
            "  a restore from here took {:.1} s (drill of {})",
            drill.rto_seconds, drill.time
        )),
        None => page.line("  no restore from here was rehearsed: `hookshot drill`"),
    }
    page.command(&place.fetch);
}

fn keys(page: &mut Page, runbook: &Runbook) {
    let has_phrase = runbook.archives.iter();
    let has_phrase = has_phrase
        .into_iter()
        .any(|place| place.seal == KitSeal::Passphrase);
    if runbook.keys.is_empty() && !has_phrase {
        page.text("Archives are not sealed: no key is needed.");
        return;
    }
    if has_phrase {
        page.text("Archives are sealed by a passphrase.");
    }
    for key in &runbook.keys {
        page.line(&format!("sealed for {}", key.public_key));
        page.line(&format!("  fingerprint {}", key.fingerprint));
    }
    match runbook.identities.is_empty() {
        true => page.text("This machine has no private key: it lies elsewhere, as the recovery kit on paper says."),
        false => {
            page.text("On this machine, and lost with it:");
            for identity in &runbook.identities {
                page.line(&format!("  {}", printable(identity)));
            }
        }
    }
    page.text(
        "A copy of the private key belongs off the machine. `hookshot key export --paper --with-secret` prints the recovery \
        kit with the private keys of this machine, or with that of `--identity FILE`. Without `--with-secret`, the kit has \
        public keys alone, which open nothing.",
    );
}

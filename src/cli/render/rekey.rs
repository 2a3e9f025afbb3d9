//! The report of `rekey`.

use anyhow::Result;

use super::{printer::Printer, table::table};
use crate::{
    cli::size::size,
    crypt::{PublicKey, Recipients},
    model::entry_name::printable,
    ops::rekey::{RekeyReport, Rekeying},
};

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &RekeyReport) -> Result<u8> {
    printer.report_with(report, report.failure.as_ref(), || lines(report))
}

fn lines(report: &RekeyReport) -> String {
    let resealed = report.resealed.iter().map(|one| {
        let result = match (report.dry_run, one.proof) {
            (true, _) => format!("would become {}", one.name),
            (false, Some(proof)) => format!("now {}, proven by {}", one.name, proof.name()),
            (false, None) => format!("now {}", one.name),
        };
        vec![
            printable(&one.before),
            size(one.size_bytes),
            printable(&result),
        ]
    });
    let unchanged = report.unchanged.iter().map(|one| {
        let result = "for these recipients already".to_owned();
        vec![printable(&one.name), size(one.size_bytes), result]
    });
    let failed = report.failed.iter().map(|one| {
        let result = "NOT SEALED ANEW".to_owned();
        vec![printable(&one.name), "-".to_owned(), result]
    });
    let mut text = table(
        &["ARCHIVE", "SIZE", "RESULT"],
        resealed.chain(unchanged).chain(failed),
    );
    let verb = match report.dry_run {
        true => "would be",
        false => "are",
    };
    text.push_str(&format!("The archives {verb} sealed for:\n"));
    for recipient in shown(report.recipients.iter().map(String::as_str)) {
        text.push_str(&format!("  {recipient}\n"));
    }
    text
}

/// Returns the question before archives are sealed anew.
pub fn question(rekeying: &Rekeying) -> String {
    let mut text = format!("{}:\n", what(rekeying));
    for recipient in recipients(rekeying.described().2) {
        text.push_str(&format!("  {recipient}\n"));
    }
    if !rekeying.is_openable() {
        text.push_str("No key that is given opens them then.\n");
    }
    text + "The old ones are removed. Go on? [y/N] "
}

/// Returns what is to be done, in one line.
pub fn what(rekeying: &Rekeying) -> String {
    let (destination, count, _) = rekeying.described();
    let archives = match count {
        1 => "1 archive".to_owned(),
        count => format!("{count} archives"),
    };
    format!(
        "{archives} at {} would be sealed anew for",
        printable(&destination)
    )
}

/// Returns the recipients, for people.
pub fn recipients(recipients: &Recipients) -> Vec<String> {
    shown(recipients.public_keys().iter().map(PublicKey::text))
}

/// Returns the texts of public keys; without any, a passphrase seals.
fn shown<'a>(keys: impl Iterator<Item = &'a str>) -> Vec<String> {
    let keys: Vec<String> = keys.map(str::to_owned).collect();
    match keys.is_empty() {
        true => vec!["whoever knows the passphrase of the configuration".to_owned()],
        false => keys,
    }
}

//! The reports of `key`.

use anyhow::Result;
use tracing::info;

use super::{printer::Printer, table::table};
use crate::{
    model::{archive_name::Ending, entry_name::printable},
    ops::key::{FoundKey, GenerateReport, ShowReport, TestReport, TestedArchive},
};

/// Shows a new key pair, and returns the exit code. The private key is shown if no file has it.
pub fn generated(printer: &Printer, report: &GenerateReport) -> Result<u8> {
    if let Some(text) = &report.text {
        info!("Public key: {}", report.public_key);
        printer.tell(text)?;
        return Ok(0);
    }
    let code = printer.report(report, || format!("{}\n", report.public_key))?;
    let file = report.file.as_deref().unwrap_or_default();
    info!(
        "Wrote the private key to {}; fingerprint of the public key: {}",
        printable(file),
        report.fingerprint
    );
    Ok(code)
}

/// Shows the public keys of a file, and returns the exit code.
pub fn shown(printer: &Printer, report: &ShowReport) -> Result<u8> {
    printer.report(report, || {
        let keys = report.keys.iter();
        keys.map(|key| format!("{}\n", key.public_key)).collect()
    })
}

/// Shows which key opens which archive, and returns the exit code.
pub fn tested(printer: &Printer, report: &TestReport) -> Result<u8> {
    printer.report_with(report, report.failure.as_ref(), || lines(report))
}

fn lines(report: &TestReport) -> String {
    let row = |one: &TestedArchive| vec![printable(&one.archive), says(report, one)];
    let mut out = table(&["ARCHIVE", "OPENED BY"], report.archives.iter().map(row));
    for key in &report.keys {
        let archives = match key.opens {
            1 => "1 archive".to_owned(),
            count => format!("{count} archives"),
        };
        let public = key.public_key.as_deref();
        let public = public.map(|public| format!(" ({public})"));
        let public = public.unwrap_or_default();
        let name = printable(&key.key);
        out.push_str(&format!("{name}{public} opens {archives}\n"));
    }
    out
}

fn says(report: &TestReport, one: &TestedArchive) -> String {
    if !one.sealed {
        return match Ending::of_file(&one.archive) {
            Some(Ending::Sealed) => "not sealed, although its name says so".to_owned(),
            _ => "not sealed".to_owned(),
        };
    }
    if one.is_shut() {
        return match one.faults.first() {
            Some(fault) => format!("NONE ({})", printable(fault)),
            None => "NONE".to_owned(),
        };
    }
    let keys = one.opened_by.iter().filter_map(|at| report.keys.get(*at));
    let names: Vec<String> = keys.map(|key| name(report, key)).collect();
    names.join(", ")
}

/// Returns the name of a key. If a file has several, the beginning of the public key tells which.
fn name(report: &TestReport, key: &FoundKey) -> String {
    let same = report.keys.iter().filter(|other| other.key == key.key);
    match &key.public_key {
        Some(public) if same.count() > 1 => {
            let begin: String = public.chars().take(16).collect();
            format!("{} ({begin}...)", printable(&key.key))
        }
        _ => printable(&key.key),
    }
}

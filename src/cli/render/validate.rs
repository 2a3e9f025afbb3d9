//! The report of `validate`.

use anyhow::Result;

use super::{printer::Printer, table::table};
use crate::{
    cli::size::size,
    error::{Failure, Kind},
    model::entry_name::{printable, printable_line},
    ops::{
        export::PresentState,
        shown::ShownSetting,
        validate::{ValidateReport, ValidatedSource},
    },
    source::sqlite::verdict::CheckDepth,
};

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &ValidateReport) -> Result<u8> {
    let failure = (!report.good).then(|| {
        let count = report.faults.len();
        let message = if count == 1 {
            report.faults[0].clone()
        } else {
            format!("{count} faults in the configuration")
        };
        Failure::new(Kind::Usage, message)
            .hint("correct the files and run `hookshot validate` again")
            .faults(report.faults.clone())
    });
    let state = report.state.as_ref();
    let failure = failure.or_else(|| state.and_then(|state| state.remarks.failure()));
    printer.report_with(report, failure.as_ref(), || {
        let mut out = report.settings.as_deref().map(in_force).unwrap_or_default();
        if report.good {
            out.extend(
                report
                    .files
                    .iter()
                    .map(|file| format!("{}: good\n", printable_line(file))),
            );
            out.extend(report.sources.iter().map(held));
            out.extend(state.map(read));
            if !report.destinations.is_empty() {
                let destinations = report.destinations.join(", ");
                out.push_str(&format!(
                    "archives go to {}\n",
                    printable_line(&destinations)
                ));
            }
        }
        let disabled = report.disabled.iter();
        out.extend(disabled.map(|part| format!("disabled: {}\n", printable_line(part))));
        out.extend(
            report
                .warnings
                .iter()
                .map(|warning| format!("warning: {}\n", printable_line(warning))),
        );
        out
    })
}

/// Returns the lines of the state that was read.
fn read(state: &PresentState) -> String {
    let mut out = String::new();
    for database in &state.databases {
        let (name, bytes) = (printable_line(&database.name), size(database.bytes));
        let checked = match database.check {
            Some(CheckDepth::Quick) => "its pages were checked, and not its indexes",
            _ => "the database was copied and checked",
        };
        out.push_str(&format!("{name}: {bytes}, {checked}\n"));
    }
    let files = match state.files {
        1 => "1 file".to_owned(),
        files => format!("{files} files"),
    };
    out.push_str(&format!(
        "read as for an export: {files}, {}\n",
        size(state.bytes)
    ));
    out
}

/// Returns the table of the settings in force.
fn in_force(settings: &[ShownSetting]) -> String {
    let rows = settings.iter().map(|setting| {
        let value = setting.value.as_ref().map(ToString::to_string);
        let from = match &setting.place {
            Some(place) => place.clone(),
            None => setting.from.to_string(),
        };
        vec![
            printable_line(&setting.key),
            printable_line(&value.unwrap_or_else(|| "-".to_owned())),
            printable_line(&from),
        ]
    });
    table(&["SETTING", "VALUE", "FROM"], rows)
}

/// Returns the line of a source: where it is, and how much it holds.
fn held(source: &ValidatedSource) -> String {
    let name = printable(&source.name);
    let kind = source.kind;
    if let Some(has_import) = source.has_import {
        return match has_import {
            true => format!("{name}: {kind}, and an import command takes it\n"),
            false => format!("{name}: {kind}, and no import command takes it\n"),
        };
    }
    let Some(path) = source.path.as_deref().map(printable) else {
        return format!("{name}: {kind}\n");
    };
    let bytes = size(source.bytes.unwrap_or_default());
    match (source.files, kind) {
        (Some(1), "directory") => format!("{name}: {kind} {path}, 1 file, {bytes}\n"),
        (Some(files), "directory") => format!("{name}: {kind} {path}, {files} files, {bytes}\n"),
        (Some(_), _) => format!("{name}: {kind} {path}, {bytes}\n"),
        (None, _) => format!("{name}: {kind} {path}, not there\n"),
    }
}

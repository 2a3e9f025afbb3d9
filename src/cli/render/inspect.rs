//! The report of `inspect`.

use anyhow::Result;
use chrono::DateTime;

use super::{links::link_lines, printer::Printer, table::table};
use crate::{
    cli::size::size,
    model::entry_name::{printable, printable_line},
    ops::inspect::InspectReport,
};

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &InspectReport) -> Result<u8> {
    printer.report(report, || describe(report))
}

fn describe(report: &InspectReport) -> String {
    let manifest = &report.manifest;
    let text = |value: &serde_json::Value| {
        printable(
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
                .as_str(),
        )
    };
    let mut out = format!(
        "archive   {}\nroot      {}\n",
        printable_line(&report.archive),
        printable(&report.root)
    );
    if !report.verified {
        out.push_str(
            "verified  no, only its manifest was read (`hookshot verify` reads all of it)\n",
        );
    }
    if let Some(created) = manifest["created_at"]
        .as_i64()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
    {
        out.push_str(&format!(
            "created   {}\n",
            created.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        ));
    }
    for (key, label) in [
        ("hookshot_version", "hookshot"),
        ("version", "format"),
        ("hostname", "host"),
        ("app", "app"),
        ("app_version", "version"),
    ] {
        if !manifest[key].is_null() {
            out.push_str(&format!("{label:9} {}\n", text(&manifest[key])));
        }
    }
    for (key, value) in manifest["tags"].as_object().into_iter().flatten() {
        out.push_str(&format!("tag       {}={}\n", printable(key), text(value)));
    }
    let files = || manifest["files"].as_object().into_iter().flatten();
    for (name, _) in files().filter(|(_, file)| file["torn"] == true) {
        out.push_str(&format!(
            "torn      {}, no consistent copy could be made of it\n",
            printable(name)
        ));
    }
    let directories = || manifest["directories"].as_object().into_iter().flatten();
    for (name, listed) in directories() {
        if let Some(count) = listed["torn"].as_u64() {
            out.push_str(&format!(
                "torn      {count} files in {} (`hookshot verify` names them)\n",
                printable(name)
            ));
        }
    }
    for line in link_lines(&report.links) {
        out.push_str(&format!("link      {line}\n"));
    }
    let row = |(name, file): (&String, &serde_json::Value)| {
        let mode = printable(file["mode"].as_str().unwrap_or("-"));
        let owner = file["user"]
            .as_str()
            .map_or_else(|| "-".to_owned(), printable);
        let digest = printable(file["checksum"].as_str().unwrap_or_default());
        vec![
            printable(name),
            size(file["size"].as_u64().unwrap_or_default()),
            mode,
            owner,
            digest,
        ]
    };
    let directory = |(name, listed): (&String, &serde_json::Value)| {
        let count = |key: &str| listed[key].as_u64().unwrap_or_default();
        let root = &listed["root"];
        let text = |key: &str| root[key].as_str().map_or_else(|| "-".to_owned(), printable);
        vec![
            format!("{}/", printable(name)),
            size(count("bytes")),
            text("mode"),
            text("user"),
            format!(
                "{} files, {} folders, {} links in {}",
                count("files"),
                count("folders"),
                count("links"),
                printable(listed["listing"].as_str().unwrap_or_default())
            ),
        ]
    };
    out.push('\n');
    out.push_str(&table(
        &["ENTRY", "SIZE", "MODE", "OWNER", "SHA-256"],
        files().map(row).chain(directories().map(directory)),
    ));
    out
}

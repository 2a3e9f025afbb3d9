//! The report of `status`.

use anyhow::Result;

use super::{history::run_line, printer::Printer, table::table};
use crate::{
    cli::size::size,
    jobs::status::{DestinationStatus, Said, StatusReport},
    model::{entry_name::printable, readable::span, written::rfc3339},
};

/// Shows the report, and returns the exit code. The report says what is wrong, so people get no second message.
pub fn show(printer: &Printer, report: &StatusReport) -> Result<u8> {
    printer.ended(report, report.failure.as_ref(), || lines(report))
}

/// Shows metrics on standard output in place of the report, and returns the exit code.
pub fn show_metrics(printer: &Printer, report: &StatusReport, text: &str) -> Result<u8> {
    printer.tell(text)?;
    Ok(code(report))
}

/// Returns the exit code of a report that a file of metrics tells. Programs that ask for JSON get the report, too.
pub fn show_failure(printer: &Printer, report: &StatusReport) -> Result<u8> {
    if printer.is_json() {
        return show(printer, report);
    }
    match &report.failure {
        Some(failure) => Ok(printer.failure(failure)),
        None => Ok(0),
    }
}

fn code(report: &StatusReport) -> u8 {
    report
        .failure
        .as_ref()
        .map_or(0, |failure| failure.kind.code())
}

fn lines(report: &StatusReport) -> String {
    let mut out = format!("{}\n\n", sentence(report));
    let is_of_several = report
        .destinations
        .windows(2)
        .any(|two| two[0].prefix != two[1].prefix);
    let mut header = vec!["DESTINATION"];
    if is_of_several {
        header.push("PREFIX");
    }
    header.extend([
        "HEALTHY",
        "NEWEST",
        "AGE",
        "SIZE",
        "ARCHIVES",
        "TOTAL",
        "ROOM",
        "LAST PROOF",
    ]);
    let row = |one: &DestinationStatus| {
        let mut row = vec![printable(&one.destination)];
        if is_of_several {
            row.push(printable(&one.prefix));
        }
        row.extend(cells(one));
        row
    };
    out.push_str(&table(&header, report.destinations.iter().map(row)));
    out.push('\n');
    for one in &report.destinations {
        let mut name = printable(&one.destination);
        if is_of_several {
            name = format!("{name}, {}", printable(&one.prefix));
        }
        findings(&mut out, Some(&name), &one.said);
    }
    findings(&mut out, None, &report.said);
    runs(&mut out, report);
    out
}

/// Says in one sentence whether all is well.
fn sentence(report: &StatusReport) -> String {
    let app = printable(&report.app);
    let count = report.destinations.len();
    let ill = report
        .destinations
        .iter()
        .filter(|one| !one.healthy)
        .count();
    let destinations = |count: usize| match count {
        1 => "1 destination".to_owned(),
        count => format!("{count} destinations"),
    };
    if report.healthy {
        let oldest = report
            .destinations
            .iter()
            .filter_map(|one| one.newest.as_ref());
        let oldest = oldest
            .map(|newest| newest.age_seconds)
            .max()
            .unwrap_or_default();
        let newest = match count {
            1 => format!("1 destination, its newest archive is {} old", span(oldest)),
            count => format!(
                "{count} destinations, their newest archives are at most {} old",
                span(oldest)
            ),
        };
        return format!("{app} is healthy: {newest}");
    }
    let is_not = format!("{app} is not healthy");
    match (ill, report.said.problems.is_empty()) {
        (0, _) => format!("{is_not}: look at its runs"),
        (1, true) => format!("{is_not}: 1 of {} has a problem", destinations(count)),
        (ill, true) => format!("{is_not}: {ill} of {} have problems", destinations(count)),
        (ill, false) => format!("{is_not}: {ill} of {}, and its runs", destinations(count)),
    }
}

fn cells(one: &DestinationStatus) -> Vec<String> {
    let none = || "-".to_owned();
    let newest = one.newest.as_ref();
    let age = newest.map(|newest| match &one.checked_at {
        Some(_) => format!("{} (unchanged)", span(newest.age_seconds)),
        None => span(newest.age_seconds),
    });
    let proof = one.last_proof.as_ref();
    vec![
        if one.healthy { "yes" } else { "NO" }.to_owned(),
        newest.map_or_else(none, |newest| printable(&newest.name)),
        age.unwrap_or_else(none),
        newest.map_or_else(none, |newest| size(newest.size_bytes)),
        one.archives.map_or_else(none, |count| count.to_string()),
        one.size_bytes.map_or_else(none, size),
        one.room_bytes.map_or_else(none, size),
        proof.map_or_else(none, |proof| format!("{} ({})", proof.time, proof.proof)),
    ]
}

/// Adds problems with what to do, then remarks.
fn findings(out: &mut String, name: Option<&str>, said: &Said) {
    let of = name.map(|name| format!("{name}: ")).unwrap_or_default();
    for detail in &said.details {
        let word = if detail.unhealthy {
            "problem"
        } else {
            "remark"
        };
        out.push_str(&format!(
            "{word}: {of}{}\n  {}\n",
            printable(&detail.message),
            printable(&detail.hint)
        ));
    }
}

/// Adds a line for each run that matters.
fn runs(out: &mut String, report: &StatusReport) {
    let now = report.now;
    if let Some(run) = &report.running {
        let job = run.job.name();
        let begun = rfc3339(run.started_at);
        out.push_str(&format!("at work: {job}, since {begun}\n"));
    }
    match &report.last_run {
        Some(run) => out.push_str(&format!("last run: {}\n", run_line(run, now))),
        None => out.push_str("last run: none in the history\n"),
    }
    if let Some(run) = &report.last_drill {
        out.push_str(&format!("last drill: {}\n", run_line(run, now)));
    }
    if let Some(next) = &report.next_run {
        let time = rfc3339(next.time);
        out.push_str(&format!("next run: {}, {time}\n", next.job.name()));
    }
}

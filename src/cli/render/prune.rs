//! The report of `prune`.

use anyhow::Result;

use super::{printer::Printer, table::table};
use crate::{
    cli::size::size,
    model::entry_name::printable,
    ops::prune::{DestinationPrune, PruneReport},
};

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &PruneReport) -> Result<u8> {
    printer.report_with(report, report.failure.as_ref(), || lines(report))
}

fn lines(report: &PruneReport) -> String {
    let several = report.destinations.len() + report.failed.len() > 1;
    let mut out = String::new();
    for place in &report.destinations {
        if several {
            out.push_str(&format!("{}\n", printable(&place.destination)));
        }
        let keep =
            (place.keep.iter()).map(|one| (&one.time, &one.name, "keep", one.reasons.join("; ")));
        let remove =
            (place.remove.iter()).map(|one| (&one.time, &one.name, "remove", one.reason.clone()));
        let mut rows: Vec<_> = keep.chain(remove).collect();
        rows.sort_by(|one, other| other.0.cmp(one.0).then_with(|| one.1.cmp(other.1)));
        let row = |(time, name, verdict, why): (&String, &String, &str, String)| {
            vec![
                verdict.to_owned(),
                printable(name),
                time.clone(),
                printable(&why),
            ]
        };
        if !rows.is_empty() {
            out.push_str(&table(
                &["", "NAME", "TIME", "WHY"],
                rows.into_iter().map(row),
            ));
            out.push('\n');
        }
        out.push_str(&summary(place));
        if several {
            out.push('\n');
        }
    }
    out
}

/// The most files with other names that are listed; JSON has all.
const MOST_NAMED: usize = 20;

fn summary(place: &DestinationPrune) -> String {
    let all = place.keep.len() + place.remove.len();
    let (count, bytes, would) = if place.dry_run {
        let bytes = place.remove.iter().map(|one| one.size_bytes).sum();
        (place.remove.len(), bytes, " would be")
    } else {
        (place.removed, place.removed_bytes, "")
    };
    let mut out = format!(
        "{count} of {all} archives{would} removed ({})\n",
        size(bytes)
    );
    for undone in &place.undone {
        out.push_str(&format!(
            "not removed: {}: {}\n",
            printable(&undone.name),
            printable(&undone.message)
        ));
    }
    for blocked in &place.blocked {
        out.push_str(&format!(
            "nothing of {} is removed: {}\n",
            printable(&blocked.prefix),
            printable(&blocked.message)
        ));
    }
    if !place.late.is_empty() {
        let names = place.late.iter().map(|one| &*one.name);
        out.push_str(&format!(
            "written more than a day after their time, they take no place of others: {}\n",
            named(names)
        ));
    }
    if !place.others.is_empty() {
        let names = place.others.iter().map(|one| &*one.name);
        out.push_str(&format!(
            "with other names, never removed: {}\n",
            named(names)
        ));
    }
    out
}

/// Returns the number of names, and the first ones.
fn named<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = names.len();
    let mut named: Vec<String> = names.take(MOST_NAMED).map(printable).collect();
    if count > MOST_NAMED {
        named.push(format!("and {} more", count - MOST_NAMED));
    }
    format!("{count} ({})", named.join(", "))
}

//! `hookshot list` and `keep`: what destinations hold, and what is to stay there.

use std::{
    ffi::OsString,
    io::{self, Write},
};

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::{
    App,
    output::{size, write_table},
};
use crate::{
    catalog::each::Hosts,
    model::{entry_name::printable, retention::Mark},
    ops::{
        keep::keep,
        list::{self, Direction, ListDepth, ListRequest, list},
    },
};

/// Show the archives of destinations
///
/// Shows those whose names begin with `[backup] prefix`. With --long the manifest of each is read, and the retention
/// policy is asked.
#[derive(Debug, Args)]
#[command(
    alias = "ls",
    after_help = "Examples:\n  \
    hookshot list                                  # everything that [backup] to names\n  \
    hookshot list @offsite --long\n  \
    hookshot list /var/backups/hookshot --sort size\n  \
    hookshot list @offsite --json | jq -r '.archives[0].location'"
)]
pub struct List {
    /// @NAME, URLs, or folders [default: [backup] to]
    #[arg(value_name = "DESTINATION")]
    destinations: Vec<OsString>,
    /// Read the manifest of each archive, and say why the policy keeps it
    #[arg(short, long)]
    long: bool,
    /// What comes first: the newest, the largest, or by name
    #[arg(long, value_name = "WHAT", default_value = "time")]
    sort: Sort,
    /// The other way round
    #[arg(short, long)]
    reverse: bool,
    /// The archives of other hosts and services, too
    #[arg(long)]
    all_hosts: bool,
}

/// What archives are sorted by.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sort {
    /// Their names.
    Name,
    /// Their times, the newest first.
    Time,
    /// Their sizes, the largest first.
    Size,
}

/// Whose archives a flag `--all-hosts` means.
pub fn hosts(all_hosts: bool) -> Hosts {
    if all_hosts { Hosts::All } else { Hosts::Ours }
}

impl List {
    pub fn run(self, app: &App) -> Result<u8> {
        let settings = app.settings()?;
        let request = ListRequest {
            destinations: self.destinations,
            hosts: hosts(self.all_hosts),
            depth: if self.long {
                ListDepth::Manifests
            } else {
                ListDepth::Listing
            },
            sort: match self.sort {
                Sort::Name => list::Sort::Name,
                Sort::Time => list::Sort::Time,
                Sort::Size => list::Sort::Size,
            },
            direction: if self.reverse {
                Direction::Reverse
            } else {
                Direction::Usual
            },
        };
        let report = list(&app.context, settings, &request)?;
        let failure = report.failure.as_ref();
        app.output.report_long(&report, failure, |out| {
            show(out, &report, &settings.schema.prefix)
        })?;
        Ok(failure.map_or(0, |failure| failure.kind.code()))
    }
}

/// The most folders that are named.
const MOST_NAMED: usize = 10;

fn show(out: &mut dyn Write, report: &list::ListReport, prefix: &str) -> io::Result<()> {
    if report.archives.is_empty() {
        match report.others {
            0 => writeln!(out, "there are no archives")?,
            others => writeln!(
                out,
                "there are no archives of {prefix}; with --all-hosts there are {others} of others"
            )?,
        }
        for folder in report.folders.iter().take(MOST_NAMED) {
            let folder = printable(folder);
            writeln!(
                out,
                "{folder} is a folder, and a place of its own: it was not listed"
            )?;
        }
        if let Some(more) = report.folders.len().checked_sub(MOST_NAMED + 1) {
            writeln!(out, "and so are {} more", more + 1)?;
        }
        return other_files(out, report);
    }
    let is_long = report.archives.iter().any(|one| one.detail.is_some());
    let is_marked = report.archives.iter().any(|one| one.mark.is_some());
    let mut header = vec!["NAME", "TIME", "SIZE", "AGE"];
    if report.destinations > 1 {
        header.push("PLACE");
    }
    if is_marked {
        header.push("MARK");
    }
    if is_long {
        header.extend(["ENTRIES", "VERSION", "HOST", "VERIFIED", "POLICY"]);
    }
    let row = |one: list::ArchiveRow<'_>| {
        let mut row = vec![
            printable(one.name),
            one.time,
            size(one.size_bytes),
            age(one.age_seconds),
        ];
        if report.destinations > 1 {
            row.push(printable(one.destination));
        }
        if is_marked {
            row.push(one.mark.unwrap_or_else(none));
        }
        row.extend(one.detail.map(detail).into_iter().flatten());
        row
    };
    write_table(out, &header, || report.archives.iter().map(row))?;
    other_files(out, report)
}

/// Names what lies beside the archives and ends like them.
fn other_files(out: &mut dyn Write, report: &list::ListReport) -> io::Result<()> {
    let count = report.other_files.len();
    if count == 0 {
        return Ok(());
    }
    writeln!(out, "\nother files: {count}")?;
    for passed in &report.other_files {
        let file = passed.file();
        let place = match report.destinations {
            1 => String::new(),
            _ => format!("{}: ", printable(&passed.destination)),
        };
        writeln!(
            out,
            "  {place}{}: {}",
            printable(&file.name),
            printable(&file.reason)
        )?;
    }
    Ok(())
}

fn none() -> String {
    "-".to_owned()
}

fn detail(detail: &list::Detail) -> [String; 5] {
    let text = |text: &Option<String>| text.as_deref().map_or_else(none, printable);
    let version = match (&detail.app, &detail.app_version) {
        (Some(app), Some(version)) => format!("{} {}", printable(app), printable(version)),
        (app, version) => text(if app.is_some() { app } else { version }),
    };
    [
        detail
            .entries
            .map_or_else(none, |entries| entries.to_string()),
        version,
        text(&detail.hostname),
        match &detail.fault {
            Some(fault) => format!("{}: {}", detail.verified, printable(fault)),
            None => detail.verified.to_owned(),
        },
        format!(
            "{}: {}",
            detail.verdict,
            printable(&detail.reasons.join("; "))
        ),
    ]
}

/// How long ago, in the largest unit that is full.
fn age(seconds: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    if seconds < 0 {
        return "in the future".to_owned();
    }
    let unit = UNITS.iter().find(|(length, _)| seconds >= *length);
    unit.map_or_else(
        || "now".to_owned(),
        |(length, name)| format!("{} {name}", seconds / length),
    )
}

/// Mark an archive, so that no policy removes it
///
/// The mark is a small object beside the archive, NAME.keep. Without a flag it holds forever.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot keep @offsite/hookshot-state-20261121-030000.tar.gz\n  \
    hookshot keep @offsite/latest --until 2027-12-31\n  \
    hookshot keep /var/backups/hookshot/hookshot-state-20261121-030000.tar.gz --remove")]
pub struct Keep {
    /// A file, a URL, @NAME/ARCHIVE, or @NAME/latest
    archive: OsString,
    /// For good
    #[arg(long, conflicts_with_all = ["until", "remove"])]
    forever: bool,
    /// Until this day begins (UTC), or until a time of RFC 3339
    #[arg(long, value_name = "DATE", conflicts_with = "remove")]
    until: Option<Mark>,
    /// Take the mark away: the policy decides again
    #[arg(long)]
    remove: bool,
}

impl Keep {
    pub fn run(self, app: &App) -> Result<u8> {
        let settings = app.settings()?;
        let mark = if self.remove {
            None
        } else {
            Some(self.until.unwrap_or(Mark::Forever))
        };
        let report = keep(&app.context, settings, &self.archive, mark)?;
        app.output.report(&report, || {
            let says = match (mark, &report.before) {
                (Some(mark), _) => format!("kept {mark}"),
                (None, Some(_)) => "not marked any more".to_owned(),
                (None, None) => "had no mark".to_owned(),
            };
            format!("{}: {says}\n", printable(&report.archive))
        })?;
        Ok(0)
    }
}

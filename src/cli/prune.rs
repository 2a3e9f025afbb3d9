//! `hookshot prune` and `prune simulate`.

use std::ffi::OsString;

use anyhow::Result;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, Subcommand};

use super::{
    App,
    catalog_verbs::hosts,
    output::{size, table},
};
use crate::{
    model::{
        entry_name::printable,
        retention::{Count, Counts, Policy, Share, Span, Zone},
    },
    ops::{
        prune::{self, InspectFirst, PruneMode, RemovalLimit, prune},
        simulate::{self, simulate},
    },
};

/// Remove the archives that the retention policy does not keep
///
/// What would take the place of a removed archive is looked into first; nothing is removed for one that is damaged. The
/// policy is that of the destination, else [backup.retention]. Flags replace it as a whole.
#[derive(Debug, Args)]
#[command(
    alias = "forget",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "Examples:\n  \
    hookshot prune --dry-run                       # each place of [backup] to\n  \
    hookshot prune @offsite\n  \
    hookshot prune /var/backups/hookshot --keep-last 3 --keep-daily 7 --dry-run\n  \
    hookshot prune simulate --days 730 --every 1d --keep-daily 7 --keep-monthly all"
)]
pub struct Prune {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// @NAME, a URL, or a folder [default: each of [backup] to]
    destination: Option<OsString>,
    /// Show what would go and why, and remove nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Remove however much it is
    #[arg(short, long)]
    yes: bool,
    /// The largest part of a host's archives that may go at once, such as 50% [default: that of the configuration]
    #[arg(long, value_name = "PERCENT")]
    max_remove: Option<Share>,
    /// The archives of other hosts and services, too; those of each are judged apart
    #[arg(long)]
    all_hosts: bool,
    /// Look into every archive first, not only into those that removals rest on
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    policy: PolicyFlags,
}

/// What else prune does.
#[derive(Debug, Subcommand)]
enum Verb {
    Simulate(Simulate),
}

/// A policy on the command line.
#[derive(Debug, Args)]
#[command(next_help_heading = "Policy, in place of the configured one")]
struct PolicyFlags {
    #[command(flatten)]
    rules: Rules,
    /// Whose calendar it is: a name of the IANA database [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "Rules")]
    timezone: Option<Zone>,
}

/// The rules of a policy; one is enough for an archive to stay.
#[derive(Debug, Args)]
struct Rules {
    /// The newest archives
    #[arg(long, value_name = "COUNT")]
    keep_last: Option<Count>,
    /// The newest archive of each of the last hours
    #[arg(long, value_name = "COUNT")]
    keep_hourly: Option<Count>,
    /// The newest archive of each of the last days
    #[arg(long, value_name = "COUNT")]
    keep_daily: Option<Count>,
    /// The newest archive of each of the last ISO weeks
    #[arg(long, value_name = "COUNT")]
    keep_weekly: Option<Count>,
    /// The newest archive of each of the last months
    #[arg(long, value_name = "COUNT")]
    keep_monthly: Option<Count>,
    /// The newest archive of each of the last years
    #[arg(long, value_name = "COUNT")]
    keep_yearly: Option<Count>,
    /// Everything that is newer than the newest archive less a span, such as 30d or 1y6m
    #[arg(long, value_name = "SPAN")]
    keep_within: Option<Span>,
}

impl PolicyFlags {
    /// The policy, where there is any flag of one.
    fn policy(&self) -> Option<Policy> {
        let rules = &self.rules;
        let counts = [
            rules.keep_last,
            rules.keep_hourly,
            rules.keep_daily,
            rules.keep_weekly,
            rules.keep_monthly,
            rules.keep_yearly,
        ];
        if counts.iter().all(Option::is_none) && rules.keep_within.is_none() {
            return None;
        }
        let [last, hourly, daily, weekly, monthly, yearly] = counts.map(Option::unwrap_or_default);
        let counts = Counts {
            last,
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
        };
        let zone = self.timezone.unwrap_or_default();
        Some(Policy::new(counts, rules.keep_within, zone))
    }
}

impl Prune {
    pub fn run(self, app: &App) -> Result<u8> {
        if let Some(Verb::Simulate(verb)) = self.verb {
            return verb.run(app);
        }
        let settings = app.settings()?;
        let request = prune::PruneRequest {
            policy: self.policy.policy(),
            destination: self.destination,
            max_remove: self.max_remove,
            hosts: hosts(self.all_hosts),
            inspect: if self.check {
                InspectFirst::All
            } else {
                InspectFirst::Needed
            },
            mode: if self.dry_run {
                PruneMode::Plan
            } else {
                PruneMode::Apply
            },
            limit: if self.yes {
                RemovalLimit::Waived
            } else {
                RemovalLimit::Held
            },
        };
        let report = prune(&app.context, settings, &request)?;
        let failure = report.failure.as_ref();
        app.output
            .report_with(&report, failure, || shown(&report))?;
        Ok(failure.map_or(0, |failure| failure.kind.code()))
    }
}

fn shown(report: &prune::PruneReport) -> String {
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

/// The most files under other names that are named; JSON has all.
const MOST_NAMED: usize = 20;

fn summary(place: &prune::DestinationPrune) -> String {
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
    if !place.others.is_empty() {
        let count = place.others.len();
        let named = place.others.iter().take(MOST_NAMED);
        let mut names: Vec<String> = named.map(|one| printable(&one.name)).collect();
        if count > MOST_NAMED {
            names.push(format!("and {} more", count - MOST_NAMED));
        }
        out.push_str(&format!(
            "under other names, and never removed: {count} ({})\n",
            names.join(", ")
        ));
    }
    out
}

/// Show what a policy would hold over time
///
/// An archive is made every so often, and the policy is applied after each. Nothing is read and nothing is written but
/// the configuration.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot prune simulate                        # two years of nightly archives, the configured policy\n  \
    hookshot prune simulate --every 1h --days 60 --keep-hourly 24 --keep-daily 14\n  \
    hookshot prune simulate @offsite --json | jq .most")]
pub struct Simulate {
    /// The destination whose policy is meant [default: that of [backup.retention]]
    destination: Option<OsString>,
    /// For how many days archives are made
    #[arg(long, default_value_t = 730)]
    days: u32,
    /// How often one is made
    #[arg(long, value_name = "SPAN", default_value = "1d")]
    every: Span,
    /// When the first one is made: a date, or a time of RFC 3339 [default: now]
    #[arg(long, value_name = "DATE", value_parser = parse_start)]
    start: Option<DateTime<Utc>>,
    #[command(flatten)]
    policy: PolicyFlags,
}

fn parse_start(text: &str) -> Result<DateTime<Utc>, String> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    date.map(|date| date.and_time(NaiveTime::MIN).and_utc())
        .or_else(|| Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc()))
        .ok_or_else(|| "name a date such as `2027-01-01`, or a time of RFC 3339".to_owned())
}

impl Simulate {
    pub fn run(self, app: &App) -> Result<u8> {
        let settings = app.settings()?;
        let request = simulate::SimulationRequest {
            policy: self.policy.policy(),
            place: self.destination,
            start: self.start,
            days: self.days,
            every: self.every,
        };
        let report = simulate(&app.context, settings, &request)?;
        app.output.report(&report, || course(&report))?;
        Ok(0)
    }
}

/// The most lines that the course of a simulation has for people.
const MOST_LINES: usize = 40;

fn course(report: &simulate::SimulationReport) -> String {
    // A date is YYYY-MM-DD: days, months, or years, whichever is not too much.
    let lengths = [10, 7, 4].map(|length| (length, periods(report, length)));
    let [.., (_, years)] = &lengths;
    let fits = |(_, rows): &&(usize, Vec<Vec<String>>)| rows.len() <= MOST_LINES;
    let rows = lengths.iter().find(fits).map_or(years, |(_, rows)| rows);
    let mut out = table(&["UNTIL THE END OF", "HELD"], rows.iter().cloned());
    out.push_str(&format!(
        "\n{} archives are made, at most {} are held (since {}); in the end {}:\n\n",
        report.made,
        report.most.archives,
        report.most.time,
        report.held.len()
    ));
    let row = |held: &simulate::HeldArchive| vec![held.time.clone(), held.reasons.join("; ")];
    out.push_str(&table(&["TIME", "WHY"], report.held.iter().map(row)));
    out
}

/// What is held at the end of each period whose name is so much of a date.
fn periods(report: &simulate::SimulationReport, length: usize) -> Vec<Vec<String>> {
    let name =
        |day: &simulate::SimulatedDay| day.date.get(..length).unwrap_or(&day.date).to_owned();
    let chunks = report
        .timeline
        .chunk_by(|one, other| name(one) == name(other));
    let last = chunks.filter_map(<[simulate::SimulatedDay]>::last);
    last.map(|day| vec![name(day), day.held.to_string()])
        .collect()
}

//! `hookshot serve policy`.

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::{
    cli::{app::App, render},
    error::{Failure, Kind},
    model::retention::{Count, Span},
    serve::policies::{PolicyRequest, PolicyValues, Rule, WriteMode, apply, report},
};

/// Show the schedule and the retention of the configuration, or write others into it
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "Examples:\n  \
    hookshot serve policy show\n  \
    hookshot serve policy apply --schedule 02:00 --keep-daily 7 --keep-weekly 4 --dry-run"
)]
pub struct PolicyArguments {
    #[command(subcommand)]
    verb: PolicyVerb,
}

#[derive(Debug, Subcommand)]
enum PolicyVerb {
    /// Show each value in force, with the file that says it
    Show,
    /// Write values into the configuration, whose comments and order stay
    Apply(ApplyArguments),
}

/// Values that are not given stay as they are. Rules of retention replace those that are there, as a whole.
#[derive(Debug, Args)]
struct ApplyArguments {
    /// Start the backup at these times, such as 02:00, daily, or "0 2 * * *"
    #[arg(long, value_name = "TIMES")]
    schedule: Option<String>,
    /// Use this time zone for the schedule and for the days of the retention, a name of the IANA database
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Delay each start by at most this time
    #[arg(long, value_name = "DURATION")]
    jitter: Option<String>,
    /// Keep the newest archives
    #[arg(long, value_name = "COUNT")]
    keep_last: Option<Count>,
    /// Keep the newest archive of each of the last hours
    #[arg(long, value_name = "COUNT")]
    keep_hourly: Option<Count>,
    /// Keep the newest archive of each of the last days
    #[arg(long, value_name = "COUNT")]
    keep_daily: Option<Count>,
    /// Keep the newest archive of each of the last ISO weeks
    #[arg(long, value_name = "COUNT")]
    keep_weekly: Option<Count>,
    /// Keep the newest archive of each of the last months
    #[arg(long, value_name = "COUNT")]
    keep_monthly: Option<Count>,
    /// Keep the newest archive of each of the last years
    #[arg(long, value_name = "COUNT")]
    keep_yearly: Option<Count>,
    /// Keep everything newer than the newest archive less a span, such as 30d or 1y6m
    #[arg(long, value_name = "SPAN")]
    keep_within: Option<Span>,
    /// Back up to this destination of the configuration; may be given more than once
    #[arg(long, value_name = "NAME")]
    to: Vec<String>,
    /// Refuse if the configuration has another text than `serve policy show` saw
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// Show the lines, and write nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl PolicyArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        match self.verb {
            PolicyVerb::Show => {
                let report = report(&app.context, &app.choices)?;
                render::serve::policy(&app.printer, &report)
            }
            PolicyVerb::Apply(arguments) => arguments.run(app),
        }
    }
}

impl ApplyArguments {
    fn run(self, app: &App) -> Result<u8> {
        let values = PolicyValues {
            schedule: self.schedule,
            timezone: self.timezone,
            jitter: self.jitter,
            keep_last: self.keep_last.map(Rule),
            keep_hourly: self.keep_hourly.map(Rule),
            keep_daily: self.keep_daily.map(Rule),
            keep_weekly: self.keep_weekly.map(Rule),
            keep_monthly: self.keep_monthly.map(Rule),
            keep_yearly: self.keep_yearly.map(Rule),
            keep_within: self.keep_within.map(|span| span.to_string()),
            destinations: (!self.to.is_empty()).then_some(self.to),
        };
        if values == PolicyValues::default() {
            let failure = Failure::new(Kind::Usage, "no value is given");
            return Err(failure
                .hint("see `hookshot serve policy apply --help`")
                .into());
        }
        let request = PolicyRequest {
            values,
            digest: self.digest,
            mode: match self.dry_run {
                true => WriteMode::Plan,
                false => WriteMode::Apply,
            },
        };
        let written = apply(&app.context, &app.choices, &request)?;
        render::serve::written(&app.printer, &written)
    }
}

//! `hookshot prune simulate`.

use std::ffi::OsString;

use anyhow::Result;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::Args;

use super::policy::PolicyFlags;
use crate::{
    cli::{app::App, render},
    model::retention::Span,
    ops::simulate::{self, simulate},
};

/// Show how many archives a policy would hold over time
///
/// Archives are made at an interval, and the policy is applied after each. Only the configuration is read, and nothing
/// is written.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot prune simulate                        # two years of nightly archives, the configured policy\n  \
    hookshot prune simulate --every 1h --days 60 --keep-hourly 24 --keep-daily 14\n  \
    hookshot prune simulate @offsite --json | jq .most")]
pub struct SimulateArguments {
    /// The destination whose policy is used [default: that of [backup.retention]]
    destination: Option<OsString>,
    /// Make archives for this many days
    #[arg(long, default_value_t = 730)]
    days: u32,
    /// Make an archive at this interval
    #[arg(long, value_name = "SPAN", default_value = "1d")]
    every: Span,
    /// Make the first one at this date, or at a time of RFC 3339 [default: now]
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

impl SimulateArguments {
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
        render::simulate::show(&app.printer, &report)
    }
}

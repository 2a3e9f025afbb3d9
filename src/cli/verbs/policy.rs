//! The flags of a retention policy, which `prune` and `prune simulate` take.

use clap::Args;

use crate::model::retention::{Count, Counts, Policy, Span, Zone};

/// A policy on the command line.
#[derive(Debug, Args)]
#[command(next_help_heading = "Policy, in place of the configured one")]
pub struct PolicyFlags {
    #[command(flatten)]
    rules: Rules,
    /// Use the calendar of this time zone, a name of the IANA database [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "Rules")]
    timezone: Option<Zone>,
}

/// The rules of a policy; one is enough for an archive to stay.
#[derive(Debug, Args)]
struct Rules {
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
}

impl PolicyFlags {
    /// Returns the policy if any flag of one is given.
    pub fn policy(&self) -> Option<Policy> {
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

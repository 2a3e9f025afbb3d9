//! `hookshot schedule`.

use anyhow::Result;
use clap::Args;

use crate::{
    cli::{app::App, render},
    jobs::schedule::schedule,
};

/// Show when each job of [backup.schedule] starts next
///
/// The times are those of the configuration, in its time zone and in UTC. A start may be delayed by `jitter`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot schedule\n  \
    hookshot schedule --count 10 --json | jq -r '.jobs[] | select(.job == \"backup\") | .runs[].local'")]
pub struct ScheduleArguments {
    /// Show this many starts of each job
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
}

impl ScheduleArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let report = schedule(&app.context, app.settings()?, usize::from(self.count));
        render::schedule::show(&app.printer, &report)
    }
}

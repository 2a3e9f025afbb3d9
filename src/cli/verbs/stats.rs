//! `hookshot stats`.

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;

use super::flags::hosts;
use crate::{
    cli::{app::App, render},
    ops::stats::{StatsRequest, stats},
};

/// Show how much destinations hold, and how it grows
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot stats\n  \
    hookshot stats @offsite --all-hosts\n  \
    hookshot stats --json | jq '.destinations[0].days[:7]'")]
pub struct StatsArguments {
    /// @NAME, URLs, or folders [default: [backup] to]
    #[arg(value_name = "DESTINATION")]
    destinations: Vec<OsString>,
    /// Count the archives of other hosts and services, too, each by itself
    #[arg(long)]
    all_hosts: bool,
}

impl StatsArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let request = StatsRequest {
            destinations: self.destinations,
            hosts: hosts(self.all_hosts),
        };
        let report = stats(&app.context, app.settings()?, &request)?;
        render::stats::show(&app.printer, &report)
    }
}

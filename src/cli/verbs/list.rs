//! `hookshot list`.

use std::ffi::OsString;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::filter::FilterArguments;
use crate::{
    cli::{app::App, render},
    ops::list::{self, Direction, ListDepth, ListRequest, list},
};

/// Show the archives of destinations
///
/// Shows those whose names begin with `[backup] prefix`. With --long it reads the manifest of each and asks the
/// retention policy.
#[derive(Debug, Args)]
#[command(
    alias = "ls",
    after_help = "Examples:\n  \
    hookshot list                                  # everything that [backup] to names\n  \
    hookshot list @offsite --long\n  \
    hookshot list /var/backups/hookshot --sort size\n  \
    hookshot list @offsite --since 7d --tag why=upgrade\n  \
    hookshot list @offsite --json | jq -r '.archives[0].location'"
)]
pub struct ListArguments {
    /// @NAME, URLs, or folders [env: HOOKSHOT_TO] [default: [backup] to]
    #[arg(value_name = "DESTINATION")]
    destinations: Vec<OsString>,
    /// Read the manifest of each archive, and say why the policy keeps it
    #[arg(short, long)]
    long: bool,
    /// Sort by the newest, by the largest, or by name
    #[arg(long, value_name = "WHAT", default_value = "time")]
    sort: Sort,
    /// Reverse the order
    #[arg(short, long)]
    reverse: bool,
    /// Show the archives of other hosts and services, too
    #[arg(long)]
    all_hosts: bool,
    #[command(flatten)]
    filter: FilterArguments,
}

/// The orders of archives.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sort {
    /// Their names.
    Name,
    /// Their times, the newest first.
    Time,
    /// Their sizes, the largest first.
    Size,
}

impl ListArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let settings = app.settings()?;
        let request = ListRequest {
            destinations: self.destinations,
            hosts: self.filter.hosts(self.all_hosts),
            filter: self.filter.filter(&app.context),
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
        render::list::show(&app.printer, &report, &settings.schema.prefix)
    }
}

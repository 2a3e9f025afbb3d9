//! `hookshot prune`.

use std::ffi::OsString;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::{flags::hosts, policy::PolicyFlags, simulate::SimulateArguments};
use crate::{
    cli::{app::App, render},
    model::retention::Share,
    ops::prune::{self, InspectFirst, PruneMode, RemovalLimit, prune},
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
pub struct PruneArguments {
    #[command(subcommand)]
    verb: Option<PruneVerb>,
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
enum PruneVerb {
    Simulate(SimulateArguments),
}

impl PruneArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        if let Some(PruneVerb::Simulate(verb)) = self.verb {
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
        render::prune::show(&app.printer, &report)
    }
}

//! `hookshot prune`.

use std::ffi::OsString;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::{flags::hosts, hooked::hooked, policy::PolicyFlags, simulate::SimulateArguments};
use crate::{
    cli::{app::App, render},
    config::hooks::Operation,
    model::retention::Share,
    ops::prune::{self, InspectFirst, PruneMode, RemovalLimit, prune},
};

/// Remove the archives that the retention policy does not keep
///
/// The archives that stay are inspected first if a removal depends on them. Nothing is removed for a damaged one. The
/// policy is that of the destination, else [backup.retention]. Flags replace it as a whole.
#[derive(Debug, Args)]
#[command(
    alias = "forget",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "Examples:\n  \
    hookshot prune --dry-run                       # each destination of [backup] to\n  \
    hookshot prune @offsite\n  \
    hookshot prune /var/backups/hookshot --keep-last 3 --keep-daily 7 --dry-run\n  \
    hookshot prune simulate --days 730 --every 1d --keep-daily 7 --keep-monthly all"
)]
pub struct PruneArguments {
    #[command(subcommand)]
    verb: Option<PruneVerb>,
    /// @NAME, a URL, or a folder [env: HOOKSHOT_TO] [default: each of [backup] to]
    destination: Option<OsString>,
    /// Show which archives would be removed and why, and remove nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Remove any number of archives, and accept a size that fell
    #[arg(short, long)]
    yes: bool,
    /// Remove at most this part of a host's archives at once, such as 50% [default: that of the configuration]
    #[arg(long, value_name = "PERCENT")]
    max_remove: Option<Share>,
    /// Prune the archives of other hosts and services, too, each by itself
    #[arg(long)]
    all_hosts: bool,
    /// Inspect every archive first, not only those that removals depend on
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    policy: PolicyFlags,
}

/// The verbs below `prune`.
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
        let apply = || {
            let report = prune(&app.context, settings, &request)?;
            render::prune::show(&app.printer, &report)
        };
        match request.mode {
            PruneMode::Plan => apply(),
            PruneMode::Apply => hooked(app, Operation::Prune, apply),
        }
    }
}

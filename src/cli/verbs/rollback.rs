//! `hookshot rollback`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::{
    flags::{force, rehearsal, root},
    hooked::hooked,
};
use crate::{
    cli::{app::App, render},
    config::hooks::Operation,
    machine::enter::{Need, recover},
    verbs,
};

/// Undo the last import
///
/// Replaced files come back from their .bak files, and created ones are removed: all of it, or nothing. Each file that
/// the rollback replaces stays as .bak in turn, so a second rollback undoes the first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  hookshot rollback --dry-run\n  hookshot rollback")]
pub struct RollbackArguments {
    /// Check everything, show the plan, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Replace the state even if deployments are active or the database cannot be read
    #[arg(long)]
    force: bool,
    /// Undo an import that was run with the same --root
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

impl RollbackArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        if self.dry_run {
            return self.roll_back(app);
        }
        let config = app.choices.config_path()?;
        recover(&config, Need::State, &app.context.events)?;
        hooked(app, Operation::Import, || self.roll_back(app))
    }

    fn roll_back(&self, app: &App) -> Result<u8> {
        let mut choices = app.choices.clone();
        choices.elsewhere.root = root(self.root.as_deref())?;
        let report = verbs::rollback(
            &app.context,
            &choices,
            rehearsal(self.dry_run),
            force(self.force),
        )?;
        render::import::log_rollback(&report);
        render::import::show(&app.printer, &report, app.is_quiet)
    }
}

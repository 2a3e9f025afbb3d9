//! `hookshot rollback`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::{
    flags::{demand, force, is_controlled, rehearsal, root},
    hooked::hooked,
};
use crate::{
    cli::{app::App, render},
    config::{Choices, Settings, hooks::Operation},
    context::Context,
    jobs::guard::{GuardedWork, guarded, plan},
    machine::{
        enter::{Need, recover},
        planned::PlanScope,
        preflight::Force,
        rehearsal::Rehearsal,
    },
    model::digest::Digest,
    verbs,
};

/// Undo the last import
///
/// Replaced files come back from their .bak files, and created ones are removed: all of it, or nothing. Each file that
/// the rollback replaces stays as .bak in turn, so a second rollback undoes the first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot rollback --dry-run\n  \
    hookshot rollback\n  \
    hookshot rollback --guarded   # stop the service, roll back, start it, go back if it is not healthy")]
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
    /// Stop the service, roll back, start it, and undo that if it is not healthy ([backup.import])
    #[arg(long, conflicts_with = "root")]
    guarded: bool,
    /// Tell the digest of the plan, or carry out that plan alone; guarded if [backup.import] says how
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, conflicts_with = "root")]
    plan: Option<Option<Digest>>,
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
        if self.guarded || self.plan.is_some() && is_controlled(&choices)? {
            return self.guarded(app, &choices);
        }
        let report = verbs::rollback_planned(
            &app.context,
            &choices,
            rehearsal(self.dry_run),
            force(self.force),
            demand(self.plan, PlanScope::Contents),
        )?;
        render::import::log_rollback(&report);
        render::import::show(&app.printer, &report, app.is_quiet)
    }

    /// Rolls back while the service is stopped.
    fn guarded(&self, app: &App, choices: &Choices) -> Result<u8> {
        recover(&choices.config_path()?, Need::State, &app.context.events)?;
        let settings = Settings::load(choices)?;
        let roll_back = |context: &Context, force| {
            let report = verbs::rollback(context, choices, Rehearsal::Real, force)?;
            render::import::log_rollback(&report);
            Ok(report)
        };
        let work = GuardedWork {
            verb: "rollback",
            // After the service was stopped, another plan may do the same.
            rehearse: &|context| {
                let plan = demand(self.plan, PlanScope::Steps);
                let force = force(self.force);
                verbs::rollback_planned(context, choices, Rehearsal::DryRun, force, plan)
            },
            act: &|context| roll_back(context, force(self.force)),
            // A second rollback undoes the first.
            undo: &|context| roll_back(context, Force::Rollback),
        };
        if self.dry_run {
            let report = plan(&app.context, &settings, &work)?;
            render::import::log_rollback(&report);
            return render::import::show(&app.printer, &report, app.is_quiet);
        }
        let report = guarded(&app.context, &settings, &work)?;
        render::import::show_guarded(&app.printer, &report)
    }
}

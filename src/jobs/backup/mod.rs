//! `backup`: the nightly job. One export to every destination, later delivery of what earlier runs did not deliver,
//! pruning, hooks around it, and a record of all that.
//!
//! ```text
//! lock -> before hooks -> export and proof -> after hooks -> catch up -> prune -> success, failure, finally hooks
//!      -> history -> notifications
//! ```
//!
//! A destination that fails stops no other. Only a destination that proved this run's archive is pruned.

mod catch_up;
mod killed;
mod place;
mod plan;
mod report;
mod request;
mod run;
mod tiers;
mod unchanged;

use std::time::Instant;

use anyhow::Result;

use self::{place::Place, run::Run};
pub use self::{
    plan::{BackupPlan, PlannedDestination, plan},
    report::BackupReport,
    request::{BackupMode, BackupRequest, IfUnchanged, OldArchives},
};
use super::{history::History, places::JobPlaces};
use crate::{
    config::{Choices, Settings},
    context::Context,
};

/// Runs the nightly job once. Fails if it could not begin: then nothing was done, and nothing is recorded. Every other
/// failure is in the report.
pub fn backup(
    context: &Context,
    choices: &Choices,
    request: &BackupRequest,
) -> Result<BackupReport> {
    let settings = Settings::load(choices)?;
    settings.mask_secrets(&context.runner.masks);
    let places = Place::find(&settings, &request.destinations)?;
    let job_places = JobPlaces::of(context, &settings);
    let _lock = job_places.lock(context, request.lock_wait)?;
    // Another run may have been waited for.
    let context = &later(context);
    let due = match request.destinations.is_empty() {
        true => tiers::due(context, &settings, context.zone, &places)?,
        false => places.clone(),
    };
    let run = Run {
        context,
        choices,
        settings: &settings,
        request,
        places: due,
        holders: places,
        history: History::of(context, &settings),
    };
    run.execute()
}

/// Returns the same facts with the time that it is by now.
fn later(context: &Context) -> Context {
    let passed = chrono::TimeDelta::from_std(context.begun.elapsed()).unwrap_or_default();
    Context {
        now: context
            .now
            .checked_add_signed(passed)
            .unwrap_or(context.now),
        begun: Instant::now(),
        ..context.clone()
    }
}

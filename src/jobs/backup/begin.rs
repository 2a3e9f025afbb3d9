//! The beginning of a run: its lock, its time and its destinations.

use std::time::Instant;

use anyhow::Result;

use super::{place::Place, report::BackupReport, request::BackupRequest, run::Run, tiers};
use crate::{
    config::{Choices, Settings},
    context::Context,
    error::Failure,
    jobs::{history::History, known_secrets, lock::lock, missed::missed, notify},
    model::run_record::Job,
};

/// Runs the nightly job once. Fails if it could not begin: then nothing was done, and nothing is recorded. Every other
/// failure is in the report.
pub fn backup(
    context: &Context,
    choices: &Choices,
    request: &BackupRequest,
) -> Result<BackupReport> {
    let settings = Settings::load(choices)?;
    known_secrets::mask(context, &settings);
    notify::require_built(&settings)?;
    let places = Place::find(&settings, &request.destinations)?;
    let _lock = match lock(context, &settings, request.lock_wait) {
        Ok(lock) => lock,
        Err(error) => {
            let failure = Failure::of(&error);
            let failed = places.iter().map(|place| place.failed(&failure.message));
            missed(context, &settings, Job::Backup, failed.collect(), &failure);
            return Err(error);
        }
    };
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
        holders: Place::holders(&settings, &places),
        history: History::of(context, &settings),
    };
    run.execute()
}

/// Returns the same facts with the time that it is by now.
pub fn later(context: &Context) -> Context {
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

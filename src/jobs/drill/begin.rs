//! The beginning of a drill: its lock, its time and its archives.

use anyhow::Result;

use super::{chosen, report::DrillReport, request::DrillRequest, run::Run};
use crate::{
    config::{Choices, Settings, sources::Source},
    context::Context,
    disk::{real, staging},
    error::{Failure, Kind},
    jobs::{backup::later, history::History, known_secrets, lock::lock, missed::missed, notify},
    model::run_record::Job,
};

/// Rehearses restores. Fails if it could not begin: then nothing was done, and nothing is recorded. Every other failure
/// is in the report. Without a configuration nothing is locked or recorded.
pub fn drill(context: &Context, choices: &Choices, request: &DrillRequest) -> Result<DrillReport> {
    let settings = Settings::load(choices)?;
    known_secrets::mask(context, &settings);
    notify::require_built(&settings)?;
    let words = chosen::words(&settings, &request.words)?;
    require_apart(context, &settings)?;
    let locked = settings
        .config_exists
        .then(|| lock(context, &settings, request.lock_wait))
        .transpose();
    let _lock = match locked {
        Ok(lock) => lock,
        Err(error) => {
            let failure = Failure::of(&error);
            missed(context, &settings, Job::Drill, Vec::new(), &failure);
            return Err(error);
        }
    };
    // Another run may have been waited for.
    let context = &later(context);
    staging::sweep(&context.scratch);
    let run = Run {
        context,
        choices,
        settings: &settings,
        request,
        words,
        history: settings
            .config_exists
            .then(|| History::of(context, &settings)),
    };
    Ok(run.execute())
}

/// Refuses a temporary folder within the state: a restore there would change it.
fn require_apart(context: &Context, settings: &Settings) -> Result<(), Failure> {
    let scratch = real(&context.scratch);
    let mut directories = settings.sources.iter().filter(|one| one.is_directory());
    let is_around = |source: &&Source| {
        let top = source.path().map(real);
        top.is_some_and(|top| scratch.starts_with(top))
    };
    let Some(source) = directories.find(is_around) else {
        return Ok(());
    };
    let message = format!(
        "the temporary folder {} lies in the directory {}, which is part of the state",
        scratch.display(),
        source.name
    );
    Err(Failure::new(Kind::Usage, message).hint("name another folder with TMPDIR"))
}

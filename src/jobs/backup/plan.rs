//! `backup --dry-run`: what a run would do, without doing it.

use anyhow::Result;
use serde::Serialize;

use super::{
    catch_up,
    place::Place,
    request::{BackupRequest, OldArchives},
    tiers,
};
use crate::{
    config::{Choices, Settings, hooks::Operation},
    context::Context,
    error::{Failure, Kind},
    jobs::{history::History, hooks::Hooks},
    model::run_record::RunRecord,
    ops::prune::{PruneRequest, prune},
    work::events::JobEvent,
};

/// The plan of a run.
#[derive(Debug, Serialize)]
pub struct BackupPlan {
    /// Always true.
    pub dry_run: bool,
    /// The destinations.
    pub destinations: Vec<PlannedDestination>,
    /// The hooks that would run.
    pub hooks: Vec<PlannedHook>,
    /// The failure that is known already.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

/// The plan for one destination.
#[derive(Debug, Default, Serialize)]
pub struct PlannedDestination {
    /// Its name in the configuration, or its address.
    pub name: String,
    /// The archives of earlier runs that would be copied there.
    pub catch_up: Vec<String>,
    /// The archives that the policy would remove if the new one were not there.
    pub remove: Vec<String>,
    /// The reason why nothing would be removed.
    pub not_pruned: Option<String>,
    /// The reason why it cannot be used.
    pub error: Option<String>,
}

/// A hook that would run.
#[derive(Debug, Serialize)]
pub struct PlannedHook {
    /// The stage.
    pub stage: &'static str,
    /// The command, shortened and masked.
    pub command: String,
}

/// Returns the plan of a run. Nothing is locked, run or written; destinations are only read.
pub fn plan(context: &Context, choices: &Choices, request: &BackupRequest) -> Result<BackupPlan> {
    let settings = Settings::load(choices)?;
    settings.mask_secrets(&context.runner.masks);
    let mut places = Place::find(&settings, &request.destinations)?;
    if request.destinations.is_empty() {
        places = tiers::due(context, &settings, context.zone, &places)?;
    }
    let runs = History::of(context, &settings).read();
    let runs = runs.unwrap_or_else(|error| {
        let reason = format!("{error:#}");
        context.tell(JobEvent::HistoryFails { reason });
        Vec::new()
    });
    let mut destinations = Vec::new();
    for place in &places {
        context.stop.check()?;
        destinations.push(planned(context, &settings, request, &runs, place)?);
    }
    let hooks = Hooks::new(context, &settings, Operation::Backup, "");
    let hooks = hooks.planned().into_iter();
    let failure = failure(&destinations);
    Ok(BackupPlan {
        dry_run: true,
        destinations,
        hooks: hooks
            .map(|(stage, command)| PlannedHook { stage, command })
            .collect(),
        failure,
    })
}

fn planned(
    context: &Context,
    settings: &Settings,
    request: &BackupRequest,
    runs: &[RunRecord],
    place: &Place,
) -> Result<PlannedDestination> {
    let mut planned = PlannedDestination {
        name: place.name.clone(),
        catch_up: catch_up::owed(context, settings, runs, &place.name),
        ..PlannedDestination::default()
    };
    let looked = place.open(context, settings).and_then(|destination| {
        match request.old_archives {
            // The destination has to answer, whether it is pruned or not.
            OldArchives::Keep => destination.repository.find("hookshot").map(drop),
            OldArchives::Prune => {
                let request = PruneRequest {
                    destination: Some(place.word.clone()),
                    ..PruneRequest::default()
                };
                let report = prune(context, settings, &request)?;
                let remove = report.destinations.into_iter().flat_map(|one| one.remove);
                planned.remove = remove.map(|archive| archive.name).collect();
                report.failure.map_or(Ok(()), |failure| Err(failure.into()))
            }
        }
    });
    if let Err(error) = looked {
        let failure = Failure::of(&error);
        match failure.kind {
            Kind::Interrupted(_) => return Err(error),
            // The first export makes the folder.
            Kind::NotFound if place.is_new_folder(context, settings) => {}
            _ => planned.error = Some(failure.message),
        }
    }
    Ok(planned)
}

/// Returns the failure that a run would end in.
fn failure(destinations: &[PlannedDestination]) -> Option<Failure> {
    let faults = destinations.iter().filter_map(|destination| {
        let error = destination.error.as_ref()?;
        Some(format!("{}: {error}", destination.name))
    });
    let faults: Vec<String> = faults.collect();
    if let Some(first) = faults.first() {
        let message = format!(
            "{} of {} destinations would fail: {first}",
            faults.len(),
            destinations.len()
        );
        return Some(
            Failure::new(Kind::Unproven, message)
                .hint("`hookshot check` tells what a destination can do")
                .faults(faults),
        );
    }
    let mut unpruned = destinations.iter().filter_map(|destination| {
        let reason = destination.not_pruned.as_ref()?;
        Some(format!("{}: {reason}", destination.name))
    });
    let message = format!("nothing would be removed: {}", unpruned.next()?);
    Some(Failure::new(Kind::Partial, message).hint("`hookshot prune --dry-run` shows why"))
}

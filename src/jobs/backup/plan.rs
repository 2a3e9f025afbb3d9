//! `backup --dry-run`: what a run would do, without doing it.

use anyhow::Result;
use serde::Serialize;

use super::{
    catch_up,
    needed::not_needed,
    place::Place,
    request::{BackupRequest, IfUnchanged, OldArchives},
    tiers,
    unchanged::held,
};
use crate::{
    catalog::{destination::Destination, target::Target},
    config::{
        Choices, Settings,
        hooks::{Operation, Stage},
        sources::Source,
    },
    context::Context,
    error::{Failure, Kind},
    jobs::{history::History, hooks::Hooks},
    machine::enter::{StateAccess, enter},
    model::{archive_name::ArchiveName, copy_form::CopyForm, run_record::RunRecord},
    ops::{
        export::{FailedAt, kind_of_all, present_state},
        prune::{PruneRequest, prune},
    },
    work::events::JobEvent,
};

/// The plan of a run.
#[derive(Debug, Serialize)]
pub struct BackupPlan {
    /// Always true.
    pub dry_run: bool,
    /// The destinations.
    pub destinations: Vec<PlannedDestination>,
    /// The comparison with the newest archives; `None` without `--if-changed`.
    pub if_changed: Option<Comparison>,
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
    /// Those that would not be copied, because the policy would remove them at once.
    pub not_needed: Vec<String>,
    /// The archives that the policy would remove if the new one were not there.
    pub remove: Vec<String>,
    /// The reason why nothing would be removed.
    pub not_pruned: Option<String>,
    /// The reason why it cannot be used.
    pub error: Option<String>,
    /// The step at which an export there would fail, and the kind of its failure.
    #[serde(skip)]
    pub lost: Option<(FailedAt, Kind)>,
}

/// The comparison of the present state with the newest archives.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// True if no archive would be made; `None` if it was not compared.
    pub unchanged: Option<bool>,
    /// The reason.
    pub reason: String,
}

/// A hook that would run.
#[derive(Debug, Serialize)]
pub struct PlannedHook {
    /// The stage.
    pub stage: &'static str,
    /// The command, shortened and masked.
    pub command: String,
}

/// Returns the plan of a run. No hook is run, and nothing is written; destinations are only read.
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
    let hooks = Hooks::new(context, &settings, Operation::Backup, "").planned();
    let if_changed = match request.if_unchanged {
        IfUnchanged::Skip => Some(compared(context, choices, request, &hooks, &places, &runs)?),
        IfUnchanged::Export => None,
    };
    let makes_one = if_changed.as_ref().and_then(|one| one.unchanged) != Some(true);
    let coming = ArchiveName::new(&settings.schema.prefix, context.now).ok();
    let coming = coming.filter(|_| makes_one);
    let mut destinations = Vec::new();
    for place in &places {
        context.stop.check()?;
        let owed = catch_up::owed(context, &settings, &runs, &place.name);
        let owed = owed.into_iter().map(|owed| owed.name).collect();
        destinations.push(planned(
            context,
            &settings,
            request,
            owed,
            coming.as_ref(),
            place,
        )?);
    }
    let hooks = hooks.into_iter();
    let failure = failure(&destinations);
    Ok(BackupPlan {
        dry_run: true,
        destinations,
        if_changed,
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
    owed: Vec<String>,
    coming: Option<&ArchiveName>,
    place: &Place,
) -> Result<PlannedDestination> {
    let mut planned = PlannedDestination {
        name: place.name.clone(),
        catch_up: owed,
        ..PlannedDestination::default()
    };
    let looked = place.open(context, settings).and_then(|destination| {
        if !planned.catch_up.is_empty() {
            planned.split(context, settings, &destination, coming)?;
        }
        let only_grows = Target::read(&place.word)?.only_grows(settings);
        match request.old_archives {
            // The destination has to answer, whether it is pruned or not.
            OldArchives::Prune if only_grows => destination.repository.find("hookshot").map(drop),
            OldArchives::Keep => destination.repository.find("hookshot").map(drop),
            OldArchives::Prune => {
                let request = PruneRequest {
                    destination: Some(place.word.clone()),
                    ..PruneRequest::default()
                };
                let report = prune(context, settings, &request)?;
                let remove = report.destinations.into_iter().flat_map(|one| one.remove);
                planned.remove = remove.map(|archive| archive.name).collect();
                if let Some(failed) = report.failed.into_iter().next() {
                    return Err(failed.failure.into());
                }
                // The policy refuses: the destination gets its archive, and loses none.
                planned.not_pruned = report.failure.map(|failure| failure.message);
                Ok(())
            }
        }
    });
    if let Err(error) = looked {
        let failure = Failure::of(&error);
        match failure.kind {
            Kind::Interrupted(_) => return Err(error),
            // The first export makes the folder.
            Kind::NotFound if place.is_new_folder(context, settings) => {}
            _ => {
                planned.lost = Some(place.failing(context, settings, failure.kind)?);
                planned.error = Some(failure.message);
            }
        }
    }
    Ok(planned)
}

impl PlannedDestination {
    /// Tells the owed archives that the policy would remove at once from those that would be copied.
    fn split(
        &mut self,
        context: &Context,
        settings: &Settings,
        destination: &Destination,
        coming: Option<&ArchiveName>,
    ) -> Result<()> {
        let listed = catch_up::listed(destination, settings)?;
        let owed: Vec<&str> = self.catch_up.iter().map(String::as_str).collect();
        let policy = &destination.retention.policy;
        let superfluous = not_needed(&listed, policy, &owed, coming, context.now);
        let is_superfluous = |name: &String| superfluous.contains(name);
        let (not_needed, catch_up) = std::mem::take(&mut self.catch_up)
            .into_iter()
            .partition(is_superfluous);
        (self.not_needed, self.catch_up) = (not_needed, catch_up);
        Ok(())
    }
}

/// Compares the present state with the newest archives, unless a command is to run before it is read.
fn compared(
    context: &Context,
    choices: &Choices,
    request: &BackupRequest,
    hooks: &[(&'static str, String)],
    places: &[Place],
    runs: &[RunRecord],
) -> Result<Comparison> {
    let told = |unchanged: Option<bool>, reason: &str| Comparison {
        unchanged,
        reason: reason.to_owned(),
    };
    if !request.tags.is_empty() {
        return Ok(told(Some(false), "a label asks for an archive"));
    }
    let entered = enter(choices, StateAccess::Read, &context.events)?;
    let settings = &entered.settings;
    let Some(held) = held(context, settings, places, runs)? else {
        let reason = "no newest archive of this machine that all destinations hold, and that is young enough, can be compared";
        return Ok(told(Some(false), reason));
    };
    let is_before = |(stage, _): &(&'static str, String)| *stage == Stage::Before.name();
    let mut sources = settings.sources.iter().filter(|source| source.enabled);
    let has_command = |source: &Source| {
        let runs = ["export", "prepare"];
        source.commands().iter().any(|(key, _)| runs.contains(key))
    };
    if hooks.iter().any(is_before) || settings.schema.prepare.is_some() || sources.any(has_command)
    {
        let reason =
            "not compared: a dry run does not run the commands that come before the export";
        return Ok(told(None, reason));
    }
    // As the export would copy them, which the digest depends on.
    let form = match places.iter().any(Place::is_repository) {
        true => CopyForm::PageExact,
        false => CopyForm::Compact,
    };
    match present_state(context, &entered, form) {
        Ok(Some(state)) if state == held.digest => Ok(told(
            Some(true),
            &format!("nothing changed since {}", held.archive),
        )),
        Ok(_) => Ok(told(
            Some(false),
            &format!("the state differs from {}", held.archive),
        )),
        Err(error) => match Failure::of(&error) {
            failure if matches!(failure.kind, Kind::Interrupted(_)) => Err(error),
            failure => Ok(told(None, &format!("not compared: {}", failure.message))),
        },
    }
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
        // As the run: another kind only if no destination gets the archive.
        let lost: Option<Vec<_>> = destinations.iter().map(|one| one.lost).collect();
        let kind = lost.and_then(kind_of_all).unwrap_or(Kind::Unproven);
        return Some(
            Failure::new(kind, message)
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

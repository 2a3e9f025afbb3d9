//! One drill, from its first record to its last notification.

use anyhow::Result;

use super::{
    chosen::{ChosenArchive, choose},
    probe::{self, Probe},
    report::DrillReport,
    request::{DrillRequest, SandboxFate},
    verdict::Verdict,
};
use crate::{
    catalog::input::ArchiveInput,
    config::{Choices, Settings},
    context::Context,
    disk::sandbox::Sandbox,
    error::{Failure, Kind},
    jobs::{
        history::History,
        known_secrets,
        recorded::{JobWork, Recorded},
    },
    model::{
        drill_record::DrillRecord,
        run_record::{DestinationRecord, Job, RunRecord, RunResult},
        written::escaped,
    },
    ops::drill::{ImportCommands, RestoredState, rehearse},
    verbs::for_attempt,
    work::{events::JobEvent, run_id::new_run_id},
};

/// One drill.
pub struct Run<'a> {
    pub context: &'a Context,
    pub choices: &'a Choices,
    pub settings: &'a Settings,
    pub request: &'a DrillRequest,
    /// The words for archives and destinations.
    pub words: Vec<std::ffi::OsString>,
    /// The history; `None` without a configuration.
    pub history: Option<History>,
}

/// The advice for a sandbox that could not be removed.
const HOLDS_SECRETS: &str = "the folder holds secrets: remove it; the next run tries again";

/// The outcome for one archive.
struct Drilled {
    record: DrillRecord,
    /// The failure of the archive or of the probe.
    failure: Option<Failure>,
    /// The reason why the sandbox is still there, if it is.
    left: Option<String>,
}

/// The work of one drill, and its verdict so far.
struct Work<'a> {
    run: &'a Run<'a>,
    verdict: Verdict,
}

impl Run<'_> {
    /// Runs the drill. Every failure after its beginning is in the report.
    pub fn execute(&self) -> DrillReport {
        let mut work = Work {
            run: self,
            verdict: Verdict::default(),
        };
        if let Some(config) = self.missing_config() {
            let hint = "name this machine's configuration with --config";
            work.verdict.undone.add_with(config, Some(hint.to_owned()));
        }
        let recorded = Recorded {
            context: self.context,
            settings: self.settings,
            history: self.history.as_ref(),
        };
        let record = RunRecord {
            host: self.context.hostname.clone(),
            app: Some(self.settings.schema.app.clone()),
            ..RunRecord::begun(new_run_id(), Job::Drill, self.context.now)
        };
        let ended = recorded.run(record, None, &mut work);
        DrillReport::of(ended, work.failure())
    }

    /// Returns the words about a configuration that the user names and that is not there.
    fn missing_config(&self) -> Option<String> {
        let is_named = self.choices.config.is_some() && !self.settings.config_exists;
        is_named.then(|| {
            let config = self.settings.config.display();
            format!("{config} does not exist: no probe of it ran, and nothing is recorded")
        })
    }

    /// Rehearses the restore of each archive. Only an interruption ends it before the last one.
    fn rehearse(&self, record: &mut RunRecord, verdict: &mut Verdict) -> Result<(), Failure> {
        let mut attempts = 0;
        for word in &self.words {
            let chosen = choose(self.context, self.settings, word, self.request.which);
            for chosen in chosen.map_err(|error| Failure::of(&error))? {
                self.context.stop.check()?;
                let context = for_attempt(self.context, attempts);
                attempts += 1;
                let drilled = self.one(&context, chosen, &record.run_id)?;
                verdict.count += 1;
                add_destination(record, &drilled.record);
                record.drills.push(drilled.record);
                verdict.failures.extend(drilled.failure);
                if let Some(left) = drilled.left {
                    verdict
                        .undone
                        .add_with(left, Some(HOLDS_SECRETS.to_owned()));
                }
            }
        }
        Ok(())
    }

    /// Rehearses the restore of one archive. An interruption is an error.
    fn one(
        &self,
        context: &Context,
        chosen: ChosenArchive,
        run_id: &str,
    ) -> Result<Drilled, Failure> {
        let mut drilled = Drilled {
            record: DrillRecord {
                archive: chosen.archive,
                destination: chosen.destination,
                bytes: chosen.bytes,
                ..DrillRecord::default()
            },
            failure: None,
            left: None,
        };
        let failure = match chosen.input {
            Err(failure) => Some(failure),
            Ok(input) => {
                context.tell(JobEvent::Drills {
                    archive: input.shown(),
                });
                match self.restore(context, &input, run_id, &mut drilled) {
                    Ok(failure) => failure,
                    Err(error) => Some(named(&input, Failure::of(&error))),
                }
            }
        };
        if let Some(failure) = &failure
            && matches!(failure.kind, Kind::Interrupted(_))
        {
            return Err(failure.clone());
        }
        // Nothing speaks against an archive that was not restored.
        drilled.record.unknown = drilled.record.rto_seconds.is_none()
            && failure
                .as_ref()
                .is_some_and(|one| one.kind != Kind::Refused);
        drilled.record.error = failure
            .as_ref()
            .map(|failure| context.runner.masked(&failure.message));
        Ok(Drilled { failure, ..drilled })
    }

    /// Restores an archive into a sandbox, runs the probe, and removes the sandbox. Returns the failure of the probe.
    fn restore(
        &self,
        context: &Context,
        input: &ArchiveInput,
        run_id: &str,
        drilled: &mut Drilled,
    ) -> Result<Option<Failure>> {
        let drill = &mut drilled.record;
        let sandbox = Sandbox::create(&context.scratch)?;
        let mut result = self.within(context, &sandbox, input, run_id, drill);
        // Nothing tells of what an interrupted drill would leave.
        let is_interrupted = (result.as_ref().err())
            .is_some_and(|error| matches!(Failure::of(error).kind, Kind::Interrupted(_)));
        if self.request.sandbox == SandboxFate::Kept && !is_interrupted && !sandbox.is_empty() {
            match sandbox.keep(&format!("hookshot-drill-{}", context.unique)) {
                Ok(place) => {
                    drill.sandbox = Some(place.display().to_string());
                    drill.sandbox_escaped = escaped(&place);
                }
                // The failure of the restore counts more.
                Err(error) if result.is_err() => {
                    let warning = format!("the restored state is not kept: {error:#}");
                    drill.warnings.push(context.runner.masked(&warning));
                }
                Err(error) => result = Err(error),
            }
        }
        if !is_interrupted && let Err(error) = sandbox.remove() {
            let left = context.runner.masked(&format!("{error:#}"));
            drill.warnings.push(left.clone());
            drilled.left = Some(left);
        }
        result
    }

    fn within(
        &self,
        context: &Context,
        sandbox: &Sandbox,
        input: &ArchiveInput,
        run_id: &str,
        drill: &mut DrillRecord,
    ) -> Result<Option<Failure>> {
        let settings = &self.settings.schema.drill;
        let commands = match settings.runs_commands {
            true => ImportCommands::Run,
            false => ImportCommands::LeftOut,
        };
        let state = rehearse(context, self.choices, sandbox, input, commands)?;
        drill.good = state.gaps.is_empty();
        drill.seconds = state.seconds;
        drill.rto_seconds = state.seconds.rto();
        let masked = |warning: &String| context.runner.masked(warning);
        let remarks = state.gaps.iter().skip(1).chain(&state.warnings);
        drill.warnings = remarks.map(masked).collect();
        let probed = match &settings.probe {
            None => None,
            Some(_) => self.probe(context, sandbox, &state, run_id, drill)?,
        };
        let gap = not_whole(&input.shown(), &state.gaps);
        if probed.is_some() {
            // The failure of the probe counts more.
            drill.warnings.splice(0..0, state.gaps.first().map(masked));
        }
        Ok(probed.or(gap))
    }

    fn probe(
        &self,
        context: &Context,
        sandbox: &Sandbox,
        state: &RestoredState,
        run_id: &str,
        drill: &mut DrillRecord,
    ) -> Result<Option<Failure>> {
        let Some(command) = &self.settings.schema.drill.probe else {
            return Ok(None);
        };
        drill.warnings.extend(probe::warnings(state));
        let archive = drill.archive.clone().unwrap_or_default();
        let root = sandbox.root();
        let probe = Probe {
            context,
            settings: self.settings,
            run_id,
            archive: &archive,
            root: &root,
        };
        let probed = probe.run(command, state)?;
        drill.seconds.probe = Some(probed.seconds);
        drill.probe = Some(probed.record);
        Ok(probed.failure)
    }
}

impl JobWork for Work<'_> {
    fn work(&mut self, _runs: &[RunRecord], record: &mut RunRecord) {
        self.verdict.end = self.run.rehearse(record, &mut self.verdict).err();
    }

    fn fail(&mut self, failure: Failure, _record: &mut RunRecord) {
        self.verdict.end = Some(failure);
    }

    fn leave(&mut self, undone: Vec<String>) {
        self.verdict.undone.add(undone);
    }

    fn settle(&self, record: &mut RunRecord) {
        let failure = self.failure();
        record.result = match &failure {
            None if record.skipped.is_some() => RunResult::Skipped,
            None => RunResult::Success,
            Some(failure) if failure.kind == Kind::Partial => RunResult::Partial,
            Some(_) => RunResult::Failure,
        };
        record.exit_code = Some(failure.as_ref().map_or(0, |failure| failure.kind.code()));
        record.error = failure.as_ref().map(|failure| failure.message.clone());
        record.hint = failure.and_then(|failure| failure.hint);
        record.duration_seconds = Some(self.run.context.begun.elapsed().as_secs_f64());
        // Several archives have no name in common.
        if let [drill] = &record.drills[..] {
            record.archive.clone_from(&drill.archive);
            record.size_bytes = drill.bytes;
        }
    }
}

impl Work<'_> {
    /// Returns the failure that decides on result and exit code, if there is one.
    fn failure(&self) -> Option<Failure> {
        let failure = self.verdict.failure()?;
        Some(known_secrets::masked(self.run.context, failure))
    }
}

/// Notes the outcome at its destination: that is good if all of its archives are, and their probes.
fn add_destination(record: &mut RunRecord, drill: &DrillRecord) {
    let Some(name) = &drill.destination else {
        return;
    };
    let is_good = drill.good && drill.error.is_none();
    let mut known = record.destinations.iter_mut();
    match known.find(|one| one.name == *name) {
        Some(known) => {
            known.good &= is_good;
            known.error = known.error.take().or(drill.error.clone());
        }
        None => record.destinations.push(DestinationRecord {
            name: name.clone(),
            archive: drill.archive.clone(),
            good: is_good,
            size_bytes: drill.bytes,
            error: drill.error.clone(),
            ..DestinationRecord::default()
        }),
    }
}

/// Returns the failure of an archive that does not bring back all of the state.
fn not_whole(shown: &str, gaps: &[String]) -> Option<Failure> {
    let first = gaps.first()?;
    let message = match gaps.len() {
        1 => format!("{shown} does not restore all of the state: {first}"),
        count => format!(
            "{shown} does not restore all of the state: {first}; and {} more",
            count - 1
        ),
    };
    let failure = Failure::new(Kind::Partial, message).faults(gaps.to_vec());
    Some(failure.hint(
        "compare the sources of the configuration with the archive (`hookshot inspect`); make a new one with `hookshot backup`",
    ))
}

/// Names the archive in a failure that does not.
fn named(input: &ArchiveInput, failure: Failure) -> Failure {
    let shown = input.shown();
    if failure.message.contains(&shown) {
        return failure;
    }
    Failure {
        message: format!("{shown}: {}", failure.message),
        ..failure
    }
}

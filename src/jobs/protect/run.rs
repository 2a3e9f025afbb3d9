//! One run of an upgrade with a safety net, from its lock to its last notification.

use std::time::Duration;

use anyhow::Result;

use super::{
    aside::Places,
    checks,
    report::{KeptState, ProtectReport, ProtectedCommand},
    request::ProtectRequest,
    work::{Outcome, Work},
};
use crate::{
    catalog::target::Target,
    config::{
        Choices, Settings, hooks::Operation, import::HealthCheck, open_secrets::mask_command,
        read_text,
    },
    context::Context,
    error::{Failure, Kind},
    jobs::{
        backup::Place,
        guard::{note::Guard, quiet, service::Service},
        history::History,
        known_secrets,
        lock::lock,
        notify,
        recorded::{Ended, JobWork, Recorded},
        undone::Undone,
    },
    machine::enter::{Need, recover},
    model::{
        entry_name::printable,
        run_record::{Job, RunRecord, RunResult, SkipReason},
        written::rfc3339,
    },
    verbs::for_attempt,
    work::run_id::new_run_id,
};

/// Runs a command with the safety net of an archive. Fails if it could not begin: then nothing was run, and nothing is
/// recorded. Every other failure is in the report.
pub fn protect(
    context: &Context,
    choices: &Choices,
    request: &ProtectRequest,
) -> Result<ProtectReport> {
    recover(&choices.config_path()?, Need::State, &context.events)?;
    let settings = Settings::load(choices)?;
    known_secrets::mask(context, &settings);
    notify::require_built(&settings)?;
    let places = places(&settings)?;
    let _lock = lock(context, &settings, Duration::ZERO)?;
    let run_id = new_run_id();
    for word in &request.command {
        mask_command(&word.to_string_lossy(), &context.runner.masks);
    }
    match &request.health {
        Some(HealthCheck::Command(command)) => mask_command(&command.text(), &context.runner.masks),
        Some(HealthCheck::Url(url)) => mask_command(url.reveal(), &context.runner.masks),
        None => {}
    }
    let mut service = Service::new(context, &settings, Operation::Protect, &run_id);
    service.ask_instead(request.health.clone(), request.health_timeout);
    service.require_askable()?;
    checks::require_way_back(&quiet(&for_attempt(context, 0)), choices)?;
    let openable = checks::openable(context, &settings, &places)?;
    let guard = Guard::begin(context, &settings, "protect", service.start_shown())?;
    let words = request.command.iter();
    let words = words.map(|word| context.runner.masked(&printable(&word.to_string_lossy())));
    let mut work = Work {
        context,
        choices,
        settings: &settings,
        request,
        service,
        guard,
        mark: &run_id,
        archives: Vec::new(),
        standing: Places::look(&settings),
        config: read_text(&settings.config)?,
        places,
        openable,
        outcome: Outcome {
            archive: None,
            command: ProtectedCommand {
                words: words.collect(),
                exit_code: None,
                signal: None,
                duration_seconds: 0.0,
            },
            state: KeptState::Untouched,
            healthy: None,
            reason: None,
            rollback: None,
            failure: None,
            undone: Undone::default(),
            code: None,
            is_open: false,
        },
    };
    let history = History::of(context, &settings);
    let recorded = Recorded {
        context,
        settings: &settings,
        history: Some(&history),
    };
    let record = RunRecord {
        destinations: work.places.iter().map(Place::record).collect(),
        host: context.hostname.clone(),
        app: Some(settings.schema.app.clone()),
        ..RunRecord::begun(run_id.clone(), Job::Protect, context.now)
    };
    let ended = recorded.run(record, None, &mut work);
    Ok(report(ended, work))
}

/// Returns the destinations of the archive: those of `[backup] to`, else the folder beside the state.
fn places(settings: &Settings) -> Result<Vec<Place>> {
    match Target::configured(settings)?.is_empty() {
        false => Place::find(settings, &[]),
        true => Place::find(settings, &[settings.home().join("").into_os_string()]),
    }
}

impl JobWork for Work<'_> {
    fn work(&mut self, _runs: &[RunRecord], record: &mut RunRecord) {
        if let Err(error) = self.upgrade(record) {
            let failure = self.interrupted(Failure::of(&error));
            self.outcome.failure = Some(failure);
        }
    }

    /// Fails the run: what follows an upgrade must not follow a command that was not run.
    fn skip(&mut self, record: &mut RunRecord) {
        record.skipped = Some(SkipReason::Hook);
        let failure = Failure::new(
            Kind::Partial,
            "a before hook asked to skip the run (exit code 75)",
        );
        self.outcome.failure = Some(failure.hint("the command was not run"));
    }

    fn fail(&mut self, failure: Failure, _record: &mut RunRecord) {
        self.outcome.failure = Some(failure);
    }

    fn leave(&mut self, undone: Vec<String>) {
        self.outcome.undone.add(undone);
    }

    fn end(&mut self) {
        if !self.outcome.is_open {
            self.guard.end();
        }
    }

    fn settle(&self, record: &mut RunRecord) {
        let outcome = &self.outcome;
        let verdict = outcome.verdict();
        let failure = verdict.as_ref();
        let code = outcome.code.or(failure.map(|failure| failure.kind.code()));
        record.exit_code = Some(code.unwrap_or_default());
        record.result = match (code, failure.map(|failure| failure.kind)) {
            (None | Some(0), _) if record.skipped.is_some() => RunResult::Skipped,
            (None | Some(0), _) => RunResult::Success,
            (_, Some(Kind::Partial))
                if outcome.state == KeptState::Kept || record.skipped.is_some() =>
            {
                RunResult::Partial
            }
            _ => RunResult::Failure,
        };
        let masked = |text: &String| self.context.runner.masked(text);
        let kept = || {
            Some(format!(
                "{}; the state stays as it is",
                outcome.reason.as_ref()?
            ))
        };
        record.error = failure
            .map(|failure| masked(&failure.message))
            .or_else(kept);
        record.hint = failure
            .and_then(|failure| failure.hint.as_ref())
            .map(masked);
        record.duration_seconds = Some(self.context.begun.elapsed().as_secs_f64());
    }
}

impl Work<'_> {
    /// Returns the failure of a run that ended early. After the command, the state stays as it left it.
    fn interrupted(&self, mut failure: Failure) -> Failure {
        if self.outcome.state == KeptState::Kept {
            failure.message = format!(
                "{}: the command has ended, and the health of the service is not known",
                failure.message
            );
            failure.hint = Some("nothing was rolled back; look at the service".to_owned());
        }
        failure
    }
}

/// Returns the report of a run that ended.
fn report(ended: Ended, work: Work<'_>) -> ProtectReport {
    let (record, failure) = (ended.record, work.outcome.verdict());
    let Work {
        outcome, service, ..
    } = work;
    ProtectReport {
        run_id: record.run_id,
        result: record.result,
        started_at: rfc3339(record.started_at),
        duration_seconds: record.duration_seconds.unwrap_or_default(),
        exit_code: record.exit_code.unwrap_or_default(),
        archive: outcome.archive,
        size_bytes: record.size_bytes,
        destinations: record.destinations,
        command: outcome.command,
        state: outcome.state,
        healthy: outcome.healthy,
        reason: outcome.reason,
        steps: service.steps,
        rollback: outcome.rollback,
        hooks: ended.hooks,
        notifications: ended.notifications,
        failure,
    }
}

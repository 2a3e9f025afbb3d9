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
        Choices, Settings,
        hooks::{Operation, Stage},
        import::HealthCheck,
        open_secrets::mask_command,
        read_text,
    },
    context::Context,
    error::{Failure, Kind},
    jobs::{
        backup::Place,
        guard::{note::Guard, quiet, service::Service},
        history::History,
        hooks::{Begin, Hooks, WorkOutcome},
        killed, known_secrets,
        lock::lock,
        metrics,
        notify::{self, NotificationOutcome},
    },
    machine::enter::{Need, recover},
    model::{
        entry_name::printable,
        occasion::Occasion,
        run_record::{Job, RunRecord, RunResult, SkipReason},
        written::rfc3339,
    },
    verbs::for_attempt,
    work::{events::JobEvent, run_id::new_run_id},
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
    checks::openable(context, &settings, &places)?;
    let guard = Guard::begin(context, &settings, "protect", service.start_shown())?;
    let words = request.command.iter();
    let words = words.map(|word| context.runner.masked(&printable(&word.to_string_lossy())));
    let work = Work {
        context,
        choices,
        settings: &settings,
        request,
        service,
        guard,
        standing: Places::look(&settings),
        config: read_text(&settings.config)?,
        places,
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
            code: None,
            is_open: false,
        },
    };
    let run = Run {
        context,
        settings: &settings,
        run_id: &run_id,
        history: History::of(context, &settings),
    };
    Ok(run.execute(work))
}

/// Returns the destinations of the archive: those of `[backup] to`, else the folder beside the state.
fn places(settings: &Settings) -> Result<Vec<Place>> {
    match Target::configured(settings)?.is_empty() {
        false => Place::find(settings, &[]),
        true => Place::find(settings, &[settings.home().join("").into_os_string()]),
    }
}

struct Run<'a> {
    context: &'a Context,
    settings: &'a Settings,
    run_id: &'a str,
    history: History,
}

impl Run<'_> {
    fn execute(&self, mut work: Work<'_>) -> ProtectReport {
        let context = self.context;
        let mut undone = Vec::new();
        let read = self.history.read();
        let mut runs = read.unwrap_or_else(|error| {
            self.incomplete(&error, &mut undone);
            Vec::new()
        });
        killed::close(
            context,
            self.settings,
            &self.history,
            &mut runs,
            Job::Protect,
        );
        let mut record = RunRecord {
            destinations: work.places.iter().map(Place::record).collect(),
            host: context.hostname.clone(),
            app: Some(self.settings.schema.app.clone()),
            ..RunRecord::begun(self.run_id.to_owned(), Job::Protect, context.now)
        };
        self.append(&record, &mut undone);
        let mut notifications = self.notify(&record);
        let mut hooks = Hooks::new(context, self.settings, Operation::Protect, self.run_id);
        match hooks.before() {
            Begin::Go => {
                if let Err(error) = work.execute(&mut record) {
                    let failure = Failure::of(&error);
                    work.outcome.failure = Some(self.interrupted(&work, failure));
                }
                self.settle(&mut record, &work.outcome);
                hooks.after(Stage::After, &outcome(&record));
            }
            Begin::Skip => record.skipped = Some(SkipReason::Hook),
            Begin::Failed(failure) => work.outcome.failure = Some(failure),
        }
        undone.append(&mut hooks.faults);
        work.outcome.leave(&undone);
        self.settle(&mut record, &work.outcome);
        match record.result {
            RunResult::Success => hooks.after(Stage::Success, &outcome(&record)),
            RunResult::Partial | RunResult::Failure => {
                hooks.after(Stage::Failure, &outcome(&record));
            }
            RunResult::Running | RunResult::Skipped => {}
        }
        hooks.after(Stage::Finally, &outcome(&record));
        undone.append(&mut hooks.faults);
        work.outcome.leave(&undone);
        self.settle(&mut record, &work.outcome);
        let Work {
            mut outcome,
            service,
            guard,
            ..
        } = work;
        if !outcome.is_open {
            guard.end();
        }
        self.append(&record, &mut undone);
        if let Err(failure) = metrics::publish(context, self.settings) {
            undone.push(failure.message);
        }
        let known = record.result;
        outcome.leave(&undone);
        self.settle(&mut record, &outcome);
        if record.result != known {
            // History and exit code are one.
            self.append(&record, &mut undone);
        }
        notifications.extend(self.notify(&record));
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
            hooks: std::mem::take(&mut hooks.reports),
            notifications,
            failure: outcome.failure,
        }
    }

    /// Returns the failure of a run that ended early. After the command, the state stays as it left it.
    fn interrupted(&self, work: &Work<'_>, mut failure: Failure) -> Failure {
        if work.outcome.state == KeptState::Kept {
            failure.message = format!(
                "{}: the command has ended, and the health of the service is not known",
                failure.message
            );
            failure.hint = Some("nothing was rolled back; look at the service".to_owned());
        }
        failure
    }

    /// Writes the present outcome into the record.
    fn settle(&self, record: &mut RunRecord, outcome: &Outcome) {
        let failure = outcome.failure.as_ref();
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

    fn append(&self, record: &RunRecord, undone: &mut Vec<String>) {
        if let Err(error) = self.history.append(record) {
            self.incomplete(&error, undone);
        }
    }

    fn incomplete(&self, error: &anyhow::Error, undone: &mut Vec<String>) {
        let reason = format!("{error:#}");
        undone.push(format!("the history is not complete: {reason}"));
        self.context.tell(JobEvent::HistoryFails { reason });
    }

    fn notify(&self, record: &RunRecord) -> Vec<NotificationOutcome> {
        notify::send(self.context, self.settings, Occasion::of(record), record)
    }
}

/// Returns the outcome that hooks are told.
fn outcome(record: &RunRecord) -> WorkOutcome {
    WorkOutcome {
        result: Some(record.result),
        exit_code: Some(record.exit_code.unwrap_or_default()),
        archive: record.archive.clone(),
        error: record.error.clone(),
    }
}

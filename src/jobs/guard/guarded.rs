//! One guarded import or rollback, from its checks to a healthy service.

use std::time::Duration;

use anyhow::Result;

use super::{
    health::Verdict,
    holders,
    note::Guard,
    patience::{patiently, to_its_end},
    quiet::quiet,
    report::{GuardOutcome, GuardedReport, PlacedState},
    service::Service,
};
use crate::{
    config::{Settings, hooks::Operation},
    context::Context,
    disk::transaction::home::Home,
    error::{Failure, Kind},
    jobs::lock::lock,
    machine::{obstacle::Obstacle, report::ApplyReport},
    verbs::for_attempt,
    work::{
        events::{GuardEvent, GuardPhase},
        run_id::new_run_id,
    },
};

/// The advice if the state of an unhealthy service could not be rolled back.
const BY_HAND: &str =
    "look at the log of the service; `hookshot rollback --guarded` brings the state before back";

/// The number of the first attempt at the work, and at its undoing: names of files are made of it.
const FIRST_ACT: usize = 1;
const FIRST_UNDO: usize = 1000;

/// The work that is guarded. Each function gets a context of its own.
pub struct GuardedWork<'a> {
    /// `import` or `rollback`.
    pub verb: &'static str,
    /// Checks everything, and changes nothing.
    pub rehearse: &'a dyn Fn(&Context) -> Result<ApplyReport>,
    /// Does it.
    pub act: &'a dyn Fn(&Context) -> Result<ApplyReport>,
    /// Brings back what it replaced.
    pub undo: &'a dyn Fn(&Context) -> Result<ApplyReport>,
}

/// Fails with [`Kind::Usage`] if the configuration does not say how the service is stopped and started.
fn require_control(settings: &Settings) -> Result<(), Failure> {
    if settings.schema.import.control.is_some() {
        return Ok(());
    }
    let message = format!(
        "nothing says how the service is stopped and started: {} has no `stop` and `start` under [backup.import]",
        settings.config.display()
    );
    Err(Failure::new(Kind::Usage, message).hint(
        "add them, as in stop = \"systemctl stop app\"; or stop the service yourself and leave out --guarded",
    ))
}

/// Returns the fault of `[backup.import]` if the question for the health can never be asked. Asks nothing.
pub fn fault(context: &Context, settings: &Settings) -> Option<String> {
    let service = Service::new(context, settings, Operation::Import, "");
    let error = service.require_askable().err()?;
    let config = settings.config.display();
    Some(format!(
        "{config}: `health` under [backup.import]: {error:#}"
    ))
}

/// Rehearses guarded work for a dry run, and tells what a run would do with the service.
pub fn plan(context: &Context, settings: &Settings, work: &GuardedWork<'_>) -> Result<ApplyReport> {
    require_control(settings)?;
    settings.mask_secrets(&context.runner.masks);
    let service = Service::new(context, settings, Operation::Import, "");
    service.require_askable()?;
    let mut report = (work.rehearse)(context)?;
    report.blocked.retain(counts);
    if report.blocked.is_empty() {
        service.tell_plan();
    }
    Ok(report)
}

/// Carries out guarded work. Nothing is stopped before everything was checked.
pub fn guarded(
    context: &Context,
    settings: &Settings,
    work: &GuardedWork<'_>,
) -> Result<GuardedReport> {
    require_control(settings)?;
    settings.mask_secrets(&context.runner.masks);
    let run_id = new_run_id();
    let service = Service::new(context, settings, Operation::Import, &run_id);
    service.require_askable()?;
    // No job of this configuration begins while the service is stopped.
    let _lock = lock(context, settings, Duration::ZERO)
        .map_err(|error| Failure::of(&error).hint("wait until it has ended, and try again"))?;
    let mut rehearsed = (work.rehearse)(&quiet(&for_attempt(context, 0)))?;
    rehearsed.dry_run = false;
    rehearsed.blocked.retain(counts);
    if let Some(refusal) = rehearsed.refusal() {
        return Ok(GuardedReport {
            report: rehearsed,
            guarded: GuardOutcome {
                state: PlacedState::Old,
                healthy: None,
                steps: Vec::new(),
                reason: None,
                undone: None,
            },
            failure: Some(refusal),
        });
    }
    let mut guard = Guard::begin(context, settings, work.verb, service.start_shown())?;
    guard.name_archive(rehearsed.archive.clone());
    let run = Run {
        context,
        settings,
        work,
        service,
        guard,
    };
    run.execute(rehearsed)
}

/// Returns true for an obstacle that does not go away when the service is stopped.
fn counts(obstacle: &Obstacle) -> bool {
    !obstacle.kind.ends_with_service()
}

/// A guarded run whose checks are done.
struct Run<'a> {
    context: &'a Context,
    settings: &'a Settings,
    work: &'a GuardedWork<'a>,
    service: Service<'a>,
    guard: Guard<'a>,
}

impl Run<'_> {
    fn execute(mut self, rehearsed: ApplyReport) -> Result<GuardedReport> {
        let verb = self.work.verb;
        self.guard.note(GuardPhase::Stopped)?;
        if let Err(mut failure) = self.service.stop() {
            failure.message = format!("the service was not stopped: {}", failure.message);
            failure.hint =
                Some("nothing was changed; run `stop` of [backup.import] by hand".to_owned());
            return Ok(self.unchanged(rehearsed, failure));
        }
        let (context, act) = (self.context, self.work.act);
        holders::wait_for_the_end(self.settings, &context.stop);
        let result = patiently(&context.stop, |attempt| {
            act(&for_attempt(context, FIRST_ACT + attempt))
        });
        let report = match result {
            Ok(report) if report.applied => report,
            Ok(report) => {
                let message = format!("the {verb} did nothing");
                let failure = report.refusal();
                let failure = failure.unwrap_or_else(|| Failure::new(Kind::Failed, message));
                return Ok(self.unchanged(report, failure));
            }
            Err(error) if self.is_unfinished() => {
                let failure = Failure::of(&error);
                return Ok(self.unfinished(rehearsed, failure));
            }
            Err(error) => return Ok(self.unchanged(rehearsed, Failure::of(&error))),
        };
        match self.bring_up() {
            Ok(None) => {
                let failure = report.remarks.failure();
                Ok(self.ended(report, PlacedState::New, Some(true), failure))
            }
            Ok(Some(reason)) if is_empty(&report) => {
                let message =
                    format!("the {verb} changed nothing, and the service is not healthy: {reason}");
                let failure = Failure::new(Kind::Unhealthy, message)
                    .hint("there is nothing to roll back: look at the log of the service");
                Ok(self.ended(report, PlacedState::New, Some(false), Some(failure)))
            }
            Ok(Some(reason)) => self.go_back(report, reason),
            Err(error) => {
                let mut failure = Failure::of(&error);
                failure.message = format!(
                    "{}: the {verb} is done and the service was started, but its health is not known",
                    failure.message
                );
                failure.hint = Some(BY_HAND.to_owned());
                Ok(self.ended(report, PlacedState::New, None, Some(failure)))
            }
        }
    }

    /// Starts the service and asks for its health; `None` if it is good, else the reason. Fails if the run is cancelled.
    fn bring_up(&mut self) -> Result<Option<String>> {
        self.guard.note_or_tell(GuardPhase::Started);
        if let Err(failure) = self.service.start() {
            return Ok(Some(failure.message));
        }
        Ok(match self.service.health()? {
            None | Some(Verdict::Healthy) => None,
            Some(Verdict::Unhealthy(reason)) => Some(reason),
        })
    }

    /// Brings the state before back, because the service is not healthy on the new one.
    fn go_back(mut self, report: ApplyReport, reason: String) -> Result<GuardedReport> {
        let verb = self.work.verb;
        let told = reason.clone();
        self.context.tell(GuardEvent::GoesBack { reason: told });
        self.guard.note_or_tell(GuardPhase::GoingBack);
        // A service that is down already may not be stopped a second time: what holds the state refuses the rollback.
        let is_stopped = self.service.stop_for_the_way_back().is_ok();
        let (context, undo) = (to_its_end(self.context), self.work.undo);
        if is_stopped {
            holders::wait_for_the_end(self.settings, &context.stop);
        }
        let undone = patiently(&context.stop, |attempt| {
            undo(&for_attempt(&context, FIRST_UNDO + attempt))
        });
        let why_not =
            match &undone {
                Ok(undone) if undone.applied => None,
                Ok(undone) => Some(undone.refusal().unwrap_or_else(|| {
                    Failure::new(Kind::Failed, "there is nothing to bring back")
                })),
                Err(error) => Some(Failure::of(error)),
            };
        if let Some(why_not) = why_not {
            let message = format!(
                "the service is not healthy after the {verb} ({reason}), and the state before could not be brought back: {}",
                why_not.message
            );
            let kind = match why_not.kind {
                Kind::Interrupted(signal) => Kind::Interrupted(signal),
                _ => Kind::Unhealthy,
            };
            let failure = Failure::new(kind, message).hint(BY_HAND);
            if self.is_unfinished() {
                return Ok(self.unfinished(report, failure));
            }
            // As the work left it.
            let _ = self.service.start();
            let mut ended = self.ended(report, PlacedState::New, Some(false), Some(failure));
            ended.guarded.reason = Some(reason);
            return Ok(ended);
        }
        let (healthy, and) = match self.bring_up() {
            Ok(None) => (Some(true), "the service is healthy again".to_owned()),
            Ok(Some(again)) => (
                Some(false),
                format!("the service is not healthy with it either: {again}"),
            ),
            Err(error) => (
                None,
                format!("the health of the service is not known: {error:#}"),
            ),
        };
        let message = format!(
            "the service was not healthy after the {verb} ({reason}); the state before is back, and {and}"
        );
        let failure = Failure::new(Kind::RolledBack, message).hint(match healthy {
            Some(true) => "nothing is lost: look at the log of the service, and at the archive, before you try again",
            _ => "the state is that of before: look at the log of the service, and at what else changed",
        });
        let mut ended = self.ended(report, PlacedState::Old, healthy, Some(failure));
        ended.report.applied = false;
        ended.guarded.reason = Some(reason);
        ended.guarded.undone = undone.ok();
        Ok(ended)
    }

    /// Ends a run that changed nothing: the service is started again.
    fn unchanged(mut self, report: ApplyReport, mut failure: Failure) -> GuardedReport {
        let verdict = match self.bring_up() {
            Ok(None) => (Some(true), "the service was started again".to_owned()),
            Ok(Some(reason)) => (
                Some(false),
                format!("the service was started again and is not healthy: {reason}"),
            ),
            // The run is cancelled: it does not wait.
            Err(_) => (None, "the service was started again".to_owned()),
        };
        let (healthy, and) = verdict;
        failure.message = format!("{}; {and}", failure.message);
        let mut report = report;
        report.applied = false;
        self.ended(report, PlacedState::Old, healthy, Some(failure))
    }

    /// Ends a run whose journal the next hookshot has to follow. The service stays stopped, and the note says so.
    fn unfinished(self, report: ApplyReport, failure: Failure) -> GuardedReport {
        let healthy = Some(false);
        self.report(report, PlacedState::Unfinished, healthy, Some(failure))
            .0
    }

    fn is_unfinished(&self) -> bool {
        Home::beside(&self.settings.config)
            .journal()
            .map_or(true, |journal| journal.is_some())
    }

    fn ended(
        self,
        report: ApplyReport,
        state: PlacedState,
        healthy: Option<bool>,
        failure: Option<Failure>,
    ) -> GuardedReport {
        let (report, guard) = self.report(report, state, healthy, failure);
        guard.end();
        report
    }
}

impl<'a> Run<'a> {
    fn report(
        self,
        report: ApplyReport,
        state: PlacedState,
        healthy: Option<bool>,
        failure: Option<Failure>,
    ) -> (GuardedReport, Guard<'a>) {
        // Without a question for the health, only a start that failed tells.
        let was_asked = self.service.steps.iter().any(|step| step.step == "health");
        let healthy = healthy.filter(|is_healthy| !is_healthy || was_asked);
        let guarded = GuardOutcome {
            state,
            healthy,
            steps: self.service.steps,
            reason: None,
            undone: None,
        };
        let report = GuardedReport {
            report,
            guarded,
            failure,
        };
        (report, self.guard)
    }
}

/// Returns true if the work replaced nothing.
fn is_empty(report: &ApplyReport) -> bool {
    use crate::model::plan::Action;
    report.changed == 0 && report.steps.iter().all(|step| step.action != Action::Feed)
}

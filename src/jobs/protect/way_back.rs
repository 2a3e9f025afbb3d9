//! The way back: the state of before the command, from the first of its archives that brings it back.

use anyhow::Result;

use super::{
    children,
    report::KeptState,
    work::{Saved, Work},
};
use crate::{
    config::Choices,
    context::Context,
    disk::transaction::home::Home,
    error::{Failure, Kind},
    jobs::guard::{health::Verdict, holders, patiently, to_its_end},
    machine::report::ApplyReport,
    model::written::rfc3339,
    ops::import::ImportRequest,
    verbs::{for_attempt, import_archive},
    work::events::{GuardEvent, GuardPhase},
};

/// The numbers that tell the attempts with one archive from those with the next: names of files are made of them.
const ATTEMPTS: usize = 1000;

impl Work<'_> {
    /// Brings the state of before back. No signal ends this.
    pub(super) fn go_back(&mut self, reason: &str) {
        self.context.tell(GuardEvent::GoesBack {
            reason: reason.to_owned(),
        });
        let mut moved = self.standing.clear_around(self.context);
        self.guard.note_or_tell(GuardPhase::GoingBack);
        // One that is down already may not be stopped a second time: what holds the state refuses the rollback.
        let is_stopped = self.service.stop_for_the_way_back().is_ok();
        let ended = children::end(self.context, self.settings, self.mark);
        if is_stopped && self.service.control().is_some() {
            holders::wait_for_the_end(self.settings, &to_its_end(self.context).stop);
        }
        self.standing.clear(self.context, &mut moved);
        let result = self.bring_back();
        let report = match result {
            Ok(report) => report,
            Err(why_not) => {
                if self.is_unfinished() {
                    self.outcome.state = KeptState::Unfinished;
                } else {
                    // The state stays as the command left it, rather than none.
                    moved.back();
                    self.guard.note_or_tell(GuardPhase::NotBack);
                }
                self.outcome.is_open = true;
                self.outcome.healthy = None;
                self.outcome.failure = Some(self.lost(reason, &why_not, is_stopped));
                return;
            }
        };
        self.outcome.state = KeptState::RolledBack;
        self.outcome.archive.clone_from(&report.archive);
        let from = report.archive.clone().unwrap_or_default();
        self.outcome.rollback = Some(report);
        self.guard.note_or_tell(GuardPhase::Started);
        let (healthy, and) = self.bring_up();
        self.outcome.healthy = healthy;
        let message = format!("{reason}; the state of before is back, from {from}{and}");
        let hint = match healthy {
            Some(false) => {
                "undo what else the command changed, its program say, and start the service"
            }
            _ => "if the command changed the program, undo that, too",
        };
        let time = rfc3339(self.context.now);
        let hint = match ended > 0 && self.service.control().is_none() {
            true => format!("processes of the command were ended: start the service; {hint}"),
            false => hint.to_owned(),
        };
        let hint = format!(
            "this is the state of {time}: what the service wrote later, and what the command left, is beside it as .bak; {hint}"
        );
        self.outcome.failure = Some(Failure::new(Kind::RolledBack, message).hint(hint));
    }

    /// Imports the first archive that brings the state of before back. The error is the failure of the last one.
    fn bring_back(&mut self) -> Result<ApplyReport, Failure> {
        self.standing.require_mounts()?;
        let context = to_its_end(self.context);
        let archives = std::mem::take(&mut self.archives);
        let mut result = Err(Failure::new(
            Kind::Unproven,
            "no destination holds the archive",
        ));
        for (number, saved) in archives.iter().enumerate() {
            if number > 0 {
                self.guard.name_archive(Some(saved.shown()));
                self.guard.note_or_tell(GuardPhase::GoingBack);
            }
            result = self.import(&context, number, saved);
            let Err(failure) = &result else {
                break;
            };
            // It is this machine that refuses, whatever the archive.
            let is_of_the_machine = matches!(failure.kind, Kind::Blocked | Kind::Space);
            let is_last = number + 1 == archives.len();
            if is_of_the_machine || is_last || self.is_unfinished() {
                break;
            }
            context.tell(GuardEvent::NoWayBackFrom {
                destination: saved.shown(),
                reason: failure.message.clone(),
            });
        }
        self.archives = archives;
        result
    }

    fn is_unfinished(&self) -> bool {
        Home::beside(&self.settings.config)
            .journal()
            .map_or(true, |journal| journal.is_some())
    }

    fn import(
        &self,
        context: &Context,
        number: usize,
        saved: &Saved,
    ) -> Result<ApplyReport, Failure> {
        let choices = Choices {
            pinned: self.config.clone(),
            ..self.choices.clone()
        };
        let result = patiently(&context.stop, |attempt| {
            let context = for_attempt(context, ATTEMPTS * (1 + number) + attempt);
            let request = ImportRequest {
                expected: saved.digest,
                ..self.import_request(&saved.archive)
            };
            import_archive(&context, &choices, request)
        });
        match result {
            Ok(report) if report.applied => Ok(report),
            Ok(report) => {
                let refusal = report.refusal();
                Err(refusal.unwrap_or_else(|| Failure::new(Kind::Failed, "nothing was imported")))
            }
            Err(error) => Err(Failure::of(&error)),
        }
    }

    /// Returns the failure of a state that could not be brought back.
    fn lost(&self, reason: &str, why_not: &Failure, is_stopped: bool) -> Failure {
        let and = match (self.service.control(), is_stopped, why_not.kind) {
            (None, _, _) => "",
            (Some(_), false, _) => "; `stop` failed, so the service may run",
            (Some(_), true, Kind::Blocked) => "; `stop` succeeded, and the service may run",
            (Some(_), true, _) => "; the service is stopped",
        };
        let message = format!(
            "{reason}; and the state of before could not be brought back: {}{and}",
            why_not.message
        );
        // The code of a rollback belongs to the state of before.
        let kind = match why_not.kind {
            Kind::RolledBack => Kind::Failed,
            kind => kind,
        };
        let advice = self.by_hand();
        let hint = why_not.hint.as_ref();
        let hint = hint.map_or(advice.clone(), |hint| format!("{hint}; then {advice}"));
        Failure::new(kind, message).hint(hint)
    }

    /// Starts the service on the state of before; returns its health, and the words for that.
    fn bring_up(&mut self) -> (Option<bool>, String) {
        if let Err(failure) = self.service.start() {
            return (
                Some(false),
                format!(", and the service does not start: {}", failure.message),
            );
        }
        match self.service.health() {
            Ok(None) => (None, String::new()),
            Ok(Some(Verdict::Healthy)) => (Some(true), ", and the service is healthy".to_owned()),
            Ok(Some(Verdict::Unhealthy(reason))) => (
                Some(false),
                format!(", and the service is not healthy: {reason}"),
            ),
            Err(error) => (
                None,
                format!(", and the health of the service is not known: {error:#}"),
            ),
        }
    }

    /// Returns the advice how to bring the state of before back.
    pub(super) fn by_hand(&self) -> String {
        let archives = self.archives.iter().map(Saved::shown);
        let archives: Vec<String> = archives.collect();
        let import = format!(
            "`hookshot import {} --force`",
            archives.first().map_or("", |first| first)
        );
        match archives.get(1) {
            None => format!("{import} brings the state of before back, with the service stopped"),
            Some(second) => format!(
                "{import} brings the state of before back, with the service stopped; {second} is the same archive"
            ),
        }
    }
}

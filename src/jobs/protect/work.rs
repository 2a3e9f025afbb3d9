//! The work of an upgrade: the archive, the command, the health of the service, and the way back.

use std::time::Instant;

use anyhow::Result;

use super::{
    aside::Places,
    checks,
    command::{self, CommandEnd},
    report::{KeptState, ProtectedCommand},
    request::{ProtectRequest, WayBack},
};
use crate::{
    catalog::{destination::ReadBack, input::ArchiveInput, output::ArchiveOutput, target::Target},
    config::{Choices, Settings},
    context::Context,
    disk::transaction::home::Home,
    error::{Failure, Kind},
    jobs::{
        backup::{Place, records},
        guard::{health::Verdict, note::Guard, patiently, quiet, service::Service},
        undone::Undone,
    },
    machine::{preflight::Force, rehearsal::Rehearsal, report::ApplyReport},
    model::{entry_name::printable, run_record::RunRecord},
    ops::{
        export::ExportRequest,
        import::{Archived, ImportRequest},
    },
    verbs::{self, for_attempt, import_archive},
    work::events::{GuardEvent, GuardPhase},
};

/// The work of one run, and its outcome so far.
pub struct Work<'a> {
    pub context: &'a Context,
    pub choices: &'a Choices,
    pub settings: &'a Settings,
    pub request: &'a ProtectRequest,
    pub service: Service<'a>,
    pub guard: Guard<'a>,
    /// The places of the state before the command.
    pub standing: Places,
    /// The text of the configuration before the command.
    pub config: Option<String>,
    pub places: Vec<Place>,
    pub outcome: Outcome,
}

/// The outcome of the work.
pub struct Outcome {
    /// The archive, as the command line names it.
    pub archive: Option<String>,
    pub command: ProtectedCommand,
    pub state: KeptState,
    pub healthy: Option<bool>,
    pub reason: Option<String>,
    pub rollback: Option<ApplyReport>,
    pub failure: Option<Failure>,
    /// The parts that are left undone beside it.
    pub undone: Undone,
    /// The exit code of a command that failed, if the state stays as it left it.
    pub code: Option<u8>,
    /// True if the next hookshot has to tell something of this run.
    pub is_open: bool,
}

impl Outcome {
    /// Returns the failure that decides on result and exit code. A command that failed has none if the state stays as it
    /// left it: its exit code is that of the run.
    pub fn verdict(&self) -> Option<Failure> {
        let hint = match self.state {
            KeptState::Kept => "the upgrade itself is done",
            _ => "the command was not run",
        };
        match self.code {
            Some(_) => self.failure.clone(),
            None => self.undone.verdict(self.failure.clone(), hint),
        }
    }
}

impl Work<'_> {
    /// Exports, runs the command, and brings the state of before back if that failed. `record` gets the archive.
    pub fn upgrade(&mut self, record: &mut RunRecord) -> Result<()> {
        let archives = self.export(record)?;
        let archive = self.rehearse(&archives)?;
        self.guard.name_archive(Some(archive.shown()));
        self.outcome.archive = Some(archive.shown());
        self.guard.note(GuardPhase::Command)?;
        let end = self.run_command()?;
        let reason = match (end, end.is_good()) {
            (CommandEnd::Unstarted(code), _) => {
                self.outcome.code = Some(code);
                return Ok(());
            }
            (_, true) => self.unhealthy()?,
            (_, false) => {
                let shown = self.shown();
                Some(format!("`{shown}` ended with {}", end.words()))
            }
        };
        self.outcome.state = KeptState::Kept;
        let Some(reason) = reason else {
            return Ok(());
        };
        self.outcome.reason = Some(reason.clone());
        match (self.request.way_back, end.is_good()) {
            (WayBack::Taken, _) => self.go_back(&archive, &reason),
            (WayBack::Left, false) => self.outcome.code = Some(end.code()),
            (WayBack::Left, true) => {
                let failure = Failure::new(Kind::Unhealthy, reason);
                self.outcome.failure = Some(failure.hint(by_hand(&archive)));
            }
        }
        Ok(())
    }

    /// Exports to every place, and returns the places that hold the archive, with its name, those on this machine first.
    fn export(&mut self, record: &mut RunRecord) -> Result<Vec<ArchiveInput>> {
        let (context, settings) = (self.context, self.settings);
        let outputs = self.places.iter().map(|place| {
            Target::read(&place.word)?.output(context, || Ok(settings), ReadBack::AsConfigured)
        });
        let outputs: Vec<ArchiveOutput> = outputs.collect::<Result<_>>()?;
        let request = ExportRequest::new(outputs);
        let report = verbs::export(&for_attempt(context, 0), self.choices, request)?;
        let name = report.archive.rsplit('/').next().unwrap_or_default();
        record.archive = Some(name.to_owned());
        self.outcome.archive = Some(report.archive.clone());
        record.size_bytes = Some(report.size_bytes);
        record.sha256 = Some(report.sha256.clone());
        record.content_bytes = Some(report.content_bytes);
        record.destinations = records(&self.places, &report.outputs);
        for destination in &mut record.destinations {
            let error = destination.error.take();
            destination.error = error.map(|error| context.runner.masked(&error));
        }
        // An archive without a part of the state does not bring all of it back. A destination that failed is only one of
        // several.
        if let Some(failure) = report.remarks.failure() {
            return Err(failure.into());
        }
        if let Some(torn) = report.torn.first() {
            let message = format!(
                "{} is torn: it changed each time it was read",
                printable(torn)
            );
            return Err(Failure::new(Kind::Partial, message)
                .hint("nothing was run: the archive may not bring it back as it was")
                .into());
        }
        let openable = checks::openable(context, settings, &self.places)?;
        let held = self.places.iter().zip(&record.destinations);
        let held = held.filter(|(place, held)| held.good && openable.contains(place));
        let mut held: Vec<_> = held.collect();
        held.sort_by_key(|(place, _)| !place.is_here());
        let archives: Vec<ArchiveInput> = held
            .into_iter()
            .filter_map(|(place, held)| Some((place, held.archive.as_ref()?)))
            .map(|(place, name)| {
                Target::read(place.archive_word(name))?.input(context, || Ok(settings))
            })
            .collect::<Result<_>>()?;
        match archives.is_empty() {
            false => Ok(archives),
            true => Err(report
                .failure()
                .unwrap_or_else(|| Failure::new(Kind::Unproven, "no destination holds the archive"))
                .into()),
        }
    }

    /// Rehearses the way back from each archive, and returns the first one from which it leads.
    fn rehearse(&self, archives: &[ArchiveInput]) -> Result<ArchiveInput> {
        let mut first = None;
        for (number, archive) in archives.iter().enumerate() {
            let context = quiet(&for_attempt(self.context, 1 + number));
            let request = ImportRequest {
                rehearsal: Rehearsal::DryRun,
                ..self.import_request(archive)
            };
            let rehearsed = import_archive(&context, self.choices, request);
            let refusal = match rehearsed {
                Ok(report) => checks::refusal(self.context, self.settings, report.blocked),
                Err(error) => Some(Failure::of(&error)),
            };
            match refusal {
                None => return Ok(archive.clone()),
                Some(failure) => drop(first.get_or_insert(failure)),
            }
        }
        let mut failure = first
            .unwrap_or_else(|| Failure::new(Kind::Unproven, "no destination holds the archive"));
        failure.message = format!("{}; nothing was run", failure.message);
        Err(failure.into())
    }

    fn import_request(&self, archive: &ArchiveInput) -> ImportRequest {
        ImportRequest {
            force: Force::Rollback,
            archived: Archived::Put,
            ..ImportRequest::new(archive.clone())
        }
    }

    fn run_command(&mut self) -> Result<CommandEnd> {
        let command = self.shown();
        self.context.tell(GuardEvent::CommandBegins { command });
        let begun = Instant::now();
        let (end, error) = command::run(self.context, &self.request.command, self.request.output)?;
        self.outcome.command.exit_code = Some(end.code());
        self.outcome.command.signal = end.signal();
        self.outcome.command.duration_seconds = begun.elapsed().as_secs_f64();
        let how = match &error {
            Some(error) => error.to_string(),
            None => end.words(),
        };
        self.context.tell(GuardEvent::CommandEnded { how });
        if let Some(error) = error {
            let message = format!("cannot start `{}`: {error}", self.shown());
            let failure = Failure::new(Kind::Failed, message);
            self.outcome.failure = Some(failure.hint("nothing was run, and nothing was changed"));
        }
        Ok(end)
    }

    /// Asks for the health of the service; `None` if it is good, else the reason. Fails if the run is cancelled.
    fn unhealthy(&mut self) -> Result<Option<String>> {
        let asked = self.service.health().inspect_err(|_| {
            self.outcome.state = KeptState::Kept;
        })?;
        self.outcome.healthy = asked.as_ref().map(|verdict| *verdict == Verdict::Healthy);
        Ok(match asked {
            Some(Verdict::Unhealthy(reason)) => Some(format!(
                "the service is not healthy after `{}`: {reason}",
                self.shown()
            )),
            Some(Verdict::Healthy) | None => None,
        })
    }

    /// Brings the state of before back from the archive.
    fn go_back(&mut self, archive: &ArchiveInput, reason: &str) {
        self.context.tell(GuardEvent::GoesBack {
            reason: reason.to_owned(),
        });
        self.guard.note_or_tell(GuardPhase::GoingBack);
        // One that is down already may not be stopped a second time: what holds the state refuses the rollback.
        let is_stopped = self.service.stop().is_ok();
        let moved = self.standing.clear(self.context);
        let choices = Choices {
            pinned: self.config.clone(),
            ..self.choices.clone()
        };
        let result = patiently(&self.context.stop, |attempt| {
            let context = for_attempt(self.context, 100 + attempt);
            import_archive(&context, &choices, self.import_request(archive))
        });
        let why_not = match &result {
            Ok(report) if report.applied => None,
            Ok(report) => Some(
                report
                    .refusal()
                    .unwrap_or_else(|| Failure::new(Kind::Failed, "nothing was imported")),
            ),
            Err(error) => Some(Failure::of(error)),
        };
        if let Some(why_not) = why_not {
            self.outcome.is_open = true;
            self.outcome.healthy = None;
            if Home::beside(&self.settings.config)
                .journal()
                .map_or(true, |journal| journal.is_some())
            {
                self.outcome.state = KeptState::Unfinished;
            } else {
                // The state stays as the command left it, rather than none.
                moved.back();
            }
            let stopped = match (self.service.control(), is_stopped) {
                (Some(_), true) => "; the service is stopped",
                (Some(_), false) => "; `stop` failed, so the service may run",
                (None, _) => "",
            };
            let message = format!(
                "{reason}; and the state of before could not be brought back: {}{stopped}",
                why_not.message
            );
            // The code of a rollback belongs to the state of before.
            let kind = match why_not.kind {
                Kind::RolledBack => Kind::Failed,
                kind => kind,
            };
            let advice = by_hand(archive);
            let hint = why_not
                .hint
                .map_or(advice.clone(), |hint| format!("{hint}; then {advice}"));
            self.outcome.failure = Some(Failure::new(kind, message).hint(hint));
            return;
        }
        self.outcome.state = KeptState::RolledBack;
        self.outcome.rollback = result.ok();
        self.guard.note_or_tell(GuardPhase::Started);
        let (healthy, and) = self.bring_up();
        self.outcome.healthy = healthy;
        let message = format!(
            "{reason}; the state of before is back, from {}{and}",
            archive.shown()
        );
        let hint = match healthy {
            Some(false) => {
                "the state is that of before: undo what else the command changed, its program say, and start the service"
            }
            _ => {
                "what the command left is beside it as .bak; if the command changed the program, undo that, too"
            }
        };
        self.outcome.failure = Some(Failure::new(Kind::RolledBack, message).hint(hint));
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

    fn shown(&self) -> String {
        self.outcome.command.words.join(" ")
    }
}

/// Returns the advice how to bring the state of before back.
fn by_hand(archive: &ArchiveInput) -> String {
    format!(
        "`hookshot import {} --force` brings the state of before back, with the service stopped",
        archive.shown()
    )
}

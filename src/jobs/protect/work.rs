//! The work of an upgrade: the archive, the command, the health of the service, and the way back.

use std::{
    ffi::{OsStr, OsString},
    time::Instant,
};

use anyhow::Result;
use chrono::TimeDelta;

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
    error::{Failure, Kind},
    jobs::{
        backup::{Place, records},
        guard::{health::Verdict, note::Guard, quiet, service::Service},
        undone::Undone,
    },
    machine::{preflight::Force, rehearsal::Rehearsal, report::ApplyReport},
    model::{digest::Digest, entry_name::printable, retention::Mark, run_record::RunRecord},
    ops::{
        export::ExportRequest,
        import::{Archived, ImportRequest},
        keep::keep,
    },
    verbs::{self, for_attempt, import_archive},
    work::events::{GuardEvent, GuardPhase},
};

/// The time for which the archive bears a mark.
const KEPT: TimeDelta = TimeDelta::days(30);

/// The work of one run, and its outcome so far.
pub struct Work<'a> {
    pub context: &'a Context,
    pub choices: &'a Choices,
    pub settings: &'a Settings,
    pub request: &'a ProtectRequest,
    pub service: Service<'a>,
    pub guard: Guard<'a>,
    /// The mark in the environment of the command, and of what it starts.
    pub mark: &'a str,
    /// The archives of the state before the command, in the order in which a rollback tries them.
    pub archives: Vec<Saved>,
    /// The places of the state before the command.
    pub standing: Places,
    /// The text of the configuration before the command.
    pub config: Option<String>,
    pub places: Vec<Place>,
    /// Those of them whose archives a key of this run opens.
    pub openable: Vec<Place>,
    pub outcome: Outcome,
}

/// An archive of the state before the command.
pub struct Saved {
    pub archive: ArchiveInput,
    /// The digest of the state in it: another archive of its name is not it.
    pub digest: Option<Digest>,
}

impl Saved {
    /// Returns the archive, for messages.
    pub fn shown(&self) -> String {
        self.archive.shown()
    }
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
        let held = self.export(record)?;
        self.rehearse(held)?;
        let archive = self.archives.first().map(Saved::shown);
        self.guard.name_archive(archive.clone());
        self.outcome.archive = archive;
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
            (WayBack::Taken, _) => self.go_back(&reason),
            (WayBack::Left, false) => self.outcome.code = Some(end.code()),
            (WayBack::Left, true) => {
                let failure = Failure::new(Kind::Unhealthy, reason);
                self.outcome.failure = Some(failure.hint(self.by_hand()));
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
            if let Some(error) = &destination.error {
                let name = &destination.name;
                self.outcome
                    .undone
                    .add([format!("{name} does not hold the archive: {error}")]);
            }
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
        let held = self.places.iter().zip(&record.destinations);
        let held = held.filter(|(place, held)| held.good && self.openable.contains(place));
        let named = held.filter_map(|(place, held)| Some((place, held.archive.as_ref()?)));
        let mut named: Vec<_> = named.collect();
        named.sort_by_key(|(place, _)| !place.is_here());
        let words = named
            .into_iter()
            .map(|(place, name)| (place.name.clone(), place.archive_word(name)));
        let words: Vec<(String, OsString)> = words.collect();
        let mut archives = Vec::new();
        for (place, word) in &words {
            archives.push(Target::read(word.clone())?.input(context, || Ok(settings))?);
            self.keep(place, word);
        }
        match archives.is_empty() {
            false => Ok(archives),
            true => Err(report
                .failure()
                .unwrap_or_else(|| Failure::new(Kind::Unproven, "no destination holds the archive"))
                .into()),
        }
    }

    /// Marks the archive: no policy removes it while the command runs, nor soon after.
    fn keep(&self, place: &str, word: &OsStr) {
        let mark = self.context.now.checked_add_signed(KEPT).map(Mark::Until);
        if let Err(error) = keep(self.context, self.settings, word, mark) {
            let reason = self.context.runner.masked(&Failure::of(&error).message);
            let destination = place.to_owned();
            self.context.tell(GuardEvent::Unmarked {
                destination,
                reason,
            });
        }
    }

    /// Rehearses the way back from each archive, and notes those from which it leads. Fails without any.
    fn rehearse(&mut self, archives: Vec<ArchiveInput>) -> Result<()> {
        let mut refused: Vec<(String, Failure)> = Vec::new();
        for (number, archive) in archives.into_iter().enumerate() {
            let context = quiet(&for_attempt(self.context, 1 + number));
            let request = ImportRequest {
                rehearsal: Rehearsal::DryRun,
                ..self.import_request(&archive)
            };
            let refusal = match import_archive(&context, self.choices, request) {
                Ok(report) => {
                    let digest = report.state_digest;
                    let refusal = checks::refusal(self.context, self.settings, report.blocked);
                    if refusal.is_none() {
                        self.archives.push(Saved { archive, digest });
                        continue;
                    }
                    refusal
                }
                Err(error) => Some(Failure::of(&error)),
            };
            if let Some(refusal) = refusal {
                refused.push((archive.shown(), refusal));
            }
        }
        if !self.archives.is_empty() {
            for (destination, failure) in refused {
                let reason = failure.message;
                self.context.tell(GuardEvent::NoWayBackFrom {
                    destination,
                    reason,
                });
            }
            return Ok(());
        }
        let first = refused.into_iter().next().map(|(_, failure)| failure);
        let mut failure = first
            .unwrap_or_else(|| Failure::new(Kind::Unproven, "no destination holds the archive"));
        failure.message = format!("{}; nothing was run", failure.message);
        Err(failure.into())
    }

    pub(super) fn import_request(&self, archive: &ArchiveInput) -> ImportRequest {
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
        let (end, error) = command::run(self.context, self.request, self.mark)?;
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

    pub(super) fn shown(&self) -> String {
        self.outcome.command.words.join(" ")
    }
}

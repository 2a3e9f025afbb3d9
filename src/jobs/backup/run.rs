//! One run of the nightly job, from its first record to its last notification.

use anyhow::Result;

use super::{
    place::{Place, records},
    report::BackupReport,
    request::{BackupRequest, IfUnchanged},
    unchanged::{self, Held, held},
};
use crate::{
    catalog::{destination::ReadBack, output::ArchiveOutput, target::Target},
    config::{Choices, Settings},
    context::Context,
    error::{Failure, Kind},
    jobs::{
        history::History,
        known_secrets,
        recorded::{JobWork, Recorded},
        undone::Undone,
    },
    machine::enter::{StateAccess, enter},
    model::{
        archive_name::{ArchiveName, Ending},
        digest::Digest,
        run_record::{Job, RunRecord, RunResult, SkipReason},
    },
    ops::export::{ExportReport, ExportRequest, Exported, export_unless},
    work::{events::JobEvent, remarks::Remarks, run_id::new_run_id},
};

/// The advice about a part that a later run does.
const NEXT_RUN: &str = "the archive is proven; the next run tries again what can be tried again";

/// One run.
pub struct Run<'a> {
    pub context: &'a Context,
    pub choices: &'a Choices,
    pub settings: &'a Settings,
    pub request: &'a BackupRequest,
    /// The destinations of this run.
    pub places: Vec<Place>,
    /// These, and those whose time has not come: they may hold what one of these lacks.
    pub holders: Vec<Place>,
    pub history: History,
}

/// The work of one run, and what it leaves undone.
struct Work<'a> {
    run: &'a Run<'a>,
    /// The failure of the export, of a `before` hook, or of an interruption.
    failure: Option<Failure>,
    /// The parts that are left undone beside it.
    undone: Undone,
    /// True if a place holds the present state.
    is_exported: bool,
}

impl Run<'_> {
    /// Runs the job. Every failure after its beginning is in the report.
    pub fn execute(&self) -> Result<BackupReport> {
        let mut work = Work {
            run: self,
            failure: None,
            undone: Undone::default(),
            is_exported: false,
        };
        let recorded = Recorded {
            context: self.context,
            settings: self.settings,
            history: Some(&self.history),
        };
        let skipped = self.places.is_empty().then_some(SkipReason::NotDue);
        let ended = recorded.run(self.begun()?, skipped, &mut work);
        Ok(BackupReport::of(ended, work.verdict()))
    }

    /// Returns the record of this run at its beginning, with the name that its archive is to have.
    fn begun(&self) -> Result<RunRecord> {
        let (context, schema) = (self.context, &self.settings.schema);
        let name = ArchiveName::new(&schema.prefix, context.now);
        let name = name.map_err(|fault| Failure::new(Kind::Usage, fault))?;
        Ok(RunRecord {
            archive: Some(name.file_name(0, Ending::Plain)),
            destinations: self.places.iter().map(Place::record).collect(),
            host: context.hostname.clone(),
            app: Some(schema.app.clone()),
            ..RunRecord::begun(new_run_id(), Job::Backup, context.now)
        })
    }
}

impl JobWork for Work<'_> {
    fn work(&mut self, runs: &[RunRecord], record: &mut RunRecord) {
        match self.export(runs, record) {
            Ok(()) => self.is_exported = true,
            Err(error) => self.failure = Some(Failure::of(&error)),
        }
    }

    /// Delivers and prunes, unless the export failed.
    fn follow(&mut self, runs: &[RunRecord], record: &mut RunRecord) {
        if !self.is_exported {
            return;
        }
        if let Err(error) = self.run.follow(runs, record, &mut self.undone) {
            let failure = Failure::of(&error);
            // The failure of the export itself counts more, but for an interruption.
            let is_interrupted = matches!(failure.kind, Kind::Interrupted(_));
            if self.failure.is_none() || is_interrupted {
                self.failure = Some(failure);
            }
        }
    }

    fn fail(&mut self, failure: Failure, record: &mut RunRecord) {
        record.archive = None;
        self.failure = Some(failure);
    }

    fn leave(&mut self, undone: Vec<String>) {
        self.undone.add(undone);
    }

    fn settle(&self, record: &mut RunRecord) {
        let holds = (record.destinations.iter()).any(|destination| destination.good);
        if matches!(record.skipped, Some(SkipReason::Hook | SkipReason::NotDue)) {
            record.archive = None;
        }
        let failure = self.verdict();
        record.result = match &failure {
            None if record.skipped.is_some() => RunResult::Skipped,
            None => RunResult::Success,
            Some(failure) => match failure.kind {
                Kind::Partial => RunResult::Partial,
                Kind::Unproven if holds => RunResult::Partial,
                _ => RunResult::Failure,
            },
        };
        record.exit_code = Some(failure.as_ref().map_or(0, |failure| failure.kind.code()));
        record.error = failure.as_ref().map(|failure| failure.message.clone());
        record.hint = failure.and_then(|failure| failure.hint);
        record.duration_seconds = Some(self.run.context.begun.elapsed().as_secs_f64());
    }
}

impl Work<'_> {
    /// Returns the failure that decides on result and exit code, if there is one.
    fn verdict(&self) -> Option<Failure> {
        let failure = self.undone.verdict(self.failure.clone(), NEXT_RUN)?;
        Some(known_secrets::masked(self.run.context, failure))
    }

    /// Exports to all places, unless all of them hold the present state. Fails if no place holds the archive.
    fn export(&mut self, runs: &[RunRecord], record: &mut RunRecord) -> Result<()> {
        let context = self.run.context;
        let held = match self.run.request.if_unchanged {
            // A label asks for an archive that has it.
            IfUnchanged::Skip if self.run.request.tags.is_empty() => {
                held(context, self.run.settings, &self.run.places, runs)?
            }
            _ => None,
        };
        let result = self.exported(held.as_ref().map(|held| held.digest));
        match (result, held) {
            (Ok(Exported::Made(report)), _) => {
                self.made(*report, record);
                Ok(())
            }
            (Ok(Exported::Unchanged(remarks)), Some(held)) => {
                self.unchanged(held, &remarks, runs, record)
            }
            (Ok(Exported::Unchanged(_)), None) => Ok(()),
            (Err(error), _) => {
                let failure = Failure::of(&error);
                for destination in &mut record.destinations {
                    destination.error = Some(self.masked(&failure.message));
                }
                // A run that was interrupted may have stored it somewhere: the next run looks.
                if !matches!(failure.kind, Kind::Interrupted(_)) {
                    record.archive = None;
                }
                Err(error)
            }
        }
    }

    fn exported(&self, same: Option<Digest>) -> Result<Exported> {
        let context = self.run.context;
        let entered = enter(self.run.choices, StateAccess::Read, &context.events)?;
        let output = |place: &Place| {
            let target = Target::read(&place.word)?;
            target.output(context, || Ok(&entered.settings), ReadBack::AsConfigured)
        };
        let outputs: Vec<ArchiveOutput> =
            self.run.places.iter().map(output).collect::<Result<_>>()?;
        let request = ExportRequest {
            tags: self.run.request.tags.clone(),
            keep: self.run.request.keep,
            ..ExportRequest::new(outputs)
        };
        export_unless(context, &entered, request, same)
    }

    /// Notes an archive that was made.
    fn made(&mut self, report: ExportReport, record: &mut RunRecord) {
        let name = report.archive.rsplit('/').next().unwrap_or_default();
        record.archive = Some(name.to_owned());
        record.size_bytes = Some(report.size_bytes);
        record.sha256 = Some(report.sha256.clone());
        record.content_bytes = Some(report.content_bytes);
        record.entries = report.changes.map(|changes| changes.counts);
        record.added_bytes = report.changes.map(|changes| changes.added_bytes);
        record.destinations = records(&self.run.places, &report.outputs);
        for destination in &mut record.destinations {
            destination.error = destination.error.as_ref().map(|error| self.masked(error));
        }
        self.failure = report.failure();
    }

    /// Notes, here and at the places, that they hold the present state already.
    fn unchanged(
        &mut self,
        held: Held,
        remarks: &Remarks,
        runs: &[RunRecord],
        record: &mut RunRecord,
    ) -> Result<()> {
        self.run.context.tell(JobEvent::Unchanged {
            archive: held.archive.clone(),
        });
        record.skipped = Some(SkipReason::Unchanged);
        record.archive = Some(held.archive.clone());
        self.failure = remarks.failure();
        for (place, destination) in self.run.places.iter().zip(&mut record.destinations) {
            destination.good = true;
            destination.archive = held.archives.get(&place.name).cloned();
            let noted = unchanged::note(
                self.run.context,
                self.run.settings,
                place,
                &held,
                &record.run_id,
                runs,
            );
            if let Err(error) = noted {
                let failure = Failure::of(&error);
                if matches!(failure.kind, Kind::Interrupted(_)) {
                    return Err(error);
                }
                let reason = failure.message;
                let name = &place.name;
                self.undone
                    .add([format!("{name} has no note that nothing changed: {reason}")]);
                self.run.context.tell(JobEvent::NoteFailed {
                    destination: name.clone(),
                    reason,
                });
            }
        }
        Ok(())
    }

    fn masked(&self, text: &str) -> String {
        self.run.context.runner.masked(text)
    }
}

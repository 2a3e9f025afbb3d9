//! One run of the nightly job, from its first record to its last notification.

use anyhow::Result;

use super::{
    place::{Place, records},
    report::BackupReport,
    request::{BackupRequest, IfUnchanged},
    unchanged::{self, Held, held},
    undone::Work,
};
use crate::{
    catalog::{destination::ReadBack, output::ArchiveOutput, target::Target},
    config::{
        Choices, Settings,
        hooks::{Operation, Stage},
    },
    context::Context,
    error::{Failure, Kind},
    jobs::{
        history::History,
        hooks::{Begin, HookReport, Hooks, WorkOutcome},
        killed, known_secrets, metrics,
        notify::{self, NotificationOutcome},
    },
    machine::enter::{StateAccess, enter},
    model::{
        archive_name::{ArchiveName, Ending},
        digest::Digest,
        occasion::Occasion,
        run_record::{Job, RunRecord, RunResult, SkipReason},
    },
    ops::export::{ExportReport, ExportRequest, Exported, export_unless},
    work::{events::JobEvent, remarks::Remarks, run_id::new_run_id},
};

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

impl Run<'_> {
    /// Runs the job. Every failure after its beginning is in the report.
    pub fn execute(&self) -> Result<BackupReport> {
        let mut work = Work::default();
        let mut runs = self
            .noted(self.history.read(), &mut work)
            .unwrap_or_default();
        killed::close(
            self.context,
            self.settings,
            &self.history,
            &mut runs,
            Job::Backup,
        );
        let mut record = self.begun()?;
        self.noted(self.history.append(&record), &mut work);
        let mut notifications = self.notify(&record);
        let run_id = record.run_id.clone();
        let mut hooks = Hooks::new(self.context, self.settings, Operation::Backup, &run_id);
        if self.places.is_empty() {
            record.skipped = Some(SkipReason::NotDue);
        } else {
            match hooks.before() {
                Begin::Go => self.work(&mut hooks, &runs, &mut record, &mut work),
                Begin::Skip => record.skipped = Some(SkipReason::Hook),
                Begin::Failed(failure) => {
                    record.archive = None;
                    work.failure = Some(failure);
                }
            }
        }
        work.leave(hooks.faults.drain(..));
        self.settle(&mut record, &work);
        match record.result {
            RunResult::Success => hooks.after(Stage::Success, &outcome(&record)),
            RunResult::Partial | RunResult::Failure => {
                hooks.after(Stage::Failure, &outcome(&record));
            }
            RunResult::Running | RunResult::Skipped => {}
        }
        hooks.after(Stage::Finally, &outcome(&record));
        work.leave(hooks.faults.drain(..));
        self.settle(&mut record, &work);
        if self
            .noted(self.history.append(&record), &mut work)
            .is_none()
        {
            self.settle(&mut record, &work);
        }
        self.write_metrics(&mut record, &mut work);
        let reports: Vec<HookReport> = std::mem::take(&mut hooks.reports);
        notifications.extend(self.notify(&record));
        let failure = work.verdict();
        let failure = failure.map(|failure| known_secrets::masked(self.context, failure));
        Ok(BackupReport::of(&record, reports, notifications, failure))
    }

    /// Writes the metrics to `prometheus_file`, if the configuration names one. They tell of this run, so they come after
    /// its record. If that fails, another record says so: history and exit code are one.
    fn write_metrics(&self, record: &mut RunRecord, work: &mut Work) {
        if let Err(failure) = metrics::publish(self.context, self.settings) {
            work.leave([failure.message]);
            self.settle(record, work);
            if self.noted(self.history.append(record), work).is_none() {
                self.settle(record, work);
            }
        }
    }

    /// Sends the notifications of the run's beginning or end. Their failures change nothing else.
    fn notify(&self, record: &RunRecord) -> Vec<NotificationOutcome> {
        notify::send(self.context, self.settings, Occasion::of(record), record)
    }

    /// Returns the value of a step of the history. A failure leaves the run undone in part: the archives count more
    /// than the record of them.
    fn noted<T>(&self, value: Result<T>, work: &mut Work) -> Option<T> {
        value
            .inspect_err(|error| {
                let reason = format!("{error:#}");
                work.leave([format!("the history is not complete: {reason}")]);
                self.context.tell(JobEvent::HistoryFails { reason });
            })
            .ok()
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

    /// Exports, and then does what depends on the archive.
    fn work(
        &self,
        hooks: &mut Hooks<'_>,
        runs: &[RunRecord],
        record: &mut RunRecord,
        work: &mut Work,
    ) {
        let exported = self.export(runs, record, work);
        let is_exported = exported.is_ok();
        work.failure = exported
            .err()
            .map(|error| Failure::of(&error))
            .or(work.failure.take());
        self.settle(record, work);
        hooks.after(Stage::After, &outcome(record));
        if is_exported && let Err(error) = self.follow(runs, record, work) {
            let failure = Failure::of(&error);
            // The failure of the export itself counts more, but for an interruption.
            let is_interrupted = matches!(failure.kind, Kind::Interrupted(_));
            if work.failure.is_none() || is_interrupted {
                work.failure = Some(failure);
            }
        }
    }

    /// Exports to all places, unless all of them hold the present state. Fails if no place holds the archive.
    fn export(&self, runs: &[RunRecord], record: &mut RunRecord, work: &mut Work) -> Result<()> {
        let context = self.context;
        let held = match self.request.if_unchanged {
            // A label asks for an archive that has it.
            IfUnchanged::Skip if self.request.tags.is_empty() => {
                held(context, self.settings, &self.places, runs)?
            }
            _ => None,
        };
        let result = self.exported(held.as_ref().map(|held| held.digest));
        match (result, held) {
            (Ok(Exported::Made(report)), _) => {
                self.made(*report, record, work);
                Ok(())
            }
            (Ok(Exported::Unchanged(remarks)), Some(held)) => {
                self.unchanged(held, &remarks, runs, record, work)
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
        let context = self.context;
        let entered = enter(self.choices, StateAccess::Read, &context.events)?;
        let output = |place: &Place| {
            let target = Target::read(&place.word)?;
            target.output(context, || Ok(&entered.settings), ReadBack::AsConfigured)
        };
        let outputs: Vec<ArchiveOutput> = self.places.iter().map(output).collect::<Result<_>>()?;
        let request = ExportRequest {
            tags: self.request.tags.clone(),
            keep: self.request.keep,
            ..ExportRequest::new(outputs)
        };
        export_unless(context, &entered, request, same)
    }

    /// Notes an archive that was made.
    fn made(&self, report: ExportReport, record: &mut RunRecord, work: &mut Work) {
        let name = report.archive.rsplit('/').next().unwrap_or_default();
        record.archive = Some(name.to_owned());
        record.size_bytes = Some(report.size_bytes);
        record.sha256 = Some(report.sha256.clone());
        record.content_bytes = Some(report.content_bytes);
        record.entries = report.changes.map(|changes| changes.counts);
        record.added_bytes = report.changes.map(|changes| changes.added_bytes);
        record.destinations = records(&self.places, &report.outputs);
        for destination in &mut record.destinations {
            destination.error = destination.error.as_ref().map(|error| self.masked(error));
        }
        work.failure = report.failure();
    }

    /// Notes, here and at the places, that they hold the present state already.
    fn unchanged(
        &self,
        held: Held,
        remarks: &Remarks,
        runs: &[RunRecord],
        record: &mut RunRecord,
        work: &mut Work,
    ) -> Result<()> {
        self.context.tell(JobEvent::Unchanged {
            archive: held.archive.clone(),
        });
        record.skipped = Some(SkipReason::Unchanged);
        record.archive = Some(held.archive.clone());
        work.failure = remarks.failure();
        for (place, destination) in self.places.iter().zip(&mut record.destinations) {
            destination.good = true;
            destination.archive = held.archives.get(&place.name).cloned();
            let noted = unchanged::note(
                self.context,
                self.settings,
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
                work.leave([format!("{name} has no note that nothing changed: {reason}")]);
                self.context.tell(JobEvent::NoteFailed {
                    destination: name.clone(),
                    reason,
                });
            }
        }
        Ok(())
    }

    /// Writes the present outcome into the record.
    fn settle(&self, record: &mut RunRecord, work: &Work) {
        let holds = (record.destinations.iter()).any(|destination| destination.good);
        if matches!(record.skipped, Some(SkipReason::Hook | SkipReason::NotDue)) {
            record.archive = None;
        }
        let failure = work.verdict();
        let failure = failure.map(|failure| known_secrets::masked(self.context, failure));
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
        record.duration_seconds = Some(self.context.begun.elapsed().as_secs_f64());
    }

    fn masked(&self, text: &str) -> String {
        self.context.runner.masked(text)
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

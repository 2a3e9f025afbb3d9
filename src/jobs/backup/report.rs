//! The report of a run of the nightly job.

use serde::Serialize;

use crate::{
    error::Failure,
    jobs::{hooks::HookReport, notify::NotificationOutcome, recorded::Ended},
    model::{
        change_counts::ChangeCounts,
        run_record::{DestinationRecord, RunResult, SkipReason},
        written::rfc3339,
    },
};

/// The report of a run.
#[derive(Debug, Serialize)]
pub struct BackupReport {
    /// A UUID.
    pub run_id: String,
    /// The result.
    pub result: RunResult,
    /// The reason of a skipped run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<SkipReason>,
    /// The time at which it began.
    pub started_at: String,
    /// Its duration in seconds.
    pub duration_seconds: f64,
    /// The name of the archive; of a run that found nothing changed, the archive that still holds.
    pub archive: Option<String>,
    /// Its size.
    pub size_bytes: Option<u64>,
    /// The number of entries that differ from the archive before.
    pub entries: Option<ChangeCounts>,
    /// The destinations.
    pub destinations: Vec<DestinationRecord>,
    /// The hooks that ran.
    pub hooks: Vec<HookReport>,
    /// The notifications.
    pub notifications: Vec<NotificationOutcome>,
    /// The failure of the run, if something is left undone.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

impl BackupReport {
    /// Returns the report of a run that ended in `failure`, if it did.
    pub fn of(ended: Ended, failure: Option<Failure>) -> BackupReport {
        let record = ended.record;
        BackupReport {
            run_id: record.run_id,
            result: record.result,
            skipped: record.skipped,
            started_at: rfc3339(record.started_at),
            duration_seconds: record.duration_seconds.unwrap_or_default(),
            archive: record.archive,
            size_bytes: record.size_bytes,
            entries: record.entries,
            destinations: record.destinations,
            hooks: ended.hooks,
            notifications: ended.notifications,
            failure,
        }
    }
}

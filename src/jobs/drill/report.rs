//! The report of a drill.

use serde::Serialize;

use crate::{
    error::Failure,
    jobs::{hooks::HookReport, notify::NotificationOutcome, recorded::Ended},
    model::{
        drill_record::DrillRecord,
        run_record::{RunResult, SkipReason},
        written::rfc3339,
    },
};

/// The report of a drill.
#[derive(Debug, Serialize)]
pub struct DrillReport {
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
    /// The archives whose restore was rehearsed.
    pub drills: Vec<DrillRecord>,
    /// The hooks that ran.
    pub hooks: Vec<HookReport>,
    /// The notifications.
    pub notifications: Vec<NotificationOutcome>,
    /// The failure of the run.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

impl DrillReport {
    /// Returns the report of a run that ended in `failure`, if it did.
    pub fn of(ended: Ended, failure: Option<Failure>) -> DrillReport {
        let record = ended.record;
        DrillReport {
            run_id: record.run_id,
            result: record.result,
            skipped: record.skipped,
            started_at: rfc3339(record.started_at),
            duration_seconds: record.duration_seconds.unwrap_or_default(),
            drills: record.drills,
            hooks: ended.hooks,
            notifications: ended.notifications,
            failure,
        }
    }
}

//! The reasons why something needs a look.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::{
    retention::Standing,
    run_record::{ForeignArchive, Job},
};

/// The bytes that a comparison of sizes counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Those of the entries.
    Content,
    /// Those that are stored, if those of the entries are unknown.
    Stored,
}

/// A comparison of the newest archive with an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The newest archive.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// The largest archive of the ten before it.
    pub before: String,
    /// The bytes of that one.
    pub before_bytes: u64,
    /// The bytes that were compared.
    pub measure: Measure,
}

/// A reason why something needs a look.
#[derive(Debug, Clone, PartialEq)]
pub enum Problem {
    /// The destination cannot be read.
    Unreachable {
        /// The reason.
        message: String,
        /// The advice.
        hint: Option<String>,
    },
    /// The destination is there, and its archives cannot be judged: a private key cannot be loaded.
    NoKeys {
        /// The reason.
        message: String,
        /// The advice.
        hint: Option<String>,
    },
    /// It holds no archive.
    Empty,
    /// None of the inspected archives is good.
    NoneGood {
        /// Their number.
        count: usize,
    },
    /// The newest good archive is too old.
    Stale {
        /// The archive.
        name: String,
        /// Its age in seconds, or that of the last run that found nothing changed.
        age_seconds: i64,
        /// The largest age.
        max_age: Duration,
    },
    /// The newest archive is not good.
    Damaged {
        /// The archive.
        name: String,
        /// Its standing.
        standing: Standing,
    },
    /// The newest archive holds less than half of an earlier one.
    Shrunk(Comparison),
    /// Archives are dated in the future.
    Future {
        /// The newest of them.
        name: String,
        /// Their number.
        count: usize,
        /// The time by this machine's clock; `None` if they are only dated after they were written.
        now: Option<DateTime<Utc>>,
    },
    /// The history has a run that began in the future.
    ClockBack {
        /// The begin of that run.
        begun: DateTime<Utc>,
        /// The time by this machine's clock.
        now: DateTime<Utc>,
    },
    /// The free space is less than the newest archive has.
    NoRoom {
        /// The free space.
        room_bytes: u64,
        /// The size of the newest archive.
        needed_bytes: u64,
    },
    /// No private key of this machine opens the newest archive.
    NoKeyOpens {
        /// The archive.
        name: String,
    },
    /// The last run of a job failed.
    RunFailed {
        /// The job.
        job: Job,
        /// The begin of the run.
        begun: DateTime<Utc>,
        /// The message of its failure.
        error: Option<String>,
        /// The advice.
        hint: Option<String>,
    },
    /// The last run of a job did not end.
    RunKilled {
        /// The job.
        job: Job,
        /// The begin of the run.
        begun: DateTime<Utc>,
    },
    /// The last good drill of the destination is too old, or there was none.
    DrillOverdue {
        /// The age of the last good one in seconds.
        age_seconds: Option<i64>,
        /// The largest age.
        max_age: Duration,
    },
    /// A remark: the newest archive holds more than twice of what the largest of the ten before it held.
    Doubled(Comparison),
    /// A remark: the newest archive holds a database that was torn.
    Torn {
        /// The archive.
        name: String,
    },
    /// No archive is known to be good: all are sealed, no key opens them, and this machine did not prove one. The dates
    /// alone would decide which of them are removed.
    NoneKnown {
        /// The number of archives that would be removed.
        count: usize,
    },
    /// A remark: the newest archive is sealed, no key opens it, and this machine did not prove it.
    Sealed {
        /// The archive.
        name: String,
    },
    /// A remark: the private keys of this machine could not be tried on the newest archive.
    KeysUntried {
        /// The reason.
        message: String,
    },
    /// A remark: the last run did not deliver to this destination.
    NotDelivered {
        /// The begin of the run.
        begun: DateTime<Utc>,
        /// The message.
        error: String,
    },
    /// A remark: another machine or application keeps archives of the same prefix there.
    SharedPrefix {
        /// The begin of the run that found its archive.
        begun: DateTime<Utc>,
        /// The archive.
        foreign: ForeignArchive,
    },
    /// A remark: the last run of a job left something undone.
    RunPartial {
        /// The job.
        job: Job,
        /// The begin of the run.
        begun: DateTime<Utc>,
        /// The message of its failure.
        error: Option<String>,
    },
}

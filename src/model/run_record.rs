//! The record of a run: a line of the history, and the JSON of a webhook.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{change_counts::ChangeCounts, drill_record::DrillRecord};
pub use super::{job::Job, told::Told};

/// The result of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunResult {
    /// It has not ended, or was killed.
    Running,
    /// All of it was done.
    Success,
    /// There was nothing to do, or a hook said so.
    Skipped,
    /// Parts were left undone.
    Partial,
    /// It failed.
    Failure,
}

impl RunResult {
    /// Returns its name in JSON and in `HOOKSHOT_RESULT`.
    pub fn name(self) -> &'static str {
        match self {
            RunResult::Running => "running",
            RunResult::Success => "success",
            RunResult::Skipped => "skipped",
            RunResult::Partial => "partial",
            RunResult::Failure => "failure",
        }
    }
}

/// The reason why a run made no archive although nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// The newest archives hold the present state.
    Unchanged,
    /// A `before` hook ended with exit code 75.
    Hook,
    /// The time of no destination has come (`every`).
    NotDue,
}

/// The outcome of a run at one destination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DestinationRecord {
    /// Its name in the configuration, or its address.
    pub name: String,
    /// The name of that archive there. Another archive may have the name that the run gave it.
    pub archive: Option<String>,
    /// True if it is proven to hold the archive of the run; for a skipped run, the archive that still holds.
    pub good: bool,
    /// The proof: `checksum` or `read-back`.
    pub proof: Option<String>,
    /// SHA-256 of the archive of the run there: sealed archives differ from destination to destination.
    pub sha256: Option<String>,
    /// Its size there in bytes.
    pub size_bytes: Option<u64>,
    /// The message of the failure.
    pub error: Option<String>,
    /// The archives that the run removed there.
    pub removed: Vec<String>,
    /// The archives of earlier runs that it holds now.
    pub caught_up: Vec<String>,
    /// Those of them that have another name there, because another archive had theirs: their name, and the name there.
    pub renamed: BTreeMap<String, String>,
    /// Archives that it did not get, and that no destination holds any more.
    pub gone: Vec<String>,
    /// Archives that it did not get, and that its policy would remove at once.
    pub not_needed: Vec<String>,
    /// The archive before, if another machine or application made it.
    pub foreign: Option<ForeignArchive>,
}

/// An archive of our prefix that another machine or application made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ForeignArchive {
    /// Its name.
    pub archive: String,
    /// The name of the machine that made it.
    pub host: Option<String>,
    /// The name of the application.
    pub app: Option<String>,
}

/// One execution of a job. Every key is written; an unknown value is null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// A UUID.
    pub run_id: String,
    /// The job.
    pub job: Job,
    /// The time at which the run began.
    #[serde(with = "whole_seconds")]
    pub started_at: DateTime<Utc>,
    /// Its duration in seconds; `None` while it runs.
    #[serde(default)]
    pub duration_seconds: Option<f64>,
    /// Its result.
    pub result: RunResult,
    /// The reason of a skipped run.
    #[serde(default)]
    pub skipped: Option<SkipReason>,
    /// Its exit code; `None` while it runs. A run that the next one found killed has [`KILLED`].
    #[serde(default)]
    pub exit_code: Option<u8>,
    /// The name of the archive. While the run lasts, and after an interruption, the name that it was to have.
    #[serde(default)]
    pub archive: Option<String>,
    /// The size of the archive in bytes.
    #[serde(default)]
    pub size_bytes: Option<u64>,
    /// SHA-256 of the whole archive.
    #[serde(default)]
    pub sha256: Option<String>,
    /// The destinations of the run.
    #[serde(default)]
    pub destinations: Vec<DestinationRecord>,
    /// The message of the failure.
    #[serde(default)]
    pub error: Option<String>,
    /// The advice about the failure.
    #[serde(default)]
    pub hint: Option<String>,
    /// The name of the machine.
    #[serde(default)]
    pub host: Option<String>,
    /// The name of the application.
    #[serde(default)]
    pub app: Option<String>,
    /// The configuration file: several in one folder share a history.
    #[serde(default)]
    pub config: Option<String>,
    /// The number of entries that differ from the archive before.
    #[serde(default)]
    pub entries: Option<ChangeCounts>,
    /// The bytes of all entries together.
    #[serde(default)]
    pub content_bytes: Option<u64>,
    /// The bytes of new and changed entries.
    #[serde(default)]
    pub added_bytes: Option<u64>,
    /// Of a drill: the archives whose restore was rehearsed.
    #[serde(default)]
    pub drills: Vec<DrillRecord>,
    /// Of a verification without a key: the number of sealed archives that were not opened, and have the bytes that
    /// this machine proved.
    #[serde(default)]
    pub outside: Option<usize>,
    /// Of a check of the health: the notifications that got bad news last, and which. They get no such news again, and
    /// the good news when there are some.
    #[serde(default)]
    pub told: BTreeMap<String, Told>,
}

/// The exit code of a run that SIGKILL ended, as shells report it.
pub const KILLED: u8 = 128 + 9;

impl RunRecord {
    /// Returns the name under which a destination holds the archive of this run; `None` if it is not proven to.
    pub fn archive_at(&self, destination: &str) -> Option<&str> {
        let mut destinations = self.destinations.iter();
        let here = destinations.find(|here| here.name == destination)?;
        let name = here.archive.as_deref().or(self.archive.as_deref());
        name.filter(|_| here.good)
    }

    /// Returns the record of a run that begins.
    pub fn begun(run_id: String, job: Job, started_at: DateTime<Utc>) -> RunRecord {
        RunRecord {
            run_id,
            job,
            started_at,
            duration_seconds: None,
            result: RunResult::Running,
            skipped: None,
            exit_code: None,
            archive: None,
            size_bytes: None,
            sha256: None,
            destinations: Vec::new(),
            error: None,
            hint: None,
            host: None,
            app: None,
            config: None,
            entries: None,
            content_bytes: None,
            added_bytes: None,
            drills: Vec::new(),
            outside: None,
            told: BTreeMap::new(),
        }
    }
}

/// Times as RFC 3339 in UTC with whole seconds.
mod whole_seconds {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::model::written::rfc3339;

    pub fn serialize<S: Serializer>(time: &DateTime<Utc>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&rfc3339(*time))
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<DateTime<Utc>, D::Error> {
        DateTime::<Utc>::deserialize(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_every_key_and_is_read_with_few() {
        let begun = RunRecord::begun("id".to_owned(), Job::Backup, DateTime::UNIX_EPOCH);
        let text = serde_json::to_string(&begun).expect("JSON");
        assert!(
            text.starts_with(
                "{\"run_id\":\"id\",\"job\":\"backup\",\"started_at\":\"1970-01-01T00:00:00Z\",\
                \"duration_seconds\":null,\"result\":\"running\","
            ),
            "{text}"
        );
        assert_eq!(
            serde_json::from_str::<RunRecord>(&text).expect("read"),
            begun
        );
        let few = "{\"run_id\":\"id\",\"job\":\"backup\",\"started_at\":\"1970-01-01T00:00:00Z\",\
            \"result\":\"running\",\"of_a_later_version\":1}";
        assert_eq!(serde_json::from_str::<RunRecord>(few).expect("read"), begun);
    }

    #[test]
    fn names_are_those_of_json() {
        for (name, job) in Job::NAMES {
            assert_eq!(job.name(), name);
            assert_eq!(serde_json::to_value(job).expect("JSON"), name);
        }
        for result in [
            RunResult::Running,
            RunResult::Success,
            RunResult::Skipped,
            RunResult::Partial,
            RunResult::Failure,
        ] {
            assert_eq!(serde_json::to_value(result).expect("JSON"), result.name());
        }
    }
}

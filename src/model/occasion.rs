//! The occasions on which notifications are sent.

use super::run_record::{Job, RunRecord, RunResult};

/// An occasion on which notifications are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Occasion {
    /// A run began.
    Start,
    /// A run did all of its work.
    Success,
    /// A run had nothing to do, or a hook said so.
    Skipped,
    /// A run left parts undone.
    Partial,
    /// A run failed.
    Failure,
    /// The newest good archive of a destination became too old, or something else is unhealthy.
    Stale,
    /// The destinations are healthy again.
    Recovered,
    /// A rehearsed restore failed.
    DrillFailed,
    /// The user tries the notification.
    Test,
}

impl Occasion {
    /// The occasions that a configuration may name. `recovered` follows each `stale` by itself.
    pub const NAMES: [(&'static str, Occasion); 8] = [
        ("success", Occasion::Success),
        ("failure", Occasion::Failure),
        ("partial", Occasion::Partial),
        ("skipped", Occasion::Skipped),
        ("stale", Occasion::Stale),
        ("recovered", Occasion::Recovered),
        ("drill_failed", Occasion::DrillFailed),
        ("start", Occasion::Start),
    ];

    /// Returns the occasion that a record of a run stands for: its beginning or its end.
    pub fn of(record: &RunRecord) -> Occasion {
        match (record.result, record.job) {
            (RunResult::Running, _) => Occasion::Start,
            (RunResult::Success, _) => Occasion::Success,
            (RunResult::Skipped, _) => Occasion::Skipped,
            (RunResult::Partial | RunResult::Failure, Job::Drill) => Occasion::DrillFailed,
            (RunResult::Partial, _) => Occasion::Partial,
            (RunResult::Failure, _) => Occasion::Failure,
        }
    }

    /// Returns its name in the configuration, in JSON and in `HOOKSHOT_OCCASION`.
    pub fn name(self) -> &'static str {
        match self {
            Occasion::Start => "start",
            Occasion::Success => "success",
            Occasion::Skipped => "skipped",
            Occasion::Partial => "partial",
            Occasion::Failure => "failure",
            Occasion::Stale => "stale",
            Occasion::Recovered => "recovered",
            Occasion::DrillFailed => "drill_failed",
            Occasion::Test => "test",
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_record_stands_for_its_occasion() {
        let mut record = RunRecord::begun("id".to_owned(), Job::Backup, DateTime::UNIX_EPOCH);
        assert_eq!(Occasion::of(&record), Occasion::Start);
        for (job, result, occasion) in [
            (Job::Backup, RunResult::Success, Occasion::Success),
            (Job::Backup, RunResult::Skipped, Occasion::Skipped),
            (Job::Prune, RunResult::Partial, Occasion::Partial),
            (Job::Verify, RunResult::Failure, Occasion::Failure),
            (Job::Drill, RunResult::Failure, Occasion::DrillFailed),
            (Job::Drill, RunResult::Success, Occasion::Success),
        ] {
            (record.job, record.result) = (job, result);
            assert_eq!(Occasion::of(&record), occasion);
        }
    }

    #[test]
    fn names_are_those_of_the_configuration() {
        for (name, occasion) in Occasion::NAMES {
            assert_eq!(occasion.name(), name);
        }
    }
}

//! The archives of earlier runs that a destination did not get.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::run_record::{Job, RunRecord};

/// Returns the archives that runs since `since` made and that `destination` did not get, the oldest first.
///
/// Of a run that was killed, the caller looks up which destinations hold the archive.
pub fn undelivered(runs: &[RunRecord], destination: &str, since: DateTime<Utc>) -> Vec<String> {
    let mut owed: Vec<&str> = Vec::new();
    let mut arrived: BTreeSet<&str> = BTreeSet::new();
    for run in runs.iter().filter(|run| run.job == Job::Backup) {
        let mut here = run.destinations.iter();
        let Some(here) = here.find(|here| here.name == destination) else {
            continue;
        };
        let settled = here.caught_up.iter().chain(&here.gone);
        arrived.extend(settled.map(String::as_str));
        let Some(archive) = run.archive.as_deref() else {
            continue;
        };
        if here.good {
            arrived.insert(archive);
        } else if run.skipped.is_none() && run.started_at >= since && !owed.contains(&archive) {
            owed.push(archive);
        }
    }
    owed.retain(|archive| !arrived.contains(archive));
    owed.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::model::run_record::{DestinationRecord, RunResult, SkipReason};

    fn run(day: i64, archive: &str, good: bool, caught_up: &[&str]) -> RunRecord {
        let time = DateTime::UNIX_EPOCH + TimeDelta::days(day);
        RunRecord {
            result: RunResult::Partial,
            archive: Some(archive.to_owned()),
            destinations: vec![DestinationRecord {
                name: "x".to_owned(),
                good,
                caught_up: caught_up.iter().map(|&name| name.to_owned()).collect(),
                ..DestinationRecord::default()
            }],
            ..RunRecord::begun(day.to_string(), Job::Backup, time)
        }
    }

    #[test]
    fn what_a_destination_missed_is_owed_until_it_arrives() {
        let since = DateTime::UNIX_EPOCH + TimeDelta::days(2);
        let runs = [
            run(1, "too-old", false, &[]),
            run(2, "a", false, &[]),
            run(3, "b", false, &[]),
            run(4, "c", true, &["a"]),
        ];
        assert_eq!(undelivered(&runs, "x", since), ["b"]);
        assert_eq!(undelivered(&runs[..3], "x", since), ["a", "b"]);
        assert!(undelivered(&runs, "y", since).is_empty());
    }

    #[test]
    fn a_skipped_run_owes_nothing() {
        let mut skipped = run(3, "a", false, &[]);
        skipped.skipped = Some(SkipReason::Unchanged);
        assert!(undelivered(&[skipped], "x", DateTime::UNIX_EPOCH).is_empty());
    }
}

//! The archives of earlier runs that a destination did not get, and the names of those that it has.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::run_record::{Job, RunRecord};

/// An archive of an earlier run that a destination did not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwedArchive {
    /// The name that the run gave it. Of a run that was killed, the name that it was to have.
    pub name: String,
    /// SHA-256 of the whole archive; `None` if the run was killed.
    pub sha256: Option<String>,
    /// Its size in bytes; `None` if the run was killed.
    pub size_bytes: Option<u64>,
    /// The machine that made it.
    pub host: Option<String>,
    /// The application.
    pub app: Option<String>,
    /// Its names at the destinations that are proven to hold it, by the names of these.
    pub held: BTreeMap<String, String>,
}

/// Returns the archives that runs since `since` made and that `destination` did not get, the oldest first.
///
/// Of a run that was killed, the caller looks up which destinations hold the archive.
pub fn undelivered(
    runs: &[RunRecord],
    destination: &str,
    since: DateTime<Utc>,
) -> Vec<OwedArchive> {
    let mut owed: Vec<OwedArchive> = Vec::new();
    let mut settled: BTreeSet<&str> = BTreeSet::new();
    for run in runs.iter().filter(|run| run.job == Job::Backup) {
        let mut here = run.destinations.iter();
        let Some(here) = here.find(|here| here.name == destination) else {
            continue;
        };
        let names = here.caught_up.iter().chain(&here.gone);
        settled.extend(names.chain(&here.not_needed).map(String::as_str));
        let Some(archive) = run.archive.as_deref() else {
            continue;
        };
        if here.good {
            settled.insert(archive);
        } else if run.skipped.is_none()
            && run.started_at >= since
            && !owed.iter().any(|owed| owed.name == archive)
        {
            owed.push(owed_by(run, archive));
        }
    }
    owed.retain(|archive| !settled.contains(archive.name.as_str()));
    owed
}

/// Returns the archives of this history that `destination` is proven to hold: the name there, and the name that the run
/// gave it.
pub fn known_at<'a>(runs: &'a [RunRecord], destination: &str) -> BTreeMap<&'a str, &'a str> {
    let mut known = BTreeMap::new();
    for run in runs.iter().filter(|run| run.job == Job::Backup) {
        if let (Some(there), Some(archive)) = (run.archive_at(destination), &run.archive) {
            // A run that found nothing changed names the archive of another one.
            known.entry(there).or_insert(archive.as_str());
        }
        let here = run
            .destinations
            .iter()
            .find(|here| here.name == destination);
        for archive in here.iter().flat_map(|here| &here.caught_up) {
            let renamed = here.and_then(|here| here.renamed.get(archive));
            known.insert(renamed.unwrap_or(archive), archive);
        }
    }
    known
}

fn owed_by(run: &RunRecord, archive: &str) -> OwedArchive {
    let held = run.destinations.iter().filter_map(|place| {
        let name = run.archive_at(&place.name)?;
        Some((place.name.clone(), name.to_owned()))
    });
    OwedArchive {
        name: archive.to_owned(),
        sha256: run.sha256.clone(),
        size_bytes: run.size_bytes,
        host: run.host.clone(),
        app: run.app.clone(),
        held: held.collect(),
    }
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

    fn names(runs: &[RunRecord], destination: &str, since: DateTime<Utc>) -> Vec<String> {
        let owed = undelivered(runs, destination, since).into_iter();
        owed.map(|owed| owed.name).collect()
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
        assert_eq!(names(&runs, "x", since), ["b"]);
        assert_eq!(names(&runs[..3], "x", since), ["a", "b"]);
        assert!(undelivered(&runs, "y", since).is_empty());
        let mut not_needed = run(5, "d", true, &[]);
        not_needed.destinations[0].not_needed = vec!["b".to_owned()];
        let runs = [&runs[..], &[not_needed]].concat();
        assert!(undelivered(&runs, "x", since).is_empty());
    }

    #[test]
    fn a_skipped_run_owes_nothing() {
        let mut skipped = run(3, "a", false, &[]);
        skipped.skipped = Some(SkipReason::Unchanged);
        assert!(undelivered(&[skipped], "x", DateTime::UNIX_EPOCH).is_empty());
    }

    #[test]
    fn an_archive_is_known_by_its_name_at_the_destination() {
        let mut first = run(1, "a", true, &[]);
        first.destinations[0].archive = Some("a.1".to_owned());
        let mut second = run(2, "b", true, &["c", "d"]);
        second.destinations[0].renamed = BTreeMap::from([("d".to_owned(), "d.1".to_owned())]);
        let runs = [first, second, run(3, "e", false, &[])];
        let known = known_at(&runs, "x");
        let expected = [("a.1", "a"), ("b", "b"), ("c", "c"), ("d.1", "d")];
        assert_eq!(known, BTreeMap::from(expected));
        assert!(known_at(&runs, "y").is_empty());
    }
}

//! The rules by which a destination is healthy, and the runs of a configuration are.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    facts::{Facts, Health, INSPECTED, Limits, RunFacts, Seen},
    problem::{Comparison, Measure, Problem},
};
use crate::model::{
    archive_name::{ArchiveName, ArchiveOrder},
    retention::{Standing, is_future},
    run_record::{Job, RunRecord, RunResult},
};

/// Judges one destination.
pub fn judge(facts: &Facts, limits: Limits) -> Health {
    let now = limits.now;
    let is_future = |seen: &&Seen| is_future(seen.order.time, now);
    let is_ahead = |seen: &&Seen| seen.is_early || is_future(seen);
    let mut health = Health::default();
    let ahead: Vec<&Seen> = facts.archives.iter().filter(is_ahead).collect();
    let (future, early): (Vec<&Seen>, Vec<&Seen>) = ahead.iter().partition(|seen| is_future(seen));
    for (dated, now) in [(future, Some(now)), (early, None)] {
        if let Some(first) = dated.first() {
            health.problems.push(Problem::Future {
                name: first.name.clone(),
                count: dated.len(),
                now,
            });
        }
    }
    let past: Vec<(usize, &Seen)> = facts
        .archives
        .iter()
        .enumerate()
        .filter(|(_, seen)| !is_ahead(seen))
        .collect();
    let Some(&(_, newest)) = past.first() else {
        if ahead.is_empty() {
            health.problems.push(Problem::Empty);
        }
        return health;
    };
    match newest.standing {
        Standing::Damaged | Standing::Incomplete => health.problems.push(Problem::Damaged {
            name: newest.name.clone(),
            standing: newest.standing,
        }),
        Standing::Torn => health.remarks.push(Problem::Torn {
            name: newest.name.clone(),
        }),
        Standing::Sealed => health.remarks.push(Problem::Sealed {
            name: newest.name.clone(),
        }),
        Standing::Good | Standing::Unproven | Standing::Cold => {}
    }
    let inspected = &past[..past.len().min(INSPECTED)];
    // A sealed archive may be good; it counts on a machine that knows no better one.
    let good = inspected.iter().find(|(_, seen)| is_good(seen));
    let good = good.or_else(|| inspected.iter().find(|(_, seen)| may_be_good(seen)));
    match good {
        Some(&(at, good)) => {
            health.newest_good = Some(at);
            let fresh_at = fresh_at(facts, good, now);
            health.fresh_at = Some(fresh_at);
            let age = now.signed_duration_since(fresh_at);
            if age > TimeDelta::from_std(limits.max_age).unwrap_or(TimeDelta::MAX) {
                health.problems.push(Problem::Stale {
                    name: good.name.clone(),
                    age_seconds: age.num_seconds(),
                    max_age: limits.max_age,
                });
            }
        }
        None => health.problems.push(Problem::NoneGood {
            count: inspected.len(),
        }),
    }
    compare(facts, &past, &mut health);
    if let Some(room_bytes) = facts.room_bytes
        && room_bytes < newest.size_bytes
    {
        health.problems.push(Problem::NoRoom {
            room_bytes,
            needed_bytes: newest.size_bytes,
        });
    }
    health
}

/// Returns true if an archive counts as a good one. One that must be thawed was verified by its upload.
fn is_good(seen: &Seen) -> bool {
    matches!(
        seen.standing,
        Standing::Good | Standing::Unproven | Standing::Cold
    )
}

/// Returns true if no key opens an archive, and nothing speaks against it.
fn may_be_good(seen: &Seen) -> bool {
    seen.standing == Standing::Sealed
}

/// Returns the last time at which the newest good archive was known to hold the present state.
fn fresh_at(facts: &Facts, good: &Seen, now: DateTime<Utc>) -> DateTime<Utc> {
    let still_holds = facts.unchanged.as_ref().filter(|note| {
        let mut archives = facts.archives.iter();
        !is_future(note.time, now)
            && archives.any(|seen| seen.name == note.name && seen.standing.counts())
    });
    still_holds.map_or(good.order.time, |note| note.time.max(good.order.time))
}

/// Compares the size of the newest archive with the largest of the ten before it. Those before an accepted one do not
/// count any more. A damaged one tells no size.
fn compare(facts: &Facts, past: &[(usize, &Seen)], health: &mut Health) {
    let Some((&(_, newest), earlier)) = past.split_first() else {
        return;
    };
    if !newest.standing.counts() {
        return;
    }
    let accepted = facts
        .accepted
        .as_ref()
        .and_then(|note| order_of(facts, &note.name));
    let earlier = earlier.iter().take(INSPECTED - 1).map(|(_, seen)| *seen);
    let earlier = earlier.filter(|seen| {
        seen.standing.counts() && accepted.is_none_or(|accepted| seen.order >= accepted)
    });
    let compared = earlier.map(|seen| Comparison::of(newest, seen));
    let largest = compared.max_by(|one, other| one.share().total_cmp(&other.share()));
    match largest {
        Some(largest) if largest.bytes.saturating_mul(2) < largest.before_bytes => {
            health.problems.push(Problem::Shrunk(largest));
        }
        Some(largest) if largest.bytes > largest.before_bytes.saturating_mul(2) => {
            health.remarks.push(Problem::Doubled(largest));
        }
        _ => {}
    }
}

impl Comparison {
    /// Compares the bytes of the entries, or those that are stored if one of the archives does not tell the others.
    fn of(newest: &Seen, before: &Seen) -> Comparison {
        let (bytes, before_bytes, measure) = match (newest.content_bytes, before.content_bytes) {
            (Some(bytes), Some(before)) => (bytes, before, Measure::Content),
            _ => (newest.size_bytes, before.size_bytes, Measure::Stored),
        };
        Comparison {
            name: newest.name.clone(),
            bytes,
            before: before.name.clone(),
            before_bytes,
            measure,
        }
    }

    /// Returns the bytes of the entries of the newest archive, if they were compared.
    pub fn content_bytes(&self) -> Option<u64> {
        (self.measure == Measure::Content).then_some(self.bytes)
    }

    /// Returns the bytes before as a multiple of the present ones.
    fn share(&self) -> f64 {
        self.before_bytes as f64 / self.bytes.max(1) as f64
    }
}

/// Returns the position of an archive that may be gone.
fn order_of(facts: &Facts, name: &str) -> Option<ArchiveOrder> {
    let listed = facts.archives.iter().find(|seen| seen.name == name);
    let told = || ArchiveName::of_file(name).map(|name| name.order());
    listed.map(|seen| seen.order).or_else(told)
}

/// Judges the runs of a configuration: problems first, then remarks.
pub fn judge_runs(facts: &RunFacts<'_>) -> (Vec<Problem>, Vec<Problem>) {
    let (mut problems, mut remarks) = (Vec::new(), Vec::new());
    let now = facts.now;
    if let Some(run) = facts
        .runs
        .iter()
        .rfind(|run| is_future(run.started_at, now))
    {
        problems.push(Problem::ClockBack {
            begun: run.started_at,
            now,
        });
    }
    for job in [Job::Backup, Job::Prune, Job::Verify, Job::Drill] {
        let Some(run) = last(facts, job).filter(|run| !is_judged_by_archives(run)) else {
            continue;
        };
        let (begun, error) = (run.started_at, run.error.clone());
        match run.result {
            RunResult::Running => problems.push(Problem::RunKilled { job, begun }),
            RunResult::Failure => problems.push(Problem::RunFailed {
                job,
                begun,
                error,
                hint: run.hint.clone(),
            }),
            RunResult::Partial => remarks.push(Problem::RunPartial { job, begun, error }),
            RunResult::Success | RunResult::Skipped => {}
        }
    }
    (problems, remarks)
}

/// Returns true if archives decide about a drill: each destination is judged by its newest one.
fn is_judged_by_archives(run: &RunRecord) -> bool {
    let is_bad = |good: bool, error: &Option<String>| !good || error.is_some();
    run.job == Job::Drill
        && (run.drills.iter().any(|one| is_bad(one.good, &one.error))
            || run
                .destinations
                .iter()
                .any(|one| is_bad(one.good, &one.error)))
}

/// Returns the problem of a destination if its newest drill was not good. Drills of other destinations and of mere files,
/// and those that a hook skipped, say nothing of it.
pub fn drill_failed(runs: &[RunRecord], destination: &str) -> Option<Problem> {
    let drills = runs.iter().rev().filter(|run| run.job == Job::Drill);
    let mut found = drills.filter_map(|run| {
        let mut destinations = run.destinations.iter();
        Some((run, destinations.find(|one| one.name == destination)?))
    });
    let (run, last) = found.next().filter(|(_, last)| !last.good)?;
    Some(Problem::RunFailed {
        job: Job::Drill,
        begun: run.started_at,
        error: last.error.clone().or_else(|| run.error.clone()),
        hint: None,
    })
}

/// Returns the problem of a destination of which no restore was rehearsed for `max_age`; the last good one began at
/// `drilled_at`.
pub fn drill_overdue(
    drilled_at: Option<DateTime<Utc>>,
    max_age: Duration,
    now: DateTime<Utc>,
) -> Option<Problem> {
    let age = drilled_at.map(|time| now.signed_duration_since(time));
    let most = TimeDelta::from_std(max_age).unwrap_or(TimeDelta::MAX);
    let is_overdue = age.is_none_or(|age| age > most);
    is_overdue.then(|| Problem::DrillOverdue {
        age_seconds: age.map(|age| age.num_seconds()),
        max_age,
    })
}

/// Returns the last run of a job without the one that is at work. A drill that was skipped hides no other.
fn last<'a>(facts: &RunFacts<'a>, job: Job) -> Option<&'a RunRecord> {
    let is_living = |run: &RunRecord| {
        let living = facts.living;
        living.is_some_and(|living| living.run_id == run.run_id)
    };
    let mut runs = facts.runs.iter().rev();
    let is_hidden = |run: &RunRecord| job == Job::Drill && run.result == RunResult::Skipped;
    runs.find(|run| run.job == job && !is_living(run) && !is_hidden(run))
}

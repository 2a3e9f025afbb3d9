//! The facts on a destination that the history tells: deliveries, proofs and drills.

use chrono::{DateTime, Utc};

use super::report::LastProof;
use crate::{
    jobs::runs::Runs,
    model::{health::Problem, run_record::Job, written::rfc3339},
};

/// Returns the time of the last backup that delivered to a destination.
pub(super) fn last_delivery(runs: &Runs, name: &str) -> Option<DateTime<Utc>> {
    let run = runs.all().iter().rev().find(|run| {
        let mut destinations = run.destinations.iter();
        run.job == Job::Backup && destinations.any(|one| one.name == name && one.good)
    })?;
    Some(run.started_at)
}

/// Returns the time of the last good drill of a destination, and true if there was any drill.
pub(super) fn drills(runs: &Runs, name: &str) -> (Option<DateTime<Utc>>, bool) {
    let drilled_at = runs.all().iter().rev().find(|run| {
        let mut destinations = run.destinations.iter();
        run.job == Job::Drill && destinations.any(|one| one.name == name && one.good)
    });
    let is_drilled = runs.all().iter().any(|run| {
        let mut destinations = run.destinations.iter();
        run.job == Job::Drill && destinations.any(|one| one.name == name)
    });
    (drilled_at.map(|run| run.started_at), is_drilled)
}

/// Returns the last proof that a destination holds an archive.
pub(super) fn last_proof(runs: &Runs, name: &str) -> Option<LastProof> {
    runs.all().iter().rev().find_map(|run| {
        let mut destinations = run.destinations.iter();
        let proven = destinations.find(|one| one.name == name && one.good)?;
        Some(LastProof {
            time: rfc3339(run.started_at),
            archive: run.archive.clone(),
            proof: proven.proof.clone()?,
        })
    })
}

/// Returns the remark about a destination that the last backup did not deliver to.
pub(super) fn not_delivered(runs: &Runs, name: &str) -> Option<Problem> {
    let run = runs.last(Job::Backup)?;
    let one = run.destinations.iter().find(|one| one.name == name)?;
    let error = one.error.clone().filter(|_| !one.good)?;
    Some(Problem::NotDelivered {
        begun: run.started_at,
        error,
    })
}

/// Returns the remark about archives of another machine that the last backup found there. One that found nothing
/// changed did not look.
pub(super) fn shared_prefix(runs: &Runs, name: &str) -> Option<Problem> {
    let mut runs = runs.all().iter().rev();
    let looked = runs.find_map(|run| {
        let mut destinations = run.destinations.iter();
        let one = destinations.find(|one| one.name == name && one.good)?;
        let is_it = run.job == Job::Backup && run.skipped.is_none();
        is_it.then_some((run.started_at, one))
    });
    let (begun, one) = looked?;
    let foreign = one.foreign.clone()?;
    Some(Problem::SharedPrefix { begun, foreign })
}

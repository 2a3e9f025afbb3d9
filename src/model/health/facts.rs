//! The facts by which health is judged, and the judgement.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::problem::Problem;
use crate::model::{
    archive_name::ArchiveOrder,
    note::{Accepted, Unchanged},
    retention::Standing,
    run_record::RunRecord,
};

/// The number of archives whose manifests are read: the newest, and those that its size is compared with.
pub const INSPECTED: usize = 11;
/// The age from which a destination is stale unless something else is configured.
pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(26 * 3600);

/// An archive of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Its position among archives.
    pub order: ArchiveOrder,
    /// True if it is dated more than a day after its arrival.
    pub is_early: bool,
    /// Its stored size.
    pub size_bytes: u64,
    /// The bytes of its entries; `None` if its manifest was not or could not be read.
    pub content_bytes: Option<u64>,
    /// Its standing.
    pub standing: Standing,
}

/// The facts of one destination, of the archives of one prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The archives, the newest first. Of the newest [`INSPECTED`] the manifests were read.
    pub archives: Vec<Seen>,
    /// The note of the last run that found nothing changed.
    pub unchanged: Option<Unchanged>,
    /// The note of the size that the user accepted.
    pub accepted: Option<Accepted>,
    /// The free space, if the destination tells it.
    pub room_bytes: Option<u64>,
}

/// The moment of the judgement, and the limits of one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The time by this machine's clock.
    pub now: DateTime<Utc>,
    /// The age of the newest good archive from which the destination is stale.
    pub max_age: Duration,
}

/// The facts of the runs of a configuration.
#[derive(Debug, Clone, Copy)]
pub struct RunFacts<'a> {
    /// The runs, the one that began first comes first.
    pub runs: &'a [RunRecord],
    /// The run that is at work.
    pub living: Option<&'a RunRecord>,
    /// The time by this machine's clock.
    pub now: DateTime<Utc>,
}

/// The judgement about one destination.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    /// The problems; the destination is healthy if there are none.
    pub problems: Vec<Problem>,
    /// Remarks that do not make it unhealthy.
    pub remarks: Vec<Problem>,
    /// The position of the newest good archive.
    pub newest_good: Option<usize>,
    /// The last time at which the newest good archive was known to hold the present state: its own, or that of a later
    /// run that found nothing changed.
    pub fresh_at: Option<DateTime<Utc>>,
}

impl Health {
    /// Returns the problem because of which no archive is to be removed before the user has looked.
    pub fn blocks_prune(&self) -> Option<&Problem> {
        let blocks = |problem: &&Problem| {
            matches!(problem, Problem::Damaged { .. } | Problem::Shrunk { .. })
        };
        self.problems.iter().find(blocks)
    }
}

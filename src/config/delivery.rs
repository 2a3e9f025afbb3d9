//! The delivery of archives by the nightly job: `deliver_within` and `max_unchanged` under `[backup]`.

use std::time::Duration;

use super::reader::Section;

/// A week.
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// The rules by which the nightly job delivers archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// The age up to which an archive is delivered later to a destination that lacks it.
    pub within: Duration,
    /// The age of the newest archive at which `--if-changed` makes one all the same.
    pub max_unchanged: Duration,
}

/// Reads the keys under `[backup]`.
pub(super) fn read(backup: &Section<'_>) -> Delivery {
    Delivery {
        within: backup.limit("deliver_within").unwrap_or(WEEK),
        max_unchanged: backup.limit("max_unchanged").unwrap_or(WEEK),
    }
}

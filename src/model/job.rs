//! The kinds of work that the history records.

use serde::{Deserialize, Serialize};

/// A kind of work that the history records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// The nightly job: export, deliver, prune.
    Backup,
    /// The removal of old archives alone.
    Prune,
    /// The verification of recent archives.
    Verify,
    /// The look at the health of destinations.
    Status,
    /// A rehearsed restore.
    Drill,
    /// An upgrade with a safety net. No schedule starts it.
    Protect,
}

impl Job {
    /// The jobs that a schedule starts, with their names in the configuration, in JSON and on the command line.
    pub const NAMES: [(&'static str, Job); 5] = [
        ("backup", Job::Backup),
        ("prune", Job::Prune),
        ("verify", Job::Verify),
        ("status", Job::Status),
        ("drill", Job::Drill),
    ];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Job::Backup => "backup",
            Job::Prune => "prune",
            Job::Verify => "verify",
            Job::Status => "status",
            Job::Drill => "drill",
            Job::Protect => "protect",
        }
    }
}

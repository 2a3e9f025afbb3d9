//! The request for a run of the nightly job.

use std::{collections::BTreeMap, ffi::OsString, time::Duration};

use crate::model::retention::Mark;

/// The request for a run of the nightly job.
#[derive(Debug, Clone, Default)]
pub struct BackupRequest {
    /// The destinations; none for those of `[backup] to`.
    pub destinations: Vec<OsString>,
    /// The rule for a state that did not change.
    pub if_unchanged: IfUnchanged,
    /// Further labels of the archive.
    pub tags: BTreeMap<String, String>,
    /// The mark that the archive gets at every destination.
    pub keep: Option<Mark>,
    /// The rule for old archives.
    pub old_archives: OldArchives,
    /// The choice between a plan and a run.
    pub mode: BackupMode,
    /// The time to wait for another run of this configuration.
    pub lock_wait: Duration,
}

/// The rule for a state that did not change since the newest archives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IfUnchanged {
    /// An archive is made.
    #[default]
    Export,
    /// None is made.
    Skip,
}

/// The rule for old archives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OldArchives {
    /// The policy removes them, if the destination is proven to hold this run's archive.
    #[default]
    Prune,
    /// All stay.
    Keep,
}

/// The choice between a plan and a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BackupMode {
    /// The job runs.
    #[default]
    Run,
    /// Nothing is changed: the plan is shown.
    Plan,
}

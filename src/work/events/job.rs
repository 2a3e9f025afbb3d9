//! Events of unattended jobs.

/// A step of a job, or a finding of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEvent {
    /// A hook begins.
    HookBegins {
        /// The stage, as the configuration names it.
        stage: &'static str,
        /// The command, shortened and masked.
        command: String,
    },
    /// A hook printed a line.
    HookSays {
        /// The stage.
        stage: &'static str,
        /// The line, masked.
        line: String,
    },
    /// A hook failed.
    HookFailed {
        /// The stage.
        stage: &'static str,
        /// The command, shortened and masked.
        command: String,
        /// The reason.
        reason: String,
    },
    /// A `before` hook asked to skip the run.
    HookSkips {
        /// The command, shortened and masked.
        command: String,
    },
    /// Hooks are disabled in the configuration.
    HooksDisabled {
        /// Their number.
        count: usize,
    },
    /// The state is that of the newest archives: none is made.
    Unchanged {
        /// The archive that holds it.
        archive: String,
    },
    /// A note that the state is unchanged could not be written to a destination.
    NoteFailed {
        /// The destination.
        destination: String,
        /// The reason.
        reason: String,
    },
    /// An earlier run was killed.
    KilledRun {
        /// Its identity.
        run_id: String,
        /// The time at which it began.
        started_at: String,
    },
    /// The history could not be read or written.
    HistoryFails {
        /// The reason.
        reason: String,
    },
    /// An archive of an earlier run is copied to a destination that lacks it.
    CatchesUp {
        /// The archive.
        archive: String,
        /// The destination.
        destination: String,
    },
    /// Such an archive could not be copied.
    NotCaughtUp {
        /// The archive.
        archive: String,
        /// The destination.
        destination: String,
        /// The reason.
        reason: String,
    },
    /// Such an archive is not copied, because the policy of the destination would remove it at once.
    NotNeeded {
        /// The archive.
        archive: String,
        /// The destination.
        destination: String,
    },
    /// Another machine or application made the archive before this run's own.
    SharedPrefix {
        /// The words that say it.
        message: String,
    },
    /// A destination is not pruned.
    NotPruned {
        /// The destination.
        destination: String,
        /// The reason.
        reason: String,
    },
    /// Archives were removed by the policy.
    Pruned {
        /// The destination.
        destination: String,
        /// Their number.
        count: usize,
    },
    /// The time of a destination has not come.
    NotDue {
        /// The destination.
        destination: String,
        /// The time at which it gets its next archive.
        next: Option<String>,
    },
    /// The restore of an archive is rehearsed.
    Drills {
        /// The archive.
        archive: String,
    },
    /// A probe begins.
    ProbeBegins {
        /// The command, shortened and masked.
        command: String,
    },
    /// A probe printed a line.
    ProbeSays {
        /// The line, masked.
        line: String,
    },
    /// The file of metrics could not be written.
    MetricsFail {
        /// The file.
        file: String,
        /// The reason.
        reason: String,
    },
}

//! Events of work that stops the service, and starts it again: guarded imports, and upgrades with a safety net.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A step of guarded work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardEvent {
    /// A dry run tells a step that the work would have.
    Would {
        /// The step: `stop`, `start` or `health`.
        step: &'static str,
        /// The command or the server, masked.
        what: String,
    },
    /// The service is stopped or started by a command.
    Runs {
        /// The step: `stop` or `start`.
        step: &'static str,
        /// The command, shortened and masked.
        command: String,
    },
    /// A command prints a line.
    Says {
        /// The step.
        step: &'static str,
        /// The line, masked.
        line: String,
    },
    /// A command failed.
    Failed {
        /// The step.
        step: &'static str,
        /// The command, shortened and masked.
        command: String,
        /// The reason.
        reason: String,
    },
    /// The service is asked for its health.
    AsksHealth {
        /// The command or the server, masked.
        what: String,
    },
    /// It is not healthy yet.
    NotYet {
        /// The reason.
        reason: String,
    },
    /// It is healthy.
    Healthy,
    /// It did not become healthy in time.
    Unhealthy {
        /// The reason.
        reason: String,
    },
    /// Nothing asks for its health.
    HealthUnasked,
    /// The state before is being brought back.
    GoesBack {
        /// The reason.
        reason: String,
    },
    /// Something of another kind than the state had there is moved aside for a rollback.
    MovedAside {
        /// Its path.
        path: PathBuf,
        /// Its new path.
        to: PathBuf,
    },
    /// Processes that the command left behind are ended for a rollback.
    ChildrenEnded {
        /// Their number.
        count: usize,
    },
    /// A destination does not serve a rollback; another one does.
    NoWayBackFrom {
        /// Its name.
        destination: String,
        /// The reason.
        reason: String,
    },
    /// The archive at a destination gets no mark, so that a policy may remove it.
    Unmarked {
        /// Its name.
        destination: String,
        /// The reason.
        reason: String,
    },
    /// The command that is protected begins: the terminal is its own.
    CommandBegins {
        /// The command, shortened and masked.
        command: String,
    },
    /// It ended.
    CommandEnded {
        /// The way in which it ended.
        how: String,
    },
    /// An earlier run was killed, and what it left is not known to be well.
    Killed(KilledGuard),
    /// An earlier run was killed, and the service is healthy.
    KilledHealthy(KilledGuard),
    /// The note about a run cannot be removed.
    NoteStays {
        /// Its file.
        file: String,
        /// The reason.
        reason: String,
    },
}

/// A guarded run that was killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KilledGuard {
    /// The file that tells of it.
    pub file: String,
    /// The note of the run.
    pub note: GuardNote,
}

/// The note that a guarded run makes before each step, for the next hookshot if the run is killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardNote {
    /// The verb: `import`, `rollback` or `protect`.
    pub verb: String,
    /// The time at which it began.
    pub time: String,
    /// The step that it was at.
    pub phase: GuardPhase,
    /// The command that starts the service, masked.
    pub start: Option<String>,
    /// The archive that is imported, or that holds the state before an upgrade.
    pub archive: Option<String>,
    /// The configuration.
    pub config: String,
}

/// The steps of guarded work between which it may be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardPhase {
    /// The command that is protected runs, or has ended and the service is asked for its health.
    Command,
    /// The service is stopped, and the state may be replaced.
    Stopped,
    /// The service is stopped, and the state before may be brought back.
    GoingBack,
    /// The run has ended, and could not bring the state before back: that of the command stays.
    NotBack,
    /// The service is started, and may not be healthy.
    Started,
}

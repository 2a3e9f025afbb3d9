//! The report of an upgrade with a safety net.

use serde::Serialize;

use crate::{
    error::Failure,
    jobs::{guard::service::ServiceStep, hooks::HookReport, notify::NotificationOutcome},
    machine::report::ApplyReport,
    model::run_record::{DestinationRecord, RunResult},
};

/// The state that is in place at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptState {
    /// The command was not run: the state is that of before.
    Untouched,
    /// That of the command.
    Kept,
    /// That of before, from the archive.
    RolledBack,
    /// The rollback is not finished: the next hookshot finishes it.
    Unfinished,
}

/// The command that was protected.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProtectedCommand {
    /// The command, masked.
    pub words: Vec<String>,
    /// Its exit code; with a signal, 128 and its number. `None` if it was not run.
    pub exit_code: Option<u8>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Its duration in seconds.
    pub duration_seconds: f64,
}

/// The report of a run.
#[derive(Debug, Serialize)]
pub struct ProtectReport {
    /// A UUID.
    pub run_id: String,
    /// The result.
    pub result: RunResult,
    /// The time at which it began.
    pub started_at: String,
    /// Its duration in seconds.
    pub duration_seconds: f64,
    /// The exit code.
    pub exit_code: u8,
    /// The archive of the state before, by which it comes back.
    pub archive: Option<String>,
    /// Its size.
    pub size_bytes: Option<u64>,
    /// The destinations of the archive.
    pub destinations: Vec<DestinationRecord>,
    /// The command.
    pub command: ProtectedCommand,
    /// The state that is in place.
    pub state: KeptState,
    /// True if the service was healthy at the end; `None` if that is not known.
    pub healthy: Option<bool>,
    /// The reason of the rollback.
    pub reason: Option<String>,
    /// The steps with the service, in their order.
    pub steps: Vec<ServiceStep>,
    /// The report of the rollback.
    pub rollback: Option<ApplyReport>,
    /// The hooks that ran.
    pub hooks: Vec<HookReport>,
    /// The notifications.
    pub notifications: Vec<NotificationOutcome>,
    /// The failure that the run ends in. A command that failed has none if the state stays as it left it.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

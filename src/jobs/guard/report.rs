//! The report of a guarded import or rollback.

use serde::Serialize;

use super::service::ServiceStep;
use crate::{error::Failure, machine::report::ApplyReport};

/// The state that is in place at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlacedState {
    /// That before the work.
    Old,
    /// That of the work.
    New,
    /// The work is not finished: the next hookshot finishes it.
    Unfinished,
}

/// The fate of the service, and of the state.
#[derive(Debug, Serialize)]
pub struct GuardOutcome {
    /// The state that is in place at the end.
    pub state: PlacedState,
    /// True if the service was healthy at the end; `None` if it was not asked, or if nothing was done.
    pub healthy: Option<bool>,
    /// The steps with the service, in their order.
    pub steps: Vec<ServiceStep>,
    /// The reason why the state before was to be brought back.
    pub reason: Option<String>,
    /// The report of that.
    pub undone: Option<ApplyReport>,
}

/// The report of an import or a rollback, and of what was done around it.
#[derive(Debug, Serialize)]
pub struct GuardedReport {
    /// The import or the rollback.
    #[serde(flatten)]
    pub report: ApplyReport,
    /// The service.
    pub guarded: GuardOutcome,
    /// The failure that the verb ends in.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

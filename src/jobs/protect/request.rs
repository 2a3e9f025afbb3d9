//! The request for an upgrade with a safety net.

use std::{ffi::OsString, time::Duration};

use crate::config::import::HealthCheck;

/// The request for an upgrade with a safety net.
#[derive(Debug, Clone)]
pub struct ProtectRequest {
    /// The command and its arguments; not empty.
    pub command: Vec<OsString>,
    /// The question for the health of the service, in place of that of the configuration.
    pub health: Option<HealthCheck>,
    /// The time that the service has to become healthy, in place of that of the configuration.
    pub health_timeout: Option<Duration>,
    /// The way back.
    pub way_back: WayBack,
    /// The receiver of the command's standard output.
    pub output: CommandOutput,
}

/// The way back from an upgrade that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayBack {
    /// The state of before comes back.
    Taken,
    /// The state stays as it is; the archive is there for the user.
    Left,
}

/// The receiver of the command's standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandOutput {
    /// Our own.
    Inherited,
    /// Our standard error: ours has the report.
    ToErrors,
}

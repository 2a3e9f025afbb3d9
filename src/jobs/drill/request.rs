//! The request for a drill.

use std::{ffi::OsString, time::Duration};

/// The request for a drill.
#[derive(Debug, Clone, Default)]
pub struct DrillRequest {
    /// Archives, and destinations; none for every destination of the configuration.
    pub words: Vec<OsString>,
    /// The archives of a destination.
    pub which: WhichArchives,
    /// The fate of the restored state.
    pub sandbox: SandboxFate,
    /// The time to wait for another run of this configuration.
    pub lock_wait: Duration,
}

/// The archives of a destination whose restore is rehearsed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhichArchives {
    /// The newest one by name, damaged or not.
    #[default]
    Newest,
    /// All of them, the newest first.
    All,
}

/// The fate of the restored state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SandboxFate {
    /// It is removed.
    #[default]
    Removed,
    /// It stays, so that the user can inspect it.
    Kept,
}

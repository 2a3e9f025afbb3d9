//! The request for a prune.

use std::ffi::OsString;

use crate::{
    catalog::each::Hosts,
    model::retention::{Policy, Share},
};

/// The request for a prune.
#[derive(Debug, Clone)]
pub struct PruneRequest {
    /// The destination; `None` for each of `[backup] to`.
    pub destination: Option<OsString>,
    /// A policy in place of any that is configured.
    pub policy: Option<Policy>,
    /// A limit in place of any that is configured.
    pub max_remove: Option<Share>,
    /// The hosts whose archives are judged; those of each prefix are judged apart.
    pub hosts: Hosts,
    /// The archives to inspect before anything is removed.
    pub inspect: InspectFirst,
    /// The choice between a plan and a removal.
    pub mode: PruneMode,
    /// The choice to respect the limit or to exceed it.
    pub limit: RemovalLimit,
}

impl Default for PruneRequest {
    /// Returns a request for the plan of our archives in every destination of `[backup] to`.
    fn default() -> PruneRequest {
        PruneRequest {
            destination: None,
            policy: None,
            max_remove: None,
            hosts: Hosts::Ours,
            inspect: InspectFirst::Needed,
            mode: PruneMode::Plan,
            limit: RemovalLimit::Held,
        }
    }
}

/// The archives to inspect before anything is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InspectFirst {
    /// The newest, and those that take the place of removed ones.
    Needed,
    /// All of them.
    All,
}

/// The choice between a plan and a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneMode {
    /// Nothing: the plan is shown.
    Plan,
    /// The archives of the plan are removed.
    Apply,
}

/// The choice to let a run remove more than `max_remove` or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovalLimit {
    /// It may not.
    Held,
    /// It may: the user agreed.
    Waived,
}

//! `backup`: the nightly job. One export to every destination, later delivery of what earlier runs did not deliver,
//! pruning, hooks around it, and a record of all that.
//!
//! ```text
//! lock -> before hooks -> export and proof -> after hooks -> catch up -> prune -> success, failure, finally hooks
//!      -> history -> notifications
//! ```
//!
//! A destination that fails stops no other. Only a destination that proved this run's archive is pruned.

mod begin;
mod catch_up;
mod follow;
mod foreign;
mod identity;
mod needed;
mod place;
mod plan;
mod report;
mod request;
mod run;
mod several;
mod tiers;
mod unchanged;

pub use self::{
    begin::{backup, later},
    place::{Place, records},
    plan::{BackupPlan, Comparison, PlannedDestination, plan},
    report::BackupReport,
    request::{BackupMode, BackupRequest, IfUnchanged, OldArchives},
    several::{ConfigRun, SeveralReport, backup_all},
};

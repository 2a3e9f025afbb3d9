//! `drill`: rehearsed restores. Archives are restored into a sandbox, one after the other, and the user's probe checks
//! each restored state.
//!
//! ```text
//! lock -> before hooks -> for each archive: restore into a sandbox, databases, probe, removal -> after hooks
//!      -> success, failure, finally hooks -> history -> notifications -> metrics
//! ```
//!
//! An archive or a destination that fails stops no other.

mod begin;
mod chosen;
mod probe;
mod report;
mod request;
mod run;
mod verdict;

pub use self::{
    begin::drill,
    report::DrillReport,
    request::{DrillRequest, SandboxFate, WhichArchives},
};

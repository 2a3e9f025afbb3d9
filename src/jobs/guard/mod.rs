//! Guarded work: the service is stopped for an import, started again, and asked for its health. If it is not healthy, the
//! state before comes back.
//!
//! ```text
//! rehearse -> stop -> import -> start -> health            good: the new state stays
//!                                          | not healthy
//!                                          v
//!                       stop -> roll back -> start -> health
//! ```
//!
//! Before each step the run notes what it is at ([`note`]). If it is killed, the import itself is ended by its journal,
//! and the next hookshot says whether the service is to be started (`reminder`).

mod guarded;
pub mod health;
pub mod holders;
pub mod note;
mod patience;
mod quiet;
mod reminder;
mod report;
pub mod service;

pub use self::{
    guarded::{GuardedWork, fault, guarded, plan},
    patience::{patiently, to_its_end},
    quiet::quiet,
    reminder::{imported, remind},
    report::{GuardOutcome, GuardedReport, PlacedState},
};

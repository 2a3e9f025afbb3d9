//! SQLite databases: the processes that have one open, a copy of one committed point while others write, and the check
//! of a copy.
//!
//! The original and its companions are only read: nothing here creates, changes, checkpoints or removes them, whatever
//! processes have them open, and however the service ended (see engine/reading.rs). Without the feature `sqlite`, a
//! database is still recognized, but opening it fails.
//!
//! Not for a database that this very process has open: SQLite's locks belong to a process. They are lost as soon as any
//! handle of that process on the file is closed (fcntl(2), "Advisory record locking").

mod companions;
mod context;
#[cfg_attr(not(feature = "sqlite"), path = "absent.rs")]
mod engine;
#[cfg_attr(
    not(feature = "sqlite"),
    expect(dead_code, reason = "the engine uses it")
)]
mod finding;
mod holders;
#[cfg_attr(
    not(feature = "sqlite"),
    expect(dead_code, reason = "the engine uses it")
)]
mod lock;
pub mod source;
pub mod verdict;

pub use self::{
    companions::companions,
    context::SqliteContext,
    engine::{active, judge, snapshot},
    holders::{holders, users},
};

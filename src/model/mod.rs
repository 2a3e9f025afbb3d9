//! Pure values and decisions: no clock, no environment, no file.

#[cfg(feature = "cli")]
pub mod archive_name;
#[cfg(feature = "cli")]
pub mod change_counts;
pub mod digest;
pub mod distinct;
pub mod engine;
pub mod entry_name;
pub mod limits;
pub mod manifest;
pub mod method;
pub mod named;
mod nesting;
#[cfg(feature = "cli")]
pub mod occasion;
pub mod pairs;
pub mod plan;
pub mod quantity;
pub mod relative;
#[cfg(feature = "cli")]
pub mod retention;
pub mod rules;
#[cfg(feature = "cli")]
pub mod run_record;
#[cfg(feature = "cli")]
pub mod schedule;
#[cfg(feature = "cli")]
pub mod state_digest;
pub mod tree;
#[cfg(feature = "cli")]
pub mod undelivered;
#[cfg(feature = "cli")]
pub mod user_command;
pub mod version;
#[cfg(feature = "cli")]
pub mod written;

//! redb databases: their header, their locks, and copies that are verified before use.

pub mod at_rest;
#[cfg(feature = "cli")]
mod failure;
pub mod header;
pub mod in_process;
pub mod judge;
pub mod live;
pub mod lock;
#[cfg(feature = "cli")]
pub mod options;
mod overlay;
pub mod pages;
pub mod pause;
pub mod reflink;
pub mod same;
#[cfg(feature = "cli")]
pub mod snapshot;
#[cfg(feature = "cli")]
pub mod source;
pub mod walk;

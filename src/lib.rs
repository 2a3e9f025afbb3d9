//! The whole state of a service in one file that you can trust.
//!
//! ```text
//! cli ----> ops ----> machine, catalog ----> config ----> source, store ----> archive, disk ----> work ----> model, error
//! ```
//!
//! docs/architecture.md has the invariants and why they hold. A service links to [`state`] and [`snapshot`].

#[cfg(feature = "cli")]
pub mod context;
pub mod error;
pub mod model;
pub mod work;

#[cfg(feature = "cli")]
pub mod archive;

pub mod disk;
pub mod source;
pub mod state;
#[cfg(feature = "cli")]
pub mod store;

#[cfg(feature = "cli")]
pub mod config;

#[cfg(feature = "cli")]
pub mod catalog;
#[cfg(feature = "cli")]
pub mod machine;

#[cfg(feature = "cli")]
pub mod ops;

#[cfg(feature = "cli")]
pub mod cli;

pub use source::redb::in_process::{DatabaseCopy, snapshot};

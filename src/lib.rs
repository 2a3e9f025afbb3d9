//! hookshot: the whole state of a service in one file that you can trust.
//!
//! ```text
//! cli ----> ops ----> machine, catalog ----> config ----> source, store ----> archive, disk ----> work ----> model, error
//! ```
//!
//! docs/architecture.md has the invariants and why they hold. A service links to [`state`] and [`snapshot`].

pub mod context;
pub mod error;
pub mod model;
pub mod work;

pub mod archive;

pub mod disk;
pub mod source;
pub mod state;
pub mod store;

pub mod config;

pub mod catalog;
pub mod machine;

pub mod ops;

pub mod cli;

pub use source::redb::in_process::{DatabaseCopy, snapshot};

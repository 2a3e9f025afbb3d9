//! hookshot: the whole state of a service in one file that you can trust.
//!
//! ```text
//! export   source::stage -> [Staged] -> archive::writer -> disk::publish -> archive::read (back)
//! import   archive::read (into Staging) -> Verified -> model::plan -> disk::transaction
//!
//!          cli ----> ops ----> source, store, disk ----> archive ----> model
//!        (talks)  (recipes)      (the outside)        (bytes)    (values, decisions)
//! ```
//!
//! docs/architecture.md has the invariants and why they hold. A service links to [`state`] and [`snapshot`].

pub mod error;
pub mod model;
mod panics;
pub mod session;

pub mod archive;

pub mod disk;
pub mod source;
pub mod state;
pub mod store;

pub mod config;
pub mod ops;

pub mod cli;

pub use source::redb::in_process::{DatabaseCopy, snapshot};

//! The whole state of a service in one file that you can trust.
//!
//! hookshot is a program and a library. The library has three parts:
//!
//! - [`snapshot`] copies the redb database of a service that links to it, from inside, while the service works.
//! - [`state`] is the schema of `state.redb`, for services that keep deployments as hookshot's own service does.
//! - `verbs` (feature `cli`, on by default) are export, import, verify, list, prune, copy and rollback: a request goes
//!   in, a report comes out.
//!
//! [`error`] has the kinds of failure of all of them. Everything else is for the program and its tests, and may change
//! in any release.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! let path = std::path::Path::new("orders.redb");
//! let database = redb::Database::create(path)?;
//! let copy = hookshot::snapshot(&database, path)?;
//! copy.save("copy.redb".as_ref())?;
//! # Ok(())
//! # }
//! ```
//!
//! docs/architecture.md has the invariants and why they hold:
//!
//! ```text
//! cli > serve > jobs > verbs > ops > machine, catalog > config > source, store > archive, crypt, disk > work > model, error
//! ```

pub mod error;
pub mod state;
#[cfg(feature = "cli")]
pub mod verbs;

pub use source::redb::in_process::{DatabaseCopy, snapshot};

// Not hidden from the program and its tests, which are crates of their own.
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod archive;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod catalog;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod config;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod context;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod crypt;
#[doc(hidden)]
pub mod disk;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod jobs;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod machine;
#[doc(hidden)]
pub mod model;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod ops;
#[cfg(feature = "serve")]
#[doc(hidden)]
pub mod serve;
#[doc(hidden)]
pub mod source;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod store;
#[doc(hidden)]
pub mod work;

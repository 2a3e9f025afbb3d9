//! The verbs: one recipe a file, each returns a report. Nothing here prints.

mod app_version;
pub mod archive_input;
pub mod catalog;
pub mod check;
mod companion;
mod contents;
pub mod context;
pub mod copy;
pub mod demo;
pub mod destination;
pub mod diff;
pub mod export;
pub mod extract;
mod form;
pub mod import;
pub mod init;
pub mod inspect;
pub mod keep;
mod kept;
pub mod list;
mod look;
mod places;
pub mod preflight;
pub mod prune;
pub mod recovery;
pub mod remark;
pub mod replace;
pub mod rollback;
mod secret;
pub mod shipment;
pub mod simulate;
mod staged;
mod stdout;
pub mod validate;
pub mod verify;

pub use context::Context;

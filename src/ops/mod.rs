//! The verbs: one recipe a file, each returns a report. Nothing here prints.

pub mod archive_input;
mod contents;
pub mod context;
pub mod demo;
pub mod diff;
pub mod entries;
pub mod export;
pub mod extract;
pub mod import;
pub mod init;
pub mod inspect;
pub mod preflight;
pub mod recovery;
pub mod replace;
pub mod rollback;
mod unpacked;
pub mod validate;
pub mod verify;

pub use context::Context;

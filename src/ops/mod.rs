//! The verbs: one recipe a file, each returns a report. Nothing here prints.

pub mod check;
pub mod convert;
pub mod copy;
pub mod copy_words;
pub mod delete;
pub mod demo;
#[cfg(feature = "serve")]
pub mod demo_shop;
pub mod diff;
pub mod drill;
mod entries;
pub mod export;
pub mod extract;
pub mod import;
pub mod init;
pub mod inspect;
pub mod keep;
pub mod key;
pub mod list;
pub mod packed;
pub mod patterns;
pub mod prune;
mod references;
pub mod rekey;
pub mod repo;
pub mod rollback;
pub mod shown;
pub mod simulate;
pub mod snapshots;
pub mod stats;
pub mod validate;
pub mod verify;
#[cfg(test)]
mod words_of_json;

//! Words for people and JSON for programs: one file for each verb's report, and what they share.

pub mod backup;
pub mod check;
pub mod completions;
pub mod copy;
pub mod diff;
pub mod events;
pub mod explain;
pub mod export;
pub mod extract;
pub mod failure;
pub mod import;
pub mod init;
pub mod inspect;
mod job_events;
pub mod keep;
mod links;
pub mod list;
pub mod manual;
pub mod notify;
pub mod printer;
pub mod prune;
mod roff;
pub mod simulate;
mod table;
pub mod validate;
pub mod verify;
pub mod version;

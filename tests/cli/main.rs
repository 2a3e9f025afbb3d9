//! The interface to people and scripts: words, exit codes, documents.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests may do what hookshot may not, and say what they leave out"
)]

mod backup;
mod cli;
mod coming_from;
mod completions;
mod delete;
mod diff;
mod docs;
mod drill;
mod embed;
mod enabled;
mod environment;
mod examples;
mod filters;
mod full_scratch;
mod import_when;
mod inert;
mod init;
mod jobs;
mod json;
mod labels;
mod list;
mod mail;
mod manual;
mod messages;
mod misread;
mod nightly;
mod notify;
mod notify_faults;
mod odd_bytes;
mod options;
mod patterns;
mod recordings;
mod refusals;
mod schedules;
mod sealed;
mod shown;
mod status;
mod terminal;
mod validate_deep;
mod variables;

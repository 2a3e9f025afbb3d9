//! Folders, object stores and SFTP servers: what is sent, listed, removed and proven there.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests may do what hookshot may not, and say what they leave out"
)]

mod at_once;
mod conformance;
mod copy;
mod credentials;
mod endless;
mod faults;
mod latest;
mod leftovers;
mod machines;
mod malformed;
mod names;
mod offsite;
mod once;
mod patience;
mod places;
mod processes;
mod prune;
mod quirks;
mod real_stores;
mod retention;
mod secrets;
mod sftp;
mod ssh;
mod test_servers;
mod tls;

//! Folders, object stores and SFTP servers: what is sent, listed, removed and proven there.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests may do what hookshot may not, and say what they leave out"
)]

mod append_only;
mod at_once;
mod conformance;
mod copy;
mod credentials;
mod destinations;
mod endless;
mod faults;
mod known_states;
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
mod repositories;
mod repository;
mod repository_cache;
mod repository_care;
mod repository_init;
mod repository_keys;
mod repository_requests;
mod repository_states;
mod retention;
mod secrets;
mod sftp;
mod ssh;
mod test_servers;
mod tls;

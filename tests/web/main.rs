//! The server of `hookshot serve`, attacked as strangers, browsers and programs do.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests may do what hookshot may not, and say what they leave out"
)]
#![cfg(feature = "serve")]

mod agent;
mod api_document;
mod browser;
mod client;
mod demo;
mod ending;
mod exposure;
mod hostile;
mod hosts;
mod inert;
mod kept;
mod login;
mod looks;
mod paths;
mod pictures;
mod policies;
mod restore;
mod rights;
mod runs;
mod schema;
mod sessions;
mod settings;
mod site;
mod slow;
mod soak;
mod stories;
mod truth;
mod units;
mod webdriver;

//! Imports, rollbacks and their dry runs on a machine.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests may do what hookshot may not, and say what they leave out"
)]

mod converted;
mod converted_restic;
mod deep;
mod gone;
mod guarded;
mod lifecycle;
mod listed;
mod own_config;
mod places;
mod protect;
mod rehearsal;
mod room;
mod running;
mod secrets_fit;
mod undo;
mod unpacked;
mod usable;
mod versions;
mod volumes;
mod way_back;
mod wrecks;

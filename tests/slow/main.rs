//! Slow tests: kills at each system call, torture, live databases, full disks, many files, real applications.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests may do what hookshot may not, and say what they leave out"
)]

mod applications;
mod apps;
mod bulk;
mod crash;
mod live;
mod sqlite;
mod system;
mod torture;

//! Slow tests: kills at each system call, torture, live databases, full disks, many files, real applications.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests may do what hookshot may not, and say what they leave out"
)]

#[path = "../support/bounds.rs"]
mod bounds;
#[path = "../support/invariant.rs"]
mod invariant;
#[allow(dead_code, reason = "each test program uses its part")]
#[path = "../support/servers/program.rs"]
mod program;
#[path = "../support/service.rs"]
mod service;
#[path = "../support/sqlite_invariant.rs"]
mod sqlite_invariant;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/trees.rs"]
mod trees;

mod applications;
mod apps;
mod bulk;
mod crash;
mod live;
mod sqlite;
mod system;
mod torture;

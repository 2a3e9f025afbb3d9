//! Helpers of the test programs: machines, archives made by hand, servers, and bounds on what a run may take.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests may do what hookshot may not, and say what they leave out"
)]

pub mod bounds;
pub mod clock;
pub mod counting;
pub mod deflate;
pub mod directories;
pub mod forge;
pub mod holders;
pub mod invariant;
pub mod listed;
pub mod machine;
pub mod mounts;
pub mod postgres;
pub mod programs;
pub mod restic;
pub mod servers;
pub mod service;
pub mod signals;
pub mod sqlite_invariant;
pub mod trees;
pub mod upgraded;
pub mod vaults;

use std::{env, path::PathBuf};

pub use holders::{Holder, run_holder};
pub use machine::{Content, Machine, Run, SECRET, Targets, Tree, archives_in, finish, tree};
pub use mounts::{Mounted, is_root};

/// Returns the folder that Cargo builds into, `target/debug` unless told otherwise: test programs and examples lie one
/// folder below it.
fn built() -> PathBuf {
    let test = env::current_exe().expect("a program");
    let folder = test.ancestors().nth(2).expect("a folder of its own");
    folder.to_owned()
}

/// Returns the path of the program under test.
pub fn program() -> PathBuf {
    built().join("hookshot")
}

/// Returns the path of a program that stands beside it for the tests.
pub fn example(name: &str) -> PathBuf {
    built().join("examples").join(name)
}

/// Returns the folder of the servers that `tests/run` installs.
fn tools() -> PathBuf {
    built().with_file_name("tools").join("bin")
}

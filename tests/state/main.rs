//! The sources of an export, of every kind, as real machines have them.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests may do what hookshot may not, and say what they leave out"
)]

#[path = "../support/bounds.rs"]
mod bounds;
#[path = "../support/forge.rs"]
mod forge;
#[path = "../support/invariant.rs"]
mod invariant;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/servers/mod.rs"]
mod servers;
#[path = "../support/service.rs"]
mod service;
#[path = "../support/sqlite_invariant.rs"]
mod sqlite_invariant;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/trees.rs"]
mod trees;

mod attributes;
mod commands;
mod databases;
mod expected;
mod folders_of_databases;
mod globs;
mod links;
mod movement;
mod prepare;
mod redb;
mod same_rows;
mod sources;
mod sqlite_truth;
mod tree;
mod unseen;
mod went_empty;

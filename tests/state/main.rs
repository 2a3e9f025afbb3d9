//! The sources of an export, of every kind, as real machines have them.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests may do what hookshot may not, and say what they leave out"
)]

mod attributes;
mod commands;
mod databases;
mod deep_folders;
mod expected;
mod folders_of_databases;
mod globs;
mod links;
mod listed_parts;
mod many_files;
mod movement;
mod page_exact;
mod prepare;
mod redb;
mod same_rows;
mod sources;
mod sqlite_truth;
mod tree;
mod unseen;
mod went_empty;

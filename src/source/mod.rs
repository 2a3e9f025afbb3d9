//! The sources of state: files, directories, the output of commands, and databases that need consistent copies.

#[cfg(feature = "cli")]
pub mod command;
#[cfg(feature = "cli")]
pub mod files;
#[cfg(feature = "cli")]
pub mod leftover;
pub mod redb;
#[cfg(feature = "cli")]
pub mod service;
#[cfg(feature = "cli")]
pub mod sqlite;
#[cfg(feature = "cli")]
pub mod tree;

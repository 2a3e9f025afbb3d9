//! Where state comes from: files, directories, what commands print, and databases that have to be copied with care.

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

//! Where state comes from: files, directories, what commands print, and databases that have to be copied with care.

pub mod command;
pub mod files;
pub mod leftover;
pub mod redb;
pub mod service;
pub mod sqlite;
pub mod tree;

//! Where state comes from: files, and databases that have to be copied with care.

pub mod files;
pub mod redb;
pub mod tree;

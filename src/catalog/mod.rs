//! Sets of archives: the words that name them, the destinations that hold them, and the uploads to these.
//!
//! ```text
//! target (a word) -> destination -> repository (the trait) <- tar_store (archives as objects of a store)
//!                                       ^
//!                  newest, filter, input, output, shipment
//! ```

pub mod archive_file;
mod cache_folder;
pub mod configured;
pub mod counted;
pub mod dates;
pub mod destination;
pub mod each;
pub mod filter;
pub mod folder_tree;
pub mod health;
pub mod input;
pub mod keys;
pub mod known;
mod listed_links;
pub mod measured;
pub mod newest;
pub mod notes;
pub mod opening;
pub mod outgoing;
pub mod output;
pub mod outside;
pub mod patient;
mod pipe;
pub mod record_folders;
pub mod repository;
#[cfg(feature = "restic")]
pub mod restic_store;
pub mod sending;
pub mod shipment;
pub mod snapshots;
pub mod tar_store;
pub mod target;
pub mod vault;

//! Durable files, private staging, locks, and the transaction that replaces several files as one.
//!
//! The only layer that changes a file that lasts.
#![expect(
    clippy::disallowed_methods,
    reason = "this layer owns renames, links, removals and writes"
)]

pub mod aside;
pub mod below;
pub mod copies;
pub mod holder;
pub mod life;
pub mod line_file;
pub mod lock;
pub mod mounts;
mod new_folders;
pub mod overlay;
pub mod owed;
mod paths;
pub mod publish;
pub mod range_lock;
pub mod removal;
pub mod sandbox;
pub mod staging;
pub mod survey;
pub mod syncing;
pub mod transaction;
pub mod tree;
pub mod volume;
mod written_path;

use self::paths::{rename_to_nothing, sync_folders};
pub use self::{
    new_folders::{NewFolders, NewItem, create_folders, create_readable_folders},
    paths::{
        dangling, exists, folder_of, in_real_folder, open_regular, real, remove_file, sync_folder,
    },
};

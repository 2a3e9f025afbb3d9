//! The work of SQLite itself: the only module that knows rusqlite.

pub mod active;
mod connection;
mod duplicate;
mod examine;
mod failure;
mod foreign;
mod header;
pub mod judge;
mod pragma;
mod reading;
pub mod snapshot;
mod unused;
mod work;

use super::{SqliteContext, companions, finding, holders, lock, verdict};

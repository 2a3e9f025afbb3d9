//! The request to read a database.

use std::{path::Path, time::Duration};

use crate::work::Advance;

/// The caller's parts in reading a database.
pub struct SqliteContext<'a> {
    /// Called several times a second, also while another process keeps the database locked.
    pub step: &'a Advance<'a>,
    /// The folder for private copies. A live database in rollback mode, and one with leftovers of a crash, is copied
    /// twice.
    pub scratch: &'a Path,
    /// The time to wait for a database that another process keeps locked.
    pub patience: Duration,
}

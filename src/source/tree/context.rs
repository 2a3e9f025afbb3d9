//! The request to read a directory.

use std::{path::Path, time::Duration};

use super::database::DatabaseHandling;
use crate::work::{Advance, Threads, events::Events};

/// The caller's parts in staging a directory.
pub struct TreeContext<'a> {
    /// A callback that is told how many bytes were read, and may end the work with an error.
    pub step: &'a Advance<'a>,
    /// The receiver of progress by files.
    pub events: &'a Events,
    /// The folder for the copies, which get no name in it.
    pub scratch: &'a Path,
    /// The number of reading threads.
    pub threads: Threads,
    /// The time for which a file must be untouched to be read in place; [`QUIET`] by default.
    pub quiet: Duration,
    /// The most files, and the most folders and links, of a directory that has no listing.
    pub unlisted_files: u64,
    /// The treatment of databases.
    pub databases: DatabaseHandling<'a>,
}

/// The usual quiet time: file systems round times by up to two seconds, and a process that writes a file soon writes it
/// again.
pub const QUIET: Duration = Duration::from_secs(3);

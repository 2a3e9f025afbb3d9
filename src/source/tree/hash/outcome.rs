//! The items that go to the threads, and what becomes of each.

use std::{io, sync::mpsc};

use crate::{
    model::tree::Modified,
    source::tree::{Spooled, database::Found, folders::FoundFile, hashed::Hashed, seen::Seen},
};

/// The outcome of reading a file.
pub enum Outcome {
    /// It was read as a whole; the result is valid as long as the file stays the inspected one.
    Hashed(HashedLine),
    /// The copy of it shows one moment.
    Copied(Hashed, Spooled),
    /// It changed during each copy.
    Torn(Hashed, Spooled),
    /// It begins like a database; it was not read further.
    Database(Found),
    /// It was touched a moment ago, or changed while it was read.
    Unsettled,
    /// It has vanished.
    Gone,
    /// It is not a regular file any more.
    Special(&'static str),
    /// It cannot be read.
    Failed(io::Error),
}

/// A hashed file as a line of a listing.
pub struct HashedLine {
    /// The file when reading began.
    pub seen: Seen,
    /// The bytes of the content.
    pub size: u64,
    /// The line.
    pub text: Vec<u8>,
}

/// Files that were changed lately, and may be changed again.
#[derive(Debug, Clone, Copy)]
pub struct Recent {
    /// Files that were touched after this moment.
    pub files: Modified,
    /// Files in folders in which names came or went after this moment: they may vanish as well before they are packed.
    pub folders: Option<Modified>,
}

/// An item on its way.
pub(super) enum Item {
    /// Findings that are ready.
    Ready(Vec<u8>),
    /// A file to be hashed.
    File(FoundFile),
}

/// An item at its end.
pub enum Done {
    /// Findings, framed.
    Ready(Vec<u8>),
    /// A file, and the outcome of reading it.
    File(FoundFile, Box<Outcome>),
}

/// A batch of items, and where its results go.
pub(super) type Job = (Vec<Item>, mpsc::SyncSender<Vec<Done>>);

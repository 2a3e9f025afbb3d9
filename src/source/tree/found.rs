//! The findings in a directory: one for each path, in the order of a listing, as bytes for a
//! [`Tape`](super::tape::Tape).

use anyhow::{Context as _, Result};

use super::seen::Seen;
use crate::model::tree::Modified;

const FILE: u8 = 1;
const FOLDER: u8 = 2;
const LINK: u8 = 3;
const MISSED: u8 = 4;
const SPECIAL: u8 = 5;
const OWN: u8 = 6;
const FAULT: u8 = 7;

/// Marks of a file, as bits.
pub mod marks {
    /// It lost its name since it was read.
    pub const HOMELESS: u8 = 1;
    /// It was read when folders were listed again.
    pub const FRESH: u8 = 2;
    /// Its name is that of something else meanwhile.
    pub const TAKEN: u8 = 4;
    /// It begins like a database.
    pub const DATABASE: u8 = 8;
    /// It changed during each copy.
    pub const TORN: u8 = 16;
    /// It is a database without a consistent copy.
    pub const UNPROVEN: u8 = 32;
}

/// The finding at one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding<'a> {
    /// The path below the top; empty for the top itself.
    pub path: &'a [u8],
    /// Its kind.
    pub node: FoundNode<'a>,
}

/// A finding by its kind. A text is the line of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundNode<'a> {
    /// A file that was read.
    File(ReadFile<'a>),
    /// A folder: its state, and what was seen of it right before its names were read.
    Folder(FolderState, Seen, &'a [u8]),
    /// A symbolic link.
    Link(&'a [u8]),
    /// A file that was gone when it was to be read: its inode, the round, and a moment at which it was there.
    Missed((u64, u64), u32, Modified),
    /// A socket, a fifo, a device.
    Special(&'a str),
    /// A file of hookshot's own.
    Own,
    /// Something that cannot be inspected, with the reason.
    Fault(&'a str),
}

/// The state of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderState {
    /// It is a part of the directory.
    Found,
    /// It is one if something in it is.
    Searched,
    /// It is gone, and a part only if a copied file in it is.
    Gone,
}

/// A file that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadFile<'a> {
    /// The file when it was read.
    pub seen: Seen,
    /// The place of its content.
    pub place: Place,
    /// The bytes of the content.
    pub size: u64,
    /// The [`marks`].
    pub marks: u8,
    /// The round in which it lost its name.
    pub since: u32,
    /// The line of the listing.
    pub text: &'a [u8],
}

impl ReadFile<'_> {
    /// Returns true if it has the mark.
    pub fn is(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }
}

/// The place of the content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the file itself.
    Reopened,
    /// In the file with the copies, from this byte on.
    Spooled(u64),
    /// In the copy of this number, which is a file of its own.
    Kept(u64),
}

/// The kinds of finding that are counted while they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingCount {
    /// A file that lost its name, a missed one, or one that was read when folders were listed again.
    Suspect,
    /// Something that cannot be inspected.
    Fault,
    /// Anything else.
    Other,
}

/// Returns the kind in which a finding as bytes is counted.
pub fn counted(bytes: &[u8]) -> FindingCount {
    match bytes {
        [MISSED, ..] => FindingCount::Suspect,
        [FILE, marks, ..] if marks & (marks::HOMELESS | marks::FRESH) != 0 => FindingCount::Suspect,
        [FAULT, ..] => FindingCount::Fault,
        _ => FindingCount::Other,
    }
}

impl<'a> Finding<'a> {
    /// Returns it as bytes.
    pub fn to_bytes(self) -> Vec<u8> {
        let (tag, mark) = match &self.node {
            FoundNode::File(file) => (FILE, file.marks),
            FoundNode::Folder(state, ..) => (FOLDER, *state as u8),
            FoundNode::Link(_) => (LINK, 0),
            FoundNode::Missed(..) => (MISSED, 0),
            FoundNode::Special(_) => (SPECIAL, 0),
            FoundNode::Own => (OWN, 0),
            FoundNode::Fault(_) => (FAULT, 0),
        };
        let mut bytes = vec![tag, mark];
        // Paths have at most 4095 bytes, or some more if they are faults for that.
        bytes.extend_from_slice(&(self.path.len() as u32).to_le_bytes());
        bytes.extend_from_slice(self.path);
        let mut seen_bytes = [0; Seen::BYTES];
        match &self.node {
            FoundNode::File(file) => {
                file.seen.store(&mut seen_bytes);
                bytes.extend_from_slice(&seen_bytes);
                let (kind, number) = match file.place {
                    Place::Reopened => (0, 0),
                    Place::Spooled(start) => (1, start),
                    Place::Kept(number) => (2, number),
                };
                bytes.push(kind);
                bytes.extend_from_slice(&number.to_le_bytes());
                bytes.extend_from_slice(&file.size.to_le_bytes());
                bytes.extend_from_slice(&file.since.to_le_bytes());
                bytes.extend_from_slice(file.text);
            }
            FoundNode::Folder(_, seen, text) => {
                seen.store(&mut seen_bytes);
                bytes.extend_from_slice(&seen_bytes);
                bytes.extend_from_slice(text);
            }
            FoundNode::Link(text) => bytes.extend_from_slice(text),
            FoundNode::Missed(inode, since, existed) => {
                bytes.extend_from_slice(&inode.0.to_le_bytes());
                bytes.extend_from_slice(&inode.1.to_le_bytes());
                bytes.extend_from_slice(&since.to_le_bytes());
                bytes.extend_from_slice(&existed.seconds.to_le_bytes());
                bytes.extend_from_slice(&existed.nanoseconds.to_le_bytes());
            }
            FoundNode::Special(text) | FoundNode::Fault(text) => {
                bytes.extend_from_slice(text.as_bytes());
            }
            FoundNode::Own => {}
        }
        bytes
    }

    /// Reads what [`Finding::to_bytes`] wrote.
    pub fn of_bytes(bytes: &'a [u8]) -> Result<Finding<'a>> {
        Finding::read(bytes)
            .context("the records of a directory in the temporary folder have changed")
    }

    fn read(bytes: &'a [u8]) -> Option<Finding<'a>> {
        let (tag, rest) = bytes.split_first()?;
        let (mark, rest) = rest.split_first()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (path, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let node = match *tag {
            FILE => {
                let (seen, rest) = rest.split_at_checked(Seen::BYTES)?;
                let (kind, rest) = rest.split_first()?;
                let (number, rest) = rest.split_first_chunk()?;
                let (size, rest) = rest.split_first_chunk()?;
                let (since, text) = rest.split_first_chunk()?;
                let number = u64::from_le_bytes(*number);
                FoundNode::File(ReadFile {
                    seen: Seen::load(seen),
                    place: match kind {
                        0 => Place::Reopened,
                        1 => Place::Spooled(number),
                        _ => Place::Kept(number),
                    },
                    size: u64::from_le_bytes(*size),
                    marks: *mark,
                    since: u32::from_le_bytes(*since),
                    text,
                })
            }
            FOLDER => {
                let (seen, text) = rest.split_at_checked(Seen::BYTES)?;
                let state = match mark {
                    0 => FolderState::Found,
                    1 => FolderState::Searched,
                    _ => FolderState::Gone,
                };
                FoundNode::Folder(state, Seen::load(seen), text)
            }
            LINK => FoundNode::Link(rest),
            MISSED => {
                let (device, rest) = rest.split_first_chunk()?;
                let (number, rest) = rest.split_first_chunk()?;
                let (since, rest) = rest.split_first_chunk()?;
                let (seconds, rest) = rest.split_first_chunk()?;
                let (nanoseconds, _) = rest.split_first_chunk()?;
                let inode = (u64::from_le_bytes(*device), u64::from_le_bytes(*number));
                let existed = Modified {
                    seconds: i64::from_le_bytes(*seconds),
                    nanoseconds: u32::from_le_bytes(*nanoseconds),
                };
                FoundNode::Missed(inode, u32::from_le_bytes(*since), existed)
            }
            SPECIAL => FoundNode::Special(std::str::from_utf8(rest).ok()?),
            OWN => FoundNode::Own,
            FAULT => FoundNode::Fault(std::str::from_utf8(rest).ok()?),
            _ => return None,
        };
        Some(Finding { path, node })
    }
}

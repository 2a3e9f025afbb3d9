//! The numbers and times of a file, to tell it from another.

use crate::{disk::tree::beneath::Look, model::tree::Modified};

/// The numbers and times that distinguish a file, and its content, from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The file system, and the file's number in it.
    pub inode: (u64, u64),
    /// Bytes.
    pub size: u64,
    /// The time of the last change of its content.
    pub mtime: Modified,
    /// The time of the last change of anything about it.
    pub ctime: Modified,
    names: u64,
}

impl Seen {
    /// The bytes that [`Seen::store`] writes.
    pub const BYTES: usize = 7 * 8;

    /// Writes it to `bytes`, which are [`Seen::BYTES`].
    pub fn store(&self, bytes: &mut [u8]) {
        let nanoseconds =
            u64::from(self.mtime.nanoseconds) << 32 | u64::from(self.ctime.nanoseconds);
        let numbers = [
            self.inode.0,
            self.inode.1,
            self.size,
            self.mtime.seconds as u64,
            self.ctime.seconds as u64,
            nanoseconds,
            self.names,
        ];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
    }

    /// Reads what [`Seen::store`] wrote.
    pub fn load(bytes: &[u8]) -> Seen {
        let mut numbers = bytes.chunks_exact(8).map(|place| {
            let mut number = [0; 8];
            number.copy_from_slice(place);
            u64::from_le_bytes(number)
        });
        let mut next = || numbers.next().unwrap_or(0);
        let (inode, size) = ((next(), next()), next());
        let (mtime, ctime) = (next() as i64, next() as i64);
        let (nanoseconds, names) = (next(), next());
        let time = |seconds, nanoseconds| Modified {
            seconds,
            nanoseconds,
        };
        Seen {
            inode,
            size,
            mtime: time(mtime, (nanoseconds >> 32) as u32),
            ctime: time(ctime, nanoseconds as u32),
            names,
        }
    }

    /// Returns the numbers and times of `look`.
    pub fn of(look: &Look) -> Seen {
        Seen {
            inode: look.inode,
            size: look.size,
            mtime: look.mtime,
            ctime: look.ctime,
            names: look.names,
        }
    }

    /// Returns true if `after` shows the same file with the same content, as far as its size and its time tell: it may
    /// have another name, or another mode.
    pub fn is_content_of(&self, after: &Look) -> bool {
        (self.inode, self.size, self.mtime) == (after.inode, after.size, after.mtime)
    }

    /// Returns true if nothing about the file changed except the number of its names.
    pub fn is_unchanged(&self, after: &Look) -> bool {
        self.is_content_of(after) && (self.ctime == after.ctime || self.names != after.names)
    }
}

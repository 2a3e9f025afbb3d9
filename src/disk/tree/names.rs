//! The names of one folder, in order, in bounded memory.
//!
//! The names that come first are kept while the folder is read, as many as fit; when they were given, the folder is
//! read again for the next ones. So a folder of any size needs no file for sorting, and names that are not needed for a
//! while can be let go. A folder that changes between two readings shows that by its times, as one that changes during
//! a single one does.

use std::{io, os::fd::BorrowedFd};

use rustix::{
    fs::{self as sys, FileType, RawDir, SeekFrom},
    io::Errno,
};

use super::beneath::{Look, NodeKind};
use crate::model::tree::Modified;

/// The most bytes of names that a walk keeps of one folder.
pub const HELD_BYTES: usize = 16 << 20;
/// The bytes that it may keep of any folder, whatever it keeps of those above.
const LEAST_BYTES: usize = 2 << 20;
/// The most bytes that it keeps of all of them.
const MOST_BYTES: usize = HELD_BYTES + HELD_BYTES / 2;
/// The buffer for getdents64(2).
const READ_BYTES: usize = 32 << 10;
/// The bytes before a name: kind, inode number, length.
const HEAD_BYTES: usize = 1 + 8 + 2;

/// The names of one folder, in order.
#[derive(Debug)]
pub struct FolderNames {
    /// Kind, number, length and bytes of each name that is kept.
    bytes: Vec<u8>,
    /// The places of the names in `bytes`, in order.
    order: Vec<u32>,
    /// The number of names in `order` that were given.
    given: usize,
    /// The last name that is not kept any more: the next reading is for those after it.
    after: Vec<u8>,
    /// True if no name comes after those that are kept.
    is_rest: bool,
    /// The time of the last change of the folder, right after it was read.
    changed: Modified,
    most_bytes: usize,
}

/// A name in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// The kind of thing that it leads to, if the folder itself tells.
    pub what: Option<NodeKind>,
    /// The inode number.
    pub inode: u64,
    /// The moment of the last change of the folder after it was read, by the clock of its file system: what the name
    /// led to was not made later. If the folder changed while it was read, the name may have gone before.
    pub existed: Modified,
}

/// Returns the bytes of names that a walk may keep of the next folder, beside those of the folders above it. These are
/// let go only if they are several of many names: each would have to be read again for what comes after the next
/// folder.
pub fn make_room<'n>(above: impl Iterator<Item = &'n mut FolderNames>) -> usize {
    let above: Vec<_> = above.collect();
    let held: usize = above.iter().map(|names| names.held_bytes()).sum();
    if held > MOST_BYTES {
        above.into_iter().for_each(FolderNames::let_go);
        return HELD_BYTES;
    }
    HELD_BYTES.saturating_sub(held).max(LEAST_BYTES)
}

impl FolderNames {
    /// Reads the open `folder`; keeps at most `most_bytes` of its names at a time.
    pub fn read(folder: BorrowedFd<'_>, most_bytes: usize) -> io::Result<FolderNames> {
        let mut names = FolderNames {
            most_bytes,
            ..FolderNames::none()
        };
        names.read_on(folder)?;
        Ok(names)
    }

    /// Returns the names of a folder that has none.
    pub fn none() -> FolderNames {
        FolderNames {
            bytes: Vec::new(),
            order: Vec::new(),
            given: 0,
            after: Vec::new(),
            is_rest: true,
            changed: Modified::default(),
            most_bytes: 0,
        }
    }

    /// Returns the bytes that are kept.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity() + 4 * self.order.capacity()
    }

    /// Lets go of the names that are kept, unless they are few.
    pub fn let_go(&mut self) {
        if self.held_bytes() > READ_BYTES {
            self.remember();
            self.is_rest &= self.given >= self.order.len();
            (self.bytes, self.order, self.given) = (Vec::new(), Vec::new(), 0);
        }
    }

    /// Returns the next name, and keeps it the next one; `None` if there is none, or [`FolderNames::read_on`] is
    /// needed.
    pub fn peek(&self) -> Option<Name<'_>> {
        self.order.get(self.given).map(|at| self.name(*at))
    }

    /// Goes to the name after the next one.
    pub fn skip(&mut self) {
        self.given += 1;
    }

    /// Returns true if the folder must be read again to know the next name.
    pub fn is_short(&self) -> bool {
        self.given >= self.order.len() && !self.is_rest
    }

    /// Reads the open `folder` for the names after those that were given.
    pub fn read_on(&mut self, folder: BorrowedFd<'_>) -> io::Result<()> {
        self.remember();
        self.bytes.clear();
        self.order.clear();
        self.given = 0;
        self.is_rest = false;
        let mut is_rest = true;
        // The first name that is left to the next reading.
        let mut bound: Option<Vec<u8>> = None;
        each_entry(folder, &mut |name, what, inode| {
            let is_given = !self.after.is_empty() && name <= self.after.as_slice();
            let is_later = |bound: &Option<Vec<u8>>| {
                bound.as_ref().is_some_and(|bound| name >= bound.as_slice())
            };
            if is_given || is_later(&bound) {
                return true;
            }
            let is_full = self.bytes.len() + HEAD_BYTES + name.len() > self.most_bytes;
            if is_full && self.order.len() > 1 {
                bound = Some(self.halve());
                is_rest = false;
                if is_later(&bound) {
                    return true;
                }
            }
            self.keep(name, what, inode);
            true
        })?;
        self.sort();
        // Vectors grow by doubling, and what they hold is counted.
        self.bytes.shrink_to_fit();
        self.order.shrink_to_fit();
        self.is_rest = is_rest;
        self.changed = Look::of(folder)?.ctime;
        Ok(())
    }

    fn keep(&mut self, name: &[u8], what: FileType, inode: u64) {
        // Names are far fewer than 4 GiB, and none is longer than 255 bytes.
        self.order.push(self.bytes.len() as u32);
        self.bytes.push(number_of(what));
        self.bytes.extend_from_slice(&inode.to_le_bytes());
        self.bytes
            .extend_from_slice(&(name.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(name);
    }

    fn name(&self, at: u32) -> Name<'_> {
        let (kind, rest) = self.bytes[at as usize..].split_at(1);
        let (inode, rest) = rest.split_at(8);
        let (length, rest) = rest.split_at(2);
        let length = u16::from_le_bytes([length[0], length[1]]);
        Name {
            bytes: &rest[..usize::from(length)],
            what: kind_of(kind[0]),
            inode: inode
                .iter()
                .rev()
                .fold(0, |inode, byte| inode << 8 | u64::from(*byte)),
            existed: self.changed,
        }
    }

    fn sort(&mut self) {
        let mut order = std::mem::take(&mut self.order);
        order.sort_unstable_by(|one, other| self.name(*one).bytes.cmp(self.name(*other).bytes));
        // A folder that changes while it is read may show a name twice (readdir(3)).
        order.dedup_by(|one, other| self.name(*one).bytes == self.name(*other).bytes);
        self.order = order;
    }

    /// Lets the later half of the names go, and returns the first of them.
    fn halve(&mut self) -> Vec<u8> {
        self.sort();
        let half = self.order.split_off((self.order.len() / 2).max(1));
        let Some(first) = half.first() else {
            // All names were one.
            return [self.name(self.order[0]).bytes, b"\0"].concat();
        };
        let first = self.name(*first).bytes.to_vec();
        // They move to the front, the first ones first, and stay out of order until the next sort.
        self.order.sort_unstable();
        let mut end = 0;
        for at in &mut self.order {
            let start = *at as usize;
            let length = u16::from_le_bytes([self.bytes[start + 9], self.bytes[start + 10]]);
            let next = start + HEAD_BYTES + usize::from(length);
            self.bytes.copy_within(start..next, end);
            *at = end as u32;
            end += next - start;
        }
        self.bytes.truncate(end);
        first
    }

    /// Stores the last name that was given.
    fn remember(&mut self) {
        let last = self.given.min(self.order.len()).checked_sub(1);
        if let Some(last) = last {
            self.after = self.name(self.order[last]).bytes.to_vec();
        }
    }
}

/// Tells `visit` of the names in the open `folder`, in the order in which it has them, until it returns false.
pub fn each_name(
    folder: BorrowedFd<'_>,
    visit: &mut dyn FnMut(Name<'_>) -> bool,
) -> io::Result<()> {
    each_entry(folder, &mut |bytes, what, inode| {
        visit(Name {
            bytes,
            what: kind_of(number_of(what)),
            inode,
            // It is there right now, which no caller compares.
            existed: Modified::LATEST,
        })
    })
}

/// Tells `visit` of each name in the open `folder` with its kind and its inode number, until it returns false.
fn each_entry(
    folder: BorrowedFd<'_>,
    visit: &mut dyn FnMut(&[u8], FileType, u64) -> bool,
) -> io::Result<()> {
    sys::seek(folder, SeekFrom::Start(0))?;
    let mut buffer = Vec::with_capacity(READ_BYTES);
    let mut entries = RawDir::new(folder, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = match entry {
            // The folder is gone.
            Err(Errno::NOENT) => break,
            entry => entry?,
        };
        let name = entry.file_name().to_bytes();
        let is_own = matches!(name, b"." | b"..");
        if !is_own && !visit(name, entry.file_type(), entry.ino()) {
            break;
        }
    }
    Ok(())
}

fn number_of(what: FileType) -> u8 {
    match what {
        FileType::Unknown => 0,
        FileType::Directory => 1,
        FileType::RegularFile => 2,
        FileType::Symlink => 3,
        FileType::Socket => 4,
        FileType::Fifo => 5,
        FileType::CharacterDevice | FileType::BlockDevice => 6,
    }
}

/// Returns the kind of a number; `None` if the folder did not tell, which not every file system does (readdir(3)).
fn kind_of(number: u8) -> Option<NodeKind> {
    let what = match number {
        1 => FileType::Directory,
        2 => FileType::RegularFile,
        3 => FileType::Symlink,
        4 => FileType::Socket,
        5 => FileType::Fifo,
        6 => FileType::BlockDevice,
        _ => return None,
    };
    Some(NodeKind::from(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{collections::BTreeSet, fs::File, os::fd::AsFd as _};

    /// Returns all names of a folder of which `most_bytes` are kept, and the number of readings.
    fn all(folder: &File, most_bytes: usize, let_go_each: usize) -> (Vec<String>, usize) {
        let mut names = FolderNames::read(folder.as_fd(), most_bytes).expect("read");
        let (mut found, mut readings) = (Vec::new(), 1);
        loop {
            if names.is_short() {
                names.read_on(folder.as_fd()).expect("read");
                readings += 1;
            }
            let Some(name) = names.peek() else {
                return (found, readings);
            };
            assert_eq!(name.what, Some(NodeKind::File));
            found.push(String::from_utf8(name.bytes.to_vec()).expect("UTF-8"));
            names.skip();
            assert!(names.bytes.len() <= most_bytes.max(300));
            if found.len().is_multiple_of(let_go_each) {
                names.let_go();
            }
        }
    }

    #[test]
    fn a_folder_of_many_names_is_given_in_order_from_bounded_memory() {
        let folder = tempfile::tempdir().expect("a folder");
        let count = 5_000;
        for number in 0..count {
            let name = format!("{:x}", number * 7919 % count);
            File::create(folder.path().join(name)).expect("made");
        }
        let mut expected: Vec<String> = (0..count).map(|number| format!("{number:x}")).collect();
        expected.sort();
        let open = File::open(folder.path()).expect("open");
        for (most_bytes, let_go_each) in [(32 << 10, 1700), (HELD_BYTES, usize::MAX)] {
            let (found, readings) = all(&open, most_bytes, let_go_each);
            assert!(found == expected, "{most_bytes}");
            assert!(readings < 12, "{readings}");
        }
    }

    fn numbered(count: usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for number in 0..count {
            File::create(folder.path().join(format!("{number:05}"))).expect("made");
        }
        folder
    }

    #[test]
    fn names_that_are_let_go_take_no_memory_and_come_again_unless_all_were_given() {
        let folder = numbered(9_000);
        let open = File::open(folder.path()).expect("open");
        let mut names = FolderNames::read(open.as_fd(), HELD_BYTES).expect("read");
        let needed = 9_000 * (HEAD_BYTES + 5 + 4);
        assert!(
            names.held_bytes() < needed + needed / 8,
            "{}",
            names.held_bytes()
        );
        for _ in 0..4_000 {
            names.skip();
        }
        names.let_go();
        assert!(names.held_bytes() == 0 && names.is_short());
        names.read_on(open.as_fd()).expect("read");
        assert_eq!(names.peek().expect("there").bytes, b"04000");
        for _ in 0..5_000 {
            names.skip();
        }
        names.let_go();
        assert!(names.held_bytes() == 0 && !names.is_short());
        assert_eq!(names.peek(), None);
    }

    #[test]
    fn an_error_in_the_middle_of_a_folder_is_not_its_end() {
        let folder = numbered(500);
        let open = File::open(folder.path()).expect("open");
        let no_folder = File::open(folder.path().join("00000")).expect("open");
        let mut names = FolderNames::read(open.as_fd(), 1_000).expect("read");
        let mut count = 0;
        loop {
            if names.is_short() {
                names.read_on(no_folder.as_fd()).expect_err("no folder");
                assert!(names.is_short() && names.peek().is_none());
                names.read_on(open.as_fd()).expect("read");
            }
            let Some(name) = names.peek() else {
                break;
            };
            assert_eq!(name.bytes, format!("{count:05}").as_bytes());
            names.skip();
            count += 1;
        }
        assert_eq!(count, 500);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
        #[test]
        fn every_name_comes_once_and_in_order(
            expected in proptest::collection::btree_set("[a-c]{1,6}", 0..60),
            most_bytes in 0usize..300,
            let_go_each in 1usize..9,
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            for name in &expected {
                File::create(folder.path().join(name)).expect("made");
            }
            let open = File::open(folder.path()).expect("open");
            let (found, _) = all(&open, most_bytes, let_go_each);
            let sorted: BTreeSet<String> = found.iter().cloned().collect();
            prop_assert_eq!(found.len(), sorted.len());
            prop_assert_eq!(sorted.iter().collect::<Vec<_>>(), found.iter().collect::<Vec<_>>());
            prop_assert_eq!(sorted, expected);
        }
    }
}

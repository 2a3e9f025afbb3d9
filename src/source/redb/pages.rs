//! The pages of a redb file, as far as a walk along checksums needs them: its place, the bytes that its checksum
//! covers, and the pages that it points to. Pure, and safe on any bytes.
//!
//! Layout: redb 4.6, `tree_store/btree_base.rs` and docs/design.md, "B-tree": byte 0 the kind (1 leaf, 2 branch), bytes
//! 2..4 the number of entries. A leaf has the ends of its keys, then of its values, each table only if the width
//! varies, then keys, then values. A branch has 8 bytes, a checksum of 16 bytes and a page number of 8 for each child,
//! the ends of its keys if their width varies, then keys. Checksums are XXH3-128 up to the last byte used.

use std::{borrow::Cow, fmt, num::ParseIntError, ops::Range, str::FromStr};

use twox_hash::XxHash3_128;

const LEAF: u8 = 1;
const BRANCH: u8 = 2;
/// The largest order: pages of 2^20 times the page size.
const MAX_ORDER: u64 = 20;
/// The bytes at the beginning of a page, however large, that say where its entries lie. In a branch with the most
/// entries, the checksums, page numbers and ends of keys take 1.8 MB.
pub const HEAD_BYTES: u64 = 2 << 20;
/// The bytes of an entry that hold pointers: the first 52 of a table definition, the first 50 of a savepoint.
pub const ENTRY_BYTES: usize = 64;

/// The entries of a page: in memory, or in a file.
pub trait Entries {
    /// Returns at least the first [`ENTRY_BYTES`] of a range, or all of it if it is shorter.
    fn start_of(&self, range: Range<usize>) -> Option<Cow<'_, [u8]>>;
}

impl Entries for [u8] {
    fn start_of(&self, range: Range<usize>) -> Option<Cow<'_, [u8]>> {
        self.get(range).map(Cow::Borrowed)
    }
}

/// A page and the checksum of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    /// The page's number: order, region and index.
    pub page: u64,
    /// The XXH3-128 of the bytes that it uses.
    pub checksum: u128,
}

impl Root {
    /// Reads page number and checksum, as roots stand in slots and in table definitions.
    pub fn parse(bytes: &[u8]) -> Option<Root> {
        Some(Root {
            page: u64::from_le_bytes(*bytes.first_chunk()?),
            checksum: u128::from_le_bytes(*bytes.get(8..)?.first_chunk()?),
        })
    }
}

impl fmt::Display for Root {
    /// Writes page number and checksum in hexadecimal, as manifests have them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:032x}", self.page, self.checksum)
    }
}

impl FromStr for Root {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Root, ParseIntError> {
        let (page, checksum) = text.split_once('-').unwrap_or((text, ""));
        Ok(Root {
            page: u64::from_str_radix(page, 16)?,
            checksum: u128::from_str_radix(checksum, 16)?,
        })
    }
}

/// The parameters of the layout of pages in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes of a page of order 0.
    pub page_size: u32,
    /// Pages at the beginning of each region that hold no data.
    pub region_header_pages: u32,
    /// Pages of data in a whole region.
    pub region_max_pages: u32,
}

impl Geometry {
    /// The only page size that redb has on Linux.
    pub const PAGE_BYTES: u64 = 4096;

    /// Returns offset and length of a page, or `None` for a number that no page has.
    pub fn locate(&self, page: u64) -> Option<(u64, u64)> {
        let order = page >> 59;
        if order > MAX_ORDER {
            return None;
        }
        let index = page & (0x000f_ffff >> order);
        let region = (page >> 20) & 0x000f_ffff;
        let size = u64::from(self.page_size);
        let length = size << order;
        let header = u64::from(self.region_header_pages);
        let region_bytes = (header + u64::from(self.region_max_pages)).checked_mul(size)?;
        let offset = size
            .checked_add(region.checked_mul(region_bytes)?)?
            .checked_add(header.checked_mul(size)?)?;
        Some((offset.checked_add(index.checked_mul(length)?)?, length))
    }
}

/// The widths of keys and values in bytes, if they are fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Widths {
    /// Of keys.
    pub key: Option<u32>,
    /// Of values.
    pub value: Option<u32>,
}

/// The content of the leaves of a tree, as far as it points to other pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeafContent {
    /// Definitions of the user's tables.
    Tables,
    /// Definitions of redb's own tables.
    SystemTables,
    /// Rows without pointers.
    Rows(Widths),
    /// Keys, each with the collection of its values, which may be a tree of its own; the width is that of the values.
    Multimap(Widths),
    /// Savepoints, each with the root of a tree of tables.
    Savepoints(Widths),
}

impl LeafContent {
    fn widths(self) -> Widths {
        match self {
            LeafContent::Tables | LeafContent::SystemTables => Widths::default(),
            LeafContent::Rows(widths) | LeafContent::Savepoints(widths) => widths,
            // The value beside a key is a collection of any length.
            LeafContent::Multimap(widths) => Widths {
                value: None,
                ..widths
            },
        }
    }
}

/// Returns the number of bytes that `page` uses if it is the page of `tree` that `root` names, else `None`.
pub fn proven(page: &[u8], root: Root, tree: LeafContent) -> Option<usize> {
    let used = covered(page, tree)?;
    (XxHash3_128::oneshot(page.get(..used)?) == root.checksum).then_some(used)
}

/// Returns true if a page may begin with these bytes.
pub fn is_page(head: [u8; 4]) -> bool {
    matches!(head[0], LEAF | BRANCH) && head[2..] != [0; 2]
}

/// Returns true if a page that begins with these bytes points to pages of the same tree.
pub fn is_branch(head: [u8; 4]) -> bool {
    head[0] == BRANCH
}

/// Returns the name of the table whose definition in a page, a leaf of `tree`, points to `child`. `head` is the page's
/// beginning, up to [`HEAD_BYTES`]; of a long name in a large page, only the beginning is returned.
pub fn table_at<E: Entries + ?Sized>(
    head: &[u8],
    entries: &E,
    tree: LeafContent,
    child: u64,
) -> Option<String> {
    let leaf = Leaf {
        page: head,
        count: count(head)?,
        widths: tree.widths(),
    };
    let name = (0..leaf.count).find_map(|entry| {
        let (key, value) = leaf.entry(entry)?;
        let (key, value) = (entries.start_of(key)?, entries.start_of(value)?);
        let points = pointer(&key, &value, tree)??.0.page == child;
        points.then_some(key)
    })?;
    Some(String::from_utf8_lossy(&name).into_owned())
}

/// Returns true if a page of the user's tables defines one of these names; `head` as above.
pub fn defines<E: Entries + ?Sized>(head: &[u8], entries: &E, names: &[&str]) -> bool {
    let Some(count) = count(head).filter(|_| head.first() == Some(&LEAF)) else {
        return false;
    };
    let leaf = Leaf {
        page: head,
        count,
        widths: LeafContent::Tables.widths(),
    };
    (0..count).any(|entry| {
        let key = leaf.entry(entry).map(|(key, _)| key);
        let is_short = |key: &Range<usize>| key.len() < ENTRY_BYTES;
        let name = key.filter(is_short).and_then(|key| entries.start_of(key));
        name.is_some_and(|name| names.iter().any(|wanted| wanted.as_bytes() == &*name))
    })
}

/// Returns how many bytes of a page its checksum covers, or `None` if it is not a page of this tree. `head` is the
/// page's beginning, up to [`HEAD_BYTES`]; the bytes may be more than the page has.
pub fn covered(head: &[u8], tree: LeafContent) -> Option<usize> {
    let count = count(head)?;
    let widths = tree.widths();
    match *head.first()? {
        LEAF => Leaf {
            page: head,
            count,
            widths,
        }
        .value_end(count.checked_sub(1)?),
        BRANCH => {
            let last = count.checked_sub(1)?;
            let keys = branch_children_end(count)?;
            match widths.key {
                Some(width) => keys.checked_add((width as usize).checked_mul(count)?),
                None => number(head, keys.checked_add(last.checked_mul(4)?)?),
            }
        }
        _ => None,
    }
}

/// Returns the pages that a page points to, each with the kind of its tree, or `None` if it is malformed. `page` is its
/// beginning, up to [`HEAD_BYTES`].
pub fn children<E: Entries + ?Sized>(
    page: &[u8],
    entries: &E,
    tree: LeafContent,
) -> Option<Vec<(Root, LeafContent)>> {
    let count = count(page)?;
    if *page.first()? == BRANCH {
        let children = count.checked_add(1)?;
        let checksums = page.get(8..8 + 16 * children)?;
        let pages = page.get(8 + 16 * children..8 + 24 * children)?;
        let pairs = checksums.chunks_exact(16).zip(pages.chunks_exact(8));
        let root = |(checksum, page): (&[u8], &[u8])| {
            let checksum = u128::from_le_bytes(*checksum.first_chunk()?);
            Some((
                Root {
                    page: u64::from_le_bytes(*page.first_chunk()?),
                    checksum,
                },
                tree,
            ))
        };
        return pairs.map(root).collect();
    }
    if matches!(tree, LeafContent::Rows(_)) {
        return Some(Vec::new());
    }
    let leaf = Leaf {
        page,
        count,
        widths: tree.widths(),
    };
    let mut found = Vec::new();
    for entry in 0..count {
        let (key, value) = leaf.entry(entry)?;
        let (key, value) = (entries.start_of(key)?, entries.start_of(value)?);
        found.extend(pointer(&key, &value, tree)?);
    }
    Some(found)
}

/// Returns the page that one entry of a leaf points to. The outer `None` means a malformed entry.
fn pointer(key: &[u8], value: &[u8], tree: LeafContent) -> Option<Option<(Root, LeafContent)>> {
    match tree {
        LeafContent::Tables | LeafContent::SystemTables => {
            definition(key, value, tree == LeafContent::SystemTables)
        }
        // 1: values inline; 3: a tree of values, each a key without value.
        LeafContent::Multimap(widths) => match *value.first()? {
            3 => Some(Some((
                Root::parse(value.get(1..)?)?,
                LeafContent::Rows(Widths {
                    key: widths.value,
                    value: Some(0),
                }),
            ))),
            _ => Some(None),
        },
        // Version, id and transaction, then a flag: a root follows.
        LeafContent::Savepoints(_) => match value.get(17) {
            Some(1) => Some(Some((Root::parse(value.get(18..)?)?, LeafContent::Tables))),
            _ => Some(None),
        },
        LeafContent::Rows(_) => Some(None),
    }
}

/// Parses a table definition: kind (3 table, 4 multimap), length, a flag for the root, the root with its length, then
/// for keys and values a flag for a fixed width, each with the width.
fn definition(
    key: &[u8],
    value: &[u8],
    of_the_system: bool,
) -> Option<Option<(Root, LeafContent)>> {
    const ROOT: usize = 10;
    const WIDTHS: usize = ROOT + 32;
    if *value.get(9)? == 0 {
        return Some(None);
    }
    let root = Root::parse(value.get(ROOT..)?)?;
    let width = |at: usize| match *value.get(at)? {
        0 => Some(None),
        _ => Some(Some(u32::from_le_bytes(
            *value.get(at + 1..)?.first_chunk()?,
        ))),
    };
    let widths = Widths {
        key: width(WIDTHS)?,
        value: width(WIDTHS + 5)?,
    };
    let tree = match *value.first()? {
        3 if of_the_system && key == b"persistent_savepoints" => LeafContent::Savepoints(widths),
        3 => LeafContent::Rows(widths),
        4 => LeafContent::Multimap(widths),
        _ => return None,
    };
    Some(Some((root, tree)))
}

fn count(page: &[u8]) -> Option<usize> {
    let count = u16::from_le_bytes(*page.get(2..)?.first_chunk()?);
    (count > 0).then_some(usize::from(count))
}

fn number(page: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(*page.get(at..)?.first_chunk()?) as usize)
}

fn branch_children_end(keys: usize) -> Option<usize> {
    Some(8 + 24 * keys.checked_add(1)?)
}

/// A leaf page, with the layout of its entries.
struct Leaf<'a> {
    page: &'a [u8],
    count: usize,
    widths: Widths,
}

impl Leaf<'_> {
    /// Returns the offset after the tables of ends, at which the keys begin.
    fn keys_begin(&self) -> usize {
        let table = |width: Option<u32>| if width.is_none() { 4 * self.count } else { 0 };
        4 + table(self.widths.key) + table(self.widths.value)
    }

    fn key_end(&self, entry: usize) -> Option<usize> {
        match self.widths.key {
            Some(width) => self
                .keys_begin()
                .checked_add((width as usize).checked_mul(entry + 1)?),
            None => number(self.page, 4 + 4 * entry),
        }
    }

    fn value_end(&self, entry: usize) -> Option<usize> {
        match self.widths.value {
            Some(width) => self
                .key_end(self.count - 1)?
                .checked_add((width as usize).checked_mul(entry + 1)?),
            None => {
                let table = if self.widths.key.is_none() {
                    4 * self.count
                } else {
                    0
                };
                number(self.page, 4 + table + 4 * entry)
            }
        }
    }

    fn entry(&self, entry: usize) -> Option<(Range<usize>, Range<usize>)> {
        let key_begin = if entry == 0 {
            self.keys_begin()
        } else {
            self.key_end(entry - 1)?
        };
        let value_begin = if entry == 0 {
            self.key_end(self.count - 1)?
        } else {
            self.value_end(entry - 1)?
        };
        let ranges = (
            key_begin..self.key_end(entry)?,
            value_begin..self.value_end(entry)?,
        );
        (ranges.0.start <= ranges.0.end && ranges.1.start <= ranges.1.end).then_some(ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tree() -> impl Strategy<Value = LeafContent> {
        let widths = (
            proptest::option::of(any::<u32>()),
            proptest::option::of(any::<u32>()),
        )
            .prop_map(|(key, value)| Widths { key, value });
        prop_oneof![
            Just(LeafContent::Tables),
            Just(LeafContent::SystemTables),
            widths.clone().prop_map(LeafContent::Rows),
            widths.clone().prop_map(LeafContent::Multimap),
            widths.prop_map(LeafContent::Savepoints),
        ]
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_page_panic(
            mut page in proptest::collection::vec(any::<u8>(), 0..400),
            kind in 0..4u8,
            tree in tree(),
            entries in 0..20u16,
        ) {
            if page.len() >= 4 {
                page[0] = kind;
                page[2..4].copy_from_slice(&entries.to_le_bytes());
            }
            let root = Root { page: 0, checksum: 0 };
            prop_assert!(proven(&page, root, tree).is_none_or(|used| used <= page.len()));
            let _ = children(&page, page.as_slice(), tree);
            let _ = defines(&page, page.as_slice(), &["deployments"]);
        }

        #[test]
        fn no_number_makes_a_place_overflow(page in any::<u64>(), header in any::<u32>(), most in any::<u32>()) {
            let geometry = Geometry { page_size: 4096, region_header_pages: header, region_max_pages: most };
            if let Some((offset, length)) = geometry.locate(page) {
                prop_assert!(offset >= 4096 && length >= 4096);
            }
        }
    }
}

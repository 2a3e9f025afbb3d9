//! The pages of a redb file, as far as a walk along checksums needs them: where a page lies, how much of it its
//! checksum covers, and which pages it points to. Pure, and safe on any bytes.
//!
//! Layout: redb 4.4, `tree_store/btree_base.rs` and docs/design.md, "B-tree": byte 0 the kind (1 leaf, 2 branch),
//! bytes 2..4 the number of entries. A leaf has the ends of its keys, then of its values, each table only where the
//! width varies, then keys, then values. A branch has 8 bytes, a checksum of 16 bytes and a page number of 8 for each
//! child, the ends of its keys where their width varies, then keys. Checksums are XXH3-128 up to the last byte used.

use std::ops::Range;

use twox_hash::XxHash3_128;

const LEAF: u8 = 1;
const BRANCH: u8 = 2;
/// The largest order: pages of 2^20 times the page size.
const MAX_ORDER: u64 = 20;

/// A page and what its content must hash to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    /// The page's number: order, region and index.
    pub page: u64,
    /// XXH3-128 of what it uses.
    pub checksum: u128,
}

impl Root {
    /// Page number and checksum, as roots stand in slots and in table definitions.
    pub fn parse(bytes: &[u8]) -> Option<Root> {
        Some(Root {
            page: u64::from_le_bytes(*bytes.first_chunk()?),
            checksum: u128::from_le_bytes(*bytes.get(8..)?.first_chunk()?),
        })
    }
}

/// What places pages in the file.
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

    /// Offset and length of a page; `None` for a number that no page has.
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

/// Widths of keys and values in bytes, where they are fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Widths {
    /// Of keys.
    pub key: Option<u32>,
    /// Of values.
    pub value: Option<u32>,
}

/// What the leaves of a tree hold, as far as they point further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tree {
    /// Definitions of the user's tables.
    Tables,
    /// Definitions of redb's own tables.
    SystemTables,
    /// Rows that point nowhere.
    Rows(Widths),
    /// Keys with the collection of their values, which may be a tree of its own; the width is that of the values.
    Multimap(Widths),
    /// Savepoints, each with the root of a tree of tables.
    Savepoints(Widths),
}

impl Tree {
    fn widths(self) -> Widths {
        match self {
            Tree::Tables | Tree::SystemTables => Widths::default(),
            Tree::Rows(widths) | Tree::Savepoints(widths) => widths,
            // What stands beside a key is a collection of any length.
            Tree::Multimap(widths) => Widths {
                value: None,
                ..widths
            },
        }
    }
}

/// How many bytes `page` uses, where it is the page of `tree` that `root` names; else `None`.
pub fn proven(page: &[u8], root: Root, tree: Tree) -> Option<usize> {
    covered(page, tree)
        .filter(|used| XxHash3_128::oneshot(used) == root.checksum)
        .map(<[u8]>::len)
}

/// Whether a page may begin with these bytes.
pub fn is_page(head: [u8; 4]) -> bool {
    matches!(head[0], LEAF | BRANCH) && head[2..] != [0; 2]
}

/// The name of the table whose definition in `page`, a leaf of `tree`, points to `child`.
pub fn table_at(page: &[u8], tree: Tree, child: u64) -> Option<String> {
    let leaf = Leaf {
        page,
        count: count(page)?,
        widths: tree.widths(),
    };
    let name = (0..leaf.count).find_map(|entry| {
        let (key, value) = leaf.entry(entry)?;
        let key = page.get(key)?;
        let points = pointer(key, page.get(value)?, tree)??.0.page == child;
        points.then_some(key)
    })?;
    Some(String::from_utf8_lossy(name).into_owned())
}

/// The bytes of `page` that its checksum covers; `None` where it is no page of this tree.
fn covered(page: &[u8], tree: Tree) -> Option<&[u8]> {
    let count = count(page)?;
    let widths = tree.widths();
    let end = match *page.first()? {
        LEAF => Leaf {
            page,
            count,
            widths,
        }
        .value_end(count.checked_sub(1)?)?,
        BRANCH => {
            let last = count.checked_sub(1)?;
            let keys = branch_children_end(count)?;
            match widths.key {
                Some(width) => keys.checked_add((width as usize).checked_mul(count)?)?,
                None => number(page, keys.checked_add(last.checked_mul(4)?)?)?,
            }
        }
        _ => return None,
    };
    page.get(..end)
}

/// The pages that `page` points to, with the trees that they belong to; `None` where it is malformed.
pub fn children(page: &[u8], tree: Tree) -> Option<Vec<(Root, Tree)>> {
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
    if matches!(tree, Tree::Rows(_)) {
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
        found.extend(pointer(page.get(key)?, page.get(value)?, tree)?);
    }
    Some(found)
}

/// What one entry of a leaf points to; the outer `None` where it is malformed.
fn pointer(key: &[u8], value: &[u8], tree: Tree) -> Option<Option<(Root, Tree)>> {
    match tree {
        Tree::Tables | Tree::SystemTables => definition(key, value, tree == Tree::SystemTables),
        // 1: values inline; 3: a tree of values, each a key without value.
        Tree::Multimap(widths) => match *value.first()? {
            3 => Some(Some((
                Root::parse(value.get(1..)?)?,
                Tree::Rows(Widths {
                    key: widths.value,
                    value: Some(0),
                }),
            ))),
            _ => Some(None),
        },
        // Version, id and transaction, then whether a root follows.
        Tree::Savepoints(_) => match value.get(17) {
            Some(1) => Some(Some((Root::parse(value.get(18..)?)?, Tree::Tables))),
            _ => Some(None),
        },
        Tree::Rows(_) => Some(None),
    }
}

/// A table definition: kind (3 table, 4 multimap), length, whether there is a root, the root with its length, then
/// whether keys and values have a fixed width, each with the width.
fn definition(key: &[u8], value: &[u8], of_the_system: bool) -> Option<Option<(Root, Tree)>> {
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
        3 if of_the_system && key == b"persistent_savepoints" => Tree::Savepoints(widths),
        3 => Tree::Rows(widths),
        4 => Tree::Multimap(widths),
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

/// Where the entries of a leaf lie.
struct Leaf<'a> {
    page: &'a [u8],
    count: usize,
    widths: Widths,
}

impl Leaf<'_> {
    /// Where the tables of ends are over and keys begin.
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

    fn tree() -> impl Strategy<Value = Tree> {
        let widths = (
            proptest::option::of(any::<u32>()),
            proptest::option::of(any::<u32>()),
        )
            .prop_map(|(key, value)| Widths { key, value });
        prop_oneof![
            Just(Tree::Tables),
            Just(Tree::SystemTables),
            widths.clone().prop_map(Tree::Rows),
            widths.clone().prop_map(Tree::Multimap),
            widths.prop_map(Tree::Savepoints),
        ]
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_page_panic(mut page in proptest::collection::vec(any::<u8>(), 0..400), kind in 0..4u8, tree in tree(), entries in 0..20u16) {
            if page.len() >= 4 {
                page[0] = kind;
                page[2..4].copy_from_slice(&entries.to_le_bytes());
            }
            if let Some(bytes) = covered(&page, tree) {
                prop_assert!(bytes.len() <= page.len());
            }
            let _ = children(&page, tree);
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

//! Clears the bytes of a copy that no row needs: the leftovers of deleted rows.
//!
//! A copy of pages has them all: the pages of the freelist, the free space of pages in use, and the end of the last
//! page of a long value. They become zero (SQLite, "Database File Format", 1.4 to 1.6). Free pieces of up to three
//! bytes between two rows stay.
//!
//! The numbers in the file are not trusted: a page that is used twice, or that is both free and in use, is damage. A
//! page whose own numbers contradict each other stays as it is: the check of the copy refuses it.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path};

use anyhow::{Context as _, Result};
use rusqlite::Connection;

use super::{
    connection::{self, ConnectionMode},
    work::{self, WorkEnd},
};
use crate::work::Advance;

/// The bytes of the file's header, on its first page.
const HEADER_BYTES: usize = 100;

/// The damage that was found, in words.
type Finding = String;

/// Clears the copy in the file `copy` at `place`, a closed database of our own. Returns the damage that it finds, if
/// there is any: then the copy is to be dropped.
pub(super) fn clear(copy: &File, place: &Path, step: &Advance<'_>) -> Result<Result<(), Finding>> {
    let writing = "cannot clear the copy";
    let layout = match Layout::read(copy).context(writing)? {
        Ok(layout) => layout,
        Err(finding) => return Ok(Err(finding)),
    };
    let free = match Freelist::read(copy, &layout).context(writing)? {
        Ok(free) => free,
        Err(finding) => return Ok(Err(finding)),
    };
    // Nothing else has the file open, so SQLite reads it as one that does not change. It may see a page before or after
    // its free bytes were cleared: they mean nothing to it.
    let connection = connection::open(place, ConnectionMode::Still)?;
    let ended = work::run(connection, step, None, |connection, _| {
        clear_used_pages(connection, copy, &layout, &free)
    });
    match ended {
        WorkEnd::Stopped(error) | WorkEnd::Worked(Err(error)) => return Err(error),
        WorkEnd::Worked(Ok(Err(finding))) => return Ok(Err(finding)),
        WorkEnd::Worked(Ok(Ok(()))) => {}
    }
    free.clear(copy, &layout, step).context(writing)?;
    Ok(Ok(()))
}

/// The sizes of a file: those of its pages, and their number.
struct Layout {
    page_bytes: usize,
    /// Without the bytes at the end of each page that an extension reserved.
    usable_bytes: usize,
    pages: u32,
}

impl Layout {
    fn read(file: &File) -> io::Result<Result<Layout, Finding>> {
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        let page_bytes = match number16(&header, 16) {
            1 => 65536,
            bytes => bytes,
        };
        let usable_bytes = page_bytes.saturating_sub(usize::from(header[20]));
        if !page_bytes.is_power_of_two() || page_bytes < 512 || usable_bytes < 480 {
            return Ok(Err(format!("it has pages of {page_bytes} bytes")));
        }
        let pages = file.metadata()?.len() / page_bytes as u64;
        Ok(match u32::try_from(pages) {
            Ok(pages) => Ok(Layout {
                page_bytes,
                usable_bytes,
                pages,
            }),
            Err(_) => Err("it has too many pages".to_owned()),
        })
    }

    /// Returns the offset of a page; `None` if the file ends before it.
    fn offset(&self, page: u32) -> Option<u64> {
        let is_there = (1..=self.pages).contains(&page);
        is_there.then(|| u64::from(page - 1) * self.page_bytes as u64)
    }
}

/// A set of pages.
struct PageSet(Vec<u64>);

impl PageSet {
    fn new(layout: &Layout) -> PageSet {
        PageSet(vec![0; layout.pages as usize / 64 + 1])
    }

    /// Adds a page that exists; returns false if it was in the set.
    fn insert(&mut self, page: u32) -> bool {
        let (word, bit) = (&mut self.0[page as usize / 64], 1 << (page % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn contains(&self, page: u32) -> bool {
        self.0[page as usize / 64] & 1 << (page % 64) != 0
    }
}

/// The free pages (section 1.5): trunks, which lead to each other and name leaves.
struct Freelist {
    all: PageSet,
    /// The trunks, and the number of leaves that each names.
    trunks: Vec<(u32, usize)>,
}

impl Freelist {
    /// Reads the list. Returns the finding if it leads out of the file, to a page twice, or to more pages than the
    /// header says.
    fn read(file: &File, layout: &Layout) -> io::Result<Result<Freelist, Finding>> {
        let mut page = vec![0; layout.page_bytes];
        file.read_exact_at(&mut page[..HEADER_BYTES], 0)?;
        let (mut next, mut left) = (number32(&page, 32), number32(&page, 36));
        let mut list = Freelist {
            all: PageSet::new(layout),
            trunks: Vec::new(),
        };
        // Page 1 is in use.
        list.all.insert(1);
        while next != 0 {
            let trunk = next;
            if let Err(finding) = list.add(trunk, &mut left, layout) {
                return Ok(Err(finding));
            }
            // It exists, else it was not added.
            let offset = layout.offset(trunk).unwrap_or_default();
            file.read_exact_at(&mut page, offset)?;
            next = number32(&page, 0);
            let leaves = number32(&page, 4) as usize;
            if leaves > layout.usable_bytes / 4 - 2 {
                return Ok(Err(format!(
                    "the list of free pages on page {trunk} is too long"
                )));
            }
            for leaf in 0..leaves {
                if let Err(finding) = list.add(number32(&page, 8 + 4 * leaf), &mut left, layout) {
                    return Ok(Err(finding));
                }
            }
            list.trunks.push((trunk, leaves));
        }
        Ok(match left {
            0 => Ok(list),
            left => Err(format!(
                "{left} free pages are not in the list of free pages"
            )),
        })
    }

    fn add(&mut self, page: u32, left: &mut u32, layout: &Layout) -> Result<(), Finding> {
        if layout.offset(page).is_none() || *left == 0 || !self.all.insert(page) {
            return Err(format!("the list of free pages leads to page {page}"));
        }
        *left -= 1;
        Ok(())
    }

    /// Clears the leaves, and the trunks behind the numbers of their leaves.
    fn clear(&self, file: &File, layout: &Layout, step: &Advance<'_>) -> Result<()> {
        let zeros = vec![0; layout.page_bytes];
        let mut page = zeros.clone();
        for (trunk, leaves) in &self.trunks {
            step(0)?;
            let offset = layout.offset(*trunk).unwrap_or_default();
            file.read_exact_at(&mut page, offset)?;
            let end = 8 + 4 * leaves;
            for leaf in page[8..end].chunks_exact(4) {
                if let Some(offset) = layout.offset(number32(leaf, 0)) {
                    file.write_all_at(&zeros, offset)?;
                }
            }
            file.write_all_at(&zeros[end..], offset + end as u64)?;
        }
        Ok(())
    }
}

/// Clears the free bytes of all pages in use. The table `dbstat` names them (SQLite, "The DBSTAT Virtual Table").
fn clear_used_pages(
    connection: &Connection,
    copy: &File,
    layout: &Layout,
    free: &Freelist,
) -> Result<Result<(), Finding>> {
    let mut seen = PageSet::new(layout);
    let mut page = vec![0; layout.page_bytes];
    let mut statement = connection.prepare("SELECT pageno, pagetype, payload FROM dbstat")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let number = u32::try_from(row.get::<_, i64>(0)?).unwrap_or_default();
        let Some(offset) = layout.offset(number) else {
            return Ok(Err(format!("a table leads to page {number}")));
        };
        // Without this, a tree whose branches share pages would be read for ever.
        if !seen.insert(number) || number > 1 && free.all.contains(number) {
            return Ok(Err(format!("page {number} is used twice")));
        }
        copy.read_exact_at(&mut page, offset)?;
        let has_changed = match row.get_ref(1)?.as_str()? {
            "overflow" => {
                let payload = usize::try_from(row.get::<_, i64>(2)?).unwrap_or(usize::MAX);
                clear_range(&mut page[..layout.usable_bytes], payload.saturating_add(4))
            }
            "internal" | "leaf" => {
                let header = if number == 1 { HEADER_BYTES } else { 0 };
                clear_page(&mut page[..layout.usable_bytes], header)
            }
            _ => false,
        };
        if has_changed {
            copy.write_all_at(&page, offset)
                .context("cannot clear the copy")?;
        }
    }
    Ok(Ok(()))
}

/// Clears the free bytes of a page of a tree, whose header begins at `header` (section 1.6). Returns true if that
/// changed the page. A page of which a number cannot be right stays as it is.
fn clear_page(page: &mut [u8], header: usize) -> bool {
    let Some(ranges) = free_ranges(page, header) else {
        return false;
    };
    let mut has_changed = false;
    for (from, to) in ranges {
        has_changed |= clear_range(&mut page[..to], from);
    }
    has_changed
}

/// Returns the free ranges of a page of a tree: between the list of its cells and their content, and the rest of each
/// free block behind its four bytes of next and size.
fn free_ranges(page: &[u8], header: usize) -> Option<Vec<(usize, usize)>> {
    let cells_from = header
        + match page[header] {
            2 | 5 => 12,
            10 | 13 => 8,
            _ => return None,
        };
    let cells_to = cells_from + 2 * number16(page, header + 3);
    let content = match number16(page, header + 5) {
        0 => 65536,
        content => content,
    };
    if cells_to > content || content > page.len() {
        return None;
    }
    let mut ranges = vec![(cells_to, content)];
    let (mut block, mut end) = (number16(page, header + 1), content);
    while block != 0 {
        if block < end || block + 4 > page.len() {
            return None;
        }
        end = block + number16(page, block + 2);
        if end < block + 4 || end > page.len() {
            return None;
        }
        ranges.push((block + 4, end));
        block = number16(page, block);
    }
    Some(ranges)
}

/// Clears the bytes from `from` on. Returns true if that changed them.
fn clear_range(bytes: &mut [u8], from: usize) -> bool {
    let Some(range) = bytes.get_mut(from..) else {
        return false;
    };
    let has_changed = range.iter().any(|byte| *byte != 0);
    range.fill(0);
    has_changed
}

/// Returns the number of two bytes at `at`, which lies within.
fn number16(bytes: &[u8], at: usize) -> usize {
    usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1])
}

/// Returns the number of four bytes at `at`, which lies within.
fn number32(bytes: &[u8], at: usize) -> u32 {
    (number16(bytes, at) as u32) << 16 | number16(bytes, at + 2) as u32
}

#[cfg(test)]
mod tests;

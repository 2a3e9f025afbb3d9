//! The size of the pages of a commit, without reading its rows: a page's number, which its parent holds, tells its
//! length.

use std::{fs::File, io};

use anyhow::{Context as _, Result};

use super::{
    super::{
        header::{CommitSlot, RedbHeader, SlotRole},
        pages::{self, Geometry, LeafContent, Root},
    },
    node::{InFile, WORK},
};
use crate::work::ReadAt;

/// A view of the upper pages of a commit. Nothing of it is verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sketch {
    /// Bytes of the largest page.
    pub largest_page: u64,
    /// True if there is a table that shows running work.
    pub may_be_at_work: bool,
}

/// Inspects the commits that redb may open: the last one, and the previous one if the file was not closed.
pub fn sketch(file: &File, header: &RedbHeader) -> Result<Sketch> {
    let mut found = Sketch::default();
    if header.is_walkable().is_err() {
        return Ok(found);
    }
    let mut slots = vec![header.slot(SlotRole::Primary)];
    slots.extend(header.needs_repair.then(|| header.slot(SlotRole::Other)));
    for slot in slots {
        commit(file, header.geometry, slot, &mut found)?;
    }
    Ok(found)
}

fn commit(file: &File, geometry: Geometry, slot: &CommitSlot, found: &mut Sketch) -> Result<()> {
    let end = file.length()?;
    // Damaged pages may name one another for ever.
    let mut left = end / Geometry::PAGE_BYTES;
    let roots = [
        (slot.system, LeafContent::SystemTables),
        (slot.user, LeafContent::Tables),
    ];
    let mut ahead: Vec<(Root, LeafContent)> = roots
        .into_iter()
        .filter_map(|(root, tree)| Some((root?, tree)))
        .collect();
    while let Some((root, tree)) = ahead.pop() {
        let Some((offset, length)) = geometry.locate(root.page) else {
            continue;
        };
        let is_inside = offset.checked_add(length).is_some_and(|to| to <= end);
        if !is_inside || left == 0 {
            continue;
        }
        left -= 1;
        found.largest_page = found.largest_page.max(length);
        let mut head = vec![0; length.min(pages::HEAD_BYTES) as usize];
        if !fill(file, &mut head, offset)? {
            continue;
        }
        let entries = InFile { file, offset };
        found.may_be_at_work |=
            tree == LeafContent::Tables && pages::defines(&head, &entries, WORK);
        let below = pages::children(&head, &entries, tree).unwrap_or_default();
        // Leaves lie side by side: if the first page is one, all are, and rows point nowhere.
        let is_last = matches!(tree, LeafContent::Rows(_)) && {
            let first = below
                .first()
                .and_then(|(root, _)| geometry.locate(root.page));
            let mut start = [0; 4];
            match first {
                Some((offset, _)) => fill(file, &mut start, offset)? && !pages::is_branch(start),
                None => true,
            }
        };
        if !is_last {
            ahead.extend(below);
            continue;
        }
        let places = below
            .iter()
            .filter_map(|(root, _)| geometry.locate(root.page));
        let inside = places.filter(|(offset, length)| offset.saturating_add(*length) <= end);
        let largest = inside.map(|(_, length)| length).max();
        found.largest_page = found.largest_page.max(largest.unwrap_or(0));
    }
    Ok(())
}

/// Reads a part of a page; false if it is not there.
fn fill(file: &File, buffer: &mut [u8], offset: u64) -> Result<bool> {
    match file.read_exact_at(buffer, offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        result => result.context("cannot read a page").map(|()| true),
    }
}

//! A comparison of two databases whose files differ only in free pages and in what redb wrote when it closed them.

use std::{fs::File, path::Path};

use anyhow::{Context as _, Result};

use super::{
    header::{CommitSlot, RedbHeader, SlotRole},
    judge,
    pages::Root,
    walk::{Round, Scope, SourceState, Walk},
};
use crate::{disk::open_regular, work::Advance};

/// Returns true if the database at `path` holds the tables of a commit whose tree of tables has this root. All pages
/// must have the checksums that their parents name, and redb must open the file.
///
/// Returns false if a service writes meanwhile.
pub fn holds_tables(path: &Path, root: Option<Root>, step: &Advance<'_>) -> Result<bool> {
    holds(path, Scope::Tables, step, |_, slot| slot.user == root)
}

/// Returns true if the database at `path` holds the last commit of `other`, and was left in the same way.
pub fn holds_commit(path: &Path, other: &RedbHeader, step: &Advance<'_>) -> Result<bool> {
    holds(path, Scope::Everything, step, |header, slot| {
        slot == other.slot(SlotRole::Primary) && header.is_laid_out_as(other)
    })
}

fn holds(
    path: &Path,
    scope: Scope,
    step: &Advance<'_>,
    is_it: impl Fn(&RedbHeader, &CommitSlot) -> bool,
) -> Result<bool> {
    let comparing = || format!("cannot read {}", path.display());
    let file = open_regular(path).with_context(comparing)?;
    let Some(header) = RedbHeader::read_at(&file).with_context(comparing)? else {
        return Ok(false);
    };
    let mut walk = Walk::over(&file, scope, step);
    let mut round = |which| {
        walk.round(which, SourceState::AtRest)
            .with_context(comparing)
    };
    let which = if is_it(&header, header.slot(SlotRole::Primary)) {
        if round(SlotRole::Primary)? != Round::Whole {
            return Ok(false);
        }
        SlotRole::Primary
    } else {
        // Like redb: the previous commit counts if a crash cut the last one short.
        let may_be_short = header.needs_repair && !header.is_two_phase;
        if !may_be_short
            || !is_it(&header, header.slot(SlotRole::Other))
            || round(SlotRole::Primary)? == Round::Whole
            || round(SlotRole::Other)? != Round::Whole
        {
            return Ok(false);
        }
        SlotRole::Other
    };
    let is_still_it = walk
        .header()
        .is_some_and(|header| is_it(header, header.slot(which)));
    Ok(is_still_it && opens(&file, &walk, &header)?)
}

/// Returns true if redb opens the file. A file that was not closed, which redb repairs, is not tried, nor is one with
/// pages too large for redb.
fn opens(file: &File, walk: &Walk<'_>, header: &RedbHeader) -> Result<bool> {
    if header.needs_repair || !judge::fits_redb(&walk.walked()) {
        return Ok(true);
    }
    Ok(judge::peek_by_redb(file.try_clone()?).is_ok())
}

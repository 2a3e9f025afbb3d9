//! Whether a database holds what another one does, although their files differ: free pages, and what redb wrote when it
//! closed them.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::{
    header::{Header, Which},
    judge,
    walk::{Round, Scope, Source, Step, Walk},
};
use crate::disk::open_regular;

/// Whether the database at `path` holds the commit of `other`, as far as `scope` goes: its roots name the same pages with
/// the same checksums, every page is what they say, and redb opens the file as it is.
///
/// A service that writes meanwhile makes that false.
pub fn holds(path: &Path, other: &Header, scope: Scope, step: &Step<'_>) -> Result<bool> {
    let comparing = || format!("cannot read {}", path.display());
    let file = open_regular(path).with_context(comparing)?;
    if !Header::read(&file)
        .with_context(comparing)?
        .is_some_and(|header| names(&header, other, scope))
    {
        return Ok(false);
    }
    let mut walk = Walk::over(&file, scope, step);
    let round = walk
        .round(Which::Primary, Source::AtRest)
        .with_context(comparing)?;
    let Some(header) = walk.header().filter(|_| round == Round::Whole) else {
        return Ok(false);
    };
    // Pages are not everything: redb must open the file as it is. One that a service has open it would repair.
    let opens =
        header.needs_repair || judge::peek(file.try_clone()?).is_ok_and(|found| !found.repaired);
    Ok(opens && names(header, other, scope))
}

fn names(header: &Header, other: &Header, scope: Scope) -> bool {
    let (one, two) = (header.slot(Which::Primary), other.slot(Which::Primary));
    match scope {
        Scope::Everything => one == two && header.needs_repair == other.needs_repair,
        Scope::Tables => one.user.is_some() && one.user == two.user,
    }
}

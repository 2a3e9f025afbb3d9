//! Whether a database holds what another one does, although their files differ: free pages, and what redb wrote when it
//! closed them.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::{
    header::{Header, Which},
    walk::{Round, Scope, Source, Step, Walk},
};
use crate::disk::open_regular;

/// Whether the database at `path` holds the commit of `other`, as far as `scope` goes: its roots name the same pages with
/// the same checksums, and every page is what they say.
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
    Ok(round == Round::Whole
        && walk
            .header()
            .is_some_and(|header| names(header, other, scope)))
}

fn names(header: &Header, other: &Header, scope: Scope) -> bool {
    let (one, two) = (header.slot(Which::Primary), other.slot(Which::Primary));
    match scope {
        Scope::Everything => one == two && header.needs_repair == other.needs_repair,
        Scope::Tables => one.user.is_some() && one.user == two.user,
    }
}

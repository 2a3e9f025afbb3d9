//! A database that no process writes to: one pass finds out whether its last commit is whole, and if not, whether the
//! previous commit is.

use anyhow::Result;

use super::{
    header::SlotRole,
    walk::{MismatchedPage, Round, SourceState, Walk},
};
use crate::error::{Failure, Kind};

/// The result of the walk over a database at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// A whole commit. If a crash cut the last commit short, this is the previous one.
    Whole {
        /// The commit that a crash cut short.
        rolled_back_from: Option<u64>,
    },
    /// A commit that should be whole and is not.
    Damaged(Damage),
    /// It is not at rest: another process wrote to it meanwhile.
    Disturbed,
    /// The file cannot be walked, and why.
    Unfit(String),
}

/// Damage that no crash explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The first page of the last commit that does not match.
    pub fault: MismatchedPage,
    /// The commit before it.
    pub before: Before,
}

/// The commit before a damaged one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// No earlier commit exists.
    None,
    /// Its pages all match.
    Whole(u64),
    /// It is damaged too.
    Damaged(u64),
    /// It was not inspected: a service is at work.
    Unknown,
}

/// Copies the last commit. Like redb, copies the previous commit instead if a crash came before all pages of the last
/// one were on the disk: the file was not closed, and the commit was not a two-phase commit.
///
/// `standstill` keeps the database at rest. It is dropped as soon as the source has been read. `holds` checks it before
/// any damage is reported.
pub fn settle<T>(walk: &mut Walk<'_>, standstill: T, holds: impl Fn(&T) -> bool) -> Result<Rest> {
    let fault = match walk.catch(SlotRole::Primary, SourceState::AtRest)? {
        Round::Whole => return proven(walk, standstill, None),
        Round::Unfit(reason) => return Ok(Rest::Unfit(reason)),
        Round::Missed(missed) => missed.first,
    };
    let is_whole = walk.catch(SlotRole::Other, SourceState::AtRest)? == Round::Whole;
    if !holds(&standstill) || !walk.is_undisturbed()? {
        return Ok(Rest::Disturbed);
    }
    let header = walk.header();
    if is_whole && header.is_some_and(|header| header.needs_repair && !header.is_two_phase) {
        return proven(walk, standstill, Some(fault.transaction_id));
    }
    let before = header.map_or(0, |header| header.slot(SlotRole::Other).transaction_id);
    let before = match before {
        before if before == 0 || before >= fault.transaction_id => Before::None,
        before if is_whole => Before::Whole(before),
        before => Before::Damaged(before),
    };
    Ok(Rest::Damaged(Damage { fault, before }))
}

fn proven<T>(walk: &mut Walk<'_>, standstill: T, rolled_back_from: Option<u64>) -> Result<Rest> {
    drop(standstill);
    Ok(if walk.prove()? {
        Rest::Whole { rolled_back_from }
    } else {
        Rest::Disturbed
    })
}

impl Damage {
    /// Returns the failure of an export that found this damage in the file that `shown` names.
    pub fn failure(&self, shown: &str) -> Failure {
        let table = self.fault.table.as_ref().map(|table| {
            let table = crate::model::entry_name::printable(table);
            format!(" of table `{table}`")
        });
        let what = match self.fault.offset {
            Some(offset) => format!("the page at offset {offset}{}", table.unwrap_or_default()),
            None => "the commit slot".to_owned(),
        };
        let before = match self.before {
            Before::Whole(before) => {
                format!("; the commit before it, transaction {before}, is whole")
            }
            Before::Damaged(before) => {
                format!("; the commit before it, transaction {before}, is damaged too")
            }
            Before::None => "; no commit before it is there to go back to".to_owned(),
            Before::Unknown => String::new(),
        };
        let message = format!(
            "{shown} is damaged: {what} in transaction {} does not match its checksum{before}",
            self.fault.transaction_id
        );
        Failure::new(Kind::Snapshot, message).hint(
            "no archive was written; look at the disk, keep a copy of the file, and restore the last good archive with \
            `hookshot import --force`",
        )
    }
}

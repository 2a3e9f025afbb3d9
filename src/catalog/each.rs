//! Work at each of several destinations: if it fails at one, the others still follow.

use std::{ffi::OsString, path::Path};

use anyhow::Result;
use serde::Serialize;

use super::{destination::Destination, target::Target};
use crate::{
    config::Settings,
    context::Context,
    error::{Failure, Kind},
    model::written::escaped,
};

/// The selection of archives by host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    /// Those whose names begin with `[backup] prefix`.
    Ours,
    /// Those of all hosts.
    All,
}

impl Hosts {
    /// Returns the prefix of the selected archives; `None` for all.
    pub fn prefix(self, settings: &Settings) -> Option<&str> {
        match self {
            Hosts::Ours => Some(&settings.schema.prefix),
            Hosts::All => None,
        }
    }
}

/// A destination at which the work failed.
#[derive(Debug, Serialize)]
pub struct FailedDestination {
    /// The destination, as the user named it.
    pub destination: String,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_escaped: Option<String>,
    /// The message of the failure.
    pub message: String,
    /// The failure, with its kind.
    #[serde(skip)]
    pub failure: Failure,
}

/// Does some work at each destination that `words` name, or else at `[backup] to`. If it fails at one, the others still
/// follow. If it fails at the only one, that failure is returned. An interruption ends everything.
pub fn at_each<T>(
    context: &Context,
    settings: &Settings,
    words: &[OsString],
    mut act: impl FnMut(Destination) -> Result<T>,
) -> Result<(Vec<T>, Vec<FailedDestination>)> {
    let configured: Vec<OsString>;
    let words = if words.is_empty() {
        configured = Target::configured(settings)?;
        &configured
    } else {
        words
    };
    if words.is_empty() {
        return Err(Target::none_named(settings).into());
    }
    for_each_word(context, words, |word| {
        act(Target::read(word)?.destination(context, settings)?)
    })
}

/// Does some work for each word. If it fails for one, the others still follow. If it fails for the only one, that failure
/// is returned. An interruption ends everything.
pub fn for_each_word<T>(
    context: &Context,
    words: &[OsString],
    mut act: impl FnMut(&OsString) -> Result<T>,
) -> Result<(Vec<T>, Vec<FailedDestination>)> {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for word in words {
        context.stop.check()?;
        match act(word) {
            Ok(value) => done.push(value),
            Err(error) => {
                let failure = Failure::of(&error);
                if words.len() == 1 || matches!(failure.kind, Kind::Interrupted(_)) {
                    return Err(error);
                }
                failed.push(FailedDestination {
                    destination: word.to_string_lossy().into_owned(),
                    destination_escaped: escaped(Path::new(word)),
                    message: failure.message.clone(),
                    failure,
                });
            }
        }
    }
    Ok((done, failed))
}

/// Returns the failure of a run over `count` destinations, `None` if none failed. If all failed, it has the kind of
/// the first; else [`Kind::Partial`].
pub fn failure_of(failed: &[FailedDestination], count: usize) -> Option<Failure> {
    let first = &failed.first()?.failure;
    let kind = if failed.len() < count {
        Kind::Partial
    } else {
        first.kind
    };
    let message = format!(
        "{} of {count} destinations failed: {}: {}",
        failed.len(),
        failed[0].destination,
        first.message
    );
    let named = |failed: &FailedDestination| format!("{}: {}", failed.destination, failed.message);
    Some(Failure {
        kind,
        message,
        hint: first.hint.clone(),
        faults: failed.iter().map(named).collect(),
    })
}

//! `repo check`: looks for what is missing or damaged in a repository.

use std::ffi::OsStr;

use anyhow::Result;
use serde::Serialize;

use super::word::{place, vault};
use crate::{
    catalog::vault::ReadContent,
    config::Settings,
    context::Context,
    error::{Failure, Kind},
};

/// The result of a check of a repository.
#[derive(Debug, Serialize)]
pub struct RepoCheckReport {
    /// Its address.
    pub repository: String,
    /// The faults that were found.
    pub faults: Vec<String>,
    /// Its properties that differ from the wishes of the configuration.
    pub notes: Vec<String>,
    /// True if all content was read.
    pub read_data: bool,
    /// The part of the content that was read: none without --read-data.
    #[serde(skip)]
    pub read: ReadContent,
    /// The failure, if there are faults.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

/// Checks the repository that `word` names.
pub fn check(
    context: &Context,
    settings: &Settings,
    word: Option<&OsStr>,
    read: ReadContent,
) -> Result<RepoCheckReport> {
    let place = place(context, settings, word)?;
    let vault = vault(&*place.repository)?;
    context.begin("checking", None);
    let notes = vault.facts()?.notes;
    let faults = vault.check(read)?;
    let failure = (!faults.is_empty()).then(|| damaged(&place.shown(), &faults));
    Ok(RepoCheckReport {
        repository: place.repository.address(),
        faults,
        notes,
        read_data: read == ReadContent::All,
        read,
        failure,
    })
}

/// Returns the failure of a repository with faults.
pub fn damaged(shown: &str, faults: &[String]) -> Failure {
    let message = format!("the repository {shown} is damaged");
    Failure::new(Kind::Refused, message)
        .hint("`hookshot verify` says which archives are whole; copy these elsewhere first")
        .faults(faults.to_vec())
}

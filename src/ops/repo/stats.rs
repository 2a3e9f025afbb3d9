//! `repo stats`: the properties of a repository, and how much it holds.

use std::ffi::OsStr;

use anyhow::Result;
use serde::Serialize;

use super::word::{place, vault};
use crate::{config::Settings, context::Context};

/// The properties and figures of a repository.
#[derive(Debug, Serialize)]
pub struct RepoStatsReport {
    /// Its address.
    pub repository: String,
    /// Its identifier.
    pub id: String,
    /// The version of its format.
    pub version: u32,
    /// The size of its chunks.
    pub chunk: String,
    /// The level of compression, if it has one of its own.
    pub level: Option<i32>,
    /// Its properties that differ from the wishes of the configuration.
    pub notes: Vec<String>,
    /// The number of states, those of other programs too.
    pub states: usize,
    /// The bytes of the files of all states.
    pub content_bytes: u64,
    /// The bytes of the content that is stored, each chunk once, before compression.
    pub unique_bytes: u64,
    /// The bytes of all files of the repository.
    pub size_bytes: u64,
    /// The bytes of unique content for each stored byte of it.
    pub compression_ratio: Option<f64>,
    /// The bytes of the files of all states for each byte of unique content.
    pub dedup_ratio: Option<f64>,
}

/// Returns properties and figures of the repository that `word` names.
pub fn stats(
    context: &Context,
    settings: &Settings,
    word: Option<&OsStr>,
) -> Result<RepoStatsReport> {
    let place = place(context, settings, word)?;
    let vault = vault(&*place.repository)?;
    let (facts, figures) = (vault.facts()?, vault.figures()?);
    Ok(RepoStatsReport {
        repository: place.repository.address(),
        id: facts.id,
        version: facts.version,
        chunk: facts.chunks.to_string(),
        level: facts.level,
        notes: facts.notes,
        states: figures.states,
        content_bytes: figures.content_bytes,
        unique_bytes: figures.unique_bytes,
        size_bytes: figures.size_bytes,
        compression_ratio: ratio(figures.unique_bytes, figures.packed_bytes),
        dedup_ratio: ratio(figures.content_bytes, figures.unique_bytes),
    })
}

/// Returns the bytes before for each byte after, to two decimals; `None` if there is nothing.
pub fn ratio(before: u64, after: u64) -> Option<f64> {
    (after > 0).then(|| {
        let ratio = before as f64 / after as f64;
        (ratio * 100.0).round() / 100.0
    })
}

//! The request for an import.

use std::path::PathBuf;

use super::{archived_config::Archived, selection::Selection};
use crate::{
    catalog::input::ArchiveInput,
    machine::{planned::PlanDemand, preflight::Force, rehearsal::Rehearsal},
    model::digest::Digest,
};

/// The request for an import.
#[derive(Clone)]
pub struct ImportRequest {
    /// The archive.
    pub archive: ArchiveInput,
    /// The digest that the state in the archive must have ([`state_digest`](crate::model::state_digest::state_digest));
    /// `None` for any.
    pub expected: Option<Digest>,
    /// The plan that is demanded; `None` for any.
    pub plan: Option<PlanDemand>,
    /// The choice between a rehearsal and an import.
    pub rehearsal: Rehearsal,
    /// The reasons to refuse that count.
    pub force: Force,
    /// The requested entries.
    pub selection: Selection,
    /// The fate of the archive's configuration if this machine has another one.
    pub archived: Archived,
    /// The configuration that the user names, for messages.
    pub said_config: Option<PathBuf>,
    /// The options by which the user sends things elsewhere, for messages.
    pub said_places: String,
    /// The fate of the unpacked archive.
    pub staging: KeepStaging,
}

impl ImportRequest {
    /// Returns a request for an import of the whole archive.
    pub fn new(archive: ArchiveInput) -> ImportRequest {
        ImportRequest {
            archive,
            expected: None,
            plan: None,
            rehearsal: Rehearsal::Real,
            force: Force::No,
            selection: Selection::default(),
            archived: Archived::Beside,
            said_config: None,
            said_places: String::new(),
            staging: KeepStaging::No,
        }
    }
}

/// The fate of the unpacked archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepStaging {
    /// It goes.
    No,
    /// It stays, so that the user can inspect it.
    Yes,
}

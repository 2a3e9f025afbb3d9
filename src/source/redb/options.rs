//! The request for a snapshot of a redb database.

use std::{path::Path, time::Duration};

use crate::work::events::Events;
use crate::{
    model::{copy_form::CopyForm, method::Method},
    work::Advance,
};

/// The choice to make the copy as small as redb can, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compaction {
    /// The copy is compacted.
    Compact,
    /// Its pages stay where they are.
    Keep,
}

/// The request for a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// The method.
    pub method: Method,
    /// The longest time of a walk beside a writing service; at least five rounds are made.
    pub timeout: Duration,
    /// The choice to compact a copy of the form [`CopyForm::Compact`], or not.
    pub compaction: Compaction,
    /// The form of the copy.
    pub form: CopyForm,
}

impl SnapshotOptions {
    /// Returns true if redb is to compact the copy.
    pub fn compacts(&self) -> bool {
        self.compaction == Compaction::Compact && self.form == CopyForm::Compact
    }
}

/// The caller's parts of a snapshot.
pub struct RedbContext<'a> {
    /// A callback that is told how many bytes were read, and may end the work with an error.
    pub step: &'a Advance<'a>,
    /// The folder for the copy, which gets no name there.
    pub scratch: &'a Path,
    /// The program hookshot, to be started as the guard of a service that is paused.
    pub program: Option<&'a Path>,
    /// The receiver of events.
    pub events: &'a Events,
}

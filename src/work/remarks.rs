//! The list of the remarks of a run.

use serde::Serialize;

use super::{
    events::{Event, Events},
    remark::{Remark, RemarkKind},
};
use crate::error::{Failure, Kind};

/// The remarks of one run, in the order in which they were added. Each is sent as an event when it is recorded.
#[derive(Debug, Clone, Serialize)]
pub struct Remarks {
    /// Remarks that end the verb with exit code 3.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_undone: Vec<Remark>,
    /// Remarks that do not change the exit code.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Remark>,
    #[serde(skip)]
    events: Events,
}

impl Remarks {
    /// Returns a list without remarks that sends its remarks to `events`.
    pub fn new(events: &Events) -> Remarks {
        Remarks {
            left_undone: Vec::new(),
            warnings: Vec::new(),
            events: events.clone(),
        }
    }

    /// Returns the remarks so far, and goes on without them.
    pub fn take(&mut self) -> Remarks {
        let rest = Remarks::new(&self.events);
        std::mem::replace(self, rest)
    }

    /// Records a part that was left undone, and reports it.
    pub fn undone(&mut self, kind: RemarkKind, entry: impl ToString, message: impl Into<String>) {
        let remark = Remark::new(kind, entry, message);
        if !self.left_undone.contains(&remark) {
            self.events.send(Event::LeftUndone(remark.clone()));
            self.left_undone.push(remark);
        }
    }

    /// Records a warning, and reports it.
    pub fn warning(&mut self, kind: RemarkKind, entry: impl ToString, message: impl Into<String>) {
        let remark = Remark::new(kind, entry, message);
        if !self.warnings.contains(&remark) {
            self.events.send(Event::Warning(remark.clone()));
            self.warnings.push(remark);
        }
    }

    /// Records a refusal of the file system: for an attribute as undone, for an owner or a time as a warning.
    pub fn refused(&mut self, kind: RemarkKind, entry: impl ToString, message: impl Into<String>) {
        match kind {
            RemarkKind::Attribute => self.undone(kind, entry, message),
            kind => self.warning(kind, entry, message),
        }
    }

    /// Returns true if everything was done.
    pub fn is_complete(&self) -> bool {
        self.left_undone.is_empty()
    }

    /// Returns the failure with which a verb ends if something was left undone.
    pub fn failure(&self) -> Option<Failure> {
        let named = self.left_undone.iter().map(|remark| remark.message.clone());
        let faults: Vec<String> = named.collect();
        let message = match &faults[..] {
            [] => return None,
            [only] => format!("finished, with one part left undone: {only}"),
            [first, ..] => format!("finished, with {} parts left undone: {first}", faults.len()),
        };
        Some(Failure::new(Kind::Partial, message).faults(faults))
    }

    /// Adds the remarks of a part of the work, except those that are there already.
    pub fn extend(&mut self, other: Remarks) {
        let add = |all: &mut Vec<Remark>, others: Vec<Remark>| {
            for remark in others {
                if !all.contains(&remark) {
                    all.push(remark);
                }
            }
        };
        add(&mut self.left_undone, other.left_undone);
        add(&mut self.warnings, other.warnings);
    }
}

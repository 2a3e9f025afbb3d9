//! The list of the remarks of a run.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
};

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
    /// The hashes of all of them: there may be a million.
    #[serde(skip)]
    hashes: Hashes,
    #[serde(skip)]
    events: Events,
}

/// The hashes of the remarks in the lists of a run.
#[derive(Debug, Clone, Default)]
struct Hashes {
    random: RandomState,
    all: HashSet<u64>,
}

impl Hashes {
    /// Adds a remark to its list unless it is there already; returns true if it was not.
    fn add(&mut self, list: &mut Vec<Remark>, remark: Remark) -> bool {
        let is_new = self.all.insert(self.random.hash_one(&remark)) || !list.contains(&remark);
        if is_new {
            list.push(remark);
        }
        is_new
    }
}

impl Remarks {
    /// Returns a list without remarks that sends its remarks to `events`.
    pub fn new(events: &Events) -> Remarks {
        Remarks {
            left_undone: Vec::new(),
            warnings: Vec::new(),
            hashes: Hashes::default(),
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
        if self.hashes.add(&mut self.left_undone, remark.clone()) {
            self.events.send(Event::LeftUndone(remark));
        }
    }

    /// Records a warning, and reports it.
    pub fn warning(&mut self, kind: RemarkKind, entry: impl ToString, message: impl Into<String>) {
        let remark = Remark::new(kind, entry, message);
        if self.hashes.add(&mut self.warnings, remark.clone()) {
            self.events.send(Event::Warning(remark));
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
        for remark in other.left_undone {
            self.hashes.add(&mut self.left_undone, remark);
        }
        for remark in other.warnings {
            self.hashes.add(&mut self.warnings, remark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_is_said_once_and_many_are_no_burden() {
        let mut remarks = Remarks::new(&Events::default());
        for count in 0..200_000 {
            remarks.undone(RemarkKind::Special, count, "a device");
        }
        remarks.undone(RemarkKind::Special, 7, "a device");
        remarks.warning(RemarkKind::Special, 7, "a device");
        let mut all = Remarks::new(&Events::default());
        all.undone(RemarkKind::Special, 7, "a device");
        all.extend(remarks);
        assert_eq!((all.left_undone.len(), all.warnings.len()), (200_000, 1));
    }
}

//! Remarks: what a verb left out, changed or did not check, in words for people and as a kind for programs.
//!
//! A verb that finished with something undone ends with exit code 3 (docs/cli.md, "Exit codes"); what is only worth
//! knowing is a warning and leaves the exit code alone.

use serde::Serialize;
use tracing::warn;

use crate::error::{Failure, Kind};

/// The kinds of what a file system refuses: an owner, a time, and an extended attribute.
pub const OWNER: &str = "owner";
/// See [`OWNER`].
pub const TIME: &str = "time";
/// See [`OWNER`].
pub const ATTRIBUTE: &str = "attribute";

/// One thing that a verb left undone, or warns of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// The kind, for programs.
    pub kind: &'static str,
    /// The entry or source that it is about; empty if it is about the whole archive.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub entry: String,
    /// The message, for people.
    pub message: String,
}

/// The remarks of one run, in the order in which they came up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Remarks {
    /// Remarks that end the verb with exit code 3.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_undone: Vec<Remark>,
    /// Remarks that leave the exit code alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Remark>,
}

impl Remarks {
    /// Records something that was left undone, and logs it.
    pub fn undone(&mut self, kind: &'static str, entry: impl ToString, message: impl Into<String>) {
        let remark = Remark::new(kind, entry, message);
        if !self.left_undone.contains(&remark) {
            warn!("{}", remark.message);
            self.left_undone.push(remark);
        }
    }

    /// Records a warning, and logs it.
    pub fn warning(
        &mut self,
        kind: &'static str,
        entry: impl ToString,
        message: impl Into<String>,
    ) {
        let remark = Remark::new(kind, entry, message);
        if !self.warnings.contains(&remark) {
            warn!("{}", remark.message);
            self.warnings.push(remark);
        }
    }

    /// Records what the file system refused: an owner or a time is worth knowing, an attribute is undone.
    pub fn refused(
        &mut self,
        kind: &'static str,
        entry: impl ToString,
        message: impl Into<String>,
    ) {
        match kind {
            ATTRIBUTE => self.undone(kind, entry, message),
            kind => self.warning(kind, entry, message),
        }
    }

    /// Returns true if everything was done.
    pub fn is_complete(&self) -> bool {
        self.left_undone.is_empty()
    }

    /// Returns the failure that a verb ends in if something was left undone.
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

    /// Takes over the remarks of a part of the work, without those that are there already.
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

impl Remark {
    fn new(kind: &'static str, entry: impl ToString, message: impl Into<String>) -> Remark {
        Remark {
            kind,
            entry: entry.to_string(),
            message: message.into(),
        }
    }
}

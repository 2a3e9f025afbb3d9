//! Remarks: the parts that a verb left out, changed or did not check, in words for people and as a kind for programs.
//!
//! A verb that finished with something undone ends with exit code 3 (docs/cli.md, "Exit codes"). A remark that is only
//! worth knowing is a warning and does not change the exit code.

use serde::Serialize;
use tracing::warn;

use crate::error::{Failure, Kind};

/// The kind for an owner that a file system refuses.
pub const OWNER: &str = "owner";
/// The kind for a time that a file system refuses.
pub const TIME: &str = "time";
/// The kind for an extended attribute that a file system refuses.
pub const ATTRIBUTE: &str = "attribute";

/// A part that a verb left undone, or a warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// The kind, for programs.
    pub kind: &'static str,
    /// The entry or source that it concerns; empty if it concerns the whole archive.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub entry: String,
    /// The message, for people.
    pub message: String,
}

/// The remarks of one run, in the order in which they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Remarks {
    /// Remarks that end the verb with exit code 3.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_undone: Vec<Remark>,
    /// Remarks that do not change the exit code.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Remark>,
}

impl Remarks {
    /// Records a part that was left undone, and logs it.
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

    /// Records a refusal of the file system: for an attribute as undone, for an owner or a time as a warning.
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

impl Remark {
    fn new(kind: &'static str, entry: impl ToString, message: impl Into<String>) -> Remark {
        Remark {
            kind,
            entry: entry.to_string(),
            message: message.into(),
        }
    }
}

//! The digest of a plan: a caller that saw a plan has exactly that one carried out, or nothing.
//!
//! It covers all that decides the result: the source of the new state, each step, and the content that stands at each
//! target. It is not a promise that a plan can be made twice: a service that works changes its files.

use std::{collections::BTreeMap, os::unix::ffi::OsStrExt as _};

use anyhow::Result;
use serde::Serialize;

use super::obstacle::Obstacle;
use crate::{
    disk::transaction::{Change, New},
    error::{Failure, Kind},
    model::digest::Digest,
};

/// The format of what is digested. Another one makes other digests.
const FORMAT: &str = "hookshot plan 1";

/// The request for the digest of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanDemand {
    /// The part of this machine that the plan is bound to.
    pub scope: PlanScope,
    /// The only plan that is carried out; `None` if the digest is only told.
    pub digest: Option<Digest>,
}

/// The part of this machine that a plan is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanScope {
    /// The steps, and the content at each target.
    Contents,
    /// The steps alone: a guarded service works, and changes its files, until it is stopped.
    Steps,
}

/// The source of the state that a plan puts in place.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanSource<'a> {
    /// An archive.
    Archive {
        /// The archive, as the user names it.
        archive: String,
        /// The digest of the state in it.
        state: String,
        /// The machine that it was exported on.
        hostname: Option<String>,
        /// The entries that are asked for; all if it is empty.
        only: Vec<&'a str>,
        /// The entries that are left out.
        except: Vec<&'a str>,
    },
    /// The files that an earlier import or rollback replaced.
    Record(Undone),
}

/// The import or rollback that a rollback undoes.
#[derive(Debug, Clone, Serialize)]
pub struct Undone {
    /// `import` or `rollback`.
    pub verb: String,
    /// Its time.
    pub time: String,
    /// The archive that it was of.
    pub archive: Option<String>,
}

/// A plan as programs see it that show it before they have it carried out.
#[derive(Debug, Serialize)]
pub struct PlanReport {
    /// The digest of all that decides the result.
    pub digest: String,
    /// The part of this machine that the digest covers.
    pub scope: PlanScope,
    /// The machine that the archive was exported on.
    pub hostname: Option<String>,
    /// The import or rollback that is undone.
    pub undoes: Option<Undone>,
    /// The remedy for each obstacle, by its message.
    pub remedies: BTreeMap<String, &'static str>,
}

impl PlanDemand {
    /// Returns the plan of these steps and changes, as its report names it.
    ///
    /// Errors: [`Kind::Blocked`] if another plan is demanded, and nothing else stands in the way.
    pub fn meet(
        self,
        source: PlanSource<'_>,
        steps: &impl Serialize,
        changes: &[Change<'_>],
        blocked: &[Obstacle],
    ) -> Result<PlanReport> {
        let mut before = Vec::new();
        if self.scope == PlanScope::Contents {
            present(changes, &mut before);
            before.sort();
        }
        let told = (FORMAT, self.scope, &source, steps, before);
        let digest = Digest::of(&serde_json::to_vec(&told)?);
        if self.digest.is_some_and(|demanded| demanded != digest) && blocked.is_empty() {
            let message = "the plan is not the one that was shown: something changed since";
            return Err(Failure::new(Kind::Blocked, message)
                .hint("nothing was changed; make a new plan, and look at its steps")
                .into());
        }
        let (hostname, undoes) = match source {
            PlanSource::Archive { hostname, .. } => (hostname, None),
            PlanSource::Record(undone) => (None, Some(undone)),
        };
        let remedies = blocked.iter();
        Ok(PlanReport {
            digest: digest.to_string(),
            scope: self.scope,
            hostname,
            undoes,
            remedies: remedies
                .map(|blocked| (blocked.message.clone(), blocked.hint))
                .collect(),
        })
    }
}

/// Collects the targets, each with the digest of its present content.
fn present(changes: &[Change<'_>], found: &mut Vec<(String, Option<String>)>) {
    for change in changes {
        let target = hex::encode(change.target.as_os_str().as_bytes());
        found.push((target, change.before.map(|digest| digest.to_string())));
        if let New::Folder { within, .. } = &change.new {
            present(within, found);
        }
    }
}

//! `prune`: applies the retention policy to what destinations hold.
//!
//! Everything is planned before anything is removed: each place is listed and judged (`plan`), and what would take the
//! place of a removed archive is looked into. Then the archives go one by one, the oldest first (`remove`).

mod plan;
mod remove;

use std::ffi::OsString;

use anyhow::Result;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use self::plan::Plan;
use crate::{
    catalog::each::{FailedDestination, Hosts, at_each, failure_of},
    context::Context,
    model::written::rfc3339,
};
use crate::{
    config::Settings,
    error::{Failure, Kind},
    model::retention::{Judged, Mark, Policy, Share, Verdict},
};

/// The request for a prune.
#[derive(Debug, Clone)]
pub struct Request {
    /// The place; none for each of `[backup] to`.
    pub place: Option<OsString>,
    /// A policy in place of any that is configured.
    pub policy: Option<Policy>,
    /// A limit in place of any that is configured.
    pub max_remove: Option<Share>,
    /// The hosts whose archives are judged; those of each prefix are judged apart.
    pub hosts: Hosts,
    /// The archives to inspect before anything is removed.
    pub looks: Looks,
    /// The choice between a plan and a removal.
    pub mode: Mode,
    /// The choice to respect the limit or to exceed it.
    pub limit: Limit,
}

/// The archives to inspect before anything is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// The newest, and those that take the place of removed ones.
    Needed,
    /// All of them.
    All,
}

/// The choice between a plan and a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing: the plan is shown.
    Plan,
    /// The archives of the plan are removed.
    Apply,
}

/// The choice to let a run remove more than `max_remove` or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// It may not.
    Held,
    /// It may: the user agreed.
    Waived,
}

/// The results of a prune.
#[derive(Debug)]
pub struct Report {
    /// One for each place that could be judged.
    pub places: Vec<Place>,
    /// Places that could not.
    pub failed: Vec<FailedDestination>,
    /// The failure of the run, if something is left undone.
    pub failure: Option<Failure>,
}

/// The results for one place.
#[derive(Debug, Serialize)]
pub struct Place {
    /// The place, as messages name it.
    pub destination: String,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_escaped: Option<String>,
    /// True if nothing was to be removed.
    pub dry_run: bool,
    /// The policy.
    pub policy: Policy,
    /// The largest part of the archives that might be removed.
    pub max_remove: String,
    /// The archives that stay, the newest first.
    pub keep: Vec<Kept>,
    /// The archives to remove, the newest first.
    pub remove: Vec<Doomed>,
    /// The number of removed archives.
    pub removed: usize,
    /// Their bytes.
    pub removed_bytes: u64,
    /// The archives that should have been removed and are still there, with the reasons.
    pub undone: Vec<Undone>,
    /// Archives that had a mark and are not there any more; with the run, the marks go.
    pub stray_marks: Vec<String>,
    /// Files under other names, archives or not: they use up no count and are never removed.
    pub others: Vec<Other>,
}

/// A file that no policy removes, whatever it is.
#[derive(Debug, Serialize)]
pub struct Other {
    /// Its name.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
}

/// An archive that stays.
#[derive(Debug, Serialize)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// Its time.
    pub time: String,
    /// The reasons why it stays.
    pub reasons: Vec<String>,
    /// Its size.
    pub size_bytes: u64,
    /// The standing of the archive: `good`, `unproven`, `cold`, `torn`, `damaged` or `incomplete`.
    pub standing: &'static str,
    /// Its mark: `forever`, or until when.
    pub mark: Option<String>,
}

/// An archive that goes.
#[derive(Debug, Serialize)]
pub struct Doomed {
    /// Its name.
    pub name: String,
    /// Its time.
    pub time: String,
    /// The reason why it goes.
    pub reason: String,
    /// The archive that took its place.
    pub replacement: String,
    /// Its size.
    pub size_bytes: u64,
    /// The standing of the archive: `good`, `unproven`, `cold`, `torn`, `damaged` or `incomplete`.
    pub standing: &'static str,
}

/// An archive that was to go and is still there.
#[derive(Debug, Serialize)]
pub struct Undone {
    /// Its name.
    pub name: String,
    /// The reason why it is still there.
    pub message: String,
}

/// One place is one object; several stand in `destinations`.
impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let ([place], []) = (&self.places[..], &self.failed[..]) {
            return place.serialize(serializer);
        }
        let mut report = serializer.serialize_struct("Report", 3)?;
        let removed: usize = self.places.iter().map(|place| place.removed).sum();
        report.serialize_field("removed", &removed)?;
        report.serialize_field("destinations", &self.places)?;
        report.serialize_field("failed", &self.failed)?;
        report.end()
    }
}

/// Plans for every place, then removes.
///
/// Nothing is removed anywhere if one place would lose more than it may at once. Not promised: that an inspected
/// archive is good to its last byte; its end and its manifest are.
pub fn prune(context: &Context, settings: &Settings, request: &Request) -> Result<Report> {
    let words: Vec<OsString> = request.place.iter().cloned().collect();
    let (plans, failed) = at_each(context, settings, &words, |destination| {
        let prefix = request.hosts.prefix(settings);
        Plan::make(context, destination, prefix, request)
    })?;
    let mut failure = failure_of(&failed, plans.len() + failed.len());
    let too_many: Vec<String> = plans
        .iter()
        .flat_map(|plan| plan.too_many.clone())
        .collect();
    let mut places: Vec<Place> = plans.iter().map(|plan| plan.place(request.mode)).collect();
    if let Some(first) = too_many.first() {
        let refusal = Failure::new(Kind::Usage, format!("nothing is removed: {first}"))
            .hint("look at what would go with --dry-run; --yes removes it all the same")
            .faults(too_many);
        return Ok(Report {
            places,
            failed,
            failure: Some(refusal),
        });
    }
    if request.mode == Mode::Apply {
        for (plan, place) in plans.iter().zip(&mut places) {
            if let Err(error) = remove::apply(context, plan, place) {
                // Only an interruption ends the rest.
                failure = Some(Failure::of(&error));
                break;
            }
        }
        failure = failure.or_else(|| undone(&places));
    }
    Ok(Report {
        places,
        failed,
        failure,
    })
}

fn undone(places: &[Place]) -> Option<Failure> {
    let named = |place: &Place| {
        let shown = place.destination.clone();
        let one = move |undone: &Undone| format!("{shown}: {}: {}", undone.name, undone.message);
        place.undone.iter().map(one).collect::<Vec<_>>()
    };
    let faults: Vec<String> = places.iter().flat_map(named).collect();
    let message = match &faults[..] {
        [] => return None,
        [only] => format!("one archive was not removed: {only}"),
        [first, ..] => format!("{} archives were not removed: {first}", faults.len()),
    };
    Some(
        Failure::new(Kind::Partial, message)
            .hint("look at what the place permits: object lock, permissions; the next run tries again")
            .faults(faults),
    )
}

impl Plan {
    fn place(&self, mode: Mode) -> Place {
        let (mut keep, mut remove) = (Vec::new(), Vec::new());
        for Judged { archive, verdict } in &self.judged {
            let (name, time) = (archive.name.clone(), rfc3339(archive.time));
            let size_bytes = self.size_bytes(&archive.name);
            let standing = archive.standing.name();
            match verdict {
                Verdict::Keep(reasons) => keep.push(Kept {
                    name,
                    time,
                    reasons: reasons.iter().map(ToString::to_string).collect(),
                    size_bytes,
                    standing,
                    mark: archive.mark.map(Mark::text),
                }),
                Verdict::Remove(removal) => remove.push(Doomed {
                    name,
                    time,
                    reason: removal.to_string(),
                    replacement: removal.replacement.clone(),
                    size_bytes,
                    standing,
                }),
            }
        }
        Place {
            destination: self.destination.shown(),
            destination_escaped: self.destination.shown_escaped(),
            dry_run: mode == Mode::Plan,
            policy: self.policy,
            max_remove: self.max_remove.to_string(),
            keep,
            remove,
            removed: 0,
            removed_bytes: 0,
            undone: Vec::new(),
            stray_marks: self.strays.clone(),
            others: self
                .other_names
                .iter()
                .map(|stored| Other {
                    name: stored.name.clone(),
                    size_bytes: stored.size_bytes,
                })
                .collect(),
        }
    }
}

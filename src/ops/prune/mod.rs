//! `prune`: applies the retention policy to what destinations hold.
//!
//! Everything is planned before anything is removed: each destination is listed and judged (`plan`), and the archives
//! that would take the place of removed ones are inspected. Then the archives go one by one, the oldest first
//! (`remove`).

mod plan;
mod remove;
mod report;
mod request;

use std::ffi::OsString;

use anyhow::Result;
use chrono::{DateTime, Utc};

use self::plan::{BlockedHost, PrunePlan};
pub use self::{
    report::{
        ArchiveToRemove, BlockedRow, DestinationPrune, KeptArchive, LateArchive, NotRemoved,
        OtherName, PruneReport,
    },
    request::{InspectFirst, PruneMode, PruneRequest, RemovalLimit},
};
use crate::{
    catalog::{
        each::{at_each, failure_of},
        health,
        target::Target,
    },
    config::Settings,
    context::Context,
    error::{Failure, Kind},
    model::{
        entry_name::printable,
        retention::{Judged, Mark, Timing, Verdict},
        written::rfc3339,
    },
    work::events::CatalogEvent,
};

/// Plans for every destination, then removes.
///
/// Nothing is removed anywhere if one destination would lose more than it may at once. Not promised: that an inspected
/// archive is good to its last byte; its end and its manifest are.
pub fn prune(
    context: &Context,
    settings: &Settings,
    request: &PruneRequest,
) -> Result<PruneReport> {
    let words = match &request.destination {
        Some(word) => vec![word.clone()],
        None => prunable(settings)?,
    };
    let (plans, failed) = at_each(context, settings, &words, |destination| {
        let prefix = request.hosts.prefix(settings);
        PrunePlan::make(context, destination, prefix, request)
    })?;
    let mut failure = failure_of(&failed, plans.len() + failed.len());
    let too_many: Vec<String> = plans
        .iter()
        .flat_map(|plan| plan.too_many.clone())
        .collect();
    let mut destinations: Vec<DestinationPrune> = plans
        .iter()
        .map(|plan| plan.describe(request.mode, context.now))
        .collect();
    if let Some(first) = too_many.first() {
        let word = request.destination.as_ref();
        let word = word.map(|word| format!(" {}", printable(&word.to_string_lossy())));
        let prune = format!("hookshot prune{}", word.unwrap_or_default());
        let refusal = Failure::new(Kind::Usage, format!("nothing is removed: {first}"))
            .hint(format!(
                "`{prune} --dry-run` shows what would be removed; `{prune} --yes` removes it anyway"
            ))
            .faults(too_many);
        return Ok(PruneReport {
            destinations,
            failed,
            failure: Some(refusal),
        });
    }
    for destination in &destinations {
        if let Some(newest) = destination.late.first()
            && !destination.policy.is_empty()
        {
            context.tell(CatalogEvent::LateArchives {
                destination: destination.destination.clone(),
                newest: newest.name.clone(),
                count: destination.late.len(),
            });
        }
    }
    if request.mode == PruneMode::Apply {
        for (plan, destination) in plans.iter().zip(&mut destinations) {
            if request.limit == RemovalLimit::Waived {
                accept(context, plan);
            }
            if let Err(error) = remove::apply(context, plan, destination) {
                let error = Failure::of(&error);
                // Another process works at this destination; the others follow.
                if error.kind == Kind::Blocked {
                    failure.get_or_insert(error);
                    continue;
                }
                failure = Some(error);
                break;
            }
        }
        failure = failure.or_else(|| undone(&destinations));
    }
    failure = failure.or_else(|| blocked(&destinations));
    Ok(PruneReport {
        destinations,
        failed,
        failure,
    })
}

/// Returns the destinations of `[backup] to`, without those that only grow: another machine prunes them.
fn prunable(settings: &Settings) -> Result<Vec<OsString>> {
    let mut words = Target::configured(settings)?;
    words.retain(|word| !Target::read(word).is_ok_and(|target| target.only_grows(settings)));
    Ok(words)
}

/// Records that the user accepts the sizes of the newest archives. Without the record, the next prune asks again.
fn accept(context: &Context, plan: &PrunePlan) {
    for host in &plan.blocked {
        let destination = &plan.destination;
        if let Err(error) = health::accept_size(context, destination, &host.prefix, &host.problem) {
            context.tell(CatalogEvent::NotAccepted {
                destination: destination.shown(),
                reason: format!("{error:#}"),
            });
        }
    }
}

/// Returns the failure of a run that removed nothing of some hosts, because the user is to look first.
fn blocked(destinations: &[DestinationPrune]) -> Option<Failure> {
    let each = destinations.iter().flat_map(|destination| {
        let rows = destination.blocked.iter();
        rows.map(|row| (&destination.destination, row))
    });
    let faults: Vec<String> = each
        .map(|(destination, row)| format!("{destination}: {}: {}", row.prefix, row.message))
        .collect();
    let first = faults.first()?;
    let message = format!("nothing is removed before you have looked: {first}");
    let hint = "`hookshot verify` and `hookshot diff` say what is wrong, and need a key (--identity FILE) for sealed \
        archives; --yes removes archives anyway, and accepts a size that fell";
    Some(
        Failure::new(Kind::Partial, message)
            .hint(hint)
            .faults(faults),
    )
}

/// Returns the failure of a run that left archives; `None` if it left none.
fn undone(destinations: &[DestinationPrune]) -> Option<Failure> {
    let named = |destination: &DestinationPrune| {
        let shown = destination.destination.clone();
        let line =
            move |undone: &NotRemoved| format!("{shown}: {}: {}", undone.name, undone.message);
        destination.undone.iter().map(line).collect::<Vec<_>>()
    };
    let faults: Vec<String> = destinations.iter().flat_map(named).collect();
    let message = match &faults[..] {
        [] => return None,
        [only] => format!("one archive was not removed: {only}"),
        [first, ..] => format!("{} archives were not removed: {first}", faults.len()),
    };
    let mut undone = destinations.iter().flat_map(|one| &one.undone);
    let hint = undone.find_map(|undone| undone.hint.clone());
    let hint = hint.unwrap_or_else(|| {
        "look at object lock and permissions of the destination; the next run tries again"
            .to_owned()
    });
    Some(
        Failure::new(Kind::Partial, message)
            .hint(hint)
            .faults(faults),
    )
}

impl PrunePlan {
    /// Returns the archives that came late, and that no mark keeps.
    fn late(&self, now: DateTime<Utc>) -> impl Iterator<Item = LateArchive> {
        let archives = self.judged.iter().map(|judged| &judged.archive);
        archives.filter_map(move |archive| {
            let is_marked = archive.mark.is_some_and(|mark| mark.holds(now));
            let arrival = archive.arrival.filter(|_| !is_marked)?;
            (archive.timing() == Timing::Late).then(|| LateArchive {
                name: archive.name.clone(),
                time: rfc3339(archive.time),
                written: rfc3339(arrival.time),
            })
        })
    }

    /// Describes the plan, before anything is removed.
    fn describe(&self, mode: PruneMode, now: DateTime<Utc>) -> DestinationPrune {
        let (mut keep, mut remove) = (Vec::new(), Vec::new());
        let row = |host: &BlockedHost| BlockedRow {
            prefix: host.prefix.clone(),
            message: host.problem.to_string(),
            hint: host.problem.hint(),
        };
        let is_held = !self.spared.is_empty();
        for Judged { archive, verdict } in &self.judged {
            let (name, time) = (archive.name.clone(), rfc3339(archive.time));
            let size_bytes = self.size_bytes(&archive.name);
            let standing = archive.standing;
            match verdict {
                Verdict::Keep(reasons) => keep.push(KeptArchive {
                    name,
                    time,
                    reasons: reasons.iter().map(ToString::to_string).collect(),
                    size_bytes,
                    standing,
                    mark: archive.mark.map(Mark::text),
                }),
                Verdict::Remove(_) if self.spared.contains(&archive.name) => {
                    keep.push(KeptArchive {
                        name,
                        time,
                        reasons: vec!["the newest archive needs a look first".to_owned()],
                        size_bytes,
                        standing,
                        mark: archive.mark.map(Mark::text),
                    });
                }
                Verdict::Remove(removal) => remove.push(ArchiveToRemove {
                    name,
                    time,
                    reason: removal.to_string(),
                    replacement: removal.replacement.clone(),
                    size_bytes,
                    standing,
                }),
            }
        }
        DestinationPrune {
            destination: self.destination.shown(),
            destination_escaped: self.destination.shown_escaped(),
            dry_run: mode == PruneMode::Plan,
            policy: self.policy,
            max_remove: self.max_remove.to_string(),
            keep,
            remove,
            removed: 0,
            removed_bytes: 0,
            undone: Vec::new(),
            blocked: match is_held {
                true => self.blocked.iter().map(row).collect(),
                false => Vec::new(),
            },
            stray_marks: self.strays.clone(),
            late: self.late(now).collect(),
            others: self
                .other_names
                .iter()
                .map(|stored| OtherName {
                    name: stored.name.clone(),
                    size_bytes: stored.size_bytes,
                })
                .collect(),
        }
    }
}

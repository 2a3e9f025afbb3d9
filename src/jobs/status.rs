//! `status`: the health of what the destinations hold, and of the runs of the configuration.
//!
//! The destinations are asked, not the history: it only tells of runs. One that cannot be read is unhealthy, and the
//! others still follow.

mod canary;
mod from_history;
mod next;
mod report;
mod runbook;

use std::{collections::BTreeMap, ffi::OsString, time::Duration};

use anyhow::Result;

use self::{
    canary::canary,
    from_history::{drills, last_delivery, last_proof, not_delivered, shared_prefix},
    next::{longest_interval, next_runs},
};
pub use self::{
    next::NextRun,
    report::{DestinationStatus, Detail, LastProof, NewestArchive, Said, StatusReport, Trend},
    runbook::{Runbook, RunbookDrill, RunbookPlace, RunbookStep, runbook},
};
use super::runs::Runs;
use crate::{
    catalog::{
        destination::Destination,
        each::Hosts,
        health::facts,
        repository::{ArchiveListing, ListedArchive, Manifests},
        target::Target,
    },
    config::Settings,
    context::Context,
    error::{Failure, Kind},
    model::{
        health::{
            DEFAULT_MAX_AGE, Facts, Health, INSPECTED, Limits, Problem, RunFacts, drill_failed,
            drill_overdue, judge, judge_runs,
        },
        run_record::Job,
        written::rfc3339,
    },
};

/// The request for a status.
#[derive(Debug, Clone)]
pub struct StatusRequest {
    /// The destinations; none for every configured one.
    pub destinations: Vec<OsString>,
    /// The largest age in place of those that are configured.
    pub max_age: Option<Duration>,
    /// The hosts whose archives are judged; those of each prefix are judged apart.
    pub hosts: Hosts,
}

impl StatusRequest {
    /// Returns a request for our archives in every configured destination.
    pub fn new() -> StatusRequest {
        StatusRequest {
            destinations: Vec::new(),
            max_age: None,
            hosts: Hosts::Ours,
        }
    }
}

impl Default for StatusRequest {
    fn default() -> StatusRequest {
        StatusRequest::new()
    }
}

/// Looks at each destination, and at the history.
pub fn status(
    context: &Context,
    settings: &Settings,
    request: &StatusRequest,
) -> Result<StatusReport> {
    let runs = Runs::read(context, settings)?;
    let look = Look {
        context,
        settings,
        request,
        runs: &runs,
    };
    let mut destinations = Vec::new();
    for word in words(settings, request)? {
        context.stop.check()?;
        destinations.extend(look.at(&word)?);
    }
    let facts = RunFacts {
        runs: runs.all(),
        living: runs.living(),
        now: context.now,
    };
    let (problems, remarks) = judge_runs(&facts);
    let said = Said::of(&problems, &remarks);
    let next_runs = next_runs(context, settings);
    let next = next_runs.iter().filter(|next| next.job != Job::Status);
    let healthy = said.problems.is_empty() && destinations.iter().all(|one| one.healthy);
    Ok(StatusReport {
        healthy,
        app: settings.schema.app.clone(),
        version: context.version.to_string(),
        time: context.time(),
        now: context.now,
        failure: failure(settings, &said, &destinations),
        destinations,
        said,
        running: runs.living().cloned(),
        last_run: runs.last(Job::Backup).map(|run| runs.shown(run)),
        last_drill: runs.last(Job::Drill).map(|run| runs.shown(run)),
        next_run: next.min_by_key(|next| next.time).cloned(),
        next_runs,
    })
}

/// Returns the words for the destinations of a request: those of `[backup] to` come first.
fn words(settings: &Settings, request: &StatusRequest) -> Result<Vec<OsString>> {
    if !request.destinations.is_empty() {
        return Ok(request.destinations.clone());
    }
    let words = Target::every(settings)?;
    if words.is_empty() {
        return Err(Target::none_named(settings).into());
    }
    Ok(words)
}

/// Returns the failure of a look that found a problem.
fn failure(
    settings: &Settings,
    said: &Said,
    destinations: &[DestinationStatus],
) -> Option<Failure> {
    let of_runs = said.details.iter().map(|detail| (None, detail));
    let of_destinations = destinations.iter().flat_map(|one| {
        let details = one.said.details.iter();
        details.map(|detail| (Some(one.destination.as_str()), detail))
    });
    let unhealthy: Vec<(Option<&str>, &Detail)> = of_destinations
        .chain(of_runs)
        .filter(|(_, detail)| detail.unhealthy)
        .collect();
    let (_, first) = unhealthy.first()?;
    let line = |(destination, detail): &(Option<&str>, &Detail)| match destination {
        Some(destination) => format!("{destination}: {}", detail.message),
        None => detail.message.clone(),
    };
    let faults: Vec<String> = unhealthy.iter().map(line).collect();
    let app = &settings.schema.app;
    let message = match &faults[..] {
        [only] => format!("the backups of {app} are not healthy: {only}"),
        [first, rest @ ..] => format!(
            "the backups of {app} are not healthy: {first}; and {} more",
            rest.len()
        ),
        [] => return None,
    };
    let failure = Failure::new(Kind::Unhealthy, message).hint(first.hint.clone());
    Some(failure.faults(faults))
}

/// The means of a look at destinations.
struct Look<'a> {
    context: &'a Context,
    settings: &'a Settings,
    request: &'a StatusRequest,
    runs: &'a Runs,
}

impl Look<'_> {
    /// Looks at the destination that a word names: one row, or one for each prefix.
    fn at(&self, word: &OsString) -> Result<Vec<DestinationStatus>> {
        let target = Target::read(word)?;
        if let Target::Named(name) = &target
            && !self.settings.schema.destinations.contains_key(name)
        {
            // Not a destination that fails, but a wrong word.
            return target
                .destination(self.context, self.settings)
                .map(|_| Vec::new());
        }
        let opened = target.destination(self.context, self.settings);
        let looked = opened.and_then(|destination| self.within(&destination));
        looked.or_else(|error| {
            let failure = Failure::of(&error);
            if matches!(failure.kind, Kind::Interrupted(_)) {
                return Err(error);
            }
            Ok(vec![self.unreachable(&target, failure)])
        })
    }

    fn within(&self, destination: &Destination) -> Result<Vec<DestinationStatus>> {
        let prefix = self.request.hosts.prefix(self.settings);
        let listing = match destination.repository.list(prefix, Manifests::OfAll) {
            // The first backup makes the folder.
            Err(error)
                if Failure::of(&error).kind == Kind::NotFound
                    && destination.folder().is_some_and(|folder| !folder.exists()) =>
            {
                ArchiveListing::default()
            }
            listing => listing?,
        };
        let mut hosts: BTreeMap<&str, Vec<&ListedArchive>> = BTreeMap::new();
        if let Some(prefix) = prefix {
            hosts.insert(prefix, Vec::new());
        }
        for listed in &listing.archives {
            hosts.entry(listed.prefix()).or_default().push(listed);
        }
        if hosts.is_empty() {
            hosts.insert(&self.settings.schema.prefix, Vec::new());
        }
        let row = |(prefix, archives): (&str, Vec<&ListedArchive>)| {
            let facts = facts(self.context, destination, prefix, &archives)?;
            let limits = Limits {
                now: self.context.now,
                max_age: self.max_age(destination.name.as_deref()),
            };
            let mut health = judge(&facts, limits);
            let canary = canary(self.context, destination, &archives)?;
            health.problems.extend(canary.problem);
            health.remarks.extend(canary.remark);
            let row = self.row(destination, prefix, limits, &facts, health);
            Ok(DestinationStatus {
                opened_by: canary.opened_by,
                ..row
            })
        };
        hosts.into_iter().map(row).collect()
    }

    /// Returns the largest age of the newest good archive of a destination. One that does not get an archive with each
    /// run may be older, by the time between two of them.
    fn max_age(&self, name: Option<&str>) -> Duration {
        let settings = name.and_then(|name| self.settings.schema.destinations.get(name));
        let own = settings.and_then(|settings| settings.max_age);
        if let Some(age) = self.request.max_age.or(own) {
            return age;
        }
        let general = self
            .settings
            .schema
            .health
            .max_age
            .unwrap_or(DEFAULT_MAX_AGE);
        let every = settings.and_then(|settings| settings.every.as_ref());
        let interval = every.map(|every| longest_interval(self.context, self.settings, every));
        general.saturating_add(interval.unwrap_or_default())
    }

    fn row(
        &self,
        destination: &Destination,
        prefix: &str,
        limits: Limits,
        facts: &Facts,
        mut health: Health,
    ) -> DestinationStatus {
        let name = match &destination.name {
            Some(name) => name.clone(),
            None => destination.repository.address(),
        };
        health.remarks.extend(not_delivered(self.runs, &name));
        // The history knows nothing of other hosts.
        let is_ours = prefix == self.settings.schema.prefix;
        if is_ours {
            health.remarks.extend(shared_prefix(self.runs, &name));
        }
        let bare = self.bare_row(name, destination.shown(), prefix, limits.max_age);
        let due = self.settings.schema.drill.max_age.filter(|_| is_ours);
        let overdue = due.and_then(|due| drill_overdue(bare.drilled_at, due, limits.now));
        let failed = drill_failed(self.runs.all(), &bare.name).filter(|_| is_ours);
        health.problems.extend(failed);
        health.problems.extend(overdue);
        let newest = health.newest_good.and_then(|at| facts.archives.get(at));
        let now = self.context.now;
        let checked = facts.unchanged.as_ref().filter(|note| {
            let is_later = health.fresh_at == Some(note.time);
            is_later && newest.is_some_and(|newest| newest.order.time != note.time)
        });
        let held = |name: &str| facts.archives.iter().find(|seen| seen.name == name);
        let inspected = facts.archives.iter().take(INSPECTED);
        let archives = facts.archives.iter();
        DestinationStatus {
            healthy: health.problems.is_empty(),
            newest: newest.map(|seen| NewestArchive {
                name: seen.name.clone(),
                time: rfc3339(seen.order.time),
                age_seconds: (now - seen.order.time).num_seconds().max(0),
                size_bytes: seen.size_bytes,
                content_bytes: seen.content_bytes,
            }),
            archives: Some(facts.archives.len()),
            size_bytes: Some(archives.fold(0, |sum, seen| sum.saturating_add(seen.size_bytes))),
            unchanged_since: checked
                .and_then(|note| held(&note.name))
                .map(|seen| rfc3339(seen.order.time)),
            checked_at: checked.map(|note| rfc3339(note.time)),
            trend: inspected
                .map(|seen| Trend {
                    name: seen.name.clone(),
                    time: rfc3339(seen.order.time),
                    size_bytes: seen.size_bytes,
                    content_bytes: seen.content_bytes,
                })
                .collect(),
            room_bytes: facts.room_bytes,
            said: Said::of(&health.problems, &health.remarks),
            fresh_at: health.fresh_at,
            ..bare
        }
    }

    /// Returns the row of a destination that cannot be read.
    fn unreachable(&self, target: &Target, failure: Failure) -> DestinationStatus {
        let name = match target {
            Target::Named(name) => name.clone(),
            target => target.shown(),
        };
        let max_age = self.max_age(Some(&name));
        let delivered = last_delivery(self.runs, &name);
        let (message, hint) = (failure.message, failure.hint);
        let problem = match failure.kind {
            Kind::Key => Problem::NoKeys { message, hint },
            _ => Problem::Unreachable { message, hint },
        };
        let prefix = &self.settings.schema.prefix;
        DestinationStatus {
            said: Said::of(&[problem], &[]),
            fresh_at: delivered,
            ..self.bare_row(name, target.shown(), prefix, max_age)
        }
    }

    /// Returns a row with the facts that the history tells.
    fn bare_row(
        &self,
        name: String,
        destination: String,
        prefix: &str,
        max_age: Duration,
    ) -> DestinationStatus {
        let (drilled_at, is_drilled) = drills(self.runs, &name);
        DestinationStatus {
            last_proof: last_proof(self.runs, &name),
            name,
            destination,
            prefix: prefix.to_owned(),
            healthy: false,
            newest: None,
            archives: None,
            size_bytes: None,
            said: Said::default(),
            max_age_seconds: max_age.as_secs(),
            unchanged_since: None,
            checked_at: None,
            trend: Vec::new(),
            room_bytes: None,
            opened_by: None,
            last_drill: drilled_at.map(rfc3339),
            fresh_at: None,
            drilled_at,
            is_drilled,
        }
    }
}

//! The newest archive of a repository: the archives that come first, and those that are skipped.

use anyhow::Result;
use chrono::{DateTime, Utc};

use super::{
    outside::Inside,
    repository::{ListedArchive, Manifests, Repository},
};
use crate::{
    context::Context,
    error::{Failure, Kind},
    model::{health::EARLY, retention::is_future, written::rfc3339},
    store::{Stored, is_cold},
    work::events::{ArchiveFlaw, CatalogEvent, Events, NextArchive},
};

/// The most folders that a message names.
const MOST_NAMED: usize = 10;

/// The archives that a user may need most.
#[derive(Debug, Default)]
pub struct Needed {
    /// The newest good one.
    pub good: Option<String>,
    /// The newest one that is sealed, if it is newer and may be good.
    pub sealed: Option<String>,
}

impl dyn Repository + '_ {
    /// Returns the newest archive of `prefix` whose end and manifest are good. It prefers one without a torn database.
    /// The caller verifies the rest. An archive that must be thawed is the last choice. One that no key opens is not
    /// passed over.
    ///
    /// Errors: [`Kind::NotFound`] if there is none; [`Kind::Refused`] if there are some, and all are damaged.
    pub fn newest_good(&self, context: &Context, prefix: &str) -> Result<String> {
        let (name, _) = self.newest_inside(context, prefix)?;
        Ok(name)
    }

    /// Returns the same archive, and what is known of what it holds.
    pub fn newest_inside(&self, context: &Context, prefix: &str) -> Result<(String, Inside)> {
        let passed = |archive: &str, flaw| {
            let event = passed_over(archive, flaw, NextArchive::Older);
            context.tell(event);
        };
        let (mut torn, mut cold, mut damaged) = (None, None, Vec::new());
        for stored in self.newest_first(prefix, context.now, &context.events)? {
            let inside = match self.inside(context, &stored) {
                Err(error) if is_cold(&Failure::of(&error)) => {
                    passed(&stored.name, ArchiveFlaw::Cold);
                    cold.get_or_insert((stored.name, Inside::Unread));
                    continue;
                }
                inside => inside?,
            };
            let is_torn = match &inside {
                Inside::Manifest(manifest) => manifest.has_torn_database(),
                Inside::Known(known) => known.torn_database,
                Inside::Closed(_) => false,
                Inside::Unread => {
                    passed(&stored.name, ArchiveFlaw::Unreadable);
                    damaged.push(stored.name);
                    continue;
                }
            };
            if !is_torn {
                return Ok((stored.name, inside));
            }
            passed(&stored.name, ArchiveFlaw::Torn);
            torn.get_or_insert((stored.name, inside));
        }
        torn.or(cold).ok_or_else(|| match damaged.is_empty() {
            true => self.has_none("good archive", prefix).into(),
            false => self.all_damaged(&damaged, prefix).into(),
        })
    }

    /// Returns the archives of `prefix` that a user may need most: the newest good one, and if a newer one is sealed and
    /// may be good, the newest of these.
    pub fn needed(&self, context: &Context, prefix: &str) -> Result<Needed> {
        let mut needed = Needed::default();
        for stored in self.newest_first(prefix, context.now, &context.events)? {
            match self.inside(context, &stored) {
                Ok(Inside::Closed(_)) => drop(needed.sealed.get_or_insert(stored.name)),
                Ok(Inside::Manifest(manifest)) if !manifest.has_torn_database() => {
                    needed.good = Some(stored.name);
                    return Ok(needed);
                }
                Ok(Inside::Known(known)) if !known.torn_database => {
                    needed.good = Some(stored.name);
                    return Ok(needed);
                }
                Ok(_) => {}
                Err(error) if is_cold(&Failure::of(&error)) => {}
                Err(error) => return Err(error),
            }
        }
        // None is known to be good: one with a flaw is the best that is left.
        if needed.sealed.is_none() {
            needed.good = Some(self.newest_good(context, prefix)?);
        }
        Ok(needed)
    }

    /// Returns the archives of `prefix`, the newest first, for a caller that verifies them itself; at least one. An
    /// archive with a torn database and one in cold storage come after all others, as far as the first that is neither.
    pub fn candidates(
        &self,
        prefix: &str,
        now: DateTime<Utc>,
        events: &Events,
    ) -> Result<Vec<String>> {
        let archives = self.newest_first(prefix, now, events)?.into_iter();
        let mut names: Vec<String> = archives.map(|stored| stored.name).collect();
        // An archive that cannot be inspected keeps its position: its reader will report the fault.
        let weakness = |name: &String| match self.manifest(name) {
            Ok(manifest) => manifest?.has_torn_database().then_some(ArchiveFlaw::Torn),
            Err(error) => is_cold(&Failure::of(&error)).then_some(ArchiveFlaw::Cold),
        };
        let weak: Vec<ArchiveFlaw> = names.iter().map_while(weakness).collect();
        let count = weak.len();
        let next = match count < names.len() {
            true => NextArchive::Older,
            false => NextArchive::Same,
        };
        for (name, flaw) in names.iter().zip(weak) {
            events.send(passed_over(name, flaw, next));
        }
        names.rotate_left(count);
        Ok(names)
    }

    /// Returns the newest archive of `prefix` whose manifest has this label. One whose manifest cannot be read is passed
    /// over, which is said.
    pub fn newest_with_tag(
        &self,
        prefix: &str,
        (key, value): (&str, &str),
        context: &Context,
    ) -> Result<String> {
        for stored in self.newest_first(prefix, context.now, &context.events)? {
            context.stop.check()?;
            let flaw = match self.inside(context, &stored) {
                Ok(Inside::Closed(failure)) => return Err(failure.into()),
                Ok(inside) => match inside.tags() {
                    Some(tags) if tags.get(key).is_some_and(|said| said == value) => {
                        return Ok(stored.name);
                    }
                    Some(_) => continue,
                    None => ArchiveFlaw::Unreadable,
                },
                Err(error) => match Failure::of(&error) {
                    failure if is_cold(&failure) => ArchiveFlaw::Cold,
                    _ => return Err(error),
                },
            };
            context.tell(passed_over(&stored.name, flaw, NextArchive::Older));
        }
        let what = format!("archive with the label {key}={value}");
        Err(self.has_none(&what, prefix).into())
    }

    /// Returns the newest archive of `prefix` that is wanted, by the names alone.
    pub fn newest_named(
        &self,
        prefix: &str,
        is_wanted: impl FnMut(&ListedArchive) -> bool,
    ) -> Result<Option<String>> {
        let newest = self.newest_listed(prefix, is_wanted)?;
        Ok(newest.map(|stored| stored.name))
    }

    /// Returns the same archive as the destination lists it.
    pub fn newest_listed(
        &self,
        prefix: &str,
        mut is_wanted: impl FnMut(&ListedArchive) -> bool,
    ) -> Result<Option<Stored>> {
        let listing = self.list(Some(prefix), Manifests::OfNone)?;
        let newest = listing
            .archives
            .into_iter()
            .find(|listed| is_wanted(listed));
        Ok(newest.map(|listed| listed.stored))
    }

    /// Returns the number of folders that the last listing skipped, and the first of their names.
    pub fn shown_folders(&self) -> Option<String> {
        let folders = self.folders();
        let named = folders.iter().take(MOST_NAMED).cloned();
        let named = named.collect::<Vec<_>>().join(", ");
        match folders.len() {
            0 => None,
            count if count > MOST_NAMED => Some(format!("{named} and {} more", count - MOST_NAMED)),
            _ => Some(named),
        }
    }

    /// Returns the archives of `prefix`, the newest first, without those dated in the future; at least one.
    fn newest_first(
        &self,
        prefix: &str,
        now: DateTime<Utc>,
        events: &Events,
    ) -> Result<Vec<Stored>> {
        let listing = self.list(Some(prefix), Manifests::OfAll)?;
        let is_ahead = |listed: &ListedArchive| listed.is_ahead(now);
        let (ahead, archives): (Vec<ListedArchive>, Vec<ListedArchive>) =
            listing.archives.into_iter().partition(is_ahead);
        for other in listing.other_files.iter().filter(|file| !file.is_foreign) {
            events.send(CatalogEvent::FileSkipped {
                file: other.name.clone(),
                destination: self.shown(),
                reason: other.reason.clone(),
            });
        }
        let names = |archives: Vec<ListedArchive>| {
            let archives = archives.into_iter();
            archives.map(|listed| listed.stored).collect()
        };
        let Some(latest) = ahead.first() else {
            let mut unread = listing.other_files.iter().filter(|other| other.is_unread);
            return match (archives.is_empty(), unread.next()) {
                (false, _) => Ok(names(archives)),
                // The record of a state in a repository: what it describes may be the archive.
                (true, Some(other)) if self.vault().is_some() => {
                    let (place, name) = (self.shown(), &other.name);
                    let message = format!("{place}: {name} is damaged: {}", other.reason);
                    Err(Failure::new(Kind::Refused, message)
                        .hint("put the file back from a copy of the repository; no other state is there")
                        .into())
                }
                (true, _) => Err(self.has_none("archive", prefix).into()),
            };
        };
        let is_future = |listed: &&ListedArchive| is_future(listed.time, now);
        let (future, early): (Vec<_>, Vec<_>) = ahead.iter().partition(is_future);
        if archives.is_empty() {
            let how = match (future.is_empty(), early.is_empty()) {
                (true, _) => "after it was written",
                (false, true) => "in the future",
                (false, false) => "in the future, or after it was written",
            };
            let message = format!(
                "every archive of {prefix} in {} is dated {how}, the newest {}",
                self.shown(),
                latest.stored.name
            );
            let clock = format!("; this machine's clock says {}", rfc3339(now));
            let (clock, hint) = match future.is_empty() {
                true => ("", format!("{EARLY}; or name the archive instead of the newest one")),
                false => (
                    &*clock,
                    "set this machine's clock; if it is right, name the archive instead of the newest one".to_owned(),
                ),
            };
            return Err(Failure::new(Kind::NotFound, format!("{message}{clock}"))
                .hint(hint)
                .into());
        }
        if let Some(latest) = future.first() {
            events.send(CatalogEvent::FutureSkipped {
                newest: latest.stored.name.clone(),
                destination: self.shown(),
                count: future.len(),
                clock: rfc3339(now),
            });
        }
        if let Some(latest) = early.first() {
            events.send(CatalogEvent::EarlySkipped {
                newest: latest.stored.name.clone(),
                destination: self.shown(),
                count: early.len(),
            });
        }
        Ok(names(archives))
    }

    /// Returns the failure of archives that are all damaged; the newest is the first of `names`.
    fn all_damaged(&self, names: &[String], prefix: &str) -> Failure {
        let (place, newest) = (self.shown(), &names[0]);
        let message = match names.len() {
            1 => {
                format!("{newest} in {place} is damaged, and no other archive of {prefix} is there")
            }
            count => format!(
                "all {count} archives of {prefix} in {place} are damaged, the newest {newest}"
            ),
        };
        let faults = names
            .iter()
            .map(|name| format!("{name}: its manifest cannot be read"));
        Failure::new(Kind::Refused, message)
            .hint(format!(
                "`hookshot verify {place}/{newest}` says what is wrong with it"
            ))
            .faults(faults.collect())
    }

    fn has_none(&self, what: &str, prefix: &str) -> Failure {
        let message = format!("{} has no {what} of {prefix}", self.shown());
        let failure = Failure::new(Kind::NotFound, message);
        match self.shown_folders() {
            Some(folders) => failure.hint(format!(
                "`hookshot list --all-hosts` shows what is there; its folders are destinations of their own: {folders}"
            )),
            None => failure.hint("`hookshot list --all-hosts` shows what is there"),
        }
    }
}

fn passed_over(archive: &str, flaw: ArchiveFlaw, next: NextArchive) -> CatalogEvent {
    CatalogEvent::PassedOver {
        archive: archive.to_owned(),
        flaw,
        next,
        reason: None,
    }
}

#[cfg(test)]
mod tests;

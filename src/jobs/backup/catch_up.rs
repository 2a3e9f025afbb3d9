//! Copies the archives of earlier runs to destinations that did not get them.

use std::collections::{BTreeSet, HashMap};

use anyhow::Result;
use chrono::TimeDelta;

use super::{identity, needed::not_needed, place::Place};
use crate::{
    catalog::{
        destination::Destination,
        each::Hosts,
        filter::ArchiveFilter,
        output::ending,
        repository::{ListedArchive, Manifests},
    },
    config::Settings,
    context::Context,
    error::{Failure, Kind},
    model::{
        archive_name::{ArchiveName, Ending, MOST_NUMBER, stem_of},
        retention::Mark,
        run_record::{DestinationRecord, RunRecord},
        undelivered::{OwedArchive, known_at, undelivered},
    },
    ops::copy::{CopyRequest, copy},
    store::is_taken,
    work::events::JobEvent,
};

/// The most names that another machine may take while an archive is delivered.
const MOST_OUTRUN: usize = 20;

/// Returns the archives that a destination is owed, the oldest first.
pub fn owed(
    context: &Context,
    settings: &Settings,
    runs: &[RunRecord],
    name: &str,
) -> Vec<OwedArchive> {
    let within = TimeDelta::from_std(settings.schema.delivery.within).unwrap_or(TimeDelta::MAX);
    let since = context.now.checked_sub_signed(within).unwrap_or_default();
    undelivered(runs, name, since)
}

/// Returns the archives of our prefix at a destination, by their names alone. A folder that does not exist has none.
pub fn listed(destination: &Destination, settings: &Settings) -> Result<Vec<ListedArchive>> {
    let prefix = Some(settings.schema.prefix.as_str());
    match destination.repository.list(prefix, Manifests::OfNone) {
        Ok(listing) => Ok(listing.archives),
        Err(error) if Failure::of(&error).kind == Kind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The later deliveries of a run.
pub struct CatchUp<'a> {
    context: &'a Context,
    settings: &'a Settings,
    runs: &'a [RunRecord],
    /// The places that may hold what another one lacks.
    holders: &'a [Place],
    /// The names of archives, by the names of the places.
    names: HashMap<String, Vec<String>>,
}

/// The outcome for one archive.
enum Brought {
    /// The destination holds it, under this name.
    There(String),
    /// No destination holds it.
    Gone,
    /// The policy of the destination would remove it at once.
    NotNeeded,
}

impl<'a> CatchUp<'a> {
    /// Returns the deliveries of a run with this history.
    pub fn new(
        context: &'a Context,
        settings: &'a Settings,
        runs: &'a [RunRecord],
        holders: &'a [Place],
    ) -> CatchUp<'a> {
        CatchUp {
            context,
            settings,
            runs,
            holders,
            names: HashMap::new(),
        }
    }

    /// Brings the archives that `place` is owed from the places that hold them, and notes in `record` what became of
    /// each. Returns the failures.
    pub fn bring_all(
        &mut self,
        owed: &[OwedArchive],
        place: &Place,
        record: &mut DestinationRecord,
    ) -> Result<Vec<String>> {
        let mut faults = Vec::new();
        if owed.is_empty() {
            return Ok(faults);
        }
        let superfluous = match self.superfluous(owed, place) {
            Err(error) if is_interruption(&error) => return Err(error),
            // The delivery itself says what is wrong with the destination.
            superfluous => superfluous.unwrap_or_default(),
        };
        for archive in owed {
            self.context.stop.check()?;
            let is_needed = !superfluous.contains(&archive.name);
            match self.bring(archive, is_needed, place, record) {
                Ok(Brought::There(name)) => {
                    record.caught_up.push(archive.name.clone());
                    if name != archive.name {
                        record.renamed.insert(archive.name.clone(), name);
                    }
                }
                Ok(Brought::Gone) => record.gone.push(archive.name.clone()),
                Ok(Brought::NotNeeded) => {
                    self.context.tell(JobEvent::NotNeeded {
                        archive: archive.name.clone(),
                        destination: place.name.clone(),
                    });
                    record.not_needed.push(archive.name.clone());
                }
                Err(error) if is_interruption(&error) => return Err(error),
                Err(error) => {
                    let message = Failure::of(&error).message;
                    self.context.tell(JobEvent::NotCaughtUp {
                        archive: archive.name.clone(),
                        destination: place.name.clone(),
                        reason: message.clone(),
                    });
                    let (archive, place) = (&archive.name, &place.name);
                    faults.push(format!("{archive} was not delivered to {place}: {message}"));
                }
            }
        }
        Ok(faults)
    }

    /// Brings one archive, or verifies the one that is there already.
    fn bring(
        &mut self,
        archive: &OwedArchive,
        is_needed: bool,
        place: &Place,
        record: &DestinationRecord,
    ) -> Result<Brought> {
        let destination = place.open(self.context, self.settings)?;
        let repository = &*destination.repository;
        let names = self.names(place)?.to_vec();
        let mut known = known_at(self.runs, &place.name);
        if let Some(own) = &record.archive {
            known.insert(own, own);
        }
        for before in &record.caught_up {
            known.insert(record.renamed.get(before).unwrap_or(before), before);
        }
        // A run that was killed may have stored it, and one that failed may have left it without a proof.
        if let Some(there) = identity::find(self.context, repository, &names, &known, archive)?
            && identity::verify(self.context, repository, &there, archive)?
        {
            return Ok(Brought::There(there));
        }
        let mut last = None;
        for other in self.holders {
            if other.name == place.name {
                continue;
            }
            match self.name_at(other, archive) {
                Ok(Some((name, mark))) if is_needed || mark.is_some() => {
                    match self.deliver(archive, other, &name, mark, place) {
                        Ok(there) => return Ok(Brought::There(there)),
                        Err(error) if is_interruption(&error) => return Err(error),
                        Err(error) => last = Some(error),
                    }
                }
                Ok(_) => {}
                Err(error) => last = Some(error),
            }
        }
        match last {
            _ if !is_needed => Ok(Brought::NotNeeded),
            Some(error) => Err(error),
            None => Ok(Brought::Gone),
        }
    }

    /// Returns the name of an archive at a place, and the mark that it has there, if the place holds it.
    fn name_at(
        &mut self,
        place: &Place,
        archive: &OwedArchive,
    ) -> Result<Option<(String, Option<Mark>)>> {
        let destination = place.open(self.context, self.settings)?;
        let names = self.names(place)?;
        let recorded = archive.held.get(&place.name);
        let repository = &*destination.repository;
        let name = match recorded.filter(|name| names.contains(name)) {
            Some(recorded) => Some(recorded.clone()),
            None => {
                let known = known_at(self.runs, &place.name);
                identity::find(
                    self.context,
                    repository,
                    self.names(place)?,
                    &known,
                    archive,
                )?
            }
        };
        let Some(name) = name else { return Ok(None) };
        let mark = repository.mark(&name)?;
        let mark = mark.filter(|mark| mark.holds(self.context.now));
        Ok(Some((name, mark)))
    }

    /// Copies the archive called `name` at `other` to `place`, under its own name or the next one that is free, and marks
    /// it as it is there. Returns the name at `place`.
    fn deliver(
        &mut self,
        archive: &OwedArchive,
        other: &Place,
        name: &str,
        mark: Option<Mark>,
        place: &Place,
    ) -> Result<String> {
        self.context.tell(JobEvent::CatchesUp {
            archive: archive.name.clone(),
            destination: place.name.clone(),
        });
        let destination = place.open(self.context, self.settings)?;
        let ending = match Ending::of_file(name) {
            Some(Ending::Sealed) => Ending::Sealed,
            _ => ending(
                destination
                    .recipients(self.context, self.settings)?
                    .as_ref(),
            ),
        };
        for _ in 0..MOST_OUTRUN {
            let there = free_name(&archive.name, ending, self.names(place)?);
            let request = CopyRequest {
                from: other.archive_word(name),
                to: place.word.clone(),
                name: Some(there.clone()),
                hosts: Hosts::Ours,
                filter: ArchiveFilter::default(),
            };
            let copied = copy(self.context, self.settings, &request);
            self.names
                .entry(place.name.clone())
                .or_default()
                .push(there.clone());
            match copied {
                Ok(report) => {
                    let Some(there) = report.name_there() else {
                        // Another machine was faster: that is another archive, even if it has the same size.
                        continue;
                    };
                    if let Some(mark) = mark {
                        let destination = place.open(self.context, self.settings)?;
                        let repository = destination.repository;
                        if repository.mark(there)?.is_none() {
                            repository.put_mark(there, mark, &self.context.maker())?;
                        }
                    }
                    return Ok(there.to_owned());
                }
                Err(error) if is_taken(&Failure::of(&error)) => {}
                Err(error) => return Err(error),
            }
        }
        let message = format!("other archives take every name of {}", archive.name);
        Err(Failure::new(Kind::Failed, message).into())
    }

    /// Returns the names of the archives at a place, which are listed once.
    fn names(&mut self, place: &Place) -> Result<&[String]> {
        if !self.names.contains_key(&place.name) {
            let destination = place.open(self.context, self.settings)?;
            let archives = listed(&destination, self.settings)?.into_iter();
            let names = archives.map(|listed| listed.stored.name).collect();
            self.names.insert(place.name.clone(), names);
        }
        Ok(self.names.get(&place.name).map_or(&[], Vec::as_slice))
    }

    /// Returns the names of the owed archives that the policy of `place` would remove at once.
    fn superfluous(&mut self, owed: &[OwedArchive], place: &Place) -> Result<BTreeSet<String>> {
        let destination = place.open(self.context, self.settings)?;
        let archives = listed(&destination, self.settings)?;
        let names = archives.iter().map(|listed| listed.stored.name.clone());
        self.names.insert(place.name.clone(), names.collect());
        let owed: Vec<&str> = owed.iter().map(|owed| owed.name.as_str()).collect();
        let policy = &destination.retention.policy;
        Ok(not_needed(&archives, policy, &owed, None, self.context.now))
    }
}

/// Returns the name of an archive, with the ending that it has there, if it is free; else the first one of the same second
/// that is.
fn free_name(archive: &str, ending: Ending, names: &[String]) -> String {
    let wanted = format!("{}{}", stem_of(archive), ending.text());
    // Sealed or not, it is the same archive.
    let is_free = |name: &String| !names.iter().any(|taken| stem_of(taken) == stem_of(name));
    let second = ArchiveName::of_file(&wanted);
    let numbered = second.iter().flat_map(|name| {
        let numbers = name.number()..=MOST_NUMBER;
        numbers.map(move |number| name.file_name(number, ending))
    });
    let mut candidates = std::iter::once(wanted.clone()).chain(numbered);
    candidates.find(is_free).unwrap_or(wanted)
}

fn is_interruption(error: &anyhow::Error) -> bool {
    matches!(Failure::of(error).kind, Kind::Interrupted(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_whose_name_is_taken_gets_the_next_number() {
        let name = "a-20261129-030000.tar.gz";
        let taken = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            free_name(name, Ending::Plain, &names)
        };
        assert_eq!(taken(&["a-20261128-030000.tar.gz"]), name);
        assert_eq!(taken(&[name]), "a-20261129-030000.1.tar.gz");
        assert_eq!(
            taken(&[name, "a-20261129-030000.1.tar.gz"]),
            "a-20261129-030000.2.tar.gz"
        );
        let sealed = [name.to_owned()];
        assert_eq!(
            free_name(name, Ending::Sealed, &sealed),
            "a-20261129-030000.1.tar.gz.age"
        );
        assert_eq!(free_name(name, Ending::Sealed, &[]), format!("{name}.age"));
    }
}

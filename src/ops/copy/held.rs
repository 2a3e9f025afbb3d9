//! The states that the destination of a copy holds. Each is known by the SHA-256 of its manifest, whatever its name.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, HashMap},
};

use anyhow::Result;
use chrono::{DateTime, Utc};

use crate::{
    catalog::{
        destination::Destination,
        repository::{ListedArchive, Manifests, Naming, Repository},
    },
    context::Context,
    error::{Failure, Kind},
    model::{digest::Digest, manifest::Manifest, retention::Standing},
    store::Stored,
};

/// An archive that is to be copied.
pub struct Source {
    /// Its name, size and time.
    pub stored: Stored,
    /// Its state; `None` before it was asked for.
    state: OnceCell<Option<StateId>>,
}

impl Source {
    /// Takes an archive; `told` is its state, if the listing tells it.
    pub fn new(stored: Stored, told: Option<StateId>) -> Source {
        let state = told.map_or_else(OnceCell::new, |told| OnceCell::from(Some(told)));
        Source { stored, state }
    }

    /// Returns its state, if it was asked for before.
    pub fn known(&self) -> Option<StateId> {
        self.state.get().copied().flatten()
    }

    /// Returns its state: as the listing or a record of this machine tells it, else as its manifest does. What cannot be
    /// read has none; the copy says why.
    pub fn state(&self, repository: &dyn Repository) -> Result<Option<StateId>> {
        if let Some(state) = self.state.get() {
            return Ok(*state);
        }
        let known = repository.known(&self.stored).and_then(|known| {
            Some(StateId {
                manifest: known.content.manifest_sha256.parse().ok()?,
                created_at: known.content.created_at,
            })
        });
        let state = match known {
            Some(known) => Some(known),
            None => {
                let manifest = manifest_of(repository, &self.stored.name)?;
                manifest.as_ref().map(StateId::of)
            }
        };
        Ok(*self.state.get_or_init(|| state))
    }
}

/// The identity of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateId {
    /// SHA-256 of its manifest.
    pub manifest: Digest,
    /// Its time in Unix seconds.
    pub created_at: i64,
}

impl StateId {
    /// Returns that of the archive with this manifest.
    pub fn of(manifest: &Manifest) -> StateId {
        StateId {
            manifest: Digest::of(&manifest.to_bytes()),
            created_at: manifest.created_at,
        }
    }

    /// Returns that of a listed archive, if the listing tells it.
    pub fn told(listed: &ListedArchive) -> Option<StateId> {
        Some(StateId {
            manifest: listed.manifest?,
            created_at: listed.time.timestamp(),
        })
    }
}

/// The archives that a destination holds.
#[derive(Default)]
pub struct Held {
    sizes: BTreeMap<String, u64>,
    /// The digests of their manifests, as far as these are known.
    digests: BTreeMap<String, Digest>,
    /// The names of archives by these digests.
    names: HashMap<Digest, String>,
    /// The archives whose manifests have to be read, with the times that their names tell.
    unread: BTreeMap<String, Option<(DateTime<Utc>, Naming)>>,
}

/// Returns true unless the content of a state is missing in its repository: a label alone does not tell.
fn is_whole(context: &Context, to: &Destination, name: &str) -> Result<bool> {
    let repository = &*to.repository;
    if repository.vault().is_none() {
        return Ok(true);
    }
    let standing = repository.standing(context, name)?;
    Ok(matches!(standing, Some(Standing::Good | Standing::Torn)))
}

impl Held {
    /// Lists the destination.
    pub fn all(to: &Destination) -> Result<Held> {
        let repository = &*to.repository;
        let listing = match repository.list(None, Manifests::OfNone) {
            // A folder that is not there yet is made when something is written to it. A repository is not.
            Err(error)
                if Failure::of(&error).kind == Kind::NotFound && repository.vault().is_none() =>
            {
                return Ok(Held::default());
            }
            listing => listing?,
        };
        let mut held = Held::default();
        for listed in listing.archives {
            let time = (listed.time, listed.naming);
            held.put(repository, &listed.stored, listed.manifest, Some(time));
        }
        for stored in &listing.other_names {
            held.put(repository, stored, None, None);
        }
        Ok(held)
    }

    /// Looks for one archive of the destination.
    pub fn one(to: &Destination, name: &str) -> Result<Held> {
        let mut held = Held::default();
        if let Some(stored) = to.repository.find(name)? {
            held.put(&*to.repository, &stored, None, None);
        }
        Ok(held)
    }

    fn put(
        &mut self,
        repository: &dyn Repository,
        stored: &Stored,
        manifest: Option<Digest>,
        time: Option<(DateTime<Utc>, Naming)>,
    ) {
        let name = stored.name.clone();
        let known = || {
            let known = repository.known(stored)?;
            known.content.manifest_sha256.parse().ok()
        };
        match manifest.or_else(known) {
            Some(digest) => self.know(&name, digest),
            None => drop(self.unread.insert(name.clone(), time)),
        }
        self.sizes.insert(name, stored.size_bytes);
    }

    fn know(&mut self, name: &str, digest: Digest) {
        self.digests.insert(name.to_owned(), digest);
        self.names.insert(digest, name.to_owned());
    }

    /// Adds an archive that was copied.
    pub fn add(&mut self, name: &str, size_bytes: u64, state: Option<StateId>) {
        self.sizes.insert(name.to_owned(), size_bytes);
        if let Some(state) = state {
            self.know(name, state.manifest);
        }
    }

    /// Returns the size of the archive of this name.
    pub fn size(&self, name: &str) -> Option<u64> {
        self.sizes.get(name).copied()
    }

    /// Returns true if the archive called `name` has the manifest of `state`, and its end is there.
    pub fn is_at(
        &mut self,
        context: &Context,
        to: &Destination,
        name: &str,
        state: StateId,
    ) -> Result<bool> {
        if self.unread.remove(name).is_some()
            && let Some(manifest) = manifest_of(&*to.repository, name)?
            && matches!(
                to.repository.standing(context, name)?,
                Some(Standing::Good | Standing::Torn)
            )
        {
            self.know(name, StateId::of(&manifest).manifest);
            return Ok(self.digests.get(name) == Some(&state.manifest));
        }
        Ok(self.digests.get(name) == Some(&state.manifest) && is_whole(context, to, name)?)
    }

    /// Returns the name of an archive of this state, whatever it is called. Reads the manifests of archives alone that may
    /// be of its time.
    pub fn find(
        &mut self,
        context: &Context,
        to: &Destination,
        state: StateId,
    ) -> Result<Option<String>> {
        if let Some(name) = self.names.get(&state.manifest)
            && is_whole(context, to, name)?
        {
            return Ok(Some(name.clone()));
        }
        let unread = self.unread.iter();
        let may_be = unread.filter(|(_, told)| may_be(**told, state.created_at));
        let names: Vec<String> = may_be.map(|(name, _)| name.clone()).collect();
        for name in names {
            context.stop.check()?;
            if self.is_at(context, to, &name, state)? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

/// Returns true if an archive whose name tells this time may be of the second `created_at`.
fn may_be(told: Option<(DateTime<Utc>, Naming)>, created_at: i64) -> bool {
    match told {
        Some((time, Naming::Full)) => time.timestamp() == created_at,
        Some((time, Naming::Day)) => DateTime::from_timestamp(created_at, 0)
            .is_some_and(|at| at.date_naive() == time.date_naive()),
        Some((_, Naming::Other)) | None => true,
    }
}

/// Returns the manifest of an archive; `None` if it cannot be read.
fn manifest_of(repository: &dyn Repository, name: &str) -> Result<Option<Manifest>> {
    match repository.manifest(name) {
        Err(error) if matches!(Failure::of(&error).kind, Kind::Interrupted(_)) => Err(error),
        manifest => Ok(manifest.ok().flatten()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_read_only_of_archives_that_may_be_of_the_time() {
        let at = DateTime::from_timestamp(1_764_500_000, 0).expect("a time");
        let midnight = at.date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
        let seconds = at.timestamp();
        for (told, expected) in [
            (Some((at, Naming::Full)), true),
            (Some((midnight, Naming::Full)), false),
            (Some((midnight, Naming::Day)), true),
            (Some((at - chrono::TimeDelta::days(1), Naming::Day)), false),
            (Some((midnight, Naming::Other)), true),
            (None, true),
        ] {
            assert_eq!(may_be(told, seconds), expected, "{told:?}");
        }
    }
}

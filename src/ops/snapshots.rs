//! The choice of a snapshot of a repository, whichever program made it.

use std::{collections::BTreeSet, ffi::OsStr};

use anyhow::Result;

use crate::{
    catalog::{
        destination::{Destination, ReadBack},
        snapshots::{Snapshot, is_snapshot_id},
        target::{LATEST, Target},
        vault::Vault,
    },
    config::Settings,
    context::Context,
    error::{Failure, Kind},
    store::Address,
};

/// The most groups of snapshots that a hint names.
const SHOWN_GROUPS: usize = 10;

/// Opens the repository that a word names: `@NAME`, a URL or a path, with `restic:` before it or not.
pub fn repository(context: &Context, settings: &Settings, word: &OsStr) -> Result<Destination> {
    let address = match Target::read(word)? {
        Target::Path(path) => Address::Restic(Box::new(Address::Folder(path))),
        Target::Url(url) if !url.starts_with("restic:") => {
            let address = Address::parse(&format!("restic:{url}"));
            address.map_err(|fault| Failure::new(Kind::Usage, fault))?
        }
        target => return target.destination(context, settings),
    };
    Destination::at(context, settings, address, ReadBack::AsConfigured)?.ready()
}

/// Returns the care of the content of a destination that is a repository.
pub fn vault_of(place: &Destination) -> Result<&dyn Vault, Failure> {
    place.repository.vault().ok_or_else(|| {
        let message = format!("{} is not a repository", place.shown());
        Failure::new(Kind::Usage, message).hint(
            "a snapshot is taken out of a repository in restic's format, as in restic:/srv/vault",
        )
    })
}

/// Returns the snapshot whose identifier is, or begins with, `id`.
///
/// Errors: [`Kind::NotFound`] if there is none; [`Kind::Usage`] if there are several.
pub fn by_id(place: &Destination, id: &str) -> Result<Snapshot> {
    let found = vault_of(place)?.snapshots()?.into_iter();
    let mut found: Vec<Snapshot> = found
        .filter(|snapshot| is_snapshot_id(id) && snapshot.id.starts_with(id))
        .collect();
    let shown = place.shown();
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) => {
            let message = format!("several snapshots of {shown} begin with {id}");
            Err(Failure::new(Kind::Usage, message)
                .hint("give more of its digits")
                .into())
        }
        (None, _) => {
            let message = format!("{shown} has no snapshot {id}");
            Err(Failure::new(Kind::NotFound, message)
                .hint("`restic snapshots` shows what is there")
                .into())
        }
    }
}

/// Returns the newest snapshot of other programs, if all of them are of the same machine and paths.
pub fn latest(place: &Destination) -> Result<Snapshot> {
    let found = vault_of(place)?.snapshots()?.into_iter();
    let found: Vec<Snapshot> = found
        .filter(|snapshot| snapshot.archive.is_none())
        .collect();
    let groups: BTreeSet<(&str, &[String])> = found.iter().map(group).collect();
    let shown = place.shown();
    if groups.len() > 1 {
        let shown_groups = groups.iter().take(SHOWN_GROUPS).map(|(host, paths)| {
            let newest = newest(found.iter().filter(|one| group(one) == (*host, *paths)));
            let id = newest.map_or("", Snapshot::short_id);
            format!("{id} {host}: {}", paths.join(", "))
        });
        let message = format!("{shown} has snapshots of {} kinds", groups.len());
        return Err(Failure::new(Kind::Usage, message)
            .hint("name one of these, the newest of each machine and its paths, by --snapshot ID")
            .faults(shown_groups.collect())
            .into());
    }
    let newest = newest(found.iter()).cloned();
    newest.ok_or_else(|| {
        let message = format!("{shown} has no snapshot of another program");
        Failure::new(Kind::NotFound, message)
            .hint("`hookshot list` shows the archives there, and `hookshot copy` copies them")
            .into()
    })
}

/// Returns the snapshot that a word names; the newest one for none and for `latest`.
pub fn chosen(place: &Destination, word: Option<&str>) -> Result<Snapshot> {
    match word {
        None | Some(LATEST) => latest(place),
        Some(id) => by_id(place, id),
    }
}

fn group(snapshot: &Snapshot) -> (&str, &[String]) {
    (&snapshot.hostname, &snapshot.paths)
}

fn newest<'a>(snapshots: impl Iterator<Item = &'a Snapshot>) -> Option<&'a Snapshot> {
    snapshots.max_by_key(|snapshot| (snapshot.time, snapshot.id.as_str()))
}

//! The facts by which the health of a destination is judged, and the user's acceptance of a size.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Result;

use super::{
    destination::Destination,
    notes::{Accepted, read_accepted, read_unchanged, write_accepted},
    outside::{Inside, other_size, standing_of},
    repository::{ListedArchive, Manifests, Repository},
};
use crate::{
    context::Context,
    error::{Failure, Kind},
    model::{
        health::{Facts, Health, INSPECTED, Limits, Problem, Seen, judge},
        retention::{Standing, Timing},
    },
    store::{Address, is_cold},
    work::{events::CatalogEvent, space::NewFiles},
};

/// Reads the facts of a destination about the archives of one prefix: all of them, the newest first. Of the newest
/// [`INSPECTED`] it reads the manifests. An archive without one is read completely, unless a newer one is good.
///
/// Not promised: that an archive whose manifest is good is good to its last byte; `verify` reads all of it.
pub fn facts(
    context: &Context,
    destination: &Destination,
    prefix: &str,
    archives: &[&ListedArchive],
) -> Result<Facts> {
    let mut seen = inspected(context, destination, archives, &BTreeSet::new())?;
    let rest = archives.iter().skip(seen.len());
    seen.extend(rest.map(|listed| not_inspected(listed)));
    Ok(Facts {
        archives: seen,
        unchanged: read_unchanged(destination, prefix)?,
        accepted: read_accepted(destination, prefix)?,
        room_bytes: room(destination),
    })
}

/// Returns the problem because of which no archive of `prefix` is to be removed from a destination before the user has
/// looked: the newest one is damaged, or its size fell.
pub fn blocks_prune(
    context: &Context,
    destination: &Destination,
    prefix: &str,
) -> Result<Option<String>> {
    let listing = destination
        .repository
        .list(Some(prefix), Manifests::OfDays)?;
    let archives: Vec<&ListedArchive> = listing.archives.iter().collect();
    let problem = obstacle(context, destination, prefix, &archives, &BTreeSet::new())?;
    Ok(problem.map(|problem| problem.to_string()))
}

/// Records that the user accepts the size of the newest archive of `prefix`, if it fell.
pub fn accept(context: &Context, destination: &Destination, prefix: &str) -> Result<()> {
    let listing = destination
        .repository
        .list(Some(prefix), Manifests::OfDays)?;
    let archives: Vec<&ListedArchive> = listing.archives.iter().collect();
    match obstacle(context, destination, prefix, &archives, &BTreeSet::new())? {
        Some(problem) => accept_size(context, destination, prefix, &problem),
        None => Ok(()),
    }
}

/// Returns the problem that [`blocks_prune`] describes, for archives that were listed already. Those of `damaged` are
/// not read again.
pub fn obstacle(
    context: &Context,
    destination: &Destination,
    prefix: &str,
    archives: &[&ListedArchive],
    damaged: &BTreeSet<&str>,
) -> Result<Option<Problem>> {
    let facts = Facts {
        archives: inspected(context, destination, archives, damaged)?,
        accepted: read_accepted(destination, prefix)?,
        ..Facts::default()
    };
    let limits = Limits {
        now: context.now,
        max_age: Duration::MAX,
    };
    let health: Health = judge(&facts, limits);
    Ok(health.blocks_prune().cloned())
}

/// Records the user's word about a problem that [`obstacle`] returned. A damaged archive stays damaged, so nothing is
/// recorded about it.
pub fn accept_size(
    context: &Context,
    destination: &Destination,
    prefix: &str,
    problem: &Problem,
) -> Result<()> {
    let Problem::Shrunk(compared) = problem else {
        return Ok(());
    };
    let note = Accepted {
        time: context.now,
        name: compared.name.clone(),
        content_bytes: compared.content_bytes(),
    };
    write_accepted(context, destination, prefix, &note)
}

/// Inspects the newest archives, those dated in the future left aside.
fn inspected(
    context: &Context,
    destination: &Destination,
    archives: &[&ListedArchive],
    damaged: &BTreeSet<&str>,
) -> Result<Vec<Seen>> {
    let (mut seen, mut is_newest) = (Vec::new(), true);
    let mut left = INSPECTED;
    for listed in archives {
        if left == 0 {
            break;
        }
        if listed.is_ahead(context.now) {
            seen.push(not_inspected(listed));
            continue;
        }
        context.stop.check()?;
        let found = match damaged.contains(listed.stored.name.as_str()) {
            true => Some(Seen {
                standing: Standing::Damaged,
                ..not_inspected(listed)
            }),
            false => inspect(context, &*destination.repository, listed, is_newest)?,
        };
        // One that is gone by now is left out.
        if let Some(found) = found {
            left -= 1;
            is_newest &= !matches!(found.standing, Standing::Good | Standing::Cold);
            seen.push(found);
        }
    }
    Ok(seen)
}

/// Reads the manifest of an archive. If it has none, reads all of it if no newer one is good.
fn inspect(
    context: &Context,
    repository: &dyn Repository,
    listed: &ListedArchive,
    is_newest: bool,
) -> Result<Option<Seen>> {
    let seen = not_inspected(listed);
    if seen.standing == Standing::Incomplete {
        return Ok(Some(seen));
    }
    let inside = match repository.inside(context, &listed.stored) {
        Ok(inside) => inside,
        Err(error) => match Failure::of(&error) {
            failure if failure.kind == Kind::NotFound => return Ok(None),
            failure if is_cold(&failure) => {
                let standing = Standing::Cold;
                return Ok(Some(Seen { standing, ..seen }));
            }
            _ => return Err(error),
        },
    };
    let content_bytes = inside.content_bytes();
    let told = match inside {
        Inside::Manifest(manifest) if manifest.has_torn_database() => Some(Standing::Torn),
        Inside::Manifest(_) => Some(Standing::Good),
        Inside::Known(known) => Some(standing_of(&known)),
        Inside::Closed(_) if is_changed(context, repository, listed) => Some(Standing::Damaged),
        // Its form is asked below.
        Inside::Closed(_) if is_newest => None,
        Inside::Closed(_) => Some(Standing::Sealed),
        Inside::Unread => None,
    };
    if let Some(standing) = told {
        return Ok(Some(Seen {
            standing,
            content_bytes,
            ..seen
        }));
    }
    if !is_newest {
        return Ok(Some(seen));
    }
    let standing = repository.standing(context, &seen.name)?;
    Ok(standing.map(|standing| Seen { standing, ..seen }))
}

/// Returns true, and says so, if this machine proved another file of this name.
fn is_changed(context: &Context, repository: &dyn Repository, listed: &ListedArchive) -> bool {
    let stored = &listed.stored;
    let Some(known) = repository.known_otherwise(stored) else {
        return false;
    };
    context.tell(CatalogEvent::DamagedArchive {
        archive: format!("{}/{}", repository.shown(), stored.name),
        reason: format!(
            "it is not what this machine proved: {}",
            other_size(stored.size_bytes, known)
        ),
    });
    true
}

fn not_inspected(listed: &ListedArchive) -> Seen {
    Seen {
        name: listed.stored.name.clone(),
        order: listed.order(),
        is_early: listed.timing() == Timing::Early,
        size_bytes: listed.stored.size_bytes,
        content_bytes: None,
        standing: listed.standing(),
    }
}

/// Returns the free space of a destination in bytes, if it tells it.
fn room(destination: &Destination) -> Option<u64> {
    match destination.address.place() {
        Address::Folder(folder) => NewFiles::at(folder).ok()?.free_bytes(),
        _ => destination.store.room().ok()?,
    }
}

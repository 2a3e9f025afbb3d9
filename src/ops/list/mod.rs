//! `list`: the archives of destinations, by their names, or with details from their manifests.

mod report;

use std::{cmp::Ordering, collections::HashMap, ffi::OsString, sync::Arc};

use anyhow::Result;

use self::report::Row;
pub use self::report::{
    ArchiveRow, Archives, Detail, ListProof, ListReport, ListVerdict, PassedFile, TimeFrom,
};
use crate::{
    catalog::{
        dates,
        destination::{Destination, located},
        each::{Hosts, at_each, failure_of},
        filter::ArchiveFilter,
        opening::is_sealed,
        outside::{Inside, standing_of},
        repository::{ArchiveListing, Manifests, Naming},
    },
    config::Settings,
    context::Context,
    error::{Failure, Kind},
    model::{
        archive_name::Ending,
        retention::{self, Policy, Standing, Verdict, judge},
    },
    store::{Stored, is_cold},
    work::events::CatalogEvent,
};

/// The request for a list.
#[derive(Debug, Clone)]
pub struct ListRequest {
    /// The destinations; none for those of `[backup] to`.
    pub destinations: Vec<OsString>,
    /// The hosts whose archives are listed.
    pub hosts: Hosts,
    /// The selection among them.
    pub filter: ArchiveFilter,
    /// The depth of reading.
    pub depth: ListDepth,
    /// The order of the list.
    pub sort: Sort,
    /// The direction of the list.
    pub direction: Direction,
}

impl ListRequest {
    /// Returns a request for our archives of these destinations, the newest first.
    pub fn new(destinations: Vec<OsString>) -> ListRequest {
        ListRequest {
            destinations,
            hosts: Hosts::Ours,
            filter: ArchiveFilter::default(),
            depth: ListDepth::Listing,
            sort: Sort::Time,
            direction: Direction::Usual,
        }
    }
}

/// The depth to which an archive is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListDepth {
    /// The listing alone.
    Listing,
    /// Its manifest, through its index.
    Manifests,
}

/// The order of archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Their names.
    Name,
    /// Their times, the newest first.
    Time,
    /// Their sizes, the largest first.
    Size,
}

/// The direction of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// As [`Sort`] says.
    Usual,
    /// The other way round.
    Reverse,
}

/// Lists the archives of every destination.
pub fn list(context: &Context, settings: &Settings, request: &ListRequest) -> Result<ListReport> {
    let (mut rows, mut others, mut filtered, mut other_files) = (Vec::new(), 0, 0, Vec::new());
    let (mut folders, mut folders_escaped) = (Vec::new(), Vec::new());
    let (found, failed) = at_each(context, settings, &request.destinations, |destination| {
        let prefix = request.hosts.prefix(settings);
        let mut listing = destination.repository.list(prefix, Manifests::OfAll)?;
        let repository = &*destination.repository;
        listing.read_marks(repository, prefix)?;
        others += listing.others;
        let is_empty = listing.archives.is_empty();
        // The policy judges an archive among all of them.
        let mut details = match request.depth {
            ListDepth::Listing => HashMap::new(),
            ListDepth::Manifests => details(context, &destination, &listing)?,
        };
        filtered += request.filter.apply(context, repository, &mut listing)?;
        let shown: Arc<str> = destination.shown().into();
        let shown_escaped: Option<Arc<str>> = destination.shown_escaped().map(Arc::from);
        if is_empty {
            let place = shown.trim_end_matches('/');
            for folder in destination.repository.folders() {
                folders_escaped.extend(located(shown_escaped.as_deref(), &folder));
                folders.push(format!("{place}/{folder}"));
            }
        }
        for listed in &listing.archives {
            let created = listed.created.map(|created| created.timestamp());
            warn_of_date(context, &shown, &listed.stored.name, created);
        }
        let files = listing.other_files.into_iter();
        other_files.extend(files.map(|file| PassedFile::at(&destination, file)));
        rows.extend(listing.archives.into_iter().map(|listed| Row {
            detail: details.remove(&listed.stored.name).map(Box::new),
            is_known: repository.known(&listed.stored).is_some(),
            destination: shown.clone(),
            destination_escaped: shown_escaped.clone(),
            listed,
        }));
        Ok(())
    })?;
    let destinations = found.len() + failed.len();
    // Stable: equal archives stay in the order of their destinations.
    rows.sort_by(|one, other| {
        let order = compare(request.sort, one, other);
        match request.direction {
            Direction::Usual => order,
            Direction::Reverse => order.reverse(),
        }
    });
    let now = context.now;
    let unread = other_files.iter().filter(|other| other.file.is_unread);
    let unread: Vec<String> = unread.map(PassedFile::fault).collect();
    Ok(ListReport {
        archives: Archives { rows, now },
        others,
        filtered,
        other_files,
        folders,
        folders_escaped,
        failure: failure_of(&failed, destinations).or_else(|| unread_failure(unread)),
        failed,
        destinations,
    })
}

/// Returns the failure of files that could not be read: archives may be among them. `None` if there are none.
pub fn unread_failure(faults: Vec<String>) -> Option<Failure> {
    let message = match faults.len() {
        0 => return None,
        1 => "a file could not be read: it may be an archive".to_owned(),
        count => format!("{count} files could not be read: archives may be among them"),
    };
    Some(Failure::new(Kind::Partial, message).faults(faults))
}

fn compare(sort: Sort, one: &Row, other: &Row) -> Ordering {
    let (one, other) = (&one.listed, &other.listed);
    let by = match sort {
        Sort::Name => Ordering::Equal,
        Sort::Time => other.order().cmp(&one.order()),
        Sort::Size => other.stored.size_bytes.cmp(&one.stored.size_bytes),
    };
    by.then_with(|| one.stored.name.cmp(&other.stored.name))
}

/// Warns of an archive whose date is odd.
fn warn_of_date(context: &Context, place: &str, name: &str, created: Option<i64>) {
    let odd = created.and_then(|created| dates::odd(Some(name), created, context.now));
    if let Some(odd) = odd {
        context.tell(CatalogEvent::OddDate {
            archive: name.to_owned(),
            destination: place.to_owned(),
            reason: odd,
        });
    }
}

/// Reads the manifest of every archive, and asks the policy about all of them.
fn details(
    context: &Context,
    destination: &Destination,
    listing: &ArchiveListing,
) -> Result<HashMap<String, Detail>> {
    let mut details = HashMap::new();
    let mut hosts: HashMap<&str, Vec<retention::Archive>> = HashMap::new();
    for listed in &listing.archives {
        context.stop.check()?;
        let mut archive = listed.archive();
        let inside = inside(context, destination, &archive, &listed.stored);
        if let Ok(Inside::Known(known)) = &inside {
            archive.standing = standing_of(known);
        }
        let mut detail = match inside {
            Ok(Inside::Known(known)) => Detail::of_known(&known),
            Ok(Inside::Closed(failure)) => {
                // One that is gone by now stays what it was.
                if let Some(found) = destination.repository.standing(context, &archive.name)? {
                    archive.standing = found;
                }
                Detail {
                    fault: Some(failure.message),
                    ..Detail::of_manifest(None)
                }
            }
            Ok(inside) => {
                let manifest = match inside {
                    Inside::Manifest(manifest) => Some(*manifest),
                    _ => None,
                };
                // The others were warned of when they were listed.
                let created = match &manifest {
                    _ if listed.created.is_some() => None,
                    Some(manifest) => Some(manifest.created_at),
                    None => (destination.repository.created(&archive.name)?)
                        .map(|created| created.timestamp()),
                };
                warn_of_date(context, &destination.shown(), &archive.name, created);
                Detail {
                    is_sealed: seen_sealed(destination, &archive.name)?,
                    ..Detail::of_manifest(manifest)
                }
            }
            Err(error) => {
                let failure = Failure::of(&error);
                if matches!(failure.kind, Kind::Interrupted(_)) {
                    return Err(error);
                }
                if is_cold(&failure) {
                    archive.standing = Standing::Cold;
                }
                Detail {
                    fault: Some(failure.message),
                    ..Detail::of_manifest(None)
                }
            }
        };
        if detail.verified == ListProof::Manifest {
            archive.standing = match detail.torn_database {
                true => Standing::Torn,
                false => Standing::Good,
            };
        }
        detail.standing = archive.standing;
        details.insert(archive.name.clone(), detail);
        if listed.naming != Naming::Other {
            hosts.entry(listed.prefix()).or_default().push(archive);
        } else if let Some(detail) = details.get_mut(&archive.name) {
            detail.reasons = vec![UNDER_ANOTHER_NAME.to_owned()];
        }
    }
    let policy: &Policy = &destination.retention.policy;
    for archives in hosts.into_values() {
        for judged in judge(archives, policy, context.now) {
            if let Some(detail) = details.get_mut(&judged.archive.name) {
                (detail.verdict, detail.reasons) = match judged.verdict {
                    Verdict::Keep(reasons) => {
                        let reasons = reasons.iter().map(ToString::to_string).collect();
                        (ListVerdict::Keep, reasons)
                    }
                    Verdict::Remove(removal) => (ListVerdict::Remove, vec![removal.to_string()]),
                };
            }
        }
    }
    Ok(details)
}

/// Returns true if an archive is sealed by its bytes; `None` if its name does not say so: then they are not read.
fn seen_sealed(destination: &Destination, name: &str) -> Result<Option<bool>> {
    if Ending::of_file(name) != Some(Ending::Sealed) {
        return Ok(None);
    }
    match destination.repository.open(name) {
        Ok(source) => is_sealed(name, &*source).map(Some),
        // One that is gone by now stays what its name says.
        Err(error) if Failure::of(&error).kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The reason why no policy removes an archive whose name is not one that hookshot gives.
const UNDER_ANOTHER_NAME: &str = "under another name, which no policy removes";

/// Returns what is known of what an archive holds.
fn inside(
    context: &Context,
    destination: &Destination,
    archive: &retention::Archive,
    stored: &Stored,
) -> Result<Inside> {
    if !archive.standing.counts() {
        return Ok(Inside::Unread);
    }
    let repository = &destination.repository;
    match repository.inside(context, stored)? {
        // Its name may say something else than its bytes.
        Inside::Closed(_) if seen_sealed(destination, &stored.name)? == Some(false) => {
            let manifest = repository.manifest(&stored.name)?;
            Ok(manifest.map_or(Inside::Unread, |manifest| {
                Inside::Manifest(Box::new(manifest))
            }))
        }
        inside => Ok(inside),
    }
}

//! `list`: the archives of destinations, by their names, or with details from their manifests.

use std::{cmp::Ordering, collections::HashMap, ffi::OsString, sync::Arc};

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeSeq as _},
};
use tracing::warn;

use crate::{
    catalog::{
        dates,
        destination::{Destination, located},
        each::{FailedDestination, Hosts, at_each, failure_of},
        repository::{ArchiveListing, ListedArchive, Manifests, Naming, OtherFile},
    },
    context::Context,
    model::written::rfc3339,
};
use crate::{
    config::Settings,
    error::{Failure, Kind},
    model::{
        manifest::Manifest,
        retention::{self, Mark, Policy, Standing, Verdict, judge},
    },
    store::is_cold,
};

/// The request for a list.
#[derive(Debug, Clone)]
pub struct ListRequest {
    /// The destinations; none for those of `[backup] to`.
    pub destinations: Vec<OsString>,
    /// The hosts whose archives are listed.
    pub hosts: Hosts,
    /// The depth of reading.
    pub depth: ListDepth,
    /// The order of the list.
    pub sort: Sort,
    /// The direction of the list.
    pub direction: Direction,
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

/// The archives found.
#[derive(Serialize)]
pub struct ListReport {
    /// The archives.
    pub archives: Archives,
    /// The number of archives of other hosts beside these.
    pub others: usize,
    /// Files beside them whose names end like an archive's, and that were not found to be archives.
    pub other_files: Vec<PassedFile>,
    /// Folders in destinations without archives. Each is a destination of its own; its content was not listed.
    pub folders: Vec<String>,
    /// Those of them that are not UTF-8, percent-encoded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub folders_escaped: Vec<String>,
    /// Destinations that could not be listed.
    pub failed: Vec<FailedDestination>,
    /// The failure of the run, if a destination or a file could not be read.
    #[serde(skip)]
    pub failure: Option<Failure>,
    /// The number of destinations to list.
    #[serde(skip)]
    pub destinations: usize,
}

/// A file that was skipped.
#[derive(Debug, Serialize)]
pub struct PassedFile {
    /// The destination, as messages name it.
    pub destination: String,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_escaped: Option<String>,
    #[serde(flatten)]
    file: OtherFile,
}

impl PassedFile {
    /// Returns the file.
    pub fn file(&self) -> &OtherFile {
        &self.file
    }

    fn fault(&self) -> String {
        format!(
            "{} in {}: {}",
            self.file.name, self.destination, self.file.reason
        )
    }
}

/// Archives in their order. There may be a hundred thousand, so each row is made when it is read.
pub struct Archives {
    rows: Vec<Row>,
    now: DateTime<Utc>,
}

struct Row {
    listed: ListedArchive,
    destination: Arc<str>,
    destination_escaped: Option<Arc<str>>,
    detail: Option<Box<Detail>>,
}

impl Archives {
    /// Returns the rows, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = ArchiveRow<'_>> {
        self.rows.iter().map(|row| row.archive(self.now))
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl Serialize for Archives {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.rows.len()))?;
        for archive in self.iter() {
            // As in every other report, keys are sorted.
            let value = serde_json::to_value(&archive).map_err(S::Error::custom)?;
            rows.serialize_element(&value)?;
        }
        rows.end()
    }
}

/// One archive.
#[derive(Debug, Serialize)]
pub struct ArchiveRow<'a> {
    /// Its name.
    pub name: &'a str,
    /// The location of the archive, as other verbs accept it.
    pub location: String,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location_escaped: Option<String>,
    /// The destination, as messages name it.
    pub destination: &'a str,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_escaped: Option<&'a str>,
    /// The beginning of its name.
    pub prefix: &'a str,
    /// The time of its snapshot.
    pub time: String,
    /// The origin of that: its `name`, or its `manifest`.
    pub time_from: &'static str,
    /// The age of the archive in seconds; negative if its time is in the future.
    pub age_seconds: i64,
    /// Its size.
    pub size_bytes: u64,
    /// The time at which it was written, as the store says.
    pub modified: Option<String>,
    /// Its mark: `forever`, or until when.
    pub mark: Option<String>,
    /// The statements of its manifest, if they were requested.
    #[serde(flatten)]
    pub detail: Option<&'a Detail>,
}

/// The statements of an archive's manifest, and the verdict of the policy.
#[derive(Debug, Serialize)]
pub struct Detail {
    /// The extent of the proof: `manifest` if its end and its manifest were read and fit its size, `no` if not.
    pub verified: &'static str,
    /// The reason why it could not be read, if the destination gave one.
    pub fault: Option<String>,
    /// The number of its entries.
    pub entries: Option<usize>,
    /// The bytes of its entries.
    pub content_bytes: Option<u64>,
    /// The number of its entries that are torn.
    pub torn: Option<usize>,
    /// True if a database is among them.
    #[serde(skip)]
    torn_database: bool,
    /// The exported application.
    pub app: Option<String>,
    /// Its version.
    pub app_version: Option<String>,
    /// The machine that it was exported on.
    pub hostname: Option<String>,
    /// The hookshot that made it.
    pub hookshot_version: Option<String>,
    /// The verdict of the destination's policy: `keep` or `remove`.
    pub verdict: &'static str,
    /// The reasons for the verdict.
    pub reasons: Vec<String>,
}

/// Lists the archives of every destination.
pub fn list(context: &Context, settings: &Settings, request: &ListRequest) -> Result<ListReport> {
    let (mut rows, mut others, mut other_files) = (Vec::new(), 0, Vec::new());
    let (mut folders, mut folders_escaped) = (Vec::new(), Vec::new());
    let (found, failed) = at_each(context, settings, &request.destinations, |destination| {
        let prefix = request.hosts.prefix(settings);
        let mut listing = destination.repository.list(prefix, Manifests::OfAll)?;
        listing.read_marks(&*destination.repository, prefix)?;
        others += listing.others;
        let mut details = match request.depth {
            ListDepth::Listing => HashMap::new(),
            ListDepth::Manifests => details(context, &destination, &listing)?,
        };
        let shown: Arc<str> = destination.shown().into();
        let shown_escaped: Option<Arc<str>> = destination.shown_escaped().map(Arc::from);
        if listing.archives.is_empty() {
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
        other_files.extend(listing.other_files.into_iter().map(|file| PassedFile {
            destination: shown.to_string(),
            destination_escaped: shown_escaped.as_deref().map(str::to_owned),
            file,
        }));
        rows.extend(listing.archives.into_iter().map(|listed| Row {
            detail: details.remove(&listed.stored.name).map(Box::new),
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
        other_files,
        folders,
        folders_escaped,
        failure: failure_of(&failed, destinations).or_else(|| unread_failure(unread)),
        failed,
        destinations,
    })
}

/// Returns the failure of files that could not be read: archives may be among them. `None` if there are none.
fn unread_failure(faults: Vec<String>) -> Option<Failure> {
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

impl Row {
    fn archive(&self, now: DateTime<Utc>) -> ArchiveRow<'_> {
        let ListedArchive { stored, mark, .. } = &self.listed;
        let (name, destination) = (stored.name.as_str(), &*self.destination);
        ArchiveRow {
            name,
            location: format!("{}/{name}", destination.trim_end_matches('/')),
            location_escaped: located(self.destination_escaped.as_deref(), name),
            destination,
            destination_escaped: self.destination_escaped.as_deref(),
            prefix: self.listed.prefix(),
            time: rfc3339(self.listed.time),
            time_from: match self.listed.naming {
                Naming::Full => "name",
                Naming::Day if self.listed.created != Some(self.listed.time) => "name",
                Naming::Day | Naming::Other => "manifest",
            },
            age_seconds: (now - self.listed.time).num_seconds(),
            size_bytes: stored.size_bytes,
            modified: stored.modified.map(rfc3339),
            mark: mark.map(Mark::text),
            detail: self.detail.as_deref(),
        }
    }
}

/// Warns of an archive whose date is odd.
fn warn_of_date(context: &Context, place: &str, name: &str, created: Option<i64>) {
    let odd = created.and_then(|created| dates::odd(Some(name), created, context.now));
    if let Some(odd) = odd {
        warn!(archive = %name, place = %place, "The date of an archive is odd: {odd}");
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
        let detail = match manifest(destination, &archive) {
            Ok(manifest) => {
                // The others were warned of when they were listed.
                let created = match &manifest {
                    _ if listed.created.is_some() => None,
                    Some(manifest) => Some(manifest.created_at),
                    None => (destination.repository.created(&archive.name)?)
                        .map(|created| created.timestamp()),
                };
                warn_of_date(context, &destination.shown(), &archive.name, created);
                read_detail(manifest)
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
                    ..read_detail(None)
                }
            }
        };
        if detail.verified == MANIFEST {
            archive.standing = match detail.torn_database {
                true => Standing::Torn,
                false => Standing::Good,
            };
        }
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
                        ("keep", reasons.iter().map(ToString::to_string).collect())
                    }
                    Verdict::Remove(removal) => ("remove", vec![removal.to_string()]),
                };
            }
        }
    }
    Ok(details)
}

/// The reason why no policy removes an archive whose name is not one that hookshot gives.
const UNDER_ANOTHER_NAME: &str = "under another name, which no policy removes";

/// The proof of an archive if its index and manifest were read.
const MANIFEST: &str = "manifest";

/// Returns the manifest of an archive; `None` if it cannot be read without reading all of the archive.
fn manifest(destination: &Destination, archive: &retention::Archive) -> Result<Option<Manifest>> {
    if !archive.standing.counts() {
        return Ok(None);
    }
    destination.repository.manifest(&archive.name)
}

fn read_detail(manifest: Option<Manifest>) -> Detail {
    let (verdict, reasons) = ("keep", Vec::new());
    match manifest {
        None => Detail {
            verified: "no",
            fault: None,
            entries: None,
            content_bytes: None,
            torn: None,
            torn_database: false,
            app: None,
            app_version: None,
            hostname: None,
            hookshot_version: None,
            verdict,
            reasons,
        },
        Some(manifest) => Detail {
            verified: MANIFEST,
            fault: None,
            entries: Some(manifest.files.len()),
            content_bytes: Some(manifest.total_bytes()),
            torn: Some(manifest.torn().count()),
            torn_database: manifest.has_torn_database(),
            hookshot_version: Some(manifest.hookshot_version.to_string()),
            app: manifest.app,
            app_version: manifest.app_version,
            hostname: manifest.hostname,
            verdict,
            reasons,
        },
    }
}

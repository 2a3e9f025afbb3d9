//! The results of a list.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeSeq as _},
};

use crate::{
    catalog::{
        destination::{Destination, located},
        each::FailedDestination,
        repository::{ListedArchive, Naming, OtherFile},
    },
    error::Failure,
    model::{
        archive_name::Ending,
        known_archive::KnownContent,
        manifest::Manifest,
        retention::{Mark, Standing},
        written::rfc3339,
    },
};

/// The archives found.
#[derive(Serialize)]
pub struct ListReport {
    /// The archives.
    pub archives: Archives,
    /// The number of archives of other hosts beside these.
    pub others: usize,
    /// The number of archives that the filters passed over.
    pub filtered: usize,
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
    pub(super) file: OtherFile,
}

impl PassedFile {
    /// Returns a file of a destination.
    pub fn at(destination: &Destination, file: OtherFile) -> PassedFile {
        PassedFile {
            destination: destination.shown(),
            destination_escaped: destination.shown_escaped(),
            file,
        }
    }

    /// Returns the file.
    pub fn file(&self) -> &OtherFile {
        &self.file
    }

    /// Returns the file and the reason, for a list of faults.
    pub fn fault(&self) -> String {
        format!(
            "{} in {}: {}",
            self.file.name, self.destination, self.file.reason
        )
    }
}

/// Archives in their order. There may be a hundred thousand, so each row is made when it is read.
pub struct Archives {
    pub(super) rows: Vec<Row>,
    pub(super) now: DateTime<Utc>,
}

pub(super) struct Row {
    pub(super) listed: ListedArchive,
    pub(super) destination: Arc<str>,
    pub(super) destination_escaped: Option<Arc<str>>,
    pub(super) detail: Option<Box<Detail>>,
    /// True if it is sealed, and this machine proved it.
    pub(super) is_known: bool,
}

impl Archives {
    /// Returns the rows, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = ArchiveRow<'_>> {
        self.rows.iter().map(|row| row.archive(self.now))
    }

    /// Returns their number.
    pub fn len(&self) -> usize {
        self.rows.len()
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
    /// The origin of that time.
    pub time_from: TimeFrom,
    /// The age of the archive in seconds; negative if its time is in the future.
    pub age_seconds: i64,
    /// Its size.
    pub size_bytes: u64,
    /// The time at which it was written, as the store says.
    pub modified: Option<String>,
    /// Its mark: `forever`, or until when.
    pub mark: Option<String>,
    /// True if it is sealed: by its bytes if they were read, else by its name.
    pub sealed: bool,
    /// Its standing: `good` if it is sealed and this machine proved it, `sealed` if it did not; with the statements
    /// of manifests, the result of reading them.
    pub standing: Standing,
    /// The statements of its manifest, if they were requested.
    #[serde(flatten)]
    pub detail: Option<&'a Detail>,
}

/// The origin of the time of an archive. The names in JSON are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeFrom {
    /// Its name.
    Name,
    /// Its manifest.
    Manifest,
}

/// The extent to which a list verified an archive. The names in JSON are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListProof {
    /// Its end and its manifest were read, and fit its size.
    Manifest,
    /// No key opens it; its name and its size are those of one that this machine proved.
    Known,
    /// Not at all.
    No,
}

impl ListProof {
    /// Returns the word for it in JSON and for people.
    pub fn name(self) -> &'static str {
        match self {
            ListProof::Manifest => "manifest",
            ListProof::Known => "known",
            ListProof::No => "no",
        }
    }
}

/// The verdict of a policy in a list. The names in JSON are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListVerdict {
    /// The archive stays.
    Keep,
    /// A prune would remove it.
    Remove,
}

impl ListVerdict {
    /// Returns the word for it in JSON and for people.
    pub fn name(self) -> &'static str {
        match self {
            ListVerdict::Keep => "keep",
            ListVerdict::Remove => "remove",
        }
    }
}

/// The statements of an archive's manifest, and the verdict of the policy.
#[derive(Debug, Serialize)]
pub struct Detail {
    /// The extent of the proof: `manifest` if its end and its manifest were read and fit its size, `known` if no key
    /// opens it and this machine proved it, `no` if neither.
    pub verified: ListProof,
    /// The reason why it could not be read, if the destination gave one.
    pub fault: Option<String>,
    /// The number of its entries.
    pub entries: Option<u64>,
    /// The bytes of its entries.
    pub content_bytes: Option<u64>,
    /// The number of its entries that are torn.
    pub torn: Option<u64>,
    /// True if a database is among them.
    #[serde(skip)]
    pub(super) torn_database: bool,
    /// The exported application.
    pub app: Option<String>,
    /// Its version.
    pub app_version: Option<String>,
    /// The machine that it was exported on.
    pub hostname: Option<String>,
    /// The hookshot that made it.
    pub hookshot_version: Option<String>,
    /// True if its bytes are sealed, whatever its name says; `None` if they were not read.
    #[serde(skip)]
    pub(super) is_sealed: Option<bool>,
    /// The result of the inspection.
    #[serde(skip)]
    pub(super) standing: Standing,
    /// The verdict of the destination's policy: `keep` or `remove`.
    pub verdict: ListVerdict,
    /// The reasons for the verdict.
    pub reasons: Vec<String>,
}

impl Row {
    fn is_sealed(&self) -> bool {
        Ending::of_file(&self.listed.stored.name) == Some(Ending::Sealed)
    }

    /// Returns the standing of an archive that was not read.
    fn standing(&self) -> Standing {
        match self.listed.archive().standing {
            Standing::Unproven if self.is_known => Standing::Good,
            Standing::Unproven if self.is_sealed() => Standing::Sealed,
            standing => standing,
        }
    }

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
                Naming::Full => TimeFrom::Name,
                Naming::Day if self.listed.created != Some(self.listed.time) => TimeFrom::Name,
                Naming::Day | Naming::Other => TimeFrom::Manifest,
            },
            age_seconds: (now - self.listed.time).num_seconds(),
            size_bytes: stored.size_bytes,
            modified: stored.modified.map(rfc3339),
            mark: mark.map(Mark::text),
            sealed: match self.detail.as_ref().and_then(|detail| detail.is_sealed) {
                Some(is_sealed) => is_sealed,
                None => self.is_sealed(),
            },
            standing: match &self.detail {
                Some(detail) => detail.standing,
                None => self.standing(),
            },
            detail: self.detail.as_deref(),
        }
    }
}

impl Detail {
    /// Describes a sealed archive that this machine proved.
    pub(super) fn of_known(known: &KnownContent) -> Detail {
        Detail {
            verified: ListProof::Known,
            entries: Some(known.files),
            content_bytes: Some(known.content_bytes),
            torn: Some(known.torn),
            torn_database: known.torn_database,
            hookshot_version: Some(known.hookshot_version.clone()),
            app: known.app.clone(),
            app_version: known.app_version.clone(),
            hostname: known.host.clone(),
            ..Detail::of_manifest(None)
        }
    }

    /// Describes an archive by its manifest; without one, nothing is known of it.
    pub(super) fn of_manifest(manifest: Option<Manifest>) -> Detail {
        let (verdict, reasons) = (ListVerdict::Keep, Vec::new());
        match manifest {
            None => Detail {
                verified: ListProof::No,
                fault: None,
                entries: None,
                content_bytes: None,
                torn: None,
                torn_database: false,
                app: None,
                app_version: None,
                hostname: None,
                hookshot_version: None,
                is_sealed: None,
                standing: Standing::Unproven,
                verdict,
                reasons,
            },
            Some(manifest) => Detail {
                verified: ListProof::Manifest,
                fault: None,
                entries: Some(manifest.count()),
                content_bytes: Some(manifest.total_bytes()),
                torn: Some(manifest.torn_count()),
                torn_database: manifest.has_torn_database(),
                hookshot_version: Some(manifest.hookshot_version.to_string()),
                app: manifest.app,
                app_version: manifest.app_version,
                hostname: manifest.hostname,
                is_sealed: None,
                standing: Standing::Unproven,
                verdict,
                reasons,
            },
        }
    }
}

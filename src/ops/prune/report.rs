//! The results of a prune.

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::{
    catalog::each::FailedDestination,
    error::Failure,
    model::retention::{Policy, Standing},
};

/// The results of a prune.
#[derive(Debug)]
pub struct PruneReport {
    /// One for each destination that could be judged.
    pub destinations: Vec<DestinationPrune>,
    /// Destinations that could not.
    pub failed: Vec<FailedDestination>,
    /// The failure of the run, if something is left undone.
    pub failure: Option<Failure>,
}

/// The results for one destination.
#[derive(Debug, Serialize)]
pub struct DestinationPrune {
    /// The destination, as messages name it.
    pub destination: String,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_escaped: Option<String>,
    /// True if nothing was to be removed.
    pub dry_run: bool,
    /// The policy.
    pub policy: Policy,
    /// The largest part of the archives that might be removed.
    pub max_remove: String,
    /// The archives that stay, the newest first.
    pub keep: Vec<KeptArchive>,
    /// The archives to remove, the newest first.
    pub remove: Vec<ArchiveToRemove>,
    /// The number of removed archives.
    pub removed: usize,
    /// Their bytes.
    pub removed_bytes: u64,
    /// The archives that should have been removed and are still there, with the reasons.
    pub undone: Vec<NotRemoved>,
    /// Hosts of which nothing is removed before the user has looked at the newest archive.
    pub blocked: Vec<BlockedRow>,
    /// Archives that had a mark and are not there any more; with the run, the marks go.
    pub stray_marks: Vec<String>,
    /// Archives that were written more than a day after their time, and that no mark keeps: they take no slots from others.
    pub late: Vec<LateArchive>,
    /// Files under other names, archives or not: they use up no count and are never removed.
    pub others: Vec<OtherName>,
}

/// An archive that was written more than a day after its time.
#[derive(Debug, Serialize)]
pub struct LateArchive {
    /// Its name.
    pub name: String,
    /// Its time.
    pub time: String,
    /// The time at which it was written, as the store says.
    pub written: String,
}

/// A host of which nothing is removed.
#[derive(Debug, Serialize)]
pub struct BlockedRow {
    /// The prefix of its archives.
    pub prefix: String,
    /// The problem: the newest archive is damaged, or its size fell.
    pub message: String,
    /// The advice.
    pub hint: String,
}

/// A file whose name is not that of an archive. No policy removes it.
#[derive(Debug, Serialize)]
pub struct OtherName {
    /// Its name.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
}

/// An archive that stays.
#[derive(Debug, Serialize)]
pub struct KeptArchive {
    /// Its name.
    pub name: String,
    /// Its time.
    pub time: String,
    /// The reasons why it stays.
    pub reasons: Vec<String>,
    /// Its size.
    pub size_bytes: u64,
    /// The standing of the archive: `good`, `unproven`, `cold`, `torn`, `damaged` or `incomplete`.
    pub standing: Standing,
    /// Its mark: `forever`, or until when.
    pub mark: Option<String>,
}

/// An archive that the policy removes.
#[derive(Debug, Serialize)]
pub struct ArchiveToRemove {
    /// Its name.
    pub name: String,
    /// Its time.
    pub time: String,
    /// The reason why it is removed.
    pub reason: String,
    /// The archive that took its place.
    pub replacement: String,
    /// Its size.
    pub size_bytes: u64,
    /// The standing of the archive: `good`, `unproven`, `cold`, `torn`, `damaged` or `incomplete`.
    pub standing: Standing,
}

/// An archive that should have been removed and is still there.
#[derive(Debug, Serialize)]
pub struct NotRemoved {
    /// Its name.
    pub name: String,
    /// The reason why it is still there.
    pub message: String,
    /// The advice to the user, if the reason has its own.
    #[serde(skip)]
    pub hint: Option<String>,
}

/// One destination is one object; several stand in `destinations`.
impl Serialize for PruneReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let ([only], []) = (&self.destinations[..], &self.failed[..]) {
            return only.serialize(serializer);
        }
        let mut report = serializer.serialize_struct("Report", 3)?;
        let removed: usize = self
            .destinations
            .iter()
            .map(|destination| destination.removed)
            .sum();
        report.serialize_field("removed", &removed)?;
        report.serialize_field("destinations", &self.destinations)?;
        report.serialize_field("failed", &self.failed)?;
        report.end()
    }
}

//! Events of verbs that work with sets of archives.

use crate::model::entry_name::EntryName;

/// A step of a verb that works with archives, or a finding of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveEvent {
    /// An entry is not compared, because a command makes it.
    NotCompared {
        /// The entry.
        entry: EntryName,
    },
    /// An archive is good, but this hookshot does not import it.
    OtherVersion {
        /// The archive.
        archive: String,
        /// The reason.
        reason: String,
    },
    /// Probes of a check could not be removed.
    ProbesStay {
        /// Their names.
        probes: Vec<String>,
        /// The reason.
        reason: String,
    },
    /// The probe of an upload in parts could not be removed.
    PartsProbeStays {
        /// Its name.
        probe: String,
        /// The reason.
        reason: String,
    },
    /// The probe of an earlier check could not be removed.
    EarlierProbeStays {
        /// Its name.
        probe: String,
        /// The reason.
        reason: String,
    },
}

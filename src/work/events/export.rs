//! Events of an export.

use std::path::PathBuf;

use crate::model::entry_name::EntryName;

/// A step of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportEvent {
    /// The export begins.
    Begun,
    /// A disabled source is left out.
    SourceDisabled {
        /// Its name.
        source: EntryName,
    },
    /// A disabled destination of the configuration gets no archive.
    DestinationDisabled {
        /// Its name, as messages have it.
        destination: String,
    },
    /// A secret source is left out on request.
    SecretLeftOut {
        /// Its name.
        source: EntryName,
    },
    /// A source is in the archive.
    SourceAdded {
        /// Its name.
        source: EntryName,
        /// True if it is a configuration of hookshot.
        is_config: bool,
    },
    /// An optional source is not there.
    SourceAbsent {
        /// Its name.
        source: EntryName,
        /// The path at which it was looked for.
        looked_at: PathBuf,
    },
    /// SQLite finds a database good.
    DatabaseChecked {
        /// The entry.
        entry: EntryName,
        /// SQLite's name of the check.
        check: &'static str,
    },
    /// A database in a directory was copied as one.
    DatabaseCopied {
        /// The entry.
        entry: EntryName,
    },
    /// A file of hookshot's own in a directory is left out.
    OwnFileLeftOut {
        /// Its path, and why it is hookshot's own.
        description: String,
    },
    /// An entry changed each time it was read.
    EntryTorn {
        /// The entry.
        entry: EntryName,
    },
    /// The archived database holds active deployments.
    DeploymentsActive {
        /// A description of each.
        deployments: Vec<String>,
    },
    /// The database does not tell whether deployments are active.
    DeploymentsUnknown {
        /// The reason.
        reason: String,
    },
    /// A crash cut the last commit of a database short: the archive holds the one before it.
    CommitCutShort {
        /// The commit that was cut short.
        transaction: u64,
        /// The commit in the archive.
        instead: u64,
    },
    /// A service cannot be paused, so its database is copied while it writes.
    NotPaused {
        /// The reason.
        reason: String,
    },
    /// The archive has a mark at a destination.
    Marked {
        /// The archive there.
        archive: String,
        /// The mark, in words.
        mark: String,
    },
    /// A file changed before it was packed: the export starts over.
    StartedOver {
        /// The file and its change.
        reason: String,
    },
    /// Nothing can be reused from the named archive.
    NothingReusable {
        /// The archive.
        archive: PathBuf,
        /// The reason.
        reason: NoReuse,
    },
    /// Nothing is reused from the newest archive: it is sealed, and no key opens it.
    NewestSealed {
        /// The archive.
        archive: PathBuf,
    },
    /// The archive from which unchanged blocks were reused is damaged: everything is compressed anew.
    ReusedDamaged,
    /// Another archive of the same second got the name first: the archive goes under the next one.
    NameTaken {
        /// The archive that has the name.
        archive: String,
    },
    /// A command of a killed export was still running, and was ended.
    LeftoverEnded {
        /// Its source; none for `[backup]`.
        source: Option<String>,
    },
    /// The note of a command that ended cannot be removed.
    NoteStays {
        /// The reason.
        reason: String,
    },
    /// An earlier export left a cleanup undone, which runs now.
    CleanupOwed,
    /// A prepare command runs.
    Preparing {
        /// Its source; none for `[backup]`.
        source: Option<String>,
    },
    /// A cleanup command runs.
    CleaningUp {
        /// Its source; none for `[backup]`.
        source: Option<String>,
    },
    /// A prepare or cleanup command prints a line.
    CommandSays {
        /// `prepare` or `cleanup`.
        command: &'static str,
        /// Its source; none for `[backup]`.
        source: Option<String>,
        /// The line.
        line: String,
    },
}

/// The reason why nothing can be reused from an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoReuse {
    /// It is sealed, and no key opens it.
    Sealed,
    /// It is not an archive of this hookshot at this level.
    Other,
}

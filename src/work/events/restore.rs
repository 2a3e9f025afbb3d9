//! Events of an import or a rollback.

use std::path::PathBuf;

use semver::Version;

use crate::model::entry_name::EntryName;

/// A step of an import or a rollback, or of the recovery of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestoreEvent {
    /// An earlier import is not finished, and the verb does not need it to be.
    Unfinished {
        /// The reason.
        reason: String,
    },
    /// An import or a rollback that was killed is recovered.
    Recovered {
        /// `import` or `rollback`.
        verb: String,
        /// The outcome.
        outcome: Recovery,
    },
    /// The folder for temporary files cannot be used, so another one is.
    ScratchUnusable {
        /// The folder.
        scratch: PathBuf,
        /// The reason.
        reason: String,
        /// The other folder.
        instead: PathBuf,
    },
    /// This machine has no configuration: the default places are used.
    DefaultPlaces {
        /// The configuration that is missing.
        config: PathBuf,
        /// The data folder.
        data_dir: PathBuf,
    },
    /// The configuration does not name the data folder: the default one is used.
    DefaultDataDir {
        /// The data folder.
        data_dir: PathBuf,
    },
    /// The archive's configuration lay elsewhere than the one that this import writes.
    OtherConfig {
        /// Its place on the machine that made the archive.
        archived: PathBuf,
        /// The place where this import writes it.
        here: PathBuf,
    },
    /// Everything goes below another root.
    Below {
        /// The root.
        root: PathBuf,
    },
    /// The state is here already: there is nothing to import.
    Present,
    /// The import waits until nothing is at work on the state.
    Waiting {
        /// The work.
        reason: String,
    },
    /// A source is disabled: its place is left alone.
    SourceDisabled {
        /// Its name.
        source: EntryName,
    },
    /// The archive is unpacked and verified.
    Unpacked {
        /// The hookshot that made it.
        version: Version,
        /// The time of its snapshot, in seconds since 1970.
        created_at: i64,
        /// The number of its entries.
        files: usize,
    },
    /// The archive is of a newer hookshot than this one.
    NewerArchive {
        /// The version of the archive.
        archive: Version,
        /// The version of this hookshot.
        here: Version,
    },
    /// Force overrides an obstacle.
    Overridden {
        /// The obstacle, for people.
        message: String,
    },
    /// The record of the last import cannot be read, so every backup stays.
    BackupsUnknown {
        /// The reason.
        reason: String,
    },
    /// The last import or rollback is being undone.
    Undoing {
        /// Its verb.
        verb: String,
        /// Its time.
        time: String,
        /// Its archive.
        archive: Option<String>,
    },
    /// Entries are being restored.
    Restoring {
        /// The entries.
        entries: Vec<EntryName>,
    },
    /// An entry is in its place, and good.
    Placed {
        /// The entry.
        entry: EntryName,
        /// Its place.
        target: PathBuf,
    },
    /// The earlier content of a command is kept.
    ContentKept {
        /// The entry that the command takes.
        entry: EntryName,
        /// The place at which it is kept.
        target: PathBuf,
    },
    /// An import command prints a line.
    CommandSays {
        /// The line.
        line: String,
    },
    /// An import command took its entry.
    Fed {
        /// The entry.
        entry: EntryName,
    },
    /// Something that is excluded could not come along into a folder that is brought back.
    ExcludedLeft {
        /// The object and the reason, for people.
        message: String,
    },
    /// The work failed after it began: the old state is being brought back.
    BringingBack {
        /// `import` or `rollback`.
        verb: String,
        /// The cause.
        reason: String,
    },
    /// A file that the import laid out cannot be removed again.
    NotRemoved {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
}

/// The outcome of a recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovery {
    /// Nothing had been changed; the leftovers are removed.
    Nothing,
    /// The new state is in place.
    Finished {
        /// The entries whose import commands may not have ended.
        commands: Vec<String>,
        /// The files that hold what commands held before; of a rollback, what they are to get.
        files: Vec<PathBuf>,
        /// True if it was a rollback.
        is_rollback: bool,
    },
    /// The old state is back.
    Undone {
        /// The reason.
        reason: String,
    },
}

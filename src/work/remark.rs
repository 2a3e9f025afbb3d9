//! Remarks: the parts that a verb left out, changed or did not check, in words for people and as a kind for programs.
//!
//! A verb that finished with something undone ends with exit code 3 (docs/cli.md, "Exit codes"). A remark that is only
//! worth knowing is a warning and does not change the exit code.

use serde::Serialize;

/// The kinds of remarks. Their names in JSON are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RemarkKind {
    /// A source that the archive does not have.
    Absent,
    /// The version of the application is not known.
    AppVersion,
    /// An attribute, or set-id bits, that this user or the file system cannot restore.
    Attribute,
    /// A `.bak` that no import made, or content of a command that is not kept.
    Backup,
    /// A part of a database that could not be checked.
    Check,
    /// A cleanup that failed, or whose note could not be written.
    Cleanup,
    /// An entry for which no import command ran.
    Command,
    /// The configurations of the archive and of this machine differ.
    Configuration,
    /// A database in a directory of which no consistent copy could be made.
    Database,
    /// The archive is dated in the future, or its name and its manifest tell different times.
    Date,
    /// A source that is empty, or has lost much.
    Empty,
    /// Something excluded that could not come along into the new folder.
    Excluded,
    /// A file of the newest archive that no longer matches its pattern.
    Gone,
    /// An index that does not match its table.
    Index,
    /// Sealed archives that were not opened, for want of a key.
    Key,
    /// A database with values too large for redb to check.
    LargePages,
    /// A link that leads out of its directory.
    Link,
    /// A path that `--map` does not change.
    Map,
    /// A mark that an archive did not get.
    Mark,
    /// A container shows the old file or folder by itself.
    MountedElsewhere,
    /// A file whose name cannot be that of an entry.
    Name,
    /// An entry for which this machine has no place.
    NoPlace,
    /// A process writes to a deleted file of a source.
    OpenDeleted,
    /// A file that is not an archive.
    Other,
    /// An owner that this machine or the file system refuses.
    Owner,
    /// A command with a pipe whose failure would pass unseen.
    Pipe,
    /// Recipients of sealed archives that are not those of the configuration, or that no given key stands for; archives
    /// that are not sealed, and should be.
    Recipients,
    /// Secrets of this machine that are not those of the archived database.
    Secrets,
    /// A reference to a secret that leads nowhere on this machine.
    Reference,
    /// A unit that systemd does not have.
    Service,
    /// Sockets, fifos and devices.
    Special,
    /// A file that matches a pattern and is not in the archive.
    Stray,
    /// A text that is not compared key by key.
    Text,
    /// A time that the file system refuses.
    Time,
    /// An entry without a consistent copy.
    Torn,
    /// A file that was gone before it was read.
    Vanished,
    /// A process works in a directory that is replaced.
    WorkingDirectory,
}

/// A part that a verb left undone, or a warning.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Remark {
    /// The kind, for programs.
    pub kind: RemarkKind,
    /// The entry or source that it concerns; empty if it concerns the whole archive.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub entry: String,
    /// The message, for people.
    pub message: String,
}

impl Remark {
    pub(super) fn new(
        kind: RemarkKind,
        entry: impl ToString,
        message: impl Into<String>,
    ) -> Remark {
        Remark {
            kind,
            entry: entry.to_string(),
            message: message.into(),
        }
    }
}

//! The report of a check.

use serde::Serialize;

use crate::error::Failure;

/// The results of a check.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    /// One for each destination, in the order in which they were named.
    pub destinations: Vec<DestinationCheck>,
    /// The summary of the failures, if a destination is not good.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

/// The results for one destination.
#[derive(Debug, Serialize)]
pub struct DestinationCheck {
    /// Its name in the configuration, if it was named by that.
    pub name: Option<String>,
    /// The location of the destination.
    pub location: String,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location_escaped: Option<String>,
    /// The means by which it is reached; none if it cannot be opened.
    pub connection: Option<Connection>,
    /// True if the destination can do everything that it is there for.
    pub good: bool,
    /// Each thing that was tried.
    pub capabilities: Vec<Capability>,
    /// The leftovers of dead uploads and checks that were removed now.
    pub swept: Vec<String>,
}

/// The means by which a destination is reached.
#[derive(Debug, Serialize)]
pub struct Connection {
    /// The kind of the store: `folder`, `s3`, `gs`, `az` or `sftp`.
    pub kind: &'static str,
    /// The server that the configuration names; none for that of the provider.
    pub server: Option<String>,
    /// The region of a bucket.
    pub region: Option<String>,
    /// The time limit of a request, in seconds.
    pub timeout_seconds: u64,
    /// The number of retries of a request.
    pub retry_attempts: u32,
    /// The number of parts that are sent at the same time.
    pub parallel_uploads: usize,
    /// The size of a part.
    pub chunk_bytes: usize,
    /// The most bytes that go out in a second.
    pub bytes_per_second: Option<u64>,
    /// True if every archive is read back.
    pub read_back: bool,
}

/// The abilities of a destination. The names in JSON are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ability {
    /// It opens.
    Open,
    /// The leftovers of dead uploads can be found and removed.
    Sweep,
    /// A file can be written.
    Write,
    /// The file is found.
    Find,
    /// Its content can be read.
    Read,
    /// It is listed.
    List,
    /// A second upload of one name is refused.
    CreateOnce,
    /// The file can be removed.
    Delete,
    /// An upload in parts arrives.
    Parts,
    /// An upload in parts can be given up.
    AbortParts,
    /// The repository there has all that its states need; its content is not read.
    Repository,
}

impl Ability {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Ability::Open => "open",
            Ability::Sweep => "sweep",
            Ability::Write => "write",
            Ability::Find => "find",
            Ability::Read => "read",
            Ability::List => "list",
            Ability::CreateOnce => "create_once",
            Ability::Delete => "delete",
            Ability::Parts => "parts",
            Ability::AbortParts => "abort_parts",
            Ability::Repository => "repository",
        }
    }
}

/// One thing that a destination must be able to do.
#[derive(Debug, Serialize)]
pub struct Capability {
    /// Its name.
    pub name: Ability,
    /// True if the destination can do it.
    pub good: bool,
    /// The duration of the attempt in seconds; none if it was not tried.
    pub seconds: Option<f64>,
    /// The remark on it, if there is one.
    pub message: Option<String>,
}

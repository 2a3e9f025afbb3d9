//! The notes that runs leave beside the archives of a destination.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A run that made no archive, because the newest one holds the present state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unchanged {
    /// The time of the run.
    pub time: DateTime<Utc>,
    /// The run.
    pub run_id: String,
    /// The name of the archive that still holds.
    pub name: String,
    /// SHA-256 of that archive in hexadecimal digits, if the run knew it.
    #[serde(default)]
    pub sha256: Option<String>,
}

/// The user's word that the newest archive may be as small as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The time of the acceptance.
    pub time: DateTime<Utc>,
    /// The name of the archive.
    pub name: String,
    /// The bytes of its entries, if its manifest could be read.
    #[serde(default)]
    pub content_bytes: Option<u64>,
}

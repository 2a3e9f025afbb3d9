//! The report of a conversion.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::{
    catalog::outgoing::Delivered, model::manifest::Manifest, store::Proof, work::remarks::Remarks,
};

/// The result of a conversion.
#[derive(Debug, Serialize)]
pub struct ConvertReport {
    /// The tar, or the snapshot.
    pub from: String,
    /// The name of the archive.
    pub archive: String,
    /// Its location.
    pub to: String,
    /// Its root folder.
    pub root: String,
    /// Its number of files.
    pub files: u64,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of the archive; absent if the destination held it already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The proof that the destination holds it; absent if it held it already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// The time of the state.
    pub time: String,
    /// The origin of that time.
    pub time_from: TimeFrom,
    /// The labels of the archive; those of its origin are among them.
    pub tags: std::collections::BTreeMap<String, String>,
    /// The parts that no archive can have.
    #[serde(flatten)]
    pub remarks: Remarks,
}

/// The origin of the time of a converted state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeFrom {
    /// The user gave it.
    Option,
    /// It is that of the newest change.
    NewestChange,
    /// It is that of the snapshot.
    Snapshot,
}

/// An archive at a destination.
pub struct Written {
    location: String,
    name: String,
    size_bytes: u64,
    delivered: Option<Delivered>,
}

impl Written {
    /// Returns one that was there already.
    pub fn held(location: String, name: String, size_bytes: u64) -> Written {
        Written {
            location,
            name,
            size_bytes,
            delivered: None,
        }
    }

    /// Returns one that was sent.
    pub fn sent(location: String, name: String, delivered: Delivered) -> Written {
        Written {
            location,
            name,
            size_bytes: delivered.size_bytes,
            delivered: Some(delivered),
        }
    }
}

impl ConvertReport {
    pub(super) fn new(
        from: &str,
        manifest: &Manifest,
        (time, time_from): (DateTime<Utc>, TimeFrom),
        written: Written,
        remarks: Remarks,
    ) -> ConvertReport {
        let delivered = written.delivered;
        ConvertReport {
            from: from.to_owned(),
            archive: written.name,
            to: written.location,
            root: manifest.root.clone().unwrap_or_default(),
            files: manifest.count(),
            size_bytes: written.size_bytes,
            sha256: delivered.map(|delivered| delivered.digest.to_string()),
            proof: delivered.map(|delivered| delivered.proof),
            time: time.to_rfc3339_opts(SecondsFormat::Secs, true),
            time_from,
            tags: manifest.tags.clone(),
            remarks,
        }
    }
}

//! The record of one rehearsed restore: what was restored, how long each part took, and what the probe said.

use serde::{Deserialize, Serialize};

/// The record of one rehearsed restore. Every key is written; an unknown value is null.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DrillRecord {
    /// The name of the archive; `None` if the destination did not tell it.
    pub archive: Option<String>,
    /// The name of its destination in the configuration, or its address; `None` for standard input.
    pub destination: Option<String>,
    /// True if all of the state was restored, and is good. The probe does not count.
    pub good: bool,
    /// True if it is not known whether it is good: it could not be read, or there was no room for it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
    /// Its size in bytes.
    pub bytes: Option<u64>,
    /// The durations of the parts.
    pub seconds: DrillSeconds,
    /// The seconds that a restore takes: all parts but the probe.
    pub rto_seconds: Option<f64>,
    /// The end of the probe; `None` if none ran.
    pub probe: Option<ProbeRecord>,
    /// The message of the failure, of the archive or of the probe, or the first part of the state that is missing.
    pub error: Option<String>,
    /// Remarks about what this user or this machine could not restore or check.
    pub warnings: Vec<String>,
    /// The folder in which the restored state stays (`--keep`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox_escaped: Option<String>,
}

/// The durations of the parts of a rehearsed restore in seconds; `None` for a part that did not end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DrillSeconds {
    /// The time for which the bytes of the archive were waited for.
    pub fetch: Option<f64>,
    /// The time for decryption, inflation, digests, and the check of databases.
    pub verify: Option<f64>,
    /// The time until everything was in its place.
    pub restore: Option<f64>,
    /// The time of the probe.
    pub probe: Option<f64>,
}

impl DrillSeconds {
    /// Returns the seconds that a restore takes; `None` if it did not end.
    pub fn rto(&self) -> Option<f64> {
        Some(self.fetch? + self.verify? + self.restore?)
    }
}

/// The end of a probe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProbeRecord {
    /// Its exit code; `None` if a signal or its time limit ended it, or if it did not start.
    pub exit_code: Option<i32>,
    /// The last lines that it printed, masked.
    pub output: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_is_no_part_of_a_restore() {
        let seconds = DrillSeconds {
            fetch: Some(1.0),
            verify: Some(2.0),
            restore: Some(0.5),
            probe: Some(100.0),
        };
        assert_eq!(seconds.rto(), Some(3.5));
        let cut_short = DrillSeconds {
            restore: None,
            ..seconds
        };
        assert_eq!(cut_short.rto(), None);
    }

    #[test]
    fn a_record_has_every_key() {
        let text = serde_json::to_string(&DrillRecord::default()).expect("JSON");
        assert_eq!(
            text,
            "{\"archive\":null,\"destination\":null,\"good\":false,\"bytes\":null,\"seconds\":{\"fetch\":null,\
            \"verify\":null,\"restore\":null,\"probe\":null},\"rto_seconds\":null,\"probe\":null,\"error\":null,\
            \"warnings\":[]}"
        );
    }
}

//! Times in the JSON of routes and reports: RFC 3339, while the file has Unix seconds.

use chrono::DateTime;
use serde::{Serialize as _, Serializer};

use crate::model::written::rfc3339;

/// Writes a time.
pub fn moment<S: Serializer>(seconds: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    moment_or_none(&Some(*seconds), serializer)
}

/// Writes a time, or null.
pub fn moment_or_none<S: Serializer>(
    seconds: &Option<i64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let time = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    time.map(rfc3339).serialize(serializer)
}

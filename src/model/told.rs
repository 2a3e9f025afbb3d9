//! The last news of the health that a notification got.

use serde::{Deserialize, Serialize};

/// The last news of the health that a notification got, unless it was good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// The destinations are not healthy.
    Stale,
    /// Their health could not be checked.
    Failure,
}

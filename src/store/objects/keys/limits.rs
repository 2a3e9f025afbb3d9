//! The times that sources of keys may take.

use std::time::Duration;

/// The time after which a machine's metadata service counts as absent: a machine that has keys answers in milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(4);

/// The time that a service named by the environment may take for the first key, and any service for a new key.
pub const LONG_PATIENCE: Duration = Duration::from_secs(20);

/// The time that a sign-in at a provider may take.
pub const SIGN_IN: Duration = Duration::from_secs(60);

//! The name of a private key, for messages and reports.

use std::fmt;

/// A private key, as messages name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName {
    /// Its origin: its file, for example.
    pub shown: String,
    /// Its public key, if it has one that is known.
    pub public: Option<String>,
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.public {
            Some(public) => write!(f, "{} ({public})", self.shown),
            None => f.write_str(&self.shown),
        }
    }
}

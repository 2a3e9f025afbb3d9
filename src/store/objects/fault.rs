//! A fault of a connection to a store, described by the code that knows its details.

use std::{error::Error, fmt};

/// A failure with advice. It passes through object_store as the cause of an error, and [`super::explain`] shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The failure, lower case, without a secret.
    pub what: String,
    /// The advice to the user.
    pub hint: String,
    /// True if a retry would end the same way.
    pub is_final: bool,
    /// True if all permitted attempts failed.
    pub is_spent: bool,
}

impl Fault {
    /// Returns a fault that a retry would meet again.
    pub fn standing(what: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault {
            what: what.into(),
            hint: hint.into(),
            is_final: true,
            is_spent: false,
        }
    }

    /// Returns a fault that may pass.
    pub fn passing(what: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault {
            is_final: false,
            ..Fault::standing(what, hint)
        }
    }

    /// Returns the fault that caused `error`.
    pub fn of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Fault> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(fault) = error.downcast_ref() {
                return Some(fault);
            }
            cause = error.source();
        }
        None
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Fault {}

//! A fault of a connection to a store, described by the code that knows its details.

use std::{error::Error, fmt};

use crate::error::Kind;

/// A failure with advice. It passes through object_store as the cause of an error, and [`super::explain`] shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFault {
    /// The failure, lower case, without a secret.
    pub what: String,
    /// The advice to the user.
    pub hint: String,
    /// The kind of the failure.
    pub kind: Kind,
    /// True if a retry would end the same way.
    pub is_final: bool,
    /// True if all permitted attempts failed.
    pub is_spent: bool,
}

impl RequestFault {
    /// Returns a fault that a retry would meet again.
    pub fn standing(what: impl Into<String>, hint: impl Into<String>) -> RequestFault {
        RequestFault {
            what: what.into(),
            hint: hint.into(),
            kind: Kind::Failed,
            is_final: true,
            is_spent: false,
        }
    }

    /// Returns a refusal, which a retry would meet again.
    pub fn refusal(what: impl Into<String>, hint: impl Into<String>) -> RequestFault {
        RequestFault {
            kind: Kind::Forbidden,
            ..RequestFault::standing(what, hint)
        }
    }

    /// Returns a fault of the network, which may pass.
    pub fn passing(what: impl Into<String>, hint: impl Into<String>) -> RequestFault {
        RequestFault {
            kind: Kind::Unreachable,
            is_final: false,
            ..RequestFault::standing(what, hint)
        }
    }

    /// Returns the fault that caused `error`.
    pub fn of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a RequestFault> {
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

impl fmt::Display for RequestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for RequestFault {}

impl From<RequestFault> for object_store::Error {
    fn from(fault: RequestFault) -> object_store::Error {
        object_store::Error::Generic {
            store: "key",
            source: Box::new(fault),
        }
    }
}

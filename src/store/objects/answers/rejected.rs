//! Answers that are kept from object_store.

use std::fmt;

use object_store::client::{HttpError, HttpErrorKind};

/// An answer that is kept from object_store.
#[derive(Debug)]
pub enum RejectedAnswer {
    /// An answer that is not of the protocol; the words describe it.
    Foreign(String),
    /// A refusal that no retry would change.
    Final {
        /// The status of the answer.
        status: u16,
        /// Its body.
        body: String,
    },
}

impl RejectedAnswer {
    /// Finds it among the causes of an error of object_store's client.
    pub fn of(error: &HttpError) -> Option<&RejectedAnswer> {
        std::error::Error::source(error)?.downcast_ref()
    }
}

impl fmt::Display for RejectedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RejectedAnswer::Foreign(what) => f.write_str(what),
            RejectedAnswer::Final { status, body } => write!(f, "status code: {status}: {body}"),
        }
    }
}

impl std::error::Error for RejectedAnswer {}

impl From<RejectedAnswer> for HttpError {
    fn from(said: RejectedAnswer) -> HttpError {
        // A kind of error that is not retried.
        HttpError::new(HttpErrorKind::Decode, said)
    }
}

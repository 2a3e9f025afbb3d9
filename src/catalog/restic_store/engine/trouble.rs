//! The failures of the engine as ours.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use rustic_core::RusticError;

use crate::error::{Failure, Kind};

/// The first failure of a piece of work. The engine warns of some failures and goes on: what is written here stops it.
#[derive(Clone, Default)]
pub struct Trouble(Arc<Mutex<Option<Failure>>>);

impl Trouble {
    /// Keeps `failure`, unless there was one before.
    pub fn keep(&self, failure: &Failure) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_or_insert_with(|| failure.clone());
    }

    /// Fails with the failure that was kept.
    pub fn check(&self) -> Result<(), Failure> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone().map_or(Ok(()), Err)
    }
}

/// Returns the failure that `error` comes down to: that of the store below, or a damaged repository called `shown`.
pub fn failure_of(error: &RusticError, shown: &str) -> Failure {
    if let Some(failure) = cause_of(error) {
        return failure.clone();
    }
    let text = plain(&error.to_string());
    Failure::new(Kind::Refused, format!("the repository {shown}: {text}"))
        .hint("`hookshot repo check` names what is damaged; `restic check` does the same")
}

/// Returns the failure of the store below that caused `error`.
pub fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Failure> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(failure) = error.downcast_ref() {
            return Some(failure);
        }
        cause = error.source();
    }
    None
}

/// The words before each error in a text of the engine.
const EXPERIENCED: &str = "`rustic_core` experienced";
/// The message of the errors that [`super::backend`] gives the engine. The reason follows it.
pub const REQUEST_FAILED: &str = "a request failed";

/// Returns a text of the engine in one line: the messages of an error and of its causes, without advice and traces.
pub fn plain(text: &str) -> String {
    let first_paragraph = |text| str::split(text, "\n\n").next().unwrap_or_default();
    let head = text.split(EXPERIENCED).next().unwrap_or_default();
    let head = head.split(". To repair: ").next().unwrap_or_default();
    let head = head.split("! To repair: ").next().unwrap_or_default();
    let messages = text.split("Message:\n").skip(1).map(first_paragraph);
    // The reason of a request has no such paragraph.
    let cause = text.rsplit("Caused by:\n").next().map(first_paragraph);
    let cause = cause.filter(|_| text.contains(REQUEST_FAILED));
    let parts = [head].into_iter().chain(messages).chain(cause);
    let parts = parts.map(|part| part.trim().trim_end_matches(['.', ':']).trim());
    let parts = parts.filter(|part| !part.is_empty() && *part != REQUEST_FAILED);
    let parts: Vec<String> = parts.map(|part| part.replace('\n', " ")).collect();
    let line = parts.join(": ");
    // The engine has an identifier for the one file that has none.
    line.replace(" marked to-delete: false", "")
        .replace(" marked to delete: false", "")
        .replace("Config:00000000", "config")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustic_core::ErrorKind;

    #[test]
    fn an_error_of_the_engine_is_one_line() {
        let cause = RusticError::new(ErrorKind::Cryptography, "the code is wrong.");
        let cause = cause.attach_error_code("C001");
        let error = RusticError::with_source(ErrorKind::Cryptography, "error at {id}", cause);
        let failure = failure_of(&error.attach_context("id", "Pack:12"), "/srv/vault");
        assert_eq!(
            failure.message,
            "the repository /srv/vault: error at Pack:12: the code is wrong"
        );
        let text =
            "pack 12 marked to-delete: false is not present! To repair: 'rustic repair index'.";
        assert_eq!(plain(text), "pack 12 is not present");
        let failure = Failure::new(Kind::Refused, "the pack 12 is missing");
        let error = RusticError::with_source(ErrorKind::Backend, REQUEST_FAILED, failure);
        let text = format!("error checking trees : {error}");
        assert_eq!(plain(&text), "error checking trees: the pack 12 is missing");
    }
}

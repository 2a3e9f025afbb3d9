//! Judges errors of object_store's clients: whether a retry makes sense, and what the store said.

use object_store::{Error, client::HttpError};

use super::{
    answers::RejectedAnswer,
    codes::{BAD_KEY, CONFLICT, EXPIRED, NO_BUCKET, OTHER_REGION},
    fault::RequestFault,
    text::{element, status, texts},
};

/// Returns true if the result of a request is unknown because no answer came, and it may be retried.
pub fn is_lost(error: &Error) -> bool {
    let is_last = RequestFault::of(error).is_some_and(|fault| fault.is_final || fault.is_spent);
    http_error(error).is_some_and(|http| RejectedAnswer::of(http).is_none()) && !is_last
}

/// Returns true if the store refused, and would refuse a retry.
pub fn is_refused(error: &Error) -> bool {
    let is_final = http_error(error).is_some_and(|http| RejectedAnswer::of(http).is_some());
    is_final
        || matches!(
            error,
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. }
        )
}

/// Returns true if the answer came from something that is not an object store.
pub fn is_foreign(error: &Error) -> bool {
    let said = http_error(error).and_then(RejectedAnswer::of);
    matches!(said, Some(RejectedAnswer::Foreign(_)))
}

/// Returns true if the signature was too old when it arrived; a new one may be accepted.
pub fn is_stale(error: &Error) -> bool {
    code(error) == "RequestTimeTooSkewed"
}

/// Returns true if the store was busy with the same name, and may accept a retry.
pub fn is_conflict(error: &Error) -> bool {
    CONFLICT.contains(&code(error).as_str())
}

/// Returns true if the store does not know this kind of request.
pub fn is_unknown(error: &Error) -> bool {
    let text = texts(error);
    code(error) == "NotImplemented" || matches!(status(&text), Some(501))
}

/// Returns true if a server refused without a reason, as in answers to HEAD.
pub fn is_silent(error: &Error) -> bool {
    let text = texts(error);
    code(error).is_empty() && matches!(status(&text), Some(400 | 401 | 403))
}

/// Returns true if every request would be refused like this one: the key, the clock or the server is wrong.
pub fn is_hopeless(error: &Error) -> bool {
    let code = code(error);
    let is_one_of = |codes: &[&str]| codes.contains(&code.as_str());
    is_foreign(error)
        || RequestFault::of(error).is_some_and(|fault| fault.is_final)
        || is_stale(error)
        || is_one_of(&NO_BUCKET)
        || is_one_of(&BAD_KEY)
        || is_one_of(&EXPIRED)
        || is_one_of(&OTHER_REGION)
}

fn code(error: &Error) -> String {
    element(&texts(error), "Code").unwrap_or_default()
}

/// Finds the error of the HTTP client among the causes of an error.
pub fn http_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a HttpError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(http) = error.downcast_ref() {
            return Some(http);
        }
        cause = error.source();
    }
    None
}

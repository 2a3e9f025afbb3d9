//! Words as messages show them: without passwords.

use std::borrow::Cow;

use crate::model::entry_name::printable;

/// Returns a word without its possible password: `user:***@host`. Everything between a `:` and the last `@` counts as a
/// password, even slashes.
pub fn masked(text: &str) -> Cow<'_, str> {
    let scheme = text
        .find("://")
        .filter(|at| !text[..*at].contains(':'))
        .map_or(0, |at| at + 3);
    let colon = text[scheme..].find(':').map(|at| at + scheme);
    match (colon, text.rfind('@')) {
        (Some(colon), Some(at)) if colon < at => {
            Cow::Owned(format!("{}***{}", &text[..=colon], &text[at..]))
        }
        _ => Cow::Borrowed(text),
    }
}

/// Returns a part of a word for messages, without a password, the text after `?` (it may be a key) and control
/// characters.
pub(super) fn shown(text: &str) -> String {
    let text = masked(text);
    let end = text.find(['?', '#']).unwrap_or(text.len());
    printable(&text[..end])
}

/// Returns true if the rest of a URL seems to contain a user with a password, or a key with its secret.
pub(super) fn has_password(rest: &str) -> bool {
    let login = rest.split_once('@').map(|(login, _)| login);
    login.is_some_and(|login| login.contains(':'))
}

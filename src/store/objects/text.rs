//! Reads the texts of errors and answers of object stores.

use std::error::Error;

pub use crate::store::text::{quoted, root, texts};

/// Returns the first cause of an error in a few words: the status of an answer, or the network's error.
pub fn cause_of(error: &(dyn Error + 'static)) -> String {
    let text = texts(error);
    match status(&text) {
        Some(status) => format!("status {status}"),
        None if text.contains("operation timed out") => "no answer in time".to_owned(),
        None => quoted(&root(error)),
    }
}

/// Returns the content of the first element of that name.
pub fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once(&format!("</{name}>"))?;
    Some(inner.trim().to_owned()).filter(|inner| !inner.is_empty())
}

/// Returns the status of the answer that an error tells.
pub fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// Returns the server's own words: its message, or the text that it sent instead.
pub fn words(text: &str) -> Option<String> {
    if let Some(message) = element(text, "Message") {
        return Some(quoted(&message));
    }
    let (_, rest) = text.split_once("status code: ")?;
    let (_, body) = rest.lines().next()?.split_once(": ")?;
    let body = body.trim();
    let is_words = !body.is_empty() && !body.starts_with(['<', '{']);
    is_words.then(|| quoted(body))
}

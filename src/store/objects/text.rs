//! Reads the texts of errors and answers, and shortens them for messages.

use std::error::Error;

/// The longest quotation of a server's words, in characters.
const MAX_QUOTED_CHARS: usize = 160;

/// Returns the texts of all causes; only for searches, never shown.
pub fn texts(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push('\n');
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Returns the text of the first cause.
pub fn root(error: &(dyn Error + 'static)) -> String {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root.to_string()
}

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

/// Returns a few words of a foreign text: one line without URLs, because some URLs are keys.
pub fn quoted(text: &str) -> String {
    let words = text
        .split_whitespace()
        .map(|word| if word.contains("://") { "(URL)" } else { word });
    let line = words.collect::<Vec<_>>().join(" ");
    let is_plain = |letter: &char| !letter.is_control();
    let mut letters = line.chars().filter(is_plain);
    let mut short: String = letters.by_ref().take(MAX_QUOTED_CHARS).collect();
    if letters.next().is_some() {
        short.push('…');
    }
    short
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

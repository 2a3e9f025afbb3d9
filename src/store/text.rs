//! Reads the texts of errors and of servers, and shortens them for messages.

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

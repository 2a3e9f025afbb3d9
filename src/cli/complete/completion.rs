//! A completion of the last word of a line.

/// A word that completes the line.
pub struct Completion {
    /// `w` a word, `f` a file, `d` a folder.
    pub kind: char,
    pub value: String,
    pub help: String,
}

impl Completion {
    pub fn word(value: impl Into<String>, help: impl ToString) -> Completion {
        Completion {
            kind: 'w',
            value: value.into(),
            help: help.to_string(),
        }
    }
}

//! A candidate for the last word of a line.

/// A word that completes the line.
pub struct Candidate {
    /// `w` a word, `f` a file, `d` a folder.
    pub kind: char,
    pub value: String,
    pub help: String,
}

impl Candidate {
    pub fn word(value: impl Into<String>, help: impl ToString) -> Candidate {
        Candidate {
            kind: 'w',
            value: value.into(),
            help: help.to_string(),
        }
    }
}

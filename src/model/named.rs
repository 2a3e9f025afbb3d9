//! A list of messages for people, and the number of those that were left out.

use super::limits::MAX_FAULTS;

/// Sentences, of which only the first [`MAX_FAULTS`] are kept.
#[derive(Debug, Default)]
pub struct Named {
    said: Vec<String>,
    count: usize,
}

impl Named {
    /// Adds the sentence of `say`, or only counts it if the list is full.
    pub fn add(&mut self, say: impl FnOnce() -> String) {
        self.count += 1;
        if self.said.len() < MAX_FAULTS {
            self.said.push(say());
        }
    }

    /// Returns the number of sentences, kept or not.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the sentences that were kept, and one with the number of those that were not.
    pub fn finish(mut self) -> Vec<String> {
        let more = self.count - self.said.len();
        if more > 0 {
            self.said.push(format!("and {more} more"));
        }
        self.said
    }
}

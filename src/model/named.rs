//! A list of things that are named to people: so many, and how many more there are.

use super::limits::MAX_FAULTS;

/// Sentences, of which only the first [`MAX_FAULTS`] are kept.
#[derive(Debug, Default)]
pub struct Named {
    said: Vec<String>,
    count: usize,
}

impl Named {
    /// Adds what `say` says, or counts it.
    pub fn add(&mut self, say: impl FnOnce() -> String) {
        self.count += 1;
        if self.said.len() < MAX_FAULTS {
            self.said.push(say());
        }
    }

    /// How many there are, kept or not.
    pub fn count(&self) -> usize {
        self.count
    }

    /// What was said, and how much more there was to say.
    pub fn finish(mut self) -> Vec<String> {
        let more = self.count - self.said.len();
        if more > 0 {
            self.said.push(format!("and {more} more"));
        }
        self.said
    }
}

//! The parts of a run that are left undone beside its work.

use crate::error::{Failure, Kind};

/// The parts that are left undone, collected while a run goes on.
#[derive(Default)]
pub struct Undone(Vec<Part>);

struct Part {
    message: String,
    /// The advice, if there is another than that of the job.
    hint: Option<String>,
}

impl Undone {
    /// Adds parts for which the advice of the job holds. One that is known already is not added again.
    pub fn add(&mut self, messages: impl IntoIterator<Item = String>) {
        for message in messages {
            self.add_with(message, None);
        }
    }

    /// Adds a part with its own advice, unless it is known already.
    pub fn add_with(&mut self, message: String, hint: Option<String>) {
        if !self.0.iter().any(|part| part.message == message) {
            self.0.push(Part { message, hint });
        }
    }

    /// Returns the failure that decides on result and exit code: that of the work, which then names these parts too, or
    /// else [`Kind::Partial`] with the advice `hint` if there are any.
    pub fn verdict(&self, failure: Option<Failure>, hint: &str) -> Option<Failure> {
        let messages: Vec<String> = self.0.iter().map(|part| part.message.clone()).collect();
        let Some(first) = self.0.first() else {
            return failure;
        };
        if let Some(mut failure) = failure {
            if failure.faults.is_empty() {
                failure.faults.push(failure.message.clone());
            }
            failure.faults.extend(messages);
            return Some(failure);
        }
        let message = match messages.len() {
            1 => first.message.clone(),
            count => format!("{count} parts were left undone: {}", first.message),
        };
        let mut hints: Vec<&str> = Vec::new();
        for own in self.0.iter().filter_map(|part| part.hint.as_deref()) {
            if !hints.contains(&own) {
                hints.push(own);
            }
        }
        let failure = Failure::new(Kind::Partial, message).faults(messages);
        Some(failure.hint(match hints.is_empty() {
            true => hint.to_owned(),
            false => hints.join("; "),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_undone_decides_only_beside_work_that_succeeded() {
        let mut undone = Undone::default();
        assert!(undone.verdict(None, "later").is_none());
        undone.add(["a".to_owned(), "a".to_owned()]);
        let partial = undone.verdict(None, "later").expect("a failure");
        assert_eq!(
            (partial.kind, partial.message.as_str()),
            (Kind::Partial, "a")
        );
        assert_eq!(partial.hint.as_deref(), Some("later"));
        undone.add_with("b".to_owned(), Some("now".to_owned()));
        let partial = undone.verdict(None, "later").expect("a failure");
        assert_eq!(partial.message, "2 parts were left undone: a");
        undone.add_with("c".to_owned(), Some("here".to_owned()));
        undone.add_with("d".to_owned(), Some("now".to_owned()));
        let partial = undone.verdict(None, "later").expect("a failure");
        assert_eq!(partial.hint.as_deref(), Some("now; here"));
        let worse = undone.verdict(Some(Failure::new(Kind::Space, "full")), "later");
        let worse = worse.expect("a failure");
        assert_eq!(
            (worse.kind, worse.faults.join(" ")),
            (Kind::Space, "full a b c d".to_owned())
        );
    }
}

//! The outcome of the work of a run: its failure, and the parts that are left undone beside it.

use crate::error::{Failure, Kind};

/// The advice about a part that a later run does.
const NEXT_RUN: &str = "the archive is proven; the next run tries again what can be tried again";

/// The outcome of the work, collected while the run goes on.
#[derive(Default)]
pub struct Work {
    /// The failure of the export, of a `before` hook, or of an interruption.
    pub failure: Option<Failure>,
    /// The parts that are left undone beside it.
    undone: Vec<UndonePart>,
}

/// A part of the work that is left undone.
pub struct UndonePart {
    /// The message.
    message: String,
    /// The advice, if a later run does not do it.
    hint: Option<String>,
}

impl Work {
    /// Adds parts that the next run tries again.
    pub fn leave(&mut self, messages: impl IntoIterator<Item = String>) {
        let parts = messages.into_iter();
        self.undone.extend(parts.map(|message| UndonePart {
            message,
            hint: None,
        }));
    }

    /// Adds a part about which the user can do something.
    pub fn leave_to_user(&mut self, message: String, hint: Option<String>) {
        self.undone.push(UndonePart { message, hint });
    }

    /// Returns the failure that decides on result and exit code, if there is one.
    pub fn verdict(&self) -> Option<Failure> {
        let undone = self.undone.iter().map(|part| part.message.clone());
        let undone: Vec<String> = undone.collect();
        if let Some(failure) = &self.failure {
            let mut failure = failure.clone();
            if !undone.is_empty() {
                if failure.faults.is_empty() {
                    failure.faults.push(failure.message.clone());
                }
                failure.faults.extend(undone);
            }
            return Some(failure);
        }
        let first = self.undone.first()?;
        let message = match undone.len() {
            1 => first.message.clone(),
            count => format!("{count} parts were left undone: {}", first.message),
        };
        let hint = first.hint.as_deref().unwrap_or(NEXT_RUN);
        Some(
            Failure::new(Kind::Partial, message)
                .hint(hint)
                .faults(undone),
        )
    }
}

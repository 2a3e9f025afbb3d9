//! The ends of commands: by themselves, or because their time was over, with their last words.

use std::{process::ExitStatus, time::Duration};

use super::output::MOST_LINES;
use crate::model::entry_name::printable;

/// The end of a command that had as much time as it needed.
pub struct Ended {
    /// The exit status.
    pub status: ExitStatus,
    /// The last lines of its standard error.
    pub complaints: Vec<String>,
}

impl Ended {
    /// Returns `why`, with the last line of the command.
    pub fn because(&self, why: &str) -> String {
        because(why, &self.complaints)
    }
}

/// The answer of a command to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandAnswer {
    /// The exit status.
    pub status: ExitStatus,
    /// The beginning of its output, as it is: mask it before it is shown.
    pub text: String,
}

impl CommandAnswer {
    /// Returns the first lines that are not empty, fit for a terminal, but not masked.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty());
        lines.take(MOST_LINES).map(printable).collect()
    }
}

/// The way in which a command around the work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookEnd {
    /// By itself.
    Exited(ExitStatus),
    /// Its time was over, and it was ended.
    TookLonger,
}

impl HookEnd {
    /// Returns the exit code; `None` if a signal ended the command.
    pub fn code(self) -> Option<i32> {
        match self {
            HookEnd::Exited(status) => status.code(),
            HookEnd::TookLonger => None,
        }
    }

    /// Returns how the command failed; `None` if it succeeded. `limit` is the time that it had.
    pub fn fault(self, limit: Duration) -> Option<String> {
        match self {
            HookEnd::Exited(status) if status.success() => None,
            HookEnd::Exited(status) => Some(format!("it ended with {status}")),
            HookEnd::TookLonger => Some(format!("it takes longer than {} s", limit.as_secs())),
        }
    }
}

/// Returns `why`, with the last line of a command.
pub(super) fn because(why: &str, complaints: &[String]) -> String {
    match complaints.last() {
        Some(last) => format!("{why}: {last}"),
        None => why.to_owned(),
    }
}

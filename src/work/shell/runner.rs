//! The means of every command: sessions, secrets to mask, variables.

use std::ffi::OsString;

use super::{
    line::{self, Line},
    masks::Masks,
};
use crate::work::session::SessionStarter;

/// The variable that marks a command around the work, and the processes that it starts.
pub const MARK: &str = "HOOKSHOT_COMMAND";
/// The variable that names the job of a run that a schedule started. Commands do not inherit it.
pub const JOB: &str = "HOOKSHOT_JOB";

/// The runner of the user's commands.
#[derive(Debug, Clone, Default)]
pub struct Runner {
    /// Begins the session of each command.
    pub starter: SessionStarter,
    /// The secrets that this run knows.
    pub masks: Masks,
    /// Variables of the environment of every command; paths keep their bytes.
    pub variables: Vec<(String, OsString)>,
}

impl Runner {
    /// Returns a command for a message, without the secrets that this run knows.
    pub fn shown(&self, command: Line<'_>) -> String {
        line::shortened(&self.masked(&command.text()))
    }

    /// Returns a text for a message, without the secrets that this run knows.
    pub fn masked(&self, text: &str) -> String {
        let masked = self.masks.masked(text.as_bytes());
        String::from_utf8_lossy(&masked).into_owned()
    }
}

//! Everything that a verb works with.

use std::{
    cell::{Cell, OnceCell, RefCell},
    ffi::OsString,
    io::IsTerminal as _,
    path::{Path, PathBuf},
};

use anyhow::Result;
use chrono::{DateTime, Utc};
use tracing::warn;

use super::render::printer::Printer;
use crate::{
    catalog::{input::ArchiveInput, target::Target},
    config::{Choices, Settings},
    context::Context,
    crypt::Ask,
    error::{Failure, Kind},
    work::wake::Wake,
};

/// Everything that a verb works with.
pub struct App {
    /// The places of the state, as the user names them.
    pub choices: Choices,
    /// The settings, once a word of the command line needs them.
    pub settings: OnceCell<Settings>,
    /// The facts of this run.
    pub context: Context,
    /// The way to show a report.
    pub printer: Printer,
    /// The way to ask the user for a passphrase; `None` without a terminal.
    pub ask: Option<Ask>,
    /// True if the user asked for warnings and errors only.
    pub is_quiet: bool,
    /// True if the user asked for more than usual.
    pub is_verbose: bool,
    /// The command line with every verb and option, for verbs that describe it.
    pub command: fn() -> clap::Command,
    /// The clock, for a verb that works on and on.
    pub clock: fn() -> DateTime<Utc>,
    /// Ends the sleep of the agent when a signal comes; no other verb has one.
    pub wake: RefCell<Option<Wake>>,
    /// The number of sealed archives that a verification did not open, for the record of its run.
    pub outside: Cell<usize>,
    /// The global options that the agent's jobs get.
    pub job_options: Vec<OsString>,
}

impl App {
    /// Returns the settings that resolve the words of the command line. Loads them once.
    pub fn settings(&self) -> Result<&Settings> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let settings = Settings::load(&self.choices)?;
        Ok(self.settings.get_or_init(|| settings))
    }

    /// Resolves a word of the command line to an archive. Warns if a terminal would have to deliver it.
    pub fn input(&self, text: &Path) -> Result<ArchiveInput> {
        let archive = Target::read(text)?.input(&self.context, || self.settings())?;
        if matches!(archive, ArchiveInput::Stdin) && std::io::stdin().is_terminal() {
            warn!(
                "Waiting for an archive on standard input, which is a terminal; Ctrl-C ends this. Send one with a \
                    pipe or a redirection: hookshot ... - < state.tar.gz"
            );
        }
        Ok(archive)
    }
}

/// Refuses a second `-` among the archives: standard input is read once.
pub fn require_one_stdin<'a>(words: impl Iterator<Item = &'a PathBuf>) -> Result<()> {
    if words.filter(|word| word.as_os_str() == "-").count() < 2 {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Usage,
        "`-` is standard input, which gives one archive: it is named twice",
    )
    .hint("name it once, and the other archive by its path")
    .into())
}

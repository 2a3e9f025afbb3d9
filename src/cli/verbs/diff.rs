//! `hookshot diff`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::{
    cli::{
        app::{App, require_one_stdin},
        render,
    },
    machine::enter::{StateAccess, enter},
    ops::diff::{DiffSide, Text, diff},
};

/// Compare an archive with this machine's state, or with another archive
///
/// HERE is this machine, or the first of two archives; THERE is the other. The exit code is 0 if nothing differs, 1 if
/// something does, and 3 if a part was not compared.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        hookshot diff state.tar.gz\n  \
        hookshot diff state.tar.gz --text                  # keys of configuration, never secrets\n  \
        hookshot diff monday.tar.gz tuesday.tar.gz")]
pub struct DiffArguments {
    /// A file, an unpacked archive, a URL, `@DESTINATION/ARCHIVE`, `@DESTINATION/latest`, or `-` for standard
    /// input
    archive: PathBuf,
    /// A second archive, instead of this machine's state
    pub other: Option<PathBuf>,
    /// Show the keys of configuration files that differ, with secrets masked
    #[arg(long)]
    text: bool,
}

impl DiffArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        require_one_stdin([&self.archive].into_iter().chain(&self.other))?;
        let archive = app.input(&self.archive)?;
        let text = if self.text { Text::Shown } else { Text::Hidden };
        let report = match &self.other {
            Some(other) => diff(
                &app.context,
                &archive,
                &DiffSide::Archive(&app.input(other)?),
                text,
            )?,
            None => {
                let entered = enter(&app.choices, StateAccess::Read, &app.context.events)?;
                diff(
                    &app.context,
                    &archive,
                    &DiffSide::Machine(&entered.settings),
                    text,
                )?
            }
        };
        render::diff::show(&app.printer, &report)
    }
}

//! `hookshot extract`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{
    cli::{app::App, render},
    disk::publish::Existing,
    error::{Failure, Kind},
    ops::{
        extract::{ExtractOutput, extract},
        patterns::EntryPatterns,
    },
    work::stdout::ensure_open,
};

/// Extract single entries or directories from an archive
///
/// The whole archive is verified before a file appears; of one above 16 MiB, only the extracted entries. Files keep
/// their mode and time; the mode of a secret is 0600 at most. A directory comes with its folders and with the links
/// that stay inside it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        hookshot extract state.tar.gz state.redb -o /tmp/look\n  \
        hookshot extract state.tar.gz config.toml -o - | less\n  \
        hookshot extract state.tar.gz data -o /tmp/look\n  \
        hookshot extract state.tar.gz '*.toml' 'data/**/*.conf' -o /tmp/look\n  \
        hookshot extract state.tar.gz -o /tmp/look           # everything")]
pub struct ExtractArguments {
    /// A file, an unpacked archive, a URL, `@DESTINATION/ARCHIVE`, `@DESTINATION/latest`, or `-` for standard
    /// input
    archive: PathBuf,
    /// Names of entries or directories, as `hookshot inspect` shows them, or patterns as in gitignore(5) [default: all]
    #[arg(value_name = "ENTRY")]
    entries: Vec<String>,
    /// Extract to this folder, or with `-` to standard output
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
    /// Replace existing files
    #[arg(long)]
    overwrite: bool,
}

impl ExtractArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let output = if self.output.as_os_str() == "-" {
            ExtractOutput::Stdout
        } else {
            ExtractOutput::Folder(self.output)
        };
        if output == ExtractOutput::Stdout && app.printer.is_json() {
            let failure = Failure::new(
                Kind::Usage,
                "standard output cannot be both the entries and JSON",
            );
            return Err(failure
                .hint("extract to a folder, or leave out --json")
                .into());
        }
        if output == ExtractOutput::Stdout {
            ensure_open().context("cannot write to standard output")?;
        }
        let existing = if self.overwrite {
            Existing::Replace
        } else {
            Existing::Keep
        };
        let report = extract(
            &app.context,
            &app.input(&self.archive)?,
            &EntryPatterns::new(&self.entries)?,
            &output,
            existing,
        )?;
        match output {
            ExtractOutput::Stdout => Ok(report
                .remarks
                .failure()
                .map_or(0, |failure| failure.kind.code())),
            ExtractOutput::Folder(_) => render::extract::show(&app.printer, &report),
        }
    }
}

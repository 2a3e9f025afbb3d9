//! `hookshot keep`.

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;

use crate::{
    cli::{app::App, render},
    model::retention::Mark,
    ops::keep::keep,
};

/// Mark an archive, so that no policy removes it
///
/// The mark is a small object beside the archive, NAME.keep. Without a flag it holds forever.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot keep @offsite/hookshot-state-20261121-030000.tar.gz\n  \
    hookshot keep @offsite/latest --until 2027-12-31\n  \
    hookshot keep /var/backups/hookshot/hookshot-state-20261121-030000.tar.gz --remove")]
pub struct KeepArguments {
    /// A file, a URL, @NAME/ARCHIVE, or @NAME/latest
    archive: OsString,
    /// Keep it for good
    #[arg(long, conflicts_with_all = ["until", "remove"])]
    forever: bool,
    /// Keep it until this day begins (UTC), or until a time of RFC 3339
    #[arg(long, value_name = "DATE", conflicts_with = "remove")]
    until: Option<Mark>,
    /// Remove the mark: the policy decides again
    #[arg(long)]
    remove: bool,
}

impl KeepArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let settings = app.settings()?;
        let mark = if self.remove {
            None
        } else {
            Some(self.until.unwrap_or(Mark::Forever))
        };
        let report = keep(&app.context, settings, &self.archive, mark)?;
        render::keep::show(&app.printer, &report, mark)
    }
}

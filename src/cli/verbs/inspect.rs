//! `hookshot inspect`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::{
    cli::{app::App, render},
    ops::inspect::inspect,
};

/// Show the manifest and the entries of an archive
#[derive(Debug, Args)]
#[command(
    alias = "show",
    after_help = "Examples:\n  \
        hookshot inspect state.tar.gz\n  \
        hookshot inspect state.tar.gz --json | jq .manifest.tags"
)]
pub struct InspectArguments {
    /// A file, an unpacked archive, a URL, `@DESTINATION/ARCHIVE`, `@DESTINATION/latest`, or `-` for standard
    /// input
    archive: PathBuf,
}

impl InspectArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let report = inspect(&app.context, &app.input(&self.archive)?)?;
        render::inspect::show(&app.printer, &report)
    }
}

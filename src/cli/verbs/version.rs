//! `hookshot version`.

use anyhow::Result;
use clap::Args;

use crate::cli::{app::App, render};

/// Show the version
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  hookshot version\n  hookshot version --json | jq -r .version")]
pub struct VersionArguments {}

impl VersionArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        render::version::show(&app.printer)
    }
}

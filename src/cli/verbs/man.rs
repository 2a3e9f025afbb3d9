//! `hookshot man`.

use anyhow::Result;
use clap::Args;

use crate::cli::{app::App, render};

/// Print the manual page
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hookshot man | man -l -\n  hookshot man export > hookshot-export.1"
)]
pub struct ManArguments {
    /// A verb, for the page of its own
    verb: Option<String>,
}

impl ManArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        render::manual::show(&app.printer, (app.command)(), self.verb.as_deref())
    }
}

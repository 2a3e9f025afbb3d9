//! `hookshot notify`.

use anyhow::Result;
use clap::Args;

use crate::{
    cli::{app::App, render},
    jobs::notify::try_out,
};

/// Try the notifications of the configuration
///
/// Sends a made-up run, so that you see what arrives. Nothing else is done, and the history does not have it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hookshot notify --test\n  hookshot notify --test ops\n  hookshot notify --test --json"
)]
pub struct NotifyArguments {
    /// Send a made-up run
    #[arg(long, required = true)]
    test: bool,
    /// The name of one under [[backup.notify]] [default: all]
    name: Option<String>,
}

impl NotifyArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let report = try_out(&app.context, app.settings()?, self.name.as_deref())?;
        render::notify::show(&app.printer, &report)
    }
}

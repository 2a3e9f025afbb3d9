//! `hookshot check`.

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;

use crate::{
    cli::{app::App, render},
    ops::check::check,
};

/// Find out what can be done at a destination
///
/// Writes a small object, finds it, reads it, lists it, tries to create it a second time, which must be refused, and deletes
/// it. What uploads left that were killed is removed first.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hookshot check\n  hookshot check @offsite\n  hookshot check s3://bucket/host --json"
)]
pub struct CheckArguments {
    /// @NAME, a URL or a folder [default: all of [backup] to]
    destinations: Vec<OsString>,
}

impl CheckArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let settings = app.settings()?;
        let report = check(&app.context, settings, &self.destinations)?;
        render::check::show(&app.printer, &report)
    }
}

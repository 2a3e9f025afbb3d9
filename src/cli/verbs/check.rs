//! `hookshot check`.

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;

use crate::{
    cli::{
        app::App,
        render::{self, check::CheckDetail},
    },
    ops::check::check,
};

/// Test what a destination permits
///
/// Removes the leftovers of killed uploads. Then writes a small object, finds it, reads it, lists it, creates it a
/// second time, which must be refused, and deletes it. With -v it also shows how the destination is reached.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hookshot check\n  hookshot check @offsite\n  hookshot check s3://bucket/host --json"
)]
pub struct CheckArguments {
    /// @NAME, a URL or a folder [env: HOOKSHOT_TO] [default: all of [backup] to]
    destinations: Vec<OsString>,
}

impl CheckArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let settings = app.settings()?;
        let report = check(&app.context, settings, &self.destinations)?;
        let detail = if app.is_verbose {
            CheckDetail::Connections
        } else {
            CheckDetail::Results
        };
        render::check::show(&app.printer, &report, detail)
    }
}

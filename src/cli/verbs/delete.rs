//! `hookshot delete`.

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;

use super::consent;
use crate::{
    cli::{app::App, render},
    error::{Failure, Kind},
    ops::delete::{Deletion, Reach},
};

/// Remove archives by name
///
/// The newest good archive of a host and archives with a mark are never removed. If one of those is named, nothing is
/// removed. A policy removes old archives by itself: see `hookshot prune`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot delete @offsite/hookshot-state-20261121-030000.tar.gz\n  \
    hookshot delete @offsite/name=before-upgrade --everywhere --yes")]
pub struct DeleteArguments {
    /// @NAME/ARCHIVE, @NAME/KEY=VALUE, a URL, or a file; several at once
    #[arg(required = true, value_name = "ARCHIVE")]
    archives: Vec<OsString>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Remove them at every destination of the configuration, too
    #[arg(long)]
    everywhere: bool,
}

impl DeleteArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let reach = if self.everywhere {
            Reach::Everywhere
        } else {
            Reach::Named
        };
        let (context, settings) = (&app.context, app.settings()?);
        let deletion = Deletion::plan(context, settings, &self.archives, reach)?;
        if !self.yes {
            agree(app, &deletion)?;
        }
        let report = deletion.apply(context)?;
        render::delete::show(&app.printer, &report)
    }
}

/// Asks the user on the terminal. Fails if the answer is not yes.
fn agree(app: &App, deletion: &Deletion) -> Result<()> {
    let archives = deletion.described();
    let message = format!(
        "nothing is deleted without --yes: {} would go",
        archives.join(", ")
    );
    let question = render::delete::question(&archives);
    let failure = Failure::new(Kind::Usage, message)
        .hint("without a terminal the user cannot be asked; --yes deletes them")
        .faults(archives);
    consent::ask(app, &question, failure, "nothing is deleted")
}

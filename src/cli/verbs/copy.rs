//! `hookshot copy`.

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;

use super::filter::FilterArguments;
use crate::{
    cli::{app::App, render},
    ops::copy::{CopyRequest, copy},
};

/// Copy archives between destinations, verified on the way
///
/// Each archive is verified while it passes, and the destination must prove that it holds it. An archive that is
/// already there, with the same name and size, is skipped. Nothing is replaced.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot copy @local/latest @offsite\n  \
    hookshot copy @local @offsite                      # what is there and not here\n  \
    hookshot copy @local @offsite --since 30d --last 4\n  \
    hookshot copy s3://bucket/host/state-20261121-030000.tar.gz /tmp/\n  \
    hookshot copy restored/state-20261121-030000 @offsite  # an unpacked archive is packed again\n  \
    hookshot copy restic:/srv/vault/1a2b3c4d /tmp/  # a snapshot of a repository, by its ID")]
pub struct CopyArguments {
    /// An archive (unpacked or not), or a destination for all its archives of this prefix: @NAME[/ARCHIVE|/latest], a
    /// URL, a file or a folder
    from: OsString,
    /// The destination: @NAME, a URL or a folder
    to: OsString,
    /// Copy the archives of every prefix
    #[arg(long)]
    all_hosts: bool,
    #[command(flatten)]
    filter: FilterArguments,
}

impl CopyArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let settings = app.settings()?;
        let request = CopyRequest {
            name: None,
            from: self.from,
            to: self.to,
            hosts: self.filter.hosts(self.all_hosts),
            filter: self.filter.filter(&app.context),
        };
        let report = copy(&app.context, settings, &request)?;
        render::copy::show(&app.printer, &report)
    }
}

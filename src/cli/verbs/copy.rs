//! `hookshot copy`.

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;

use super::flags::hosts;
use crate::{
    cli::{app::App, render},
    ops::copy::{CopyRequest, copy},
};

/// Copy archives between places, proven on arrival
///
/// An archive is proven good while it passes, and the other place proves that it holds it. What is there already, with the
/// same name and size, is skipped; nothing is ever replaced.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot copy @local/latest @offsite\n  \
    hookshot copy @local @offsite                      # what is there and not here\n  \
    hookshot copy s3://bucket/host/state-20261121-030000.tar.gz /tmp/")]
pub struct CopyArguments {
    /// An archive, or a place for all archives of this prefix there: @NAME[/ARCHIVE|/latest], a URL, a file or a folder
    from: OsString,
    /// A place: @NAME, a URL or a folder
    to: OsString,
    /// Of a place, the archives of every prefix
    #[arg(long)]
    all_hosts: bool,
}

impl CopyArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let settings = app.settings()?;
        let request = CopyRequest {
            from: self.from,
            to: self.to,
            hosts: hosts(self.all_hosts),
        };
        let report = copy(&app.context, settings, &request)?;
        render::copy::show(&app.printer, &report)
    }
}

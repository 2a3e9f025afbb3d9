//! `hookshot drill`.

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;

use crate::{
    cli::{app::App, render},
    jobs::drill::{DrillRequest, SandboxFate, WhichArchives, drill},
    model::quantity::TimeLimit,
};

/// Rehearse a restore: import archives into a sandbox, and run a probe
///
/// Each archive is imported below a private folder in TMPDIR, as a real import does it; its databases are opened and
/// checked, and the probe of [backup.drill] runs. This machine's state is not touched. The times of each part are
/// measured, and recorded for `hookshot history` and `hookshot status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot drill                                # the newest archive of every destination\n  \
    hookshot drill @offsite --all                 # all archives of this one\n  \
    hookshot drill state.tar.gz --keep            # leave the restored state, and say where\n  \
    hookshot drill --json | jq '.drills[].rto_seconds'")]
pub struct DrillArguments {
    /// Files, URLs, `@DESTINATION/ARCHIVE`, or `@DESTINATION`, a folder or a URL for its newest archive by name [default:
    /// every destination]
    #[arg(value_name = "ARCHIVE")]
    archives: Vec<OsString>,
    /// Rehearse the restore of every archive of the destinations, not of the newest only
    #[arg(long)]
    all: bool,
    /// Leave the restored state in TMPDIR, and say where
    #[arg(long)]
    keep: bool,
    /// Wait this long for a run of this configuration that is at work: 10m, 1h
    #[arg(long, value_name = "TIME", default_value = "0s")]
    lock_wait: TimeLimit,
}

impl DrillArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let request = DrillRequest {
            words: self.archives,
            which: match self.all {
                true => WhichArchives::All,
                false => WhichArchives::Newest,
            },
            sandbox: match self.keep {
                true => SandboxFate::Kept,
                false => SandboxFate::Removed,
            },
            lock_wait: self.lock_wait.duration(),
        };
        let report = drill(&app.context, &app.choices, &request)?;
        render::drill::show(&app.printer, &report, &app.context.scratch)
    }
}

//! `hookshot guard`: what lets a paused service run on, whatever becomes of the export that paused it.

use std::io::Write as _;

use anyhow::Result;
use clap::Args;

use crate::source::redb::pause;

/// Let processes run on when standard input ends
///
/// `export --snapshot pause` starts it before it stops a service. It says `ready`, waits for the end of its standard
/// input, at most ten seconds, and sends SIGCONT.
#[derive(Debug, Args)]
pub struct GuardArguments {
    /// The processes
    #[arg(value_name = "PID", required = true)]
    processes: Vec<u32>,
}

impl GuardArguments {
    pub fn run(self) -> Result<u8> {
        pause::guard(&self.processes, pause::LONGEST, |ready| {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{ready}")?;
            Ok(out.flush()?)
        })?;
        Ok(0)
    }
}

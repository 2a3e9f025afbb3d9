//! `hookshot guard`: lets a paused service continue even if the export that paused it is killed.

use std::io::Write as _;

use anyhow::Result;
use clap::Args;

use crate::source::redb::pause;

/// Let processes continue when standard input ends
///
/// `export --snapshot pause` starts it before it stops a service. It prints `ready`, waits at most ten seconds for the
/// end of its standard input, and sends SIGCONT.
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

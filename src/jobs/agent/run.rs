//! A job that runs: a process of this program.

use std::{
    ffi::OsString,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use super::agenda::ConfigNumber;
use crate::{jobs::scheduled::VARIABLE, work::events::AgentRun};

/// The exit code of a process of which the system does not tell how it ended.
const UNKNOWN: i32 = 1;

/// A job that runs.
pub struct Run {
    /// The number of its configuration.
    pub config: ConfigNumber,
    /// Its names.
    pub run: AgentRun,
    /// True if it was interrupted.
    pub is_interrupted: bool,
    /// True if it was killed.
    pub is_killed: bool,
    child: Child,
    begun: Instant,
}

impl Run {
    /// Starts the process of a job: `program` with the configuration and `words`. It gets no signal of the terminal; the
    /// agent passes on what it decides.
    pub fn start(
        program: &Path,
        config: ConfigNumber,
        run: AgentRun,
        words: &[OsString],
    ) -> Result<Run> {
        let mut command = Command::new(program);
        command.arg0("hookshot");
        command.arg("--config").arg(&run.config).args(words);
        // The run is recorded, and notified.
        command.env(VARIABLE, run.job.name());
        // The service manager listens to the agent alone.
        command.env_remove("NOTIFY_SOCKET");
        command.env_remove("WATCHDOG_USEC");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.process_group(0);
        let child = command.spawn();
        Ok(Run {
            config,
            run,
            is_interrupted: false,
            is_killed: false,
            child: child.context("the process of the job does not start")?,
            begun: Instant::now(),
        })
    }

    /// Returns the exit code if it has ended: 128 and the number of a signal after a signal.
    pub fn ended(&mut self) -> Option<i32> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => {
                let signal = status.signal().map(|signal| 128 + signal);
                Some(status.code().or(signal).unwrap_or(UNKNOWN))
            }
            Err(_) => Some(UNKNOWN),
        }
    }

    /// Returns its duration in seconds.
    pub fn seconds(&self) -> u64 {
        self.begun.elapsed().as_secs()
    }

    /// Asks the process to end, as Ctrl-C does: nothing half-done stays.
    pub fn interrupt(&mut self) {
        self.is_interrupted = true;
        // A process that has just ended is not an error.
        let _ = kill(self.pid(), Signal::SIGTERM);
    }

    /// Kills the process and its group. A command of the user that it runs has a group of its own, and is left to the
    /// next run.
    pub fn kill(&mut self) {
        self.is_interrupted = true;
        self.is_killed = true;
        let _ = killpg(self.pid(), Signal::SIGKILL);
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or_default())
    }
}

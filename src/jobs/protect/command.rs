//! The command that is protected. It has the terminal: standard streams, process group and signals.
//!
//! It stays in our process group, so that Ctrl-C and Ctrl-Z reach it as without us. What the terminal sends to both is
//! not meant for us; what another process sends to us alone is passed on.

use std::{
    io::{self, IsTerminal as _},
    os::{fd::AsFd as _, unix::process::ExitStatusExt as _},
    process::{Command, ExitStatus, Stdio},
    sync::atomic::Ordering,
    thread,
    time::Duration,
};

use anyhow::Result;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::request::{CommandOutput, ProtectRequest};
use crate::{
    context::Context,
    work::{
        session::{NOT_STARTED, VARIABLE},
        shell::{BROKEN_PIPE, JOB, MARK},
    },
};

/// The exit code of a command that may not be executed, as a shell reports it.
const NOT_EXECUTABLE: u8 = 126;
/// The time between two looks at the command.
const TICK: Duration = Duration::from_millis(20);

/// The way in which the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandEnd {
    /// By itself, or by a signal.
    Ended(ExitStatus),
    /// It has ended, and nothing tells how.
    Unknown,
    /// It did not start; the exit code that a shell has for that.
    Unstarted(u8),
}

impl CommandEnd {
    /// Returns its exit code: that of the command, 128 and the number of a signal, or that of one that did not start.
    pub fn code(self) -> u8 {
        let code = match self {
            CommandEnd::Unstarted(code) => return code,
            CommandEnd::Unknown => return 1,
            CommandEnd::Ended(status) => match (status.code(), status.signal()) {
                (Some(code), _) => code,
                (None, signal) => BROKEN_PIPE - 13 + signal.unwrap_or_default(),
            },
        };
        u8::try_from(code).unwrap_or(1)
    }

    /// Returns the signal that ended it.
    pub fn signal(self) -> Option<i32> {
        match self {
            CommandEnd::Ended(status) => status.signal(),
            CommandEnd::Unstarted(_) | CommandEnd::Unknown => None,
        }
    }

    /// Returns true if it succeeded.
    pub fn is_good(self) -> bool {
        self.code() == 0
    }

    /// Returns how it ended, for messages.
    pub fn words(self) -> String {
        match self {
            CommandEnd::Ended(status) => status.to_string(),
            CommandEnd::Unknown => "a status that is not known".to_owned(),
            CommandEnd::Unstarted(_) => "an error: it did not start".to_owned(),
        }
    }
}

/// Runs the command to its end. The error of one that does not start is in the second value.
///
/// `mark` is in its environment, by which the processes are found that it leaves behind.
pub fn run(
    context: &Context,
    request: &ProtectRequest,
    mark: &str,
) -> Result<(CommandEnd, Option<io::Error>)> {
    let Some((program, arguments)) = request.command.split_first() else {
        return Ok((CommandEnd::Unstarted(NOT_EXECUTABLE), None));
    };
    let mut command = Command::new(program);
    command.args(arguments).env(MARK, mark);
    // Those of a job or a hook around us are not its own.
    command.env_remove(JOB).env_remove(VARIABLE);
    if request.output == CommandOutput::ToErrors {
        let errors = io::stderr().as_fd().try_clone_to_owned()?;
        command.stdout(Stdio::from(errors));
    }
    context.stop.check()?;
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let code = match error.kind() {
                io::ErrorKind::NotFound => u8::try_from(NOT_STARTED).unwrap_or(1),
                _ => NOT_EXECUTABLE,
            };
            return Ok((CommandEnd::Unstarted(code), Some(error)));
        }
    };
    let has_terminal = io::stdin().is_terminal() || io::stderr().is_terminal();
    let signals = context.stop.signal();
    loop {
        let end = match child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(CommandEnd::Ended(status)),
            // Something else has waited for it.
            Err(_) => Some(CommandEnd::Unknown),
        };
        if let Some(end) = end {
            // A signal that came with its end was meant for it.
            signals.store(0, Ordering::Relaxed);
            return Ok((end, None));
        }
        let number = i32::try_from(signals.swap(0, Ordering::Relaxed)).unwrap_or_default();
        if let Ok(signal) = Signal::try_from(number) {
            // The terminal has sent it to the command, too.
            let is_passed_on = signal != Signal::SIGINT || !has_terminal;
            if let Ok(pid) = i32::try_from(child.id())
                && is_passed_on
            {
                let _ = kill(Pid::from_raw(pid), signal);
            }
        }
        thread::sleep(TICK);
    }
}

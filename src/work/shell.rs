//! The runner of the user's commands: exports, imports, commands around the work, questions and secrets.
//!
//! A command is run by a shell ([`line`]) in its own session, without a terminal. Its environment is that of hookshot
//! without `BASH_ENV`, and with [`session::VARIABLE`]; a command around the work gets [`MARK`] as well.
//!
//! If the run is cancelled, if its time is over, or if its output cannot be kept, the command and the processes that it
//! started get SIGTERM, and SIGKILL 10 s later. Secrets that this run knows ([`masks`]) are masked in every line that
//! is logged or shown; data and answers on standard output stay as they are.

mod ends;
mod fitting;
pub mod line;
pub mod masks;
mod output;
mod process;

use std::{
    ffi::OsString,
    io::{self, PipeReader, Read as _},
    os::fd::AsFd as _,
    process::{ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::poll::PollTimeout;

use self::{
    ends::because,
    fitting::fit,
    output::{Complaints, MOST_LINE_BYTES, MOST_PIECES, is_ready},
    process::{Running, TICK},
};
pub use self::{
    ends::{CommandAnswer, Ended, HookEnd},
    fitting::MOST_VARIABLE_BYTES,
    line::Line,
    masks::Masks,
    output::LineCutter,
    process::GRACE,
};
use super::{
    cancel::Advance,
    session::{self, SessionStarter},
};
use crate::{
    error::{Failure, Kind},
    model::limits::BUFFER_BYTES,
};

/// The variable that marks a command around the work, and the processes that it starts.
pub const MARK: &str = "HOOKSHOT_COMMAND";
/// The variable that names the job of a run that a schedule started. Commands do not inherit it.
pub const JOB: &str = "HOOKSHOT_JOB";
/// The exit code of a command that a closed pipe ended, as a shell reports it.
pub const BROKEN_PIPE: i32 = 128 + 13;
/// The time limit of a command that answers a question: a version, or the state of a service.
pub const ANSWER_TIME: Duration = Duration::from_secs(5 * 60);

/// The time, in milliseconds, for which a silent command is waited for before the next check for a stop.
const PATIENCE_MS: u16 = 100;
/// The most bytes of an answer that are kept.
const MOST_ANSWER_BYTES: usize = 4096;

/// The runner of the user's commands.
#[derive(Debug, Clone, Default)]
pub struct Runner {
    /// Begins the session of each command.
    pub starter: SessionStarter,
    /// The secrets that this run knows.
    pub masks: Masks,
    /// Variables of the environment of every command; paths keep their bytes.
    pub variables: Vec<(String, OsString)>,
}

/// The receiver of data on the standard output of a command.
pub type TakeData<'a> = dyn FnMut(&[u8]) -> Result<()> + 'a;

/// A call of one command.
struct Call<'a, 'b> {
    command: Line<'a>,
    input: Stdio,
    output: Output<'b>,
    limit: Option<Duration>,
    /// The value of [`MARK`].
    mark: Option<&'a str>,
    /// Further variables of its environment; long values are cut ([`MOST_VARIABLE_BYTES`]).
    variables: &'a [(&'a str, String)],
}

/// The surroundings of a command around the work.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The value of [`MARK`], by which the next hookshot finds the command if this process is killed meanwhile.
    pub mark: &'a str,
    /// The time limit.
    pub limit: Duration,
    /// Further variables of its environment; long values are cut ([`MOST_VARIABLE_BYTES`]).
    pub variables: &'a [(&'a str, String)],
}

/// The receiver of the output of a command.
enum Output<'a> {
    /// Gets data until standard output is closed; standard error is logged.
    Data(&'a mut TakeData<'a>),
    /// As `Data`, but standard error is kept until the output is known: it may repeat the secret.
    Secret(&'a mut TakeData<'a>),
    /// Gets the lines of standard output and standard error until the command ends. Processes that it leaves in the
    /// background go on.
    Lines(&'a mut dyn FnMut(&str)),
}

/// The way in which a command ended.
enum End {
    Exited(ExitStatus),
    /// Its time was over.
    TookLonger,
}

impl Runner {
    /// Runs a command to its end, without a time limit; `take` gets its standard output.
    pub fn stream(
        &self,
        command: Line<'_>,
        input: Stdio,
        take: &mut TakeData<'_>,
        advance: &Advance<'_>,
    ) -> Result<Ended> {
        let call = Call {
            command,
            input,
            output: Output::Data(take),
            limit: None,
            mark: None,
            variables: &[],
        };
        match self.run(call, advance)? {
            (End::Exited(status), complaints) => Ok(Ended {
                status,
                complaints: complaints.last(&self.masks),
            }),
            (End::TookLonger, _) => Err(Failure::new(Kind::Failed, "it takes too long").into()),
        }
    }

    /// Runs a command that answers a question to its end, whatever its status.
    pub fn ask(&self, command: Line<'_>, advance: &Advance<'_>) -> Result<CommandAnswer> {
        let mut answer = Vec::new();
        let call = Call {
            command,
            input: Stdio::null(),
            output: Output::Data(&mut |bytes: &[u8]| {
                keep(&mut answer, bytes, MOST_ANSWER_BYTES);
                Ok(())
            }),
            limit: Some(ANSWER_TIME),
            mark: None,
            variables: &[],
        };
        match self.run(call, advance)?.0 {
            End::Exited(status) => Ok(CommandAnswer {
                status,
                text: String::from_utf8_lossy(&answer).into_owned(),
            }),
            End::TookLonger => {
                let (shown, seconds) = (self.shown(command), ANSWER_TIME.as_secs());
                let message = format!("`{shown}` takes longer than {seconds} s");
                Err(Failure::new(Kind::Failed, message).into())
            }
        }
    }

    /// Runs a command that prints a secret, within `limit`, and returns at most `most_bytes` bytes of it, or the
    /// reason if the command fails. What it prints is masked in the reason, and in the log.
    pub fn secret(
        &self,
        command: Line<'_>,
        limit: Duration,
        most_bytes: usize,
        advance: &Advance<'_>,
    ) -> Result<Result<Vec<u8>, String>> {
        let mut secret = Vec::new();
        let call = Call {
            command,
            input: Stdio::null(),
            output: Output::Secret(&mut |bytes: &[u8]| {
                keep(&mut secret, bytes, most_bytes);
                Ok(())
            }),
            limit: Some(limit),
            mark: None,
            variables: &[],
        };
        let (end, complaints) = self.run(call, advance)?;
        let masks = self.masks.with(&String::from_utf8_lossy(&secret));
        let complaints = complaints.reveal(&masks);
        // The text of the command may hold a secret that hookshot does not know.
        let why = match end {
            End::Exited(status) if status.success() => return Ok(Ok(secret)),
            End::Exited(status) => format!("its command failed, {status}"),
            End::TookLonger => format!("its command takes longer than {} s", limit.as_secs()),
        };
        Ok(Err(because(&why, &complaints)))
    }

    /// Runs a command around the work to its end. `say` gets every line that it prints, on standard output or standard
    /// error. Processes that it leaves in the background go on.
    ///
    /// Fails if it does not start, or if `advance` ends the work.
    pub fn around(
        &self,
        command: Line<'_>,
        around: Around<'_>,
        say: &mut dyn FnMut(&str),
        advance: &Advance<'_>,
    ) -> Result<HookEnd> {
        let call = Call {
            command,
            input: Stdio::null(),
            output: Output::Lines(say),
            limit: Some(around.limit),
            mark: Some(around.mark),
            variables: around.variables,
        };
        Ok(match self.run(call, advance)?.0 {
            End::Exited(status) => HookEnd::Exited(status),
            End::TookLonger => HookEnd::TookLonger,
        })
    }

    /// Runs a command as [`Runner::around`] does. Fails if the command fails, too, or takes longer than it may.
    pub fn hook(
        &self,
        command: Line<'_>,
        around: Around<'_>,
        say: &mut dyn FnMut(&str),
        advance: &Advance<'_>,
    ) -> Result<()> {
        match self
            .around(command, around, say, advance)?
            .fault(around.limit)
        {
            None => Ok(()),
            Some(message) => Err(Failure::new(Kind::Failed, message).into()),
        }
    }

    /// Returns a command for a message, without the secrets that this run knows.
    pub fn shown(&self, command: Line<'_>) -> String {
        line::shortened(&self.masked(&command.text()))
    }

    /// Returns a text for a message, without the secrets that this run knows.
    pub fn masked(&self, text: &str) -> String {
        let masked = self.masks.masked(text.as_bytes());
        String::from_utf8_lossy(&masked).into_owned()
    }

    /// Runs a command to its end, or until it has to end.
    fn run(&self, call: Call<'_, '_>, advance: &Advance<'_>) -> Result<(End, Complaints)> {
        let pipe = || io::pipe().context("cannot make a pipe");
        let (output, output_writer) = pipe()?;
        let (errors, errors_writer) = match call.output {
            Output::Lines(_) => (
                None,
                output_writer.try_clone().context("cannot make a pipe")?,
            ),
            _ => {
                let (errors, writer) = pipe()?;
                (Some(errors), writer)
            }
        };
        let mut process = call.command.command(&self.starter);
        // A command that calls hookshot is not the job itself.
        process.env_remove(JOB);
        process
            .stdin(call.input)
            .stdout(output_writer)
            .stderr(errors_writer);
        for (name, value) in &self.variables {
            process.env(name, value);
        }
        if let Some(mark) = call.mark {
            process.env(MARK, mark);
        }
        for (name, value) in call.variables {
            process.env(name, fit(value));
        }
        let child = process.spawn();
        // It holds the writing ends of the pipes, which otherwise never reach their end.
        drop(process);
        let child = child.map_err(|error| self.unstarted(call.command, &error))?;
        let mut running = Running::new(child);
        let mut complaints = match (&call.output, errors) {
            (_, None) => Complaints::none(),
            (Output::Secret(_), Some(errors)) => Complaints::withheld(errors),
            (_, Some(errors)) => Complaints::logged(errors),
        };
        let limit = call.limit.map(|limit| (Instant::now(), limit));
        match self.watch(
            &mut running,
            output,
            call.output,
            &mut complaints,
            limit,
            advance,
        ) {
            Ok(Some(status)) => {
                self.must_have_started(call.command, status)?;
                complaints.hear(&self.masks)?;
                complaints.end(&self.masks);
                Ok((End::Exited(status), complaints))
            }
            Ok(None) => {
                running.end();
                complaints.hear(&self.masks)?;
                complaints.end(&self.masks);
                Ok((End::TookLonger, complaints))
            }
            Err(error) => {
                running.end();
                Err(error)
            }
        }
    }

    /// Passes the output of a command on until it ends; `None` if its time is over before.
    fn watch(
        &self,
        running: &mut Running,
        mut from: PipeReader,
        mut output: Output<'_>,
        complaints: &mut Complaints,
        limit: Option<(Instant, Duration)>,
        advance: &Advance<'_>,
    ) -> Result<Option<ExitStatus>> {
        let mut buffer = match output {
            Output::Lines(_) => vec![0; MOST_LINE_BYTES],
            _ => vec![0; BUFFER_BYTES],
        };
        let mut lines = LineCutter::default();
        let (mut is_open, mut pieces) = (true, 0);
        loop {
            advance(0)?;
            if limit.is_some_and(|(begun, limit)| begun.elapsed() >= limit) {
                return Ok(None);
            }
            let waits_for_output = !matches!(output, Output::Lines(_));
            // A background process may never stop printing: now and then the command itself is checked.
            if is_open && (waits_for_output || pieces < MOST_PIECES) {
                let mut fds = vec![from.as_fd()];
                fds.extend(complaints.fd());
                let is_readable = is_ready(&fds, PollTimeout::from(PATIENCE_MS))?[0];
                complaints.hear(&self.masks)?;
                if is_readable {
                    pieces += 1;
                    match from.read(&mut buffer) {
                        Ok(0) => is_open = false,
                        Ok(count) => match &mut output {
                            Output::Data(take) | Output::Secret(take) => take(&buffer[..count])?,
                            Output::Lines(say) => lines.add(&buffer[..count], &self.masks, *say),
                        },
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error.into()),
                    }
                    continue;
                }
                if waits_for_output {
                    continue;
                }
            }
            // It may have closed its output long before its end.
            complaints.hear(&self.masks)?;
            pieces = 0;
            if let Some(status) = running.status()? {
                if let Output::Lines(say) = &mut output {
                    lines.end(&self.masks, *say);
                }
                return Ok(Some(status));
            }
            if !is_open {
                thread::sleep(TICK);
            }
        }
    }

    /// Fails if a command ended because its shell does not exist.
    fn must_have_started(&self, command: Line<'_>, status: ExitStatus) -> Result<()> {
        if status.code() != Some(session::NOT_STARTED) {
            return Ok(());
        }
        match command.start_error(&self.starter) {
            Some(error) => Err(self.unstarted(command, &error).into()),
            None => Ok(()),
        }
    }

    fn unstarted(&self, command: Line<'_>, error: &io::Error) -> Failure {
        let message = format!(
            "cannot start the shell {}: {error}",
            command.program(&self.starter)
        );
        Failure::new(Kind::Usage, message)
            .hint("`shell` of the source names the shell; /bin/sh runs what names none")
    }
}

/// Keeps the first `most` bytes.
fn keep(kept: &mut Vec<u8>, bytes: &[u8], most: usize) {
    let room = most.saturating_sub(kept.len());
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

#[cfg(test)]
mod tests;

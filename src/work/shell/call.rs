//! The call of one command: it runs until it ends, or has to end.

use std::{
    io::{self, PipeReader, Read as _},
    os::fd::AsFd as _,
    process::{ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::poll::PollTimeout;

use super::{
    fitting::fit,
    line::Line,
    output::{Complaints, LineCutter, MOST_LINE_BYTES, MOST_PIECES, is_ready},
    process::{Running, TICK},
    runner::{JOB, MARK, Runner},
};
use crate::{
    error::{Failure, Kind},
    model::limits::BUFFER_BYTES,
    work::{cancel::Advance, session},
};

/// The time, in milliseconds, for which a silent command is waited for before the next check for a stop.
const PATIENCE_MS: u16 = 100;
/// The receiver of data on the standard output of a command.
pub type TakeData<'a> = dyn FnMut(&[u8]) -> Result<()> + 'a;

/// A call of one command.
pub(super) struct Call<'a, 'b> {
    pub(super) command: Line<'a>,
    pub(super) input: Stdio,
    pub(super) output: Output<'b>,
    pub(super) limit: Option<Duration>,
    /// The value of [`MARK`].
    pub(super) mark: Option<&'a str>,
    /// Further variables of its environment; long values are cut ([`MOST_VARIABLE_BYTES`]).
    pub(super) variables: &'a [(&'a str, String)],
}

/// The receiver of the output of a command.
pub(super) enum Output<'a> {
    /// Gets data until standard output is closed; standard error is logged.
    Data(&'a mut TakeData<'a>),
    /// As `Data`, but standard error is kept until the output is known: it may repeat the secret.
    Secret(&'a mut TakeData<'a>),
    /// Gets the lines of standard output and standard error until the command ends. Processes that it leaves in the
    /// background go on.
    Lines(&'a mut dyn FnMut(&str)),
}

/// The way in which a command ended.
pub(super) enum End {
    Exited(ExitStatus),
    /// Its time was over.
    TookLonger,
}

impl Runner {
    /// Runs a command to its end, or until it has to end.
    pub(super) fn run(
        &self,
        call: Call<'_, '_>,
        advance: &Advance<'_>,
    ) -> Result<(End, Complaints)> {
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

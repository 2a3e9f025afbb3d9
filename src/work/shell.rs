//! The runner of the user's commands: exports, imports, commands around the work, questions and secrets.
//!
//! A command is run by a shell ([`line`]) in its own session, without a terminal. Its environment is that of hookshot
//! without `BASH_ENV`, and with [`VARIABLE`](super::session::VARIABLE); a command around the work gets [`MARK`] as well.
//!
//! If the run is cancelled, if its time is over, or if its output cannot be kept, the command and the processes that it
//! started get SIGTERM, and SIGKILL 10 s later. Secrets that this run knows ([`masks`]) are masked in every line that
//! is logged or shown; data and answers on standard output stay as they are.

mod call;
mod ends;
mod fitting;
pub mod line;
pub mod masks;
mod output;
mod process;
mod runner;

use std::{process::Stdio, time::Duration};

use anyhow::Result;

pub use self::{
    call::TakeData,
    ends::{CommandAnswer, Ended, HookEnd},
    fitting::MOST_VARIABLE_BYTES,
    line::Line,
    masks::Masks,
    output::LineCutter,
    process::GRACE,
    runner::{JOB, MARK, Runner},
};
use self::{
    call::{Call, End, Output},
    ends::because,
};
use super::cancel::Advance;
use crate::error::{Failure, Kind};

/// The exit code of a command that a closed pipe ended, as a shell reports it.
pub const BROKEN_PIPE: i32 = 128 + 13;
/// The time limit of a command that answers a question: a version, or the state of a service.
pub const ANSWER_TIME: Duration = Duration::from_secs(5 * 60);

/// The most bytes of an answer that are kept.
const MOST_ANSWER_BYTES: usize = 4096;

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
}

/// Keeps the first `most` bytes.
fn keep(kept: &mut Vec<u8>, bytes: &[u8], most: usize) {
    let room = most.saturating_sub(kept.len());
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

#[cfg(test)]
mod tests;

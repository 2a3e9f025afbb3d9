//! The relay: the process that the server starts in place of a verb. The agent gets its outputs, and it ends as the verb ends.

use std::{
    fs::File,
    io::{self, BufReader, ErrorKind},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::Value;

use super::{
    passing::{CANCEL, Lines, Said, send},
    request::Request,
};
use crate::{
    context::Context,
    error::{Failure, Kind},
    serve::answer::told,
};

/// The time between two looks for a signal, which may come between a look and a wait.
const PATIENCE_MILLIS: u16 = 500;
/// The time for the request.
const LONGEST_REQUEST: Duration = Duration::from_secs(10);

/// The process of a verb; none if it has ended already.
struct Verb(Option<OwnedFd>);

/// Has the agent run a verb, and returns the exit code.
///
/// Errors: [`Kind::Unreachable`] without an agent; the refusal of the agent.
pub fn relay(context: &Context, socket: &Path, request: &str) -> Result<u8> {
    let request: Request = serde_json::from_str(request)
        .map_err(|error| Failure::new(Kind::Usage, format!("this is not a request: {error}")))?;
    let mut stream = UnixStream::connect(socket).map_err(|error| unreachable(socket, &error))?;
    stream.set_write_timeout(Some(LONGEST_REQUEST))?;
    let (report, log) = (io::stdout(), io::stderr());
    // An agent that refuses to listen closes the connection before it has read all.
    let sent = send(&mut stream, &request, [report.as_fd(), log.as_fd()]);
    let mut verb = None;
    match follow(context, &mut stream, &mut verb)? {
        Some(Said::Ended(code)) => Ok(code),
        Some(Said::Refused(failure)) => Err(told(&failure)
            .unwrap_or_else(|| Failure::new(Kind::Forbidden, "the agent refuses the request"))
            .into()),
        _ => match (verb, sent) {
            (Some(verb), _) => outlived(&verb),
            (None, Err(error)) => Err(error.context("the agent does not take the request")),
            (None, Ok(())) => {
                let message = "the agent closed the connection without an answer";
                Err(Failure::new(Kind::Unreachable, message)
                    .hint("its log says more: journalctl -u hookshot-serve-agent")
                    .into())
            }
        },
    }
}

fn unreachable(socket: &Path, error: &io::Error) -> Failure {
    let message = format!("the agent at {} does not answer: {error}", socket.display());
    let hint = match error.kind() {
        ErrorKind::PermissionDenied => "the agent's --user has to be the user of the server",
        _ => "start it: systemctl start hookshot-serve-agent.socket",
    };
    Failure::new(Kind::Unreachable, message).hint(hint)
}

/// Follows the verb to its end, and asks the agent to end it after a signal. Returns the last word of the agent; none if
/// the agent is gone.
fn follow(
    context: &Context,
    stream: &mut UnixStream,
    verb: &mut Option<Verb>,
) -> Result<Option<Said>> {
    let (mut lines, mut has_asked) = (Lines::default(), false);
    loop {
        while let Some(said) = lines.take()? {
            let Said::Started(number) = said else {
                return Ok(Some(said));
            };
            *verb = Some(Verb(descriptor_of(number)));
        }
        if !has_asked && context.stop.check().is_err() {
            has_asked = true;
            let _ = io::Write::write_all(stream, CANCEL);
        }
        let mut waited = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waited, PollTimeout::from(PATIENCE_MILLIS)) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        match lines.read(stream) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => {
                // An agent that is killed resets the connection.
                return match error.downcast_ref::<io::Error>() {
                    Some(error) if error.kind() == ErrorKind::ConnectionReset => Ok(None),
                    _ => Err(error),
                };
            }
        }
    }
}

/// Waits for a verb that outlives its agent, and tells its end by its report: its exit code is lost.
fn outlived(verb: &Verb) -> Result<u8> {
    if let Some(verb) = &verb.0 {
        let mut waited = [PollFd::new(verb.as_fd(), PollFlags::POLLIN)];
        while let Err(Errno::EINTR) = poll(&mut waited, PollTimeout::NONE) {}
    }
    let report = reported().with_context(
        || "the agent ended before the verb, which left no report: nothing tells how it ended",
    )?;
    match report.get("error") {
        None => Ok(0),
        Some(error) => {
            let code = error["code"]
                .as_u64()
                .and_then(|code| u8::try_from(code).ok());
            Ok(code.unwrap_or(1))
        }
    }
}

/// Reads the report that the verb wrote to our standard output, if that is a file.
fn reported() -> Result<Value> {
    let file = File::open("/proc/self/fd/1")?;
    anyhow::ensure!(file.metadata()?.is_file(), "standard output is not a file");
    let mut reader = serde_json::Deserializer::from_reader(BufReader::new(file));
    Ok(serde::Deserialize::deserialize(&mut reader)?)
}

fn descriptor_of(number: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(number)?, PidfdFlags::empty()).ok()
}

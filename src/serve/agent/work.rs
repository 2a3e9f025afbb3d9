//! A verb at work for a relay: started with the outputs of the relay, ended if it asks for that, followed to its end.

use std::{
    collections::BTreeSet,
    io::Read as _,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{net::UnixStream, process::ExitStatusExt as _},
    },
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::Signal,
    unistd::Pid,
};
use rustix::process::{PidfdFlags, pidfd_open};

use super::{
    gate,
    passing::{CANCEL, Outputs, Said, say},
    request::Wanted,
};
use crate::{serve::program::prepare, work::session};

/// The verbs at work that only look, by their processes.
#[derive(Default)]
pub struct Looks(Mutex<BTreeSet<i32>>);

impl Looks {
    fn add(&self, child: i32) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(child);
    }

    fn remove(&self, child: i32) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&child);
    }

    /// Asks all of them to end.
    pub fn end(&self) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for child in all.iter() {
            session::signal(Pid::from_raw(*child), Signal::SIGTERM);
        }
    }
}

/// Runs a verb, and returns its exit code. A relay that goes away ends what only looks.
pub fn work(
    looks: &Looks,
    stream: &mut UnixStream,
    mut command: Command,
    outputs: Outputs,
    wanted: &Wanted,
) -> Result<u8> {
    let is_look = matches!(wanted, Wanted::Look(_));
    prepare(&mut command);
    if !is_look {
        command.stdin(Stdio::piped());
    }
    command.stdout(Stdio::from(outputs.report));
    command.stderr(Stdio::from(outputs.log));
    let mut child = command
        .spawn()
        .context("the process of the verb does not start")?;
    // The outputs of the relay end when the verb does.
    drop(command);
    let number = i32::try_from(child.id())?;
    if is_look {
        looks.add(number);
    }
    let status = follow(stream, &mut child, number, is_look);
    if is_look {
        looks.remove(number);
    }
    let code = exit_code(status?);
    let _ = say(stream, &Said::Ended(code));
    Ok(code)
}

/// Follows a verb to its end, whatever the relay does.
fn follow(
    stream: &mut UnixStream,
    child: &mut Child,
    number: i32,
    is_look: bool,
) -> Result<ExitStatus> {
    let _ = say(stream, &Said::Started(number));
    if let Some(gate) = child.stdin.take() {
        gate::open(gate);
    }
    let Some(descriptor) = descriptor_of(number) else {
        return Ok(child.wait()?);
    };
    let mut is_heard = true;
    loop {
        let mut waited = vec![PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)];
        if is_heard {
            waited.push(PollFd::new(stream.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut waited, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        if waited[0].any().unwrap_or(false) {
            return Ok(child.wait()?);
        }
        if !waited
            .get(1)
            .is_some_and(|relay| relay.any().unwrap_or(false))
        {
            continue;
        }
        let mut bytes = [0; CANCEL.len()];
        let has_left = !matches!(stream.read(&mut bytes), Ok(1..));
        is_heard = !has_left;
        if is_look || !has_left {
            session::signal(Pid::from_raw(number), Signal::SIGTERM);
        }
    }
}

fn descriptor_of(number: i32) -> Option<OwnedFd> {
    let process = rustix::process::Pid::from_raw(number)?;
    pidfd_open(process, PidfdFlags::empty()).ok()
}

/// Returns the exit code as a shell tells it.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

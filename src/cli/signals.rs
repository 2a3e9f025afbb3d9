//! Signals: three cancel the work, and one asks for its progress.
//!
//! A signal that is ignored at the start stays ignored: nohup(1), `trap '' INT`, and a shell that starts a job in the
//! background ask for that.

use std::{
    fs,
    os::unix::net::UnixStream,
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::Result;
use signal_hook::{
    consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGXFSZ},
    flag,
    low_level::pipe,
};

use crate::work::cancel::Stop;

/// The consequence of SIGHUP.
#[derive(Debug, Clone, Copy)]
pub enum Hangup<'a> {
    /// It cancels the work, as SIGTERM does.
    Cancels,
    /// The configuration is read again.
    Reloads(&'a Arc<AtomicBool>),
}

/// Returns a stream that becomes readable when a signal comes that the agent waits for: one that ends it, SIGHUP, and
/// the end of a job.
pub fn wake() -> Result<UnixStream> {
    let ignored = ignored();
    let (stream, writer) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGCHLD] {
        // A signal that is ignored stays so, but the end of a job has to be seen.
        if signal == SIGCHLD || ignored >> (signal - 1) & 1 == 0 {
            pipe::register(signal, writer.try_clone()?)?;
        }
    }
    Ok(stream)
}

/// Lets signals cancel the work, which then removes its leftovers. Returns a stream that becomes readable when SIGUSR1
/// asks for a line of progress.
pub fn watch(stop: &Stop, hangup: Hangup<'_>) -> Result<UnixStream> {
    let ignored = ignored();
    let is_ignored = |signal: i32| ignored >> (signal - 1) & 1 == 1;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if is_ignored(signal) {
            continue;
        }
        if let (SIGHUP, Hangup::Reloads(reload)) = (signal, hangup) {
            flag::register(signal, reload.clone())?;
            continue;
        }
        let number = usize::try_from(signal).unwrap_or_default();
        flag::register_usize(signal, stop.signal(), number)?;
    }
    // Beyond a file size limit the write fails, and the process goes on (setrlimit(2)).
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    // If it is ignored, the system forgets how commands end, and waiting for them fails (wait(2), ECHILD).
    if is_ignored(SIGCHLD) {
        flag::register(SIGCHLD, Arc::new(AtomicBool::new(false)))?;
    }
    let (asked, writer) = UnixStream::pair()?;
    match is_ignored(SIGUSR1) {
        // Without a writer the reader would end, so the writer stays open, unused.
        true => std::mem::forget(writer),
        false => drop(pipe::register(SIGUSR1, writer)?),
    }
    Ok(asked)
}

/// Does some work that signals do not end: they are for the process that it waits for.
#[cfg(feature = "serve")]
pub fn outlived(work: impl FnOnce() -> u8) -> u8 {
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGUSR1] {
        // Without it, the work ends as other programs do.
        let _ = flag::register(signal, Arc::new(AtomicBool::new(false)));
    }
    work()
}

/// Leaves SIGQUIT, which a terminal sends to all of its foreground group, to the command that has the terminal.
pub fn leave_quit() -> Result<()> {
    flag::register(SIGQUIT, Arc::new(AtomicBool::new(false)))?;
    Ok(())
}

/// Returns the signals that this process ignores, signal `n` as bit `n - 1` (`SigIgn` of proc_pid_status(5)). Returns
/// none if /proc does not tell.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    of_status(&status)
}

fn of_status(status: &str) -> u64 {
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status_of_a_process() {
        let status =
            "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000440\n";
        assert_eq!(of_status(status), 1 << (SIGHUP - 1) | 1 << 12);
        assert_eq!(of_status(""), 0);
        assert_eq!(of_status("SigIgn:\tnonsense"), 0);
    }
}

//! Signals: which of them end the work, and which one asks how far it is.
//!
//! A signal that is ignored at the start stays ignored, as nohup(1), `trap '' INT`, and a shell that starts a job in the
//! background ask for.

use std::{
    fs,
    os::unix::net::UnixStream,
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::Result;
use signal_hook::{
    consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ},
    flag,
    low_level::pipe,
};

use crate::work::cancel::Stop;

/// Lets signals ask to stop: the work ends where it leaves nothing behind. Returns what becomes readable when SIGUSR1 asks
/// for a line of progress.
pub fn watch(stop: &Stop) -> Result<UnixStream> {
    let ignored = ignored();
    let is_ignored = |signal: i32| ignored >> (signal - 1) & 1 == 1;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if !is_ignored(signal) {
            let number = usize::try_from(signal).unwrap_or_default();
            flag::register_usize(signal, stop.signal(), number)?;
        }
    }
    // A file size limit is an error of the write that meets it, not the end of the process (setrlimit(2)).
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    // Where it is ignored, the system forgets how commands end, and nobody can wait for them (wait(2), ECHILD).
    if is_ignored(SIGCHLD) {
        flag::register(SIGCHLD, Arc::new(AtomicBool::new(false)))?;
    }
    let (asked, writer) = UnixStream::pair()?;
    match is_ignored(SIGUSR1) {
        // It stays open, and nothing is ever asked: an end would be the reader's end, too.
        true => std::mem::forget(writer),
        false => drop(pipe::register(SIGUSR1, writer)?),
    }
    Ok(asked)
}

/// Returns the signals that this process ignores, signal `n` as bit `n - 1` (`SigIgn` of proc_pid_status(5)); none if /proc does
/// not say.
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

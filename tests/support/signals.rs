//! Signals to processes that a test started.

use std::{fs, path::Path, process::Child};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Sends a signal to a child.
#[track_caller]
pub fn send(signal: Signal, child: &Child) {
    kill(pid(child), signal).expect("sent");
}

/// Sends a signal to the process whose number is in a file.
#[track_caller]
pub fn send_to_written(signal: Signal, file: &Path) {
    let pid = fs::read_to_string(file).expect("a number");
    let pid = Pid::from_raw(pid.trim().parse().expect("a number"));
    kill(pid, signal).expect("sent");
}

/// Returns the number of a child, as signals take it.
pub fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().expect("a process id"))
}

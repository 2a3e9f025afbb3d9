//! Bounds on what a test does: wall time, processor time and memory.

use std::{
    process::{Child, Command, Output},
    sync::mpsc,
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Far more than any run takes on a slow machine, and far less than for ever.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Kills a process that does not end in time; its exit code is none of those that a test expects.
pub struct Watchdog {
    /// Ends the watch when it is dropped.
    _over: mpsc::Sender<()>,
}

impl Watchdog {
    pub fn over(child: &Child) -> Watchdog {
        let pid = Pid::from_raw(child.id().try_into().expect("a process id"));
        let (over, watched) = mpsc::channel();
        thread::spawn(move || {
            if watched.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = kill(pid, Signal::SIGKILL);
            }
        });
        Watchdog { _over: over }
    }
}

/// Waits for the end of a process and takes its output; if it hangs, kills it, and fails the test.
#[track_caller]
pub fn end_of(child: Child) -> Output {
    let watchdog = Watchdog::over(&child);
    let output = child.wait_with_output().expect("an end");
    drop(watchdog);
    assert!(output.status.code().is_some(), "it hangs: {output:?}");
    output
}

/// The result of some work, and a failed test where it hangs.
#[track_caller]
pub fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, waiting) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    match waiting.recv_timeout(PATIENCE) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs: {what}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("it failed: {what}"),
    }
}

/// The same command under limits as prlimit(1) names them: `--data=BYTES`, `--cpu=SECONDS`.
///
/// Memory is bounded by `--data`: writable memory, stacks of threads among it. `--as` also counts the 64 MiB of addresses that
/// glibc reserves for each thread that allocates, which depends on how threads meet.
pub fn limited(command: &Command, limits: &[String]) -> Command {
    let mut bounded = Command::new("prlimit");
    bounded.args(limits).arg("--");
    bounded.arg(command.get_program()).args(command.get_args());
    for (variable, value) in command.get_envs() {
        match value {
            Some(value) => bounded.env(variable, value),
            None => bounded.env_remove(variable),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        bounded.current_dir(folder);
    }
    bounded
}

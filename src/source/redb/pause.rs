//! Processes that are stopped for a moment and run on even if this process dies.
//!
//! A guard, a process of its own, is started first. It holds the other end of a pipe. When the pipe ends, because
//! hookshot is done or dead, or when the longest time is over, it lets the processes run on. Only then are they
//! stopped. Correctness never depends on the pause: pages read meanwhile are verified like all others.

use std::{
    fs::{self, Metadata},
    io::{BufRead as _, BufReader, Read as _},
    os::{
        fd::OwnedFd,
        unix::{fs::MetadataExt as _, process::CommandExt as _},
    },
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::disk::holder::{self, OpenMode};

/// The longest pause; a service's watchdog may bark at a longer one.
pub const LONGEST: Duration = Duration::from_secs(10);
/// The longest time that a process may take to stop: it may be in the middle of a write.
const STOPPING: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// The line that a guard prints when it is ready.
const READY: &str = "ready";

/// Stopped processes. They run on when this is dropped.
#[derive(Debug)]
pub struct Paused {
    ours: Vec<Process>,
    others: Vec<Process>,
    guard: Option<Child>,
    since: Instant,
}

#[derive(Debug)]
struct Process {
    number: u32,
    /// A handle of this very process, never of another one that gets its number later (pidfd_open(2)).
    handle: OwnedFd,
}

impl Process {
    fn open(number: u32) -> Result<Process> {
        let pid = i32::try_from(number).ok().and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("{number} is not the number of a process"))?;
        let handle = pidfd_open(pid, PidfdFlags::empty())
            .with_context(|| format!("cannot watch process {number}"))?;
        Ok(Process { number, handle })
    }

    fn send(&self, signal: Signal) -> Result<()> {
        pidfd_send_signal(&self.handle, signal)
            .with_context(|| format!("cannot stop process {}", self.number))
    }

    /// Returns true if none of its threads runs (proc_pid_stat(5), the third field).
    fn has_stopped(&self) -> bool {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.number)) else {
            return true;
        };
        threads.flatten().all(|thread| {
            let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            let state = stat
                .rsplit_once(") ")
                .and_then(|(_, rest)| rest.chars().next());
            state.is_none_or(|state| "TtXZ".contains(state))
        })
    }
}

impl Paused {
    /// Stops the processes that have `file` open for writing, and waits until they have stopped. `program` is hookshot,
    /// which is started as the guard.
    ///
    /// Fails if a process cannot be stopped; then none stays stopped.
    pub fn stop(program: &Path, numbers: &[u32], file: &Metadata) -> Result<Paused> {
        let open = |number: &u32| {
            let process = Process::open(*number)?;
            // The number may have been given to another process since it was seen; the handle stays with this one.
            if holder::has_open(*number, file.dev(), file.ino()) != Some(OpenMode::Writes) {
                bail!("process {number} does not have the file open any more");
            }
            Ok(process)
        };
        let processes = numbers.iter().map(open).collect::<Result<Vec<_>>>()?;
        // A process that another process stopped is not ours to let run.
        let (others, ours): (Vec<_>, Vec<_>) =
            processes.into_iter().partition(Process::has_stopped);
        let guard = match ours.as_slice() {
            [] => None,
            _ => Some(start_guard(program, &ours)?),
        };
        let mut paused = Paused {
            guard,
            ours,
            others,
            since: Instant::now(),
        };
        for process in &paused.ours {
            process.send(Signal::STOP)?;
        }
        while !paused.holds() {
            if paused.since.elapsed() > STOPPING {
                bail!("it does not come to a stop");
            }
            thread::sleep(LOOK_AGAIN);
        }
        // We may have been stopped ourselves meanwhile, longer than the guard waits.
        if let Some(guard) = &mut paused.guard
            && guard.try_wait()?.is_some()
        {
            bail!("the guard that would let it run on has ended");
        }
        Ok(paused)
    }

    /// Returns true if they are still stopped.
    pub fn holds(&self) -> bool {
        let mut all = self.ours.iter().chain(&self.others);
        all.all(Process::has_stopped)
    }

    /// Returns the time since they were stopped.
    pub fn lasts(&self) -> Duration {
        self.since.elapsed()
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        for process in &self.ours {
            // It may be gone; the guard tries as well.
            let _ = process.send(Signal::CONT);
        }
        if let Some(guard) = &mut self.guard {
            drop(guard.stdin.take());
            let _ = guard.wait();
        }
    }
}

fn start_guard(program: &Path, processes: &[Process]) -> Result<Child> {
    let mut guard = Command::new(program)
        .arg0("hookshot")
        .arg("guard")
        .args(processes.iter().map(|process| process.number.to_string()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // Ctrl-C on the terminal ends us, not the guard.
        .process_group(0)
        .spawn()
        .context("cannot start the guard that would let the service run on")?;
    let mut line = String::new();
    if let Some(said) = guard.stdout.take() {
        BufReader::new(said).read_line(&mut line)?;
    }
    if line.trim_end() != READY {
        drop(guard.stdin.take());
        let _ = guard.wait();
        bail!("the guard that would let the service run on did not start");
    }
    Ok(guard)
}

/// Runs a guard: waits for the end of its standard input, but not longer than `longest`, and lets the processes run on.
/// Calls `ready` once it watches them.
pub fn guard(
    numbers: &[u32],
    longest: Duration,
    ready: impl FnOnce(&str) -> Result<()>,
) -> Result<()> {
    let processes = numbers
        .iter()
        .map(|number| Process::open(*number))
        .collect::<Result<Vec<_>>>()?;
    ready(READY)?;
    let (end, ended) = mpsc::channel();
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = end.send(());
    });
    let _ = ended.recv_timeout(longest);
    for process in &processes {
        // A process that ended needs nothing.
        let _ = process.send(Signal::CONT);
    }
    Ok(())
}

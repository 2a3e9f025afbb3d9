//! Commands around the work that a killed hookshot left behind: found by a variable of their environment, and ended.
//!
//! A command that asks a service for rest, and ends after the next hookshot cleaned up, leaves the service at rest for
//! good. The process that runs it cannot be noted before it runs; its mark can.

use std::{
    collections::BTreeSet,
    fs, thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use crate::work::{
    session,
    shell::{GRACE, MARK},
};

/// The time between two checks.
const TICK: Duration = Duration::from_millis(10);

/// Ends the processes with the mark `mark`: SIGTERM, and SIGKILL for those that remain 10 s later. Returns the numbers
/// of the process groups that were there.
///
/// A daemon that made a session of its own goes on: a command may have started a service again. Not promised: that a
/// process of another user or of another PID namespace is seen.
pub fn end(mark: &str) -> Vec<i32> {
    let groups = groups(mark);
    let send = |signal| {
        for group in &groups {
            let _ = killpg(Pid::from_raw(*group), signal);
        }
    };
    ended(send, || is_any_alive(&groups));
    groups.into_iter().collect()
}

/// Sends SIGTERM, and SIGKILL to what remains [`GRACE`] later.
fn ended(send: impl Fn(Signal), is_any_alive: impl Fn() -> bool) {
    let asked = Instant::now();
    send(Signal::SIGTERM);
    while is_any_alive() {
        if asked.elapsed() > GRACE {
            send(Signal::SIGKILL);
            // The kernel needs a moment; a process that hangs in it cannot be ended.
            if asked.elapsed() > GRACE + Duration::from_secs(1) {
                break;
            }
        }
        thread::sleep(TICK);
    }
}

/// Returns the value of a variable in the environment with which a process began.
fn variable(pid: i32, name: &str) -> Option<Vec<u8>> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut variables = environment.split(|byte| *byte == 0);
    variables.find_map(|variable| {
        let value = variable.strip_prefix(name.as_bytes())?;
        value.strip_prefix(b"=").map(<[u8]>::to_vec)
    })
}

/// A process that bears a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked {
    /// Its number.
    pub pid: i32,
    /// True if it lives in our session; a daemon does not.
    pub is_in_our_session: bool,
}

/// Returns the processes that bear the mark `mark`, ourselves left out.
///
/// Not promised: that a process of another user or of another PID namespace is seen.
pub fn marked(mark: &str) -> Vec<Marked> {
    let us = std::process::id();
    let processes = processes();
    let own = |(pid, _): &&(i32, Process)| u32::try_from(*pid) == Ok(us);
    let session = processes.iter().find(own).map(|(_, own)| own.session);
    let others = processes.iter().filter(|process| !own(process));
    let alive = others.filter(|(_, process)| process.is_alive);
    alive
        .filter(|(pid, _)| variable(*pid, MARK).as_deref() == Some(mark.as_bytes()))
        .map(|(pid, process)| Marked {
            pid: *pid,
            is_in_our_session: Some(process.session) == session,
        })
        .collect()
}

/// Ends processes that bear the mark `mark`: SIGTERM, and SIGKILL for those that remain 10 s later. A number that belongs
/// to another process by then is left alone.
pub fn end_marked(pids: &BTreeSet<i32>, mark: &str) {
    let has_mark = |pid: i32| variable(pid, MARK).as_deref() == Some(mark.as_bytes());
    let send = |signal| {
        for pid in pids.iter().filter(|pid| has_mark(**pid)) {
            let _ = kill(Pid::from_raw(*pid), signal);
        }
    };
    let any = || {
        let processes = processes();
        let mut meant = processes.iter().filter(|(pid, _)| pids.contains(pid));
        meant.any(|(pid, process)| process.is_alive && has_mark(*pid))
    };
    ended(send, any);
}

/// Returns the process groups with a process that bears the mark and lives in the session that was begun for the
/// command.
fn groups(mark: &str) -> BTreeSet<i32> {
    let is_left = |pid: i32, process: &Process| {
        let session = variable(pid, session::VARIABLE);
        let session = session.and_then(|number| std::str::from_utf8(&number).ok()?.parse().ok());
        variable(pid, MARK).as_deref() == Some(mark.as_bytes()) && session == Some(process.session)
    };
    let alive = processes().into_iter();
    let alive = alive.filter(|(_, process)| process.is_alive && process.group > 1);
    let left = alive.filter(|(pid, process)| is_left(*pid, process));
    left.map(|(_, process)| process.group).collect()
}

fn is_any_alive(groups: &BTreeSet<i32>) -> bool {
    let is_meant = |process: &Process| process.is_alive && groups.contains(&process.group);
    !groups.is_empty() && processes().iter().any(|(_, process)| is_meant(process))
}

/// A process, as /proc/PID/stat describes it.
struct Process {
    group: i32,
    session: i32,
    /// True if it has not ended: a zombie only waits for its parent.
    is_alive: bool,
}

fn processes() -> Vec<(i32, Process)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let process = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, Process::parse(&stat)?))
    };
    pids.filter_map(process).collect()
}

impl Process {
    /// Reads the fields behind the name, which may hold anything (proc_pid_stat(5)).
    fn parse(stat: &str) -> Option<Process> {
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?;
        let mut fields = fields.skip(1);
        Some(Process {
            group: fields.next()?.parse().ok()?,
            session: fields.next()?.parse().ok()?,
            is_alive: !matches!(state, "Z" | "X" | "x"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_process_stand_behind_its_name_whatever_that_is() {
        let process = Process::parse("7 (a) Z (b) S 1 5 4 0 -1").expect("fields");
        assert_eq!((process.group, process.session), (5, 4));
        assert!(process.is_alive);
        assert!(!Process::parse("7 (sh) Z 1 7 4").expect("fields").is_alive);
        assert!(Process::parse("7 (sh) S").is_none());
    }

    #[test]
    fn nothing_bears_a_mark_that_was_never_given() {
        assert_eq!(end("no-such-mark"), Vec::<i32>::new());
    }
}

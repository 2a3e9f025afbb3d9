//! The record of a run: its processes and its end, written by the process that starts the verb and waits for it.
//!
//! The server may be killed while the verb works. Then only this process learns the exit code, so it writes it down for the next
//! server. Of server and recorder, the first that makes the file wins: a run that was given up never starts.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::Path,
    process::{Command, ExitStatus},
};

use nix::unistd::setsid;

use super::files::create;

/// A process, by its number and the time of its start: numbers are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its start, in ticks since the boot.
    pub start: u64,
}

/// The record of a run, as far as it is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Record {
    /// The process that waits for the verb; it leads their session.
    pub recorder: Option<Process>,
    /// The verb.
    pub verb: Option<Process>,
    /// The exit code.
    pub exit_code: Option<u8>,
    /// True if a signal ended the process of the verb.
    pub is_killed: bool,
}

impl Process {
    /// Returns the process of this number, unless it has ended.
    pub fn of(pid: i32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let start = start_of(&stat)?;
        Some(Process { pid, start })
    }

    /// Returns true unless it has ended.
    pub fn is_alive(self) -> bool {
        Process::of(self.pid) == Some(self)
    }

    fn read(words: &str) -> Option<Process> {
        let (pid, start) = words.split_once(' ')?;
        Some(Process {
            pid: pid.parse().ok().filter(|pid| *pid > 1)?,
            start: start.parse().ok()?,
        })
    }
}

/// Returns the start of a process that has not ended, out of the fields behind its name (proc_pid_stat(5)).
fn start_of(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let has_ended = matches!(fields.first()?, &"Z" | &"X" | &"x");
    fields.get(19).filter(|_| !has_ended)?.parse().ok()
}

impl Record {
    /// Reads a record; `None` if its file is missing.
    pub fn read(path: &Path) -> Option<Record> {
        let text = fs::read_to_string(path).ok()?;
        let mut record = Record::default();
        // A line that is not whole is not yet written.
        for line in text
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'))
        {
            match line.split_once(' ') {
                Some(("recorder", words)) => record.recorder = Process::read(words),
                Some(("verb", words)) => record.verb = Process::read(words),
                Some(("exit", code)) => record.exit_code = code.parse().ok(),
                Some(("killed", code)) => {
                    record.exit_code = code.parse().ok();
                    record.is_killed = true;
                }
                _ => {}
            }
        }
        Some(record)
    }
}

/// Begins a session, runs the program that the words name, and records its end. Returns the exit code.
pub fn run_recorded(words: &[OsString]) -> u8 {
    recorded(words).unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "cannot run the verb: {error}");
        1
    })
}

fn recorded(words: &[OsString]) -> io::Result<u8> {
    let [record, program, arguments @ ..] = words else {
        return Ok(2);
    };
    // A leader of a group cannot begin a session; the server starts this process as none.
    let _ = setsid();
    let mut file = create(Path::new(record))?;
    note(&mut file, "recorder", std::process::id())?;
    let mut command = Command::new(program);
    let mut child = command.arg0("hookshot").args(arguments).spawn()?;
    note(&mut file, "verb", child.id())?;
    let status = child.wait()?;
    let code = exit_code(status);
    let word = match status.signal() {
        Some(_) => "killed",
        None => "exit",
    };
    writeln!(file, "{word} {code}")?;
    Ok(code)
}

fn note(file: &mut File, name: &str, pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    let start = Process::of(pid).map_or(0, |process| process.start);
    file.write_all(format!("{name} {pid} {start}\n").as_bytes())
}

/// Returns the exit code, or 128 and the number of the signal that ended it, as shells do.
pub fn exit_code(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| 128 + signal);
    let code = status.code().or(signal);
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_far_as_it_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.run");
        assert_eq!(Record::read(&path), None);
        let mut file = create(&path).expect("made");
        assert_eq!(Record::read(&path), Some(Record::default()));
        file.write_all(b"recorder 7 8\nverb 9 1").expect("written");
        let mut record = Record {
            recorder: Some(Process { pid: 7, start: 8 }),
            ..Record::default()
        };
        assert_eq!(Record::read(&path), Some(record));
        file.write_all(b"0\nexit 143\n").expect("written");
        record.verb = Some(Process { pid: 9, start: 10 });
        record.exit_code = Some(143);
        assert_eq!(Record::read(&path), Some(record));
        file.write_all(b"killed 137\n").expect("written");
        record.exit_code = Some(137);
        record.is_killed = true;
        assert_eq!(Record::read(&path), Some(record));
        assert!(create(&path).is_err(), "it was given up");
        // The whole machine is never meant.
        assert_eq!(Process::read("-1 5"), None);
    }

    #[test]
    fn a_process_is_itself_until_it_ends() {
        let pid = i32::try_from(std::process::id()).expect("a number");
        let process = Process::of(pid).expect("alive");
        assert!(process.is_alive());
        let start = process.start + 1;
        assert!(!Process { pid, start }.is_alive());
        assert_eq!(start_of("7 (a) Z 1) Z 1 2"), None);
    }
}

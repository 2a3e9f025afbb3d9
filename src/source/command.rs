//! Commands as sources: the output of one is an entry, and another one takes it back.
//!
//! A command is run by a shell (`shell`) in a session of its own, without a terminal, which is killed when the work is
//! interrupted. Its standard error is logged, and the last lines of it stand in the failure. Commands around the work
//! ([`hook`]) have a time limit, and all of their output is logged.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    process::{Child, ChildStderr, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tracing::{info, warn};

use super::{
    files::{Staged, StagedContent},
    leftover,
};
use crate::work::shell::Line;
use crate::{
    disk::publish::Draft,
    error::{Failure, Kind},
    model::{
        digest::{Digest, Hashing},
        entry_name::{EntryName, printable},
        limits::BUFFER_BYTES,
        manifest::FileRecord,
    },
    work::session,
};

/// A callback that is told how many bytes passed, and may end the work with an error.
pub type Step<'a> = dyn Fn(u64) -> Result<()> + 'a;

/// The time, in milliseconds, for which a silent command is waited for before the next check for a stop.
const PATIENCE_MS: u16 = 100;
/// The most bytes that are kept of a command's answer about users and jobs at work.
const MOST_SAID_BYTES: usize = 4096;
/// The most lines of that answer that are shown.
const MOST_LINES: usize = 5;

/// The exit code of a command that a closed pipe ended, as a shell reports it.
pub const BROKEN_PIPE: i32 = 128 + 13;
/// The time between SIGTERM and SIGKILL for a command that has to end.
pub const GRACE: Duration = Duration::from_secs(10);
/// The time between two looks at a command that runs.
const TICK: Duration = Duration::from_millis(5);
/// The most pieces of a command's output that are read before the work goes on; together they are more than a pipe
/// holds.
const MOST_PIECES: usize = 256;
/// The length from which a line of a command around the work is logged in pieces.
const MOST_LINE_BYTES: usize = 4096;

/// Keeps the output of `command` in a nameless file in `scratch`. A command that fails or prints nothing is an error.
pub fn stage(
    command: Line<'_>,
    name: EntryName,
    scratch: &Path,
    step: &Step<'_>,
) -> Result<Staged> {
    let mut draft =
        Draft::create(scratch).with_context(|| format!("cannot write in {}", scratch.display()))?;
    let mut hashing = Hashing::new(draft.file());
    let mut keep = |bytes: &[u8]| {
        step(bytes.len() as u64)?;
        hashing
            .write_all(bytes)
            .context("cannot keep what the command prints")
    };
    let ended = run(command, Stdio::null(), &mut keep, step)
        .with_context(|| format!("the export command of {name} failed"))?;
    let fail = |why: String| {
        let message = format!("the export command of {name} {}", ended.because(&why));
        Failure::new(Kind::Failed, message)
            .hint(format!(
                "run it by hand, as the user that hookshot runs as; {}; nothing was written",
                session::HINT
            ))
            .faults(ended.complaints.clone())
    };
    if !ended.status.success() {
        return Err(fail(format!("failed, {}", ended.status)).into());
    }
    let (digest, size) = hashing.finish();
    if size == 0 {
        return Err(fail("printed nothing".to_owned()).into());
    }
    let mut record = FileRecord::new(name.clone(), digest, size);
    record.kind = Some("command".into());
    let mut file = draft.file().try_clone()?;
    file.rewind()?;
    Ok(Staged {
        name,
        record,
        content: StagedContent::File(file),
    })
}

/// Writes the output of `command` to `to`, and returns its digest, or the reason if the command fails or prints
/// nothing. A write failure is an error.
pub fn print(
    command: Line<'_>,
    to: &mut dyn io::Write,
    step: &Step<'_>,
) -> Result<Result<Digest, String>> {
    let mut hashing = Hashing::new(to);
    let mut keep = |bytes: &[u8]| {
        step(bytes.len() as u64)?;
        Ok(hashing.write_all(bytes)?)
    };
    let ended = run(command, Stdio::null(), &mut keep, step)?;
    let (digest, size) = hashing.finish();
    Ok(match (ended.status.success(), size) {
        (false, _) => Err(ended.because(&format!("failed, {}", ended.status))),
        (true, 0) => Err(ended.because("printed nothing")),
        (true, _) => Ok(digest),
    })
}

/// Gives the file at `content` to `command` on its standard input.
pub fn feed(command: Line<'_>, content: &Path, step: &Step<'_>) -> Result<()> {
    let file = File::open(content).with_context(|| format!("cannot read {}", content.display()))?;
    let mut line = Vec::new();
    let mut show = |bytes: &[u8]| {
        lines_of(&mut line, bytes, &mut |said| {
            info!("The import command says: {said}")
        });
        Ok(())
    };
    let ended = run(command, file.into(), &mut show, step)?;
    show(b"\n")?;
    match ended.status.success() {
        true => Ok(()),
        false => {
            let message = ended.because(&format!("it ended with {}", ended.status));
            Err(Failure::new(Kind::Failed, message)
                .hint(session::HINT)
                .faults(ended.complaints)
                .into())
        }
    }
}

/// An answer of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The exit status of the command.
    pub status: ExitStatus,
    /// The beginning of its output.
    pub text: String,
}

impl Said {
    /// Returns the first lines that are not empty, fit for a terminal.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty());
        lines.take(MOST_LINES).map(printable).collect()
    }
}

/// Runs a command to its end, whatever its status, and returns the first `most_bytes` bytes of its output.
pub fn output(
    command: Line<'_>,
    most_bytes: usize,
    step: &Step<'_>,
) -> Result<(ExitStatus, Vec<u8>)> {
    let mut said = Vec::new();
    let mut keep = |bytes: &[u8]| {
        let room = most_bytes - said.len();
        said.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(())
    };
    let status = run(command, Stdio::null(), &mut keep, step)?.status;
    Ok((status, said))
}

/// Runs a command that answers a question to its end, whatever its status.
pub fn ask(command: Line<'_>, step: &Step<'_>) -> Result<Said> {
    let (status, said) = output(command, MOST_SAID_BYTES, step)?;
    let text = String::from_utf8_lossy(&said).into_owned();
    Ok(Said { status, text })
}

/// Returns the answer of `command` about users or jobs at work, line by line. A search that finds nothing, with exit
/// code 1 as from grep(1) and pgrep(1), is not a failure.
pub fn lines(command: Line<'_>, step: &Step<'_>) -> Result<Vec<String>> {
    let said = ask(command, step)?;
    let lines = said.lines_of_others(command).unwrap_or_default();
    match said.status.code() {
        Some(0 | 1) => Ok(lines),
        _ if !lines.is_empty() => Ok(lines),
        _ => {
            let message = format!("its command ended with {}", said.status);
            Err(Failure::new(Kind::Failed, message).into())
        }
    }
}

/// Runs a command around the work to its end, within `limit`. `say` gets every line that it prints, on standard output
/// or standard error. Processes that it leaves in the background go on. It bears `mark`, by which [`leftover::end`]
/// finds it if this process is killed meanwhile.
///
/// Fails if the command fails, or takes longer, or `step` ends the work. Then the command and the processes that it
/// started get SIGTERM, and SIGKILL 10 s later.
pub fn hook(
    command: Line<'_>,
    mark: &str,
    limit: Duration,
    say: &mut dyn FnMut(&str),
    step: &Step<'_>,
) -> Result<()> {
    let begun = Instant::now();
    let (mut output, writer) = io::pipe().context("cannot make a pipe")?;
    let child = command
        .command()
        .stdin(Stdio::null())
        .stdout(writer.try_clone().context("cannot make a pipe")?)
        .stderr(writer)
        .env(leftover::VARIABLE, mark)
        .spawn()
        .map_err(|error| unstarted(command, &error))?;
    let mut running = Running { child };
    let (mut is_open, mut pieces) = (true, 0);
    let mut line = Vec::new();
    let mut buffer = vec![0; MOST_LINE_BYTES];
    let status = loop {
        if let Err(error) = step(0) {
            running.end();
            return Err(error);
        }
        if begun.elapsed() >= limit {
            running.end();
            let message = format!("it takes longer than {} s", limit.as_secs());
            return Err(Failure::new(Kind::Failed, message).into());
        }
        // A background process may never stop printing: now and then the command itself is checked.
        if is_open && pieces < MOST_PIECES && is_readable(&output)? {
            pieces += 1;
            match output.read(&mut buffer) {
                Ok(0) => is_open = false,
                Ok(count) => lines_of(&mut line, &buffer[..count], say),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        } else if let Some(status) = running.child.try_wait()? {
            break status;
        } else {
            pieces = 0;
            if !is_open {
                thread::sleep(TICK);
            }
        }
    };
    lines_of(&mut line, b"\n", say);
    must_have_started(command, status)?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::new(Kind::Failed, format!("it ended with {status}")).into()),
    }
}

/// Gives every whole line of `said` to `say`; the rest waits in `line`.
fn lines_of(line: &mut Vec<u8>, said: &[u8], say: &mut dyn FnMut(&str)) {
    for piece in said.split_inclusive(|byte| *byte == b'\n') {
        line.extend_from_slice(piece);
        if piece.ends_with(b"\n") || line.len() >= MOST_LINE_BYTES {
            let text = printable(String::from_utf8_lossy(line).trim_end());
            if !text.is_empty() {
                say(&text);
            }
            line.clear();
        }
    }
}

/// The end of a command.
struct Ended {
    status: ExitStatus,
    /// The last lines of its standard error.
    complaints: Vec<String>,
}

impl Ended {
    /// Returns `why`, with the last line of the command.
    fn because(&self, why: &str) -> String {
        match self.complaints.last() {
            Some(last) => format!("{why}: {last}"),
            None => why.to_owned(),
        }
    }
}

/// The standard error of a command: every line is logged, the last ones are kept.
struct Complaints {
    from: ChildStderr,
    is_open: bool,
    line: Vec<u8>,
    last: Vec<String>,
}

impl Complaints {
    fn new(from: ChildStderr) -> Complaints {
        Complaints {
            from,
            is_open: true,
            line: Vec::new(),
            last: Vec::new(),
        }
    }

    /// Reads the available output, without waiting for more. A command that never stops printing does not block the
    /// work.
    fn hear(&mut self) -> Result<()> {
        let mut buffer = [0; MOST_LINE_BYTES];
        for _ in 0..MOST_PIECES {
            if !self.is_open || !is_ready(&[self.from.as_fd()], PollTimeout::ZERO)?[0] {
                break;
            }
            match self.from.read(&mut buffer) {
                Ok(0) => self.is_open = false,
                Ok(count) => self.add(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn add(&mut self, said: &[u8]) {
        let last = &mut self.last;
        lines_of(&mut self.line, said, &mut |line| {
            warn!("A command says: {line}");
            if last.len() == MOST_LINES {
                last.remove(0);
            }
            last.push(line.to_owned());
        });
    }

    fn end(mut self) -> Result<Vec<String>> {
        self.hear()?;
        self.add(b"\n");
        Ok(self.last)
    }
}

/// Runs a command to its end; `take` gets its output.
fn run(
    command: Line<'_>,
    stdin: Stdio,
    take: &mut dyn FnMut(&[u8]) -> Result<()>,
    step: &Step<'_>,
) -> Result<Ended> {
    let child = command
        .command()
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| unstarted(command, &error))?;
    let mut running = Running { child };
    let stdout = running.child.stdout.take();
    let stderr = running.child.stderr.take();
    let mut complaints = Complaints::new(stderr.context("the command has no standard error")?);
    if let Some(mut stdout) = stdout {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            step(0)?;
            let mut fds = vec![stdout.as_fd()];
            if complaints.is_open {
                fds.push(complaints.from.as_fd());
            }
            let ready = is_ready(&fds, PollTimeout::from(PATIENCE_MS))?;
            complaints.hear()?;
            if !ready[0] {
                continue;
            }
            match stdout.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => take(&buffer[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    // It may have closed its output long before its end.
    loop {
        if let Some(status) = running.child.try_wait()? {
            must_have_started(command, status)?;
            let complaints = complaints.end()?;
            return Ok(Ended { status, complaints });
        }
        step(0)?;
        complaints.hear()?;
        thread::sleep(TICK);
    }
}

/// Fails if a command ended because its shell does not exist.
fn must_have_started(command: Line<'_>, status: ExitStatus) -> Result<()> {
    if status.code() != Some(session::NOT_STARTED) {
        return Ok(());
    }
    match command.start_error() {
        Some(error) => Err(unstarted(command, &error).into()),
        None => Ok(()),
    }
}

fn unstarted(command: Line<'_>, error: &io::Error) -> Failure {
    let message = format!("cannot start the shell {}: {error}", command.program());
    Failure::new(Kind::Usage, message)
        .hint("`shell` of the source names the shell; /bin/sh runs what names none")
}

fn is_readable(output: &impl AsFd) -> Result<bool> {
    Ok(is_ready(&[output.as_fd()], PollTimeout::from(PATIENCE_MS))?[0])
}

/// Waits until one of several can be read, or is at its end; returns that state of each.
fn is_ready(outputs: &[BorrowedFd<'_>], patience: PollTimeout) -> Result<Vec<bool>> {
    let fds = outputs
        .iter()
        .map(|output| PollFd::new(*output, PollFlags::POLLIN));
    let mut fds: Vec<PollFd<'_>> = fds.collect();
    match poll(&mut fds, patience) {
        Ok(_) => Ok(fds.iter().map(|fd| fd.any() == Some(true)).collect()),
        Err(Errno::EINTR) => Ok(vec![false; outputs.len()]),
        Err(error) => Err(error.into()),
    }
}

/// A running command. Dropping the value kills it and the processes that it started if it has not ended.
struct Running {
    child: Child,
}

impl Running {
    /// Ends the command and the processes that it started: SIGTERM, and SIGKILL for those that remain 10 s later.
    fn end(&mut self) {
        let Ok(pid) = i32::try_from(self.child.id()).map(Pid::from_raw) else {
            return;
        };
        let asked = Instant::now();
        session::signal(pid, Signal::SIGTERM);
        while asked.elapsed() < GRACE {
            let is_over = !matches!(self.child.try_wait(), Ok(None));
            // The group keeps its number as long as any process is in it.
            if is_over && killpg(pid, None) == Err(Errno::ESRCH) {
                return;
            }
            thread::sleep(TICK);
        }
        session::signal(pid, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            if let Ok(pid) = i32::try_from(self.child.id()) {
                session::signal(Pid::from_raw(pid), Signal::SIGKILL);
            }
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(_: u64) -> Result<()> {
        Ok(())
    }

    fn staged(command: &str) -> Result<Vec<u8>> {
        let folder = tempfile::tempdir().expect("a folder");
        let name = EntryName::new("dump").expect("a name");
        let staged = stage(Line::new(command, None), name, folder.path(), &go)?;
        let mut bytes = Vec::new();
        staged.content.open()?.read_to_end(&mut bytes)?;
        assert_eq!(staged.record.size, bytes.len() as u64);
        assert_eq!(staged.record.checksum, Digest::of(&bytes));
        Ok(bytes)
    }

    #[test]
    fn what_a_command_prints_is_the_entry() {
        assert_eq!(staged("printf 'a\\0b'").expect("good"), b"a\0b");
        let large = staged("head -c 3000000 /dev/zero; exec 1>&-; sleep 0.1").expect("good");
        assert_eq!(large.len(), 3_000_000);
        for (command, says) in [
            ("true", "printed nothing"),
            ("echo half; exit 3", "failed, exit status: 3"),
            ("(echo half; exit 3) | cat", "failed, exit status: 3"),
            ("echo half; kill -9 $$", "failed, signal: 9"),
            (
                "no-such-program-here 2>/dev/null",
                "failed, exit status: 127",
            ),
        ] {
            let error = staged(command).expect_err(command);
            assert!(error.to_string().contains(says), "{command}: {error:#}");
        }
    }

    #[test]
    fn an_interruption_ends_a_command_and_what_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let mark = folder.path().join("pid");
        let stop = |_: u64| match mark.exists() {
            true => Err(anyhow::anyhow!("stop")),
            false => Ok(()),
        };
        let command = format!(
            "sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait",
            mark.display()
        );
        let name = EntryName::new("dump").expect("a name");
        let command = Line::new(&command, None);
        assert!(stage(command, name, folder.path(), &stop).is_err());
        let pid = std::fs::read_to_string(&mark).expect("a number");
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        // Killed: gone, or waiting for its new parent to look.
        while state().is_ok_and(|stat| !stat.contains(") Z ")) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_command_that_never_stops_complaining_can_be_interrupted() {
        let looks = std::cell::Cell::new(0);
        let stop = |_: u64| {
            looks.set(looks.get() + 1);
            match looks.get() {
                0..4 => Ok(()),
                _ => Err(anyhow::anyhow!("stop")),
            }
        };
        let command = Line::new("yes >&2 & yes >&2 & yes >&2 & wait", None);
        // A log takes longer to write than the command's lines.
        let log = tracing_subscriber::fmt().with_writer(io::sink).finish();
        let result = tracing::subscriber::with_default(log, || output(command, 1, &stop));
        let error = result.expect_err("it never ends by itself");
        assert_eq!(error.to_string(), "stop");
    }

    #[test]
    fn who_is_at_work_is_said_line_by_line() {
        let lines = |text, step: &Step<'_>| lines(Line::new(text, None), step);
        assert_eq!(lines("true", &go).expect("nobody"), Vec::<String>::new());
        assert_eq!(
            lines("printf '\\n \\n'; exit 1", &go).expect("nobody"),
            Vec::<String>::new()
        );
        assert_eq!(
            lines("printf 'a\\nb\\033[2J\\n'", &go).expect("two"),
            ["a", "b\\u{1b}[2J"]
        );
        assert!(lines("exit 2", &go).is_err());
        assert_eq!(lines("seq 9; exit 4", &go).expect("some").len(), MOST_LINES);
    }

    fn hooked(command: &str, limit: Duration) -> (Result<()>, Vec<String>) {
        let mut said = Vec::new();
        let result = hook(
            Line::new(command, None),
            "test",
            limit,
            &mut |line| said.push(line.to_owned()),
            &go,
        );
        (result, said)
    }

    #[test]
    fn what_a_command_around_the_work_says_is_heard_line_by_line() {
        let minute = Duration::from_secs(60);
        let (result, said) = hooked("echo one; echo two >&2; printf '\\nthree'", minute);
        result.expect("good");
        assert_eq!(said, ["one", "two", "three"]);
        let (result, said) = hooked("echo no; exit 3", minute);
        let error = result.expect_err("bad").to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert_eq!(said, ["no"]);
        let begun = Instant::now();
        hooked("sleep 30 & echo up", minute)
            .0
            .expect("in the background");
        assert!(begun.elapsed() < Duration::from_secs(20));
        let (result, said) = hooked("yes & yes & yes & echo up", Duration::from_secs(20));
        result.expect("in the background, and talking");
        assert!(said.iter().any(|line| line == "up"));
    }

    #[test]
    fn a_command_around_the_work_has_its_time_and_a_moment_to_end() {
        let begun = Instant::now();
        let second = Duration::from_secs(1);
        let (result, said) = hooked(
            "trap 'echo bye; exit 0' TERM; while :; do sleep 0.1; done",
            second,
        );
        let error = result.expect_err("too long").to_string();
        assert!(error.contains("longer than 1 s"), "{error}");
        assert!(begun.elapsed() < GRACE, "{said:?}");
    }
}

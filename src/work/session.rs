//! Processes without a terminal: each in a session of its own, so that a prompt on `/dev/tty` fails at once.
//!
//! A process in a group of its own that reads its terminal is stopped (SIGTTIN) and never ends; the user sees a prompt that takes
//! no answer. setsid(2) between fork(2) and execve(2) would be `unsafe` code. So this program is started anew with a hidden first
//! word: it begins the session and becomes the program that is meant.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::Command,
    sync::OnceLock,
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill, killpg},
    unistd::{Pid, setsid},
};

/// The hidden first word.
pub const WORD: &str = "without-terminal";
/// The variable that tells a program, and what it starts, the number of the session that was begun for it.
pub const VARIABLE: &str = "HOOKSHOT_SESSION";
/// The advice if a command fails.
pub const HINT: &str = "commands have no terminal, so one that asks for a password fails; give it in a file or a variable";

/// The exit code of a shell for a program that does not start.
pub const NOT_STARTED: i32 = 127;

/// This program, if it is one that understands [`WORD`].
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Says which program begins sessions. A second call changes nothing.
pub fn begin_by(program: PathBuf) {
    let _ = PROGRAM.set(program);
}

/// Returns a command for `program` in a session of its own; arguments and files are the caller's to add. In a program that
/// cannot begin sessions (a service that links this library) it is in a process group of its own.
///
/// A program that does not start ends with [`NOT_STARTED`] and says why on standard error.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let Some(hookshot) = PROGRAM.get() else {
        let mut command = Command::new(program);
        command.process_group(0);
        return command;
    };
    let mut command = Command::new(hookshot);
    command.arg0("hookshot").arg(WORD).arg(program);
    command
}

/// Begins a session and becomes the program that the words name. Returns if that fails, with the exit code.
pub fn become_program(words: &[OsString]) -> u8 {
    let Some((program, arguments)) = words.split_first() else {
        return 2;
    };
    // A leader of a group cannot begin a session; it is started as none.
    let _ = setsid();
    let error = Command::new(program)
        .args(arguments)
        .env(VARIABLE, std::process::id().to_string())
        .exec();
    let _ = writeln!(
        io::stderr(),
        "cannot start {}: {error}",
        program.to_string_lossy()
    );
    u8::try_from(NOT_STARTED).unwrap_or(1)
}

/// Sends a signal to a child of [`command`] and to what it started. Right after its start, a child has no group yet.
pub fn signal(child: Pid, signal: Signal) {
    if killpg(child, signal) == Err(Errno::ESRCH) && kill(child, signal).is_ok() {
        // It may have begun its session in between.
        let _ = killpg(child, signal);
    }
}

//! Processes without a terminal: each in its own session, so that a prompt on `/dev/tty` fails at once.
//!
//! A process in its own group that reads its terminal is stopped (SIGTTIN) and never ends; the user sees a prompt that
//! accepts no answer. Calling setsid(2) between fork(2) and execve(2) would be `unsafe` code. So hookshot starts itself
//! again with a hidden first word: it begins the session and then becomes the intended program.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::Command,
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill, killpg},
    unistd::{Pid, setsid},
};

/// The hidden first word.
pub const WORD: &str = "without-terminal";
/// The variable that tells a program and its children the number of the session that was begun for it.
pub const VARIABLE: &str = "HOOKSHOT_SESSION";
/// The advice if a command fails.
pub const HINT: &str = "commands have no terminal, so one that asks for a password fails; give it in a file or a variable";

/// The exit code of a shell if a program does not start.
pub const NOT_STARTED: i32 = 127;

/// The program that begins sessions: hookshot itself. The default is none, for a program that links this library and
/// does not understand [`WORD`].
#[derive(Debug, Clone, Default)]
pub struct SessionStarter(Option<PathBuf>);

impl SessionStarter {
    /// Makes a starter of a program that understands [`WORD`].
    pub fn new(program: PathBuf) -> SessionStarter {
        SessionStarter(Some(program))
    }

    /// Returns a command for `program` in its own session; the caller adds arguments and files. Without a program that
    /// begins sessions, it is in its own process group.
    ///
    /// A program that does not start ends with [`NOT_STARTED`] and writes the reason to standard error.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let Some(hookshot) = &self.0 else {
            let mut command = Command::new(program);
            command.process_group(0);
            return command;
        };
        let mut command = Command::new(hookshot);
        command.arg0("hookshot").arg(WORD).arg(program);
        command
    }
}

/// Begins a session and becomes the program that the words name. Returns only if that fails, with the exit code.
pub fn become_program(words: &[OsString]) -> u8 {
    let Some((program, arguments)) = words.split_first() else {
        return 2;
    };
    // A leader of a group cannot begin a session; this process is not started as one.
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

/// Sends a signal to a child of [`SessionStarter::command`] and to its children. Right after its start, a child has no group yet.
pub fn signal(child: Pid, signal: Signal) {
    if killpg(child, signal) == Err(Errno::ESRCH) && kill(child, signal).is_ok() {
        // It may have begun its session in between.
        let _ = killpg(child, signal);
    }
}

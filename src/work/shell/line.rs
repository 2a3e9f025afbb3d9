//! The shell that runs a command of the configuration, and its ability to report a failure inside a pipe.
//!
//! `dump | gzip` ends with the exit status of gzip(1), so a dump that failed looks like a good one. The option
//! `pipefail` (POSIX.1-2024, sh(1)) solves that. Debian's dash lacked it for a long time, and bash(1) is nearly
//! everywhere.

use std::{
    io,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
};

use nix::unistd::{AccessFlags, access};

use crate::{
    model::{entry_name::printable, user_command::UserCommand},
    work::session::{self, SessionStarter},
};

/// The shell of commands that name none.
const SH: &str = "/bin/sh";
/// The paths of bash, in the order in which they are tried.
const BASH: [&str; 4] = [
    "/bin/bash",
    "/usr/bin/bash",
    "/usr/local/bin/bash",
    "/run/current-system/sw/bin/bash",
];
/// The most characters of a command that a message shows.
const SHOWN_CHARACTERS: usize = 80;
const PIPEFAIL: [&str; 2] = ["-o", "pipefail"];

/// A command of the configuration, and the shell that the configuration asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    text: &'a str,
    shell: Option<&'a str>,
    /// The program and its arguments, if no shell runs it. `text` is then the program.
    words: Option<&'a [String]>,
}

impl<'a> Line<'a> {
    /// Makes a command for the shell that `shell` names, options included; for the usual one if it names none.
    pub fn new(text: &'a str, shell: Option<&'a str>) -> Line<'a> {
        let shell = shell.filter(|shell| !shell.trim().is_empty());
        Line {
            text,
            shell,
            words: None,
        }
    }

    /// Makes a command of the user, which names no shell.
    pub fn of(command: &'a UserCommand) -> Line<'a> {
        match command {
            UserCommand::Line(text) => Line::new(text, None),
            UserCommand::Words(words) => Line {
                text: words.first().map(String::as_str).unwrap_or_default(),
                shell: None,
                words: Some(words),
            },
        }
    }

    /// Returns the command as it is written.
    pub fn text(self) -> String {
        self.words
            .map_or_else(|| self.text.to_owned(), |words| words.join(" "))
    }

    /// Returns the program that runs the command.
    pub fn program(self, starter: &SessionStarter) -> String {
        self.words(starter).swap_remove(0)
    }

    /// Returns the process that runs the command, not started yet.
    pub fn command(self, starter: &SessionStarter) -> Command {
        if let Some([program, arguments @ ..]) = self.words {
            let mut command = starter.command(program);
            command.args(arguments).env_remove("BASH_ENV");
            return command;
        }
        let mut command = spoken(&self.words(starter), starter);
        command.arg(self.text);
        command
    }

    /// Returns the error of starting its shell, if the shell does not start. A program without a shell is not tried: it
    /// may do its work a second time.
    pub fn start_error(self, starter: &SessionStarter) -> Option<io::Error> {
        match self.words {
            Some(_) => None,
            None => start_error(&self.program(starter)),
        }
    }

    /// Returns the reason for which a failure of the command can go unnoticed: it has a pipe, and its shell lacks
    /// `pipefail`; or its shell does not run at all.
    pub fn pitfall(self, starter: &SessionStarter) -> Option<String> {
        if self.words.is_some() {
            return None;
        }
        let words = self.words(starter);
        match probe(&words, ":", starter) {
            None => return Some(format!("its shell {} cannot be run", words[0])),
            Some(false) => return Some(format!("its shell ({}) runs no command", words.join(" "))),
            Some(true) => {}
        }
        let hides = has_pipe(self.text) && probe(&words, "false | true", starter) == Some(true);
        hides.then(|| {
            format!(
                "it has a pipe, and {} reports the end of the last program alone: a failure of one before it passes unseen; \
                 install bash, or name a shell that knows it, as in shell = \"/bin/bash -o pipefail\"",
                words[0]
            )
        })
    }

    /// Returns the shell and its options.
    fn words(self, starter: &SessionStarter) -> Vec<String> {
        if let Some(words) = self.words {
            return words.to_vec();
        }
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let with_pipefail = |program: &str| own(&[&[program][..], &PIPEFAIL].concat());
        let is_piped = has_pipe(self.text);
        let words: Vec<&str> = match self.shell {
            Some(shell) => shell.split_whitespace().collect(),
            None => vec![SH],
        };
        let [program] = words.as_slice() else {
            // The user is responsible for the options of a configured shell.
            return own(&words);
        };
        if !is_piped {
            return own(&words);
        }
        if self.shell.is_none()
            && let Some(bash) = BASH.iter().find(|path| is_executable(path))
        {
            return with_pipefail(bash);
        }
        let candidate = with_pipefail(program);
        match probe(&candidate, ":", starter) {
            Some(true) => candidate,
            _ => own(&words),
        }
    }
}

/// Returns a command for a message: its first line, shortened. Secrets are masked before.
pub(super) fn shortened(text: &str) -> String {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let first = printable(lines.next().unwrap_or_default().trim());
    match (lines.next(), first.char_indices().nth(SHOWN_CHARACTERS)) {
        (None, None) => first,
        (Some(_), None) => format!("{first} ..."),
        (_, Some((end, _))) => format!("{} ...", &first[..end]),
    }
}

/// Returns the shell, ready for the text of a command, without a terminal.
fn spoken(words: &[String], starter: &SessionStarter) -> Command {
    let mut command = starter.command(&words[0]);
    command.args(&words[1..]).arg("-c");
    // Only bash reads the file that this variable names, before any command.
    command.env_remove("BASH_ENV");
    command
}

/// Returns true if a small command succeeds in a shell; `None` if the shell does not start.
fn probe(words: &[String], text: &str, starter: &SessionStarter) -> Option<bool> {
    let mut command = spoken(words, starter);
    command.arg(text);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.stderr(Stdio::null()).status().ok()?;
    if status.code() == Some(session::NOT_STARTED) && start_error(&words[0]).is_some() {
        return None;
    }
    Some(status.success())
}

/// Returns the error of starting a program, by starting it without work.
fn start_error(program: &str) -> Option<io::Error> {
    let mut command = Command::new(program);
    command.args(["-c", ":"]).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null()).status().err()
}

fn is_executable(path: &str) -> bool {
    Path::new(path).is_file() && access(path, AccessFlags::X_OK).is_ok()
}

/// Returns true if the text connects programs by a pipe outside quotes; `||` is not a pipe. A doubtful text counts as
/// one with a pipe: then only another shell is used.
fn has_pipe(text: &str) -> bool {
    let mut quote = None;
    let mut is_substituted = false;
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some('\''), '\'') => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => drop(characters.next()),
            (Some(_), '"') => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                is_substituted = false;
            }
            (_, '`') => is_substituted = true,
            (_, '(') if before == '$' => is_substituted = true,
            (_, '|') if characters.peek() == Some(&'|') => drop(characters.next()),
            // `>|` writes to a file.
            (None, '|') if before != '>' => return true,
            (Some(_), '|') if is_substituted => return true,
            _ => {}
        }
        before = character;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_told_from_what_looks_like_one() {
        for (text, piped) in [
            ("dump | gzip", true),
            ("dump|gzip", true),
            ("a || b", false),
            ("a || b | c", true),
            ("a |& b", true),
            ("grep 'a|b' f", false),
            ("grep \"a|b\" f", false),
            ("grep a\\|b f", false),
            ("date >| f", false),
            ("x=$(a | b)", true),
            ("echo \"$(a | b)\"", true),
            ("echo \"`a | b`\"", true),
            ("psql -c \"SELECT a || 'b' FROM c\"", false),
            ("echo 'it''s' | cat", true),
            ("echo \"a \\\" | b\"", false),
            ("", false),
        ] {
            assert_eq!(has_pipe(text), piped, "{text}");
        }
    }

    #[test]
    fn a_shell_runs_what_it_is_named_for() {
        let starter = &SessionStarter::default();
        let words = |text, shell| Line::new(text, shell).words(starter).join(" ");
        assert_eq!(words("true", None), SH);
        assert_eq!(words("true", Some(" ")), SH);
        // If there is a bash.
        if BASH.iter().any(|path| is_executable(path)) {
            assert!(words("a | b", None).ends_with("bash -o pipefail"));
            assert_eq!(words("a | b", Some("bash")), "bash -o pipefail");
            assert_eq!(Line::new("false | true", None).pitfall(starter), None);
        }
        assert_eq!(words("a | b", Some("bash -e")), "bash -e");
        assert_eq!(words("a | b", Some("/no/shell")), "/no/shell");
        let pitfall = |text, shell| {
            let line = Line::new(text, Some(shell));
            line.pitfall(starter).unwrap_or_default()
        };
        assert_eq!(pitfall("a; b", "/bin/sh -e"), "");
        assert!(pitfall("a | b", "/bin/sh +e").contains("it has a pipe"));
        assert!(pitfall("a", "/no/shell").contains("cannot be run"));
        assert!(pitfall("a", "/bin/sh --no-option-of-a-shell").contains("runs no command"));
    }
}

//! Services: the state of one, from systemd for a unit, or from the success of a command.

use anyhow::Result;

use crate::{
    error::{Failure, Kind},
    work::{
        cancel::Advance,
        shell::{BROKEN_PIPE, CommandAnswer, Line, Runner},
    },
};

/// The kinds of units, systemd.unit(5).
const KINDS: [&str; 11] = [
    "service",
    "socket",
    "target",
    "scope",
    "timer",
    "path",
    "mount",
    "automount",
    "swap",
    "slice",
    "device",
];
/// The states of a unit of which a process runs, or will in a moment (systemctl(1), `is-active`).
const AT_WORK: [&str; 6] = [
    "active",
    "activating",
    "reloading",
    "refreshing",
    "deactivating",
    "maintenance",
];

/// The state of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It runs; the text says how that is known.
    Running(String),
    /// It does not.
    Resting,
    /// systemd has no such unit: it does not run, unless the name is wrong.
    Missing,
    /// Its state is unknown, and why.
    Unknown(String),
}

/// Returns true if `service` names a unit of systemd: it has the ending of one, and no character that no unit has.
pub fn is_unit(service: &str) -> bool {
    let is_name =
        |character: char| character.is_ascii_alphanumeric() || ":-_.\\@".contains(character);
    let Some((name, kind)) = service.rsplit_once('.') else {
        return false;
    };
    !name.is_empty() && KINDS.contains(&kind) && service.chars().all(is_name)
}

/// Asks whether a service runs: a unit if it has the name of one, else by a command that succeeds while it does.
pub fn ask(runner: &Runner, service: Line<'_>, advance: &Advance<'_>) -> Result<State> {
    match is_unit(&service.text()) {
        true => unit(runner, &service.text(), advance),
        false => by_command(runner, service, advance),
    }
}

fn by_command(runner: &Runner, service: Line<'_>, advance: &Advance<'_>) -> Result<State> {
    let answer = match runner.ask(service, advance) {
        Ok(answer) => answer,
        Err(error) if is_interrupted(&error) => return Err(error),
        Err(error) => return Ok(State::Unknown(format!("{error:#}"))),
    };
    Ok(match answer.status.code() {
        Some(0 | BROKEN_PIPE) => match lines_of_others(&answer, service) {
            None => State::Resting,
            Some(lines) if lines.is_empty() => {
                State::Running(format!("`{}` succeeds", runner.shown(service)))
            }
            Some(lines) => {
                let lines = runner.masked(&lines.join("; "));
                State::Running(format!("`{}` succeeds: {lines}", runner.shown(service)))
            }
        },
        None | Some(126 | 127) => State::Unknown(format!(
            "`{}` ended with {}",
            runner.shown(service),
            answer.status
        )),
        Some(_) => State::Resting,
    })
}

fn unit(runner: &Runner, unit: &str, advance: &Advance<'_>) -> Result<State> {
    // cron and others give a short PATH.
    let systemctl = |verb: &str| -> Result<Result<CommandAnswer, State>> {
        let text = format!(
            "PATH=\"$PATH:/usr/bin:/bin:/run/current-system/sw/bin\"; export PATH; exec systemctl {verb} '{unit}' 2>&1"
        );
        match runner.ask(Line::new(&text, None), advance) {
            Err(error) if is_interrupted(&error) => Err(error),
            Err(error) => Ok(Err(State::Unknown(format!(
                "systemctl does not tell of {unit}: {error:#}"
            )))),
            Ok(answer) => Ok(Ok(answer)),
        }
    };
    let quiet = match systemctl("is-active --quiet")? {
        Ok(quiet) => quiet,
        Err(unknown) => return Ok(unknown),
    };
    if quiet.status.success() {
        return Ok(State::Running(format!("{unit} is active")));
    }
    match quiet.status.code() {
        // No such program.
        Some(126 | 127) => {
            return Ok(State::Unknown(format!(
                "cannot run systemctl to ask for {unit}"
            )));
        }
        // An exit code for "not active", or for "unknown unit", as LSB has them.
        Some(3 | 4) => {}
        _ => {
            let why = runner.masked(&quiet.lines().join("; "));
            let why = if why.is_empty() {
                format!("it ended with {}", quiet.status)
            } else {
                why
            };
            return Ok(State::Unknown(format!(
                "systemctl does not tell of {unit}: {why}"
            )));
        }
    }
    // One that is about to run, or about to end, has the same exit code as one at rest.
    let state = match systemctl("is-active")? {
        Ok(answer) => answer.lines().join(" "),
        Err(unknown) => return Ok(unknown),
    };
    if AT_WORK.contains(&state.as_str()) {
        return Ok(State::Running(format!("{unit} is {state}")));
    }
    let loaded = match systemctl("show --property=LoadState --value")? {
        Ok(answer) => answer.lines(),
        Err(unknown) => return Ok(unknown),
    };
    Ok(match loaded.first().map(String::as_str) {
        Some("not-found") => State::Missing,
        _ => State::Resting,
    })
}

fn is_interrupted(error: &anyhow::Error) -> bool {
    matches!(Failure::of(error).kind, Kind::Interrupted(_))
}

/// Returns the answer of `command` about users or jobs at work, line by line. A search that finds nothing, with exit
/// code 1 as from grep(1) and pgrep(1), is not a failure.
pub fn lines(runner: &Runner, command: Line<'_>, advance: &Advance<'_>) -> Result<Vec<String>> {
    let answer = runner.ask(command, advance)?;
    let lines = lines_of_others(&answer, command).unwrap_or_default();
    let lines: Vec<String> = lines.iter().map(|line| runner.masked(line)).collect();
    match answer.status.code() {
        Some(0 | 1) => Ok(lines),
        _ if !lines.is_empty() => Ok(lines),
        _ => {
            let message = format!("its command ended with {}", answer.status);
            Err(Failure::new(Kind::Failed, message).into())
        }
    }
}

/// Returns the lines of the answer without those about this process, its callers, or the command itself. A command
/// that looks for processes by their command line finds hookshot, which names the service as well. Returns `None`
/// if nothing else was found.
fn lines_of_others(answer: &CommandAnswer, command: Line<'_>) -> Option<Vec<String>> {
    let lines = answer.lines();
    if !command.text().contains("pgrep") || lines.is_empty() {
        return Some(lines);
    }
    let own = callers();
    let is_other = |line: &String| {
        let number = line.split_whitespace().next().unwrap_or_default();
        match number.parse::<u32>() {
            Ok(pid) => !own.contains(&pid) && is_there(pid),
            Err(_) => true,
        }
    };
    let others: Vec<String> = lines.into_iter().filter(is_other).collect();
    (!others.is_empty()).then_some(others)
}

/// Returns this process and those that started it, the nearest first.
fn callers() -> Vec<u32> {
    let mut pid = std::process::id();
    let mut found = Vec::new();
    while pid > 1 && !found.contains(&pid) {
        found.push(pid);
        // The name of the program, in parentheses, may have spaces (proc_pid_stat(5)).
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit_once(')').map(|(_, rest)| rest);
        let parent = rest.and_then(|rest| rest.split_whitespace().nth(1));
        pid = parent.and_then(|parent| parent.parse().ok()).unwrap_or(0);
    }
    found
}

/// Returns true if a process still exists, or cannot be seen.
fn is_there(pid: u32) -> bool {
    let proc = std::path::Path::new("/proc");
    proc.join(pid.to_string()).exists() || !proc.join("self").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_told_from_a_command() {
        for unit in [
            "node-red.service",
            "app@1.service",
            "run-r\\x2dx.scope",
            "a.b.target",
            "docker.socket",
        ] {
            assert!(is_unit(unit), "{unit}");
        }
        for command in [
            "pgrep -f node-red",
            "true",
            ".service",
            "/usr/bin/is-running.service",
            "x.service; true",
            "systemctl is-active x.service",
            "x.conf",
            "x*.service",
            "",
        ] {
            assert!(!is_unit(command), "{command}");
        }
    }

    #[test]
    fn a_command_says_by_its_success_that_a_service_runs() {
        let runner = Runner::default();
        let ask = |text| ask(&runner, Line::new(text, None), &|_| Ok(())).expect("an answer");
        assert_eq!(ask("exit 1"), State::Resting);
        assert_eq!(ask("exit 3"), State::Resting);
        assert_eq!(ask("true"), State::Running("`true` succeeds".into()));
        let one = ask("echo a b");
        assert_eq!(one, State::Running("`echo a b` succeeds: a b".into()));
        assert!(matches!(ask("no-such-program 2>&1"), State::Unknown(_)));
        assert!(matches!(ask("kill -9 $$"), State::Unknown(_)));
        // A program that has found what it looked for closes the pipe.
        assert!(matches!(ask("yes | grep -q y"), State::Running(_)));
        // Neither hookshot itself, nor the shell that asks, is the service.
        let mark = format!("mark{}", std::process::id());
        let pgrep = format!("pgrep -f {mark}; :");
        assert_eq!(ask(&pgrep), State::Resting);
        let own = format!("echo {}; : pgrep", std::process::id());
        assert_eq!(ask(&own), State::Resting);
    }

    #[test]
    fn who_is_at_work_is_said_line_by_line() {
        let lines = |text| lines(&Runner::default(), Line::new(text, None), &|_| Ok(()));
        assert_eq!(lines("true").expect("none"), Vec::<String>::new());
        assert_eq!(
            lines("printf '\\n \\n'; exit 1").expect("none"),
            Vec::<String>::new()
        );
        assert_eq!(
            lines("printf 'a\\nb\\033[2J\\n'").expect("two"),
            ["a", "b\\u{1b}[2J"]
        );
        assert!(lines("exit 2").is_err());
        assert_eq!(lines("seq 9; exit 4").expect("some").len(), 5);
    }
}

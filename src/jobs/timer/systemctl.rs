//! systemctl(1): what a running manager does and knows.

use anyhow::Result;
use chrono::NaiveDateTime;
use serde::Serialize;

use super::installed::Scope;
use crate::{
    context::Context,
    error::{Failure, Kind},
    model::{user_command::UserCommand, written::rfc3339},
    work::shell::{CommandAnswer, Line},
};

/// The state of the units of a job, as the manager tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct UnitState {
    /// The state of the timer, such as `active`.
    pub active: Option<String>,
    /// The last start.
    pub last: Option<String>,
    /// The next start.
    pub next: Option<String>,
    /// The result of the service's last run, such as `success` or `exit-code`.
    pub result: Option<String>,
    /// The exit code of that run.
    pub exit_code: Option<u8>,
}

/// Runs systemctl.
pub fn call(context: &Context, scope: Scope, words: &[&str]) -> Result<()> {
    let (shown, answer) = ask(context, scope, words)?;
    if answer.status.success() {
        return Ok(());
    }
    let because = answer.lines().join("; ");
    let message = format!("`{shown}` failed, {}: {because}", answer.status);
    Err(Failure::new(Kind::Failed, message).into())
}

/// Returns the state of a timer and its service.
pub fn state(context: &Context, scope: Scope, timer: &str, service: &str) -> Result<UnitState> {
    let keys = "ActiveState,LastTriggerUSec,NextElapseUSecRealtime";
    let of_timer = ask(context, scope, &["show", timer, "--property", keys])?
        .1
        .text;
    let keys = "Result,ExecMainStatus,ExecMainStartTimestamp";
    let of_service = ask(context, scope, &["show", service, "--property", keys])?
        .1
        .text;
    Ok(read(&of_timer, &of_service))
}

fn read(of_timer: &str, of_service: &str) -> UnitState {
    let value = |text: &str, key: &str| -> Option<String> {
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(value.trim().to_owned()).filter(|value| !matches!(value.as_str(), "" | "n/a" | "0"))
    };
    let has_run = value(of_service, "ExecMainStartTimestamp").is_some();
    let code = of_service
        .lines()
        .find_map(|line| line.strip_prefix("ExecMainStatus="));
    UnitState {
        active: value(of_timer, "ActiveState"),
        // A persistent timer calls its installation its last start, until it starts something.
        last: value(of_service, "ExecMainStartTimestamp")
            .or_else(|| value(of_timer, "LastTriggerUSec"))
            .and_then(|text| time(&text)),
        next: value(of_timer, "NextElapseUSecRealtime").and_then(|text| time(&text)),
        result: value(of_service, "Result").filter(|_| has_run),
        exit_code: code
            .filter(|_| has_run)
            .and_then(|code| code.trim().parse().ok()),
    }
}

/// Returns a time of systemd in UTC, such as `Sun 2026-11-29 02:00:11 UTC`, as RFC 3339 writes it.
fn time(text: &str) -> Option<String> {
    let (_, text) = text.split_once(' ')?;
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S UTC").ok()?;
    Some(rfc3339(time.and_utc()))
}

fn ask(context: &Context, scope: Scope, words: &[&str]) -> Result<(String, CommandAnswer)> {
    let user: &[&str] = match scope {
        Scope::System => &[],
        Scope::User => &["--user"],
    };
    let words = [&["systemctl"], user, words].concat();
    // Times are read, and messages are not.
    let all = [&["env", "TZ=UTC", "LC_ALL=C"], &words[..]].concat();
    let all = all.into_iter().map(str::to_owned).collect();
    let command = UserCommand::Words(all);
    let answer = context.runner.ask(Line::of(&command), &context.step())?;
    Ok((words.join(" "), answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_units_is_read() {
        let timer = "ActiveState=active\nLastTriggerUSec=Sun 2026-11-29 01:30:00 UTC\n\
            NextElapseUSecRealtime=Mon 2026-11-30 02:00:00 UTC\n";
        let service = "Result=exit-code\nExecMainStatus=17\nExecMainStartTimestamp=Sun 2026-11-29 02:00:11 UTC\n";
        let state = read(timer, service);
        assert_eq!(state.active.as_deref(), Some("active"));
        assert_eq!(state.last.as_deref(), Some("2026-11-29T02:00:11Z"));
        assert_eq!(state.next.as_deref(), Some("2026-11-30T02:00:00Z"));
        assert_eq!(
            (state.result.as_deref(), state.exit_code),
            (Some("exit-code"), Some(17))
        );
        let never = "Result=success\nExecMainStatus=0\nExecMainStartTimestamp=\n";
        let state = read(
            "ActiveState=inactive\nLastTriggerUSec=n/a\nNextElapseUSecRealtime=\n",
            never,
        );
        assert_eq!(
            (state.last, state.next, state.result, state.exit_code),
            (None, None, None, None)
        );
    }
}

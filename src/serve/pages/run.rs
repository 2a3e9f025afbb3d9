//! One run: its state, its progress while it works, and its report in words.

use std::sync::Arc;

use axum::{
    extract::{Path, State as Shared},
    response::{Html, IntoResponse as _, Response},
};
use maud::{Markup, html};
use serde_json::Value;

use super::{undo, wrong::Wrong};
use crate::{
    model::{entry_name::printable_lines, readable::span},
    serve::{
        Server,
        answer::Trouble,
        database::{RunState, ServeRun},
        history::{Past, history},
        identity::Person,
        parts::{State, Tab, actions, ago, button, bytes, facts, moment, page, state, title},
        person::Viewer,
        role::Role,
        runs::{failure, lines, log, progress},
    },
};

/// The seconds between two looks of a browser at a run at work.
const SECONDS: u32 = 2;

/// Shows a run.
pub async fn show(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Path(id): Path<String>,
) -> Result<Response, Wrong> {
    let Some((run, log)) = seen(&server, &person, &id)? else {
        return job(&server, &person, &id);
    };
    let part = part(&server, &person, &run, &log)?;
    let is_running = run.state == RunState::Running;
    let name = format!("{} {}", run.verb, run.target);
    let content = html! {
        (title(&[("/runs", "Runs")], &html! { (run.verb) " " span .name { (run.target) } }))
        @if is_running {
            noscript { meta http-equiv="refresh" content="5"; }
            div data-refresh={ "/runs/" (run.id) "/part" } data-seconds=(SECONDS) aria-live="polite" { (part) }
            noscript { p { a href={ "/runs/" (run.id) } { "Refresh" } } }
        } @else {
            div { (part) }
        }
    };
    Ok(page(&person, Some(Tab::Runs), &name, &content))
}

/// Answers the part of the page that changes while a run works.
pub async fn refreshed(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Path(id): Path<String>,
) -> Result<Response, Wrong> {
    let found = seen(&server, &person, &id)?;
    let (run, log) = found.ok_or_else(|| Trouble::missing("run"))?;
    let part = part(&server, &person, &run, &log)?.into_string();
    Ok(Html(printable_lines(&part)).into_response())
}

fn seen(server: &Server, person: &Person, id: &str) -> Result<Option<(ServeRun, String)>, Trouble> {
    let found = log(server, id)?;
    Ok(found.filter(|(run, _)| Past::of_server(run, None).is_seen_by(person)))
}

/// Writes the state of a run.
pub fn mark(how: RunState) -> Markup {
    let sign = match how {
        RunState::Running => State::Unknown,
        RunState::Done => State::Good,
        RunState::Cancelled => State::Late,
        RunState::Failed | RunState::Lost => State::Bad,
    };
    state(sign, how.name())
}

fn part(server: &Server, person: &Person, run: &ServeRun, log: &str) -> anyhow::Result<Markup> {
    let is_running = run.state == RunState::Running;
    let undo = undo::part(server, person, run)?;
    Ok(html! {
        div data-over[!is_running] {
            div .card {
                p { (mark(run.state)) " " (sentence(run)) }
                @if is_running { (under_way(log)) }
                (failed(run, log))
                (facts(&about(server, run)))
                @if is_running && run.cancelled_by.is_none() && person.role >= Role::Operator {
                    (actions(&[button(&format!("/runs/{}/cancel", run.id), "Cancel")]))
                }
            }
            (undo)
            @if let Some(report) = &run.report { (reported(report)) }
            @let messages = lines(log);
            @if !messages.is_empty() {
                h2 { "Messages" }
                pre .log tabindex="0" role="region" aria-label="Messages" { (messages) }
            }
        }
    })
}

fn about(server: &Server, run: &ServeRun) -> Vec<(&'static str, Markup)> {
    // While it works, an age would change the part with each second.
    let mut rows = vec![
        ("Asked for by", html! { (run.actor) }),
        ("Began", moment(run.begun_at)),
    ];
    if let Some(ended) = run.ended_at {
        rows.push((
            "Ended",
            html! { (moment(ended)) ", " (ago(ended, server.now())) },
        ));
        rows.push(("Took", html! { (span(ended - run.begun_at)) }));
    }
    if let Some(code) = run.exit_code {
        rows.push(("Exit code", html! { (code) }));
    }
    if let Some(archive) = &run.archive {
        rows.push(("Archive", html! { span .name { (archive) } }));
    }
    if let Some(name) = &run.cancelled_by {
        rows.push(("Its end was asked for by", html! { (name) }));
    }
    rows.push(("Configuration", html! { span .name { (run.config) } }));
    rows
}

fn sentence(run: &ServeRun) -> &'static str {
    match (run.state, run.cancelled_by.is_some()) {
        (RunState::Running, false) => {
            "It works. It goes on if you leave this page, or if the server ends."
        }
        (RunState::Running, true) => "It was asked to end, and ends by itself.",
        (RunState::Done, false) => "It is done.",
        (RunState::Done, true) => "It was too far to be cancelled, and is done.",
        (RunState::Failed, _) => "It failed.",
        (RunState::Cancelled, _) => "It was cancelled.",
        (RunState::Lost, _) => {
            "Nothing tells how it ended: its process was killed, or the machine was restarted."
        }
    }
}

fn under_way(log: &str) -> Markup {
    let Some(progress) = progress(log) else {
        return html! { p .quiet { "It has told no progress yet." } };
    };
    html! {
        p {
            strong { (progress.stage) } ": " (bytes(progress.bytes))
            @if let Some(total) = progress.total_bytes { " of " (bytes(total)) }
            @if let Some(percent) = progress.percent {
                " " progress max="100" value=(percent) aria-label="Progress" {} " " (percent) " %"
            }
        }
    }
}

fn failed(run: &ServeRun, log: &str) -> Markup {
    let failure = match run.state {
        RunState::Running => None,
        _ => failure(run.report.as_ref(), log, run.exit_code),
    };
    html! {
        @if let Some(failure) = failure {
            p { strong { (failure.message) } }
            @if !failure.faults.is_empty() { ul { @for fault in &failure.faults { li { (fault) } } } }
            @if let Some(hint) = &failure.hint { p .quiet { (hint) } }
        }
    }
}

fn reported(report: &Value) -> Markup {
    let text = serde_json::to_string_pretty(report).unwrap_or_default();
    html! {
        details {
            summary { "The report in JSON" }
            pre .log tabindex="0" role="region" aria-label="Report" { (text) }
        }
    }
}

/// Shows a run of a job, of which the history alone tells.
fn job(server: &Server, person: &Person, id: &str) -> Result<Response, Wrong> {
    let mut all = history(server, person)?.into_iter();
    let past = all.find(|past| past.id == id);
    let past = past.ok_or_else(|| Trouble::missing("run"))?;
    let mut rows = vec![("Began", html! { (past.started_at) })];
    let more = [
        ("Ended", past.ended_at.as_ref()),
        (
            "Archive",
            Some(&past.archive).filter(|name| !name.is_empty()),
        ),
        ("Configuration", Some(&past.config)),
    ];
    let told = more.into_iter();
    rows.extend(told.filter_map(|(name, fact)| Some((name, html! { span .name { (fact?) } }))));
    let content = html! {
        (title(&[("/runs", "Runs")], &html! { (past.verb) " of " (past.started_at) }))
        div .card {
            p { (mark(past.state)) @if let Some(message) = &past.message { " " strong { (message) } } }
            @if let Some(hint) = past.record.get("hint").and_then(Value::as_str) { p .quiet { (hint) } }
            (facts(&rows))
        }
        (reported(&Value::Object(past.record.clone())))
    };
    Ok(page(person, Some(Tab::Runs), &past.verb, &content))
}

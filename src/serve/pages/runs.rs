//! The runs of jobs, as the history has them.

use std::sync::Arc;

use axum::{extract::State as Shared, response::Response};
use maud::html;
use serde_json::Value;

use super::wrong::Wrong;
use crate::serve::{
    Server,
    index::freshen,
    parts::{State, Tab, page, same, state},
    person::Viewer,
};

/// The runs that are shown.
const ROWS: usize = 200;

/// Shows runs.
pub async fn show(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
) -> Result<Response, Wrong> {
    freshen(&server);
    let mut runs: Vec<Value> = Vec::new();
    for config in &server.configs {
        let look = server
            .database
            .look(&config.display().to_string(), "history")?;
        let mut answer = look.map(|look| look.answer).unwrap_or_default();
        if let Value::Array(found) = answer["runs"].take() {
            runs.extend(found);
        }
    }
    let text = |run: &Value, key: &str| run[key].as_str().unwrap_or("-").to_owned();
    runs.sort_by_key(|run| std::cmp::Reverse(text(run, "started_at")));
    let content = html! {
        h1 { "Runs" }
        div .wide tabindex="0" role="region" aria-label="Runs" {
            table {
                thead { tr {
                    th scope="col" { "Result" } th scope="col" { "Job" } th scope="col" { "Began" } th scope="col" { "Ended" }
                    th scope="col" { "Archive" } th scope="col" { "Message" }
                } }
                tbody {
                    @for run in runs.iter().take(ROWS) {
                        tr {
                            td { (result(&text(run, "result"))) }
                            td { (text(run, "job")) }
                            td { (text(run, "started_at")) }
                            td { (text(run, "ended_at")) }
                            td { (text(run, "archive")) }
                            td { (run["error"]["message"].as_str().unwrap_or("")) }
                        }
                    }
                    @if runs.is_empty() { tr { td colspan="6" { "There are none in the history." } } }
                }
            }
        }
        (same("hookshot history"))
    };
    Ok(page(&person, Some(Tab::Runs), "Runs", &content))
}

fn result(word: &str) -> maud::Markup {
    let how = match word {
        "success" | "unchanged" => State::Good,
        "running" => State::Unknown,
        "partial" | "skipped" => State::Late,
        _ => State::Bad,
    };
    state(how, word)
}

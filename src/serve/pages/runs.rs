//! The runs of the server and of jobs.

use std::sync::Arc;

use axum::{
    extract::{Query, State as Shared},
    response::Response,
};
use maud::html;
use serde::Deserialize;

use super::{run::mark, wrong::Wrong};
use crate::serve::{
    Server,
    history::history,
    index::freshen,
    parts::{Column, Tab, page, same, table, title},
    person::Viewer,
};

/// The runs that are shown.
const ROWS: usize = 200;
/// The states by which the runs are filtered.
const STATES: [&str; 5] = ["running", "done", "failed", "cancelled", "lost"];

/// The words of the address of the page.
#[derive(Debug, Deserialize)]
pub struct Asked {
    state: Option<String>,
}

/// Shows runs.
pub async fn show(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Query(asked): Query<Asked>,
) -> Result<Response, Wrong> {
    freshen(&server);
    let mut runs = history(&server, &person)?;
    let chosen = asked.state.unwrap_or_default();
    if STATES.contains(&chosen.as_str()) {
        runs.retain(|run| run.state.name() == chosen);
    }
    let time = |text: &str| text.replace('T', " ").replace('Z', " UTC");
    let rows = runs.iter().take(ROWS).map(|run| {
        let object = if run.archive.is_empty() {
            &run.target
        } else {
            &run.archive
        };
        vec![
            html! { a href={ "/runs/" (run.id) } { (run.verb) " " (object) } },
            mark(run.state),
            html! { (time(&run.started_at)) },
            html! { (run.ended_at.as_deref().map(time).unwrap_or_default()) },
            html! { (run.actor.as_deref().unwrap_or("the machine")) },
            html! { (run.message.as_deref().unwrap_or("")) },
        ]
    });
    let rows: Vec<_> = rows.collect();
    let columns = [
        Column::Name("Run"),
        Column::Text("State"),
        Column::Text("Began"),
        Column::Text("Ended"),
        Column::Text("Asked for by"),
        Column::Text("Message"),
    ];
    let content = html! {
        (title(&[], &html! { "Runs" }))
        form .filter method="get" action="/runs" {
            div {
                label for="state" { "State" }
                select #state name="state" {
                    option value="" { "all" }
                    @for state in STATES { option value=(state) selected[state == chosen] { (state) } }
                }
            }
            button type="submit" { "Show" }
        }
        (table("Runs", &columns, &rows, "There are none."))
        @if runs.len() > ROWS { p .quiet { "The newest " (ROWS) " of " (runs.len()) " runs." } }
        (same("hookshot history"))
    };
    Ok(page(&person, Some(Tab::Runs), "Runs", &content))
}

//! The first page: one sentence, then what needs work, then everything.

use std::sync::Arc;

use axum::{extract::State as Shared, response::Response};
use maud::{Markup, html};

use super::wrong::Wrong;
use crate::serve::{
    Server,
    health::{ConfigHealth, Detail, health, sentence},
    index::freshen,
    parts::{State, Tab, ago, bytes, page, same, state},
    person::Viewer,
};

/// Shows how everything is.
pub async fn show(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
) -> Result<Response, Wrong> {
    freshen(&server);
    let all = health(&server)?;
    let now = server.now();
    let (how, text) = sentence(&all, now.timestamp());
    let newest = all.iter().flat_map(|one| &one.destinations);
    let newest = newest
        .filter_map(|one| one.newest.as_ref())
        .map(|newest| newest.time)
        .max();
    let as_of = all.iter().filter_map(|one| one.as_of).min();
    let content = html! {
        h1 { (state(how, word(how))) " " (text) }
        p .quiet {
            @if let Some(newest) = newest { "The newest archive is of " (ago(newest.timestamp(), now)) ". " }
            @if let Some(as_of) = as_of { "The destinations told this " (ago(as_of, now)) "." }
        }
        @for one in &all { (needs(one, now.timestamp())) }
        h2 { "Destinations" }
        (table(&all, now))
        (same("hookshot status --all-hosts"))
    };
    Ok(page(&person, Some(Tab::Home), "Home", &content))
}

fn word(how: State) -> &'static str {
    match how {
        State::Good => "good",
        State::Unknown => "unknown",
        State::Late => "overdue",
        State::Bad => "needs work",
    }
}

/// Writes what needs work, the worst first.
fn needs(one: &ConfigHealth, now: i64) -> Markup {
    let mut ill: Vec<_> = one.destinations.iter().collect();
    ill.retain(|destination| destination.state(now) > State::Unknown);
    ill.sort_by_key(|destination| std::cmp::Reverse(destination.state(now)));
    html! {
        @if let Some(failure) = &one.failure {
            div .card.needs.bad { p { strong { (one.config) } ": " (failure) } }
        }
        @for detail in one.details.iter().filter(|detail| detail.unhealthy) {
            div .card.needs.bad { (told(detail)) }
        }
        @for destination in ill {
            div .card.needs.late[destination.state(now) == State::Late].bad[destination.state(now) == State::Bad] {
                p {
                    (state(destination.state(now), destination.word(now)))
                    " " strong { (destination.prefix) } " at " (destination.destination)
                }
                @for detail in &destination.details { (told(detail)) }
            }
        }
    }
}

fn told(detail: &Detail) -> Markup {
    html! {
        p { (detail.message) @if !detail.hint.is_empty() { br; span .quiet { (detail.hint) } } }
    }
}

fn table(all: &[ConfigHealth], now: chrono::DateTime<chrono::Utc>) -> Markup {
    html! {
        div .wide tabindex="0" role="region" aria-label="Destinations" {
            table {
                thead {
                    tr {
                        th scope="col" { "State" }
                        th scope="col" { "Service" }
                        th scope="col" { "Destination" }
                        th scope="col" { "Newest archive" }
                        th scope="col" .number { "Archives" }
                        th scope="col" .number { "Bytes" }
                        th scope="col" .number { "Room" }
                    }
                }
                tbody {
                    @for one in all.iter().flat_map(|one| &one.destinations) {
                        tr {
                            td { (state(one.state(now.timestamp()), one.word(now.timestamp()))) }
                            td { a href={ "/archives?service=" (one.prefix) } { (one.prefix) } }
                            td { (one.destination) }
                            td { @match &one.newest {
                                Some(newest) => (ago(newest.time.timestamp(), now)),
                                None => "none",
                            } }
                            td .number { @match one.archives { Some(count) => (count), None => "-" } }
                            td .number { @match one.size_bytes { Some(count) => (bytes(count)), None => "-" } }
                            td .number { @match one.room_bytes { Some(count) => (bytes(count)), None => "-" } }
                        }
                    }
                }
            }
        }
    }
}

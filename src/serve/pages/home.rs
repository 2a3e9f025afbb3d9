//! The first page: one sentence, then what needs work, then everything.

use std::sync::Arc;

use anyhow::Result;
use axum::{extract::State as Shared, response::Response};
use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{addresses, needs::needs, wrong::Wrong};
use crate::serve::{
    Server,
    database::id_of,
    health::{ConfigHealth, health, sentence},
    index::freshen,
    parts::{
        self, Column, DAY, STRIP_DAYS, State, Tab, ago, bytes, empty, page, same, state, strip,
        table,
    },
    person::Viewer,
    services::{Service, services},
};

/// The services that are shown: the worst.
const SERVICES: usize = 20;

/// Shows how everything is.
pub async fn show(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
) -> Result<Response, Wrong> {
    freshen(&server);
    let all = health(&server)?;
    let now = server.now();
    let mut services = services(&server, &all)?;
    services.sort_by_key(|service| std::cmp::Reverse(service.state));
    let (how, text) = sentence(&all, now.timestamp());
    let is_unknown = all.iter().all(|one| one.as_of.is_none());
    let content = html! {
        // The first answer of the destinations is a matter of seconds.
        div #now data-refresh="/" data-seconds=(if is_unknown { 2 } else { 15 }) {
            (parts::sentence(how, word(how), &text))
            p .quiet { (ages(&all, &services, now)) }
            (needs(&all, &services, now))
            (running(&server, now)?)
            h2 { "Services" }
            (table_of_services(&server, &services, now)?)
            h2 { "Destinations" }
            (table_of_destinations(&all, now.timestamp()))
        }
        (same("hookshot status --all-hosts"))
    };
    Ok(page(&person, Some(Tab::Home), "Home", &content))
}

/// Returns the word of a state of everything.
pub fn word(how: State) -> &'static str {
    match how {
        State::Good => "good",
        State::Unknown => "unknown",
        State::Late => "overdue",
        State::Bad => "needs work",
    }
}

fn ages(all: &[ConfigHealth], services: &[Service], now: DateTime<Utc>) -> Markup {
    let newest = services.iter().filter_map(|one| one.newest_at).max();
    let as_of = all.iter().filter_map(|one| one.as_of).min();
    html! {
        @if let Some(newest) = newest { "The newest archive is of " (ago(newest, now)) ". " }
        @if let Some(as_of) = as_of { "The destinations told this " (ago(as_of, now)) "." }
    }
}

/// Writes the runs at work, if there are any.
fn running(server: &Server, now: DateTime<Utc>) -> Result<Markup> {
    let runs = server.database.running()?;
    Ok(html! {
        @if !runs.is_empty() {
            h2 { "Running now" }
            @for run in &runs {
                div .card { p {
                    a href={ "/runs/" (run.id) } { (run.verb) " " (run.target) }
                    span .quiet { ", started " (ago(run.begun_at, now)) " by " (run.actor) }
                } }
            }
        }
    })
}

fn table_of_services(server: &Server, services: &[Service], now: DateTime<Utc>) -> Result<Markup> {
    let shown = services.get(..SERVICES).unwrap_or(services);
    let today = now.timestamp().div_euclid(DAY);
    let first = today - STRIP_DAYS + 1;
    let prefixes: Vec<&str> = shown
        .iter()
        .map(|service| service.prefix.as_str())
        .collect();
    let days = server.database.days(&prefixes, first)?;
    let rows = shown.iter().map(|service| {
        let mut marks = vec![State::Unknown; usize::try_from(STRIP_DAYS).unwrap_or(0)];
        for day in days.get(&service.prefix).into_iter().flatten() {
            let place = usize::try_from(day.day - first).ok();
            if let Some(mark) = place.and_then(|place| marks.get_mut(place)) {
                *mark = if day.is_usable {
                    State::Good
                } else {
                    State::Late
                };
            }
        }
        vec![
            html! { a href=(addresses::service(&service.prefix)) { (service.prefix) } },
            state(service.state, service.word),
            strip(&marks, today),
            newest(service.newest_at, now),
            html! { (service.archives) },
            bytes(service.size_bytes),
        ]
    });
    let columns = [
        Column::Name("Service"),
        Column::Text("State"),
        Column::Text("Last 30 days"),
        Column::Text("Newest"),
        Column::Number("Archives"),
        Column::Number("Size"),
    ];
    let rows: Vec<_> = rows.collect();
    Ok(html! {
        (table("Services", &columns, &rows, "No archive is known yet. The first backup makes one."))
        @if services.len() > shown.len() {
            p .pages { a href="/hosts" { "All " (services.len()) " hosts" } }
        }
    })
}

/// Writes the age of the newest good archive.
pub fn newest(time: Option<i64>, now: DateTime<Utc>) -> Markup {
    match time {
        Some(time) => ago(time, now),
        None => html! { "none" },
    }
}

fn table_of_destinations(all: &[ConfigHealth], now: i64) -> Markup {
    let rows: Vec<_> = all
        .iter()
        .flat_map(|one| one.places())
        .map(|place| {
            let worst = place.worst(now);
            let how = worst.map_or(State::Unknown, |worst| worst.state(now));
            let word = worst.map_or("unknown", |worst| worst.word(now));
            vec![
                html! { a href={ "/destinations/" (id_of(place.config, place.name)) } { (place.name) } },
                state(how, word),
                html! { (place.services.len()) },
                html! { (place.archives()) },
                bytes(place.size_bytes()),
                html! { @match place.room_bytes() { Some(room) => (bytes(room)), None => "-" } },
            ]
        })
        .collect();
    let columns = [
        Column::Name("Destination"),
        Column::Text("State"),
        Column::Number("Services"),
        Column::Number("Archives"),
        Column::Number("Size"),
        Column::Number("Free"),
    ];
    let failed = all.iter().any(|one| one.failure.is_some());
    if rows.is_empty() && all.iter().all(|one| one.as_of.is_none()) {
        return empty("The destinations are being asked.");
    }
    table(
        "Destinations",
        &columns,
        &rows,
        match failed {
            true => "The verbs could not tell: see above.",
            false => "No destination is configured, so nothing leaves this machine.",
        },
    )
}

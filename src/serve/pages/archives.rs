//! The archives of all destinations, the newest first.

use std::sync::Arc;

use axum::{
    extract::{Query, State as Shared},
    response::Response,
};
use chrono::{DateTime, NaiveDate, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::{addresses, wrong::Wrong};
use crate::serve::{
    Server, cursor,
    database::{Archive, ArchiveFilter, ServiceCount},
    index::freshen,
    parts::{Column, DAY, State, Tab, ago, bytes, moment, page, same, state, table, title},
    person::Viewer,
};

/// The archives of a page.
const ROWS: u32 = 50;
/// The services that a list offers.
const CHOICES: usize = 100;

/// The words of the address of the page.
#[derive(Debug, Default, Deserialize)]
pub struct Asked {
    service: Option<String>,
    day: Option<String>,
    before: Option<String>,
}

/// Shows archives.
pub async fn show(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Query(asked): Query<Asked>,
) -> Result<Response, Wrong> {
    freshen(&server);
    let now = server.now();
    let service = asked.service.filter(|service| !service.is_empty());
    let day = asked.day.as_deref().and_then(start_of_day);
    let before = asked.before.as_deref().and_then(cursor::read);
    let filter = ArchiveFilter {
        prefixes: service.clone().map(|service| vec![service]),
        since: day,
        before: before.or_else(|| Some((day? + DAY, String::new()))),
        count: ROWS,
    };
    let archives = server.database.archives(&filter)?;
    let counts = server.database.service_counts()?;
    let last = archives.last();
    let next = last.filter(|_| archives.len() == ROWS as usize && day.is_none());
    let content = html! {
        (title(&[], &html! { "Archives" }))
        form .filter method="get" action="/archives" {
            div {
                label for="service" { "Service" }
                (choice(&counts, service.as_deref()))
            }
            div {
                label for="day" { "Day, in UTC" }
                input #day type="date" name="day" value=[day.and(asked.day.as_deref())];
            }
            button type="submit" { "Show" }
        }
        (rows(&archives, now, "No archive fits. A backup makes the first one of a service."))
        @if let Some(last) = next {
            p .pages {
                a href={ (addresses::archives(service.as_deref().unwrap_or_default())) "&before=" (cursor::after(last)) } {
                    "Older archives"
                }
            }
        }
        (same("hookshot list --all-hosts"))
    };
    Ok(page(&person, Some(Tab::Archives), "Archives", &content))
}

/// Writes the field for a service: a list, or a word if the list is long.
fn choice(counts: &[ServiceCount], service: Option<&str>) -> Markup {
    html! {
        @if counts.len() > CHOICES {
            input #service name="service" value=[service] autocapitalize="none";
        } @else {
            select #service name="service" {
                option value="" { "All services" }
                @for count in counts {
                    option value=(count.prefix) selected[service == Some(&count.prefix)] {
                        (count.prefix) " (" (count.archives) ")"
                    }
                }
            }
        }
    }
}

/// Writes a table of archives.
pub fn rows(archives: &[Archive], now: DateTime<Utc>, nothing: &str) -> Markup {
    let rows = archives.iter().map(|archive| {
        let (how, word) = standing(archive);
        let size = archive.copies.iter().map(|copy| copy.size_bytes).max();
        vec![
            html! { a href={ "/archives/" (archive.id) } { (archive.prefix) ", " (moment(archive.created_at)) } },
            ago(archive.created_at, now),
            state(how, word),
            html! { (destinations(archive)) },
            html! { @if let Some(size) = size { (bytes(size)) } },
            html! { (mark(archive)) },
        ]
    });
    let columns = [
        Column::Name("Archive"),
        Column::Text("Age"),
        Column::Text("State"),
        Column::Text("Destinations"),
        Column::Number("Size"),
        Column::Text("Mark"),
    ];
    table("Archives", &columns, &rows.collect::<Vec<_>>(), nothing)
}

/// Returns the best standing of the copies of an archive, as a state and in a word.
pub fn standing(archive: &Archive) -> (State, &str) {
    let words = archive.copies.iter().map(|copy| copy.standing.as_str());
    words
        .map(state_of)
        .min()
        .unwrap_or((State::Unknown, "unknown"))
}

/// Returns the state that a standing of the report of `list` means, in a word.
pub fn state_of(standing: &str) -> (State, &str) {
    match standing {
        "good" => (State::Good, "good"),
        // Its bytes arrived whole; nothing has read them since.
        "unproven" => (State::Unknown, "stored"),
        "sealed" => (State::Unknown, "stored, sealed"),
        "cold" => (State::Unknown, "stored, cold"),
        "torn" => (State::Late, "torn"),
        other => (State::Bad, other),
    }
}

fn start_of_day(text: &str) -> Option<i64> {
    let date: NaiveDate = text.parse().ok()?;
    Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp())
}

fn destinations(archive: &Archive) -> String {
    let names = archive.copies.iter().map(|copy| copy.destination.as_str());
    names.collect::<Vec<_>>().join(", ")
}

fn mark(archive: &Archive) -> &str {
    let marks = archive
        .copies
        .iter()
        .filter_map(|copy| copy.mark.as_deref());
    marks.max().unwrap_or("")
}

//! One service: how it is, when it has archives and will have the next one, and how large they become.

use std::sync::Arc;

use axum::{
    extract::{Path, State as Shared},
    response::Response,
};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde_json::Value;

use super::{addresses, archives, home::newest, wrong::Wrong};
use crate::{
    model::readable::span,
    serve::{
        Server,
        answer::Trouble,
        database::{ArchiveFilter, Sized, id_of},
        health::health,
        identity::Person,
        index::freshen,
        parts::{
            Column, DAY, Dated, State, Tab, actions, button, bytes, calendar, card, chart, date,
            facts, first_day, moment, page, prose, same, state, table, title,
        },
        person::Viewer,
        role::Role,
        services::{Service, services},
    },
};

/// The months of the calendar.
const MONTHS: u32 = 3;
/// The archives that are shown.
const ROWS: u32 = 10;
/// The archives whose sizes are drawn.
const SIZES: u32 = 120;

/// Shows a service.
pub async fn show(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Path(prefix): Path<String>,
) -> Result<Response, Wrong> {
    freshen(&server);
    let now = server.now();
    let all = health(&server)?;
    let known = services(&server, &all)?;
    let found: Vec<&Service> = known.iter().filter(|one| one.prefix == prefix).collect();
    if found.is_empty() || !person.sees(&prefix) {
        return Err(Trouble::missing("service").into());
    }
    let filter = ArchiveFilter {
        prefixes: Some(vec![prefix.clone()]),
        count: ROWS,
        ..ArchiveFilter::default()
    };
    let newest = server.database.archives(&filter)?;
    let sizes = server.database.sizes(&prefix, SIZES)?;
    let content = html! {
        (title(&[("/hosts", "Hosts")], &html! { (prefix) }))
        @for service in &found { (about(&server, &person, service, now)?) }
        h2 { "Calendar" }
        p .quiet { "A day is one of UTC. Each marked day leads to its archives." }
        (days(&server, &prefix, now)?)
        h2 { "Size over time" }
        (over_time(&sizes))
        h2 { "Newest archives" }
        (archives::rows(&newest, now, "No archive of it is known."))
        p .pages { a href=(addresses::archives(&prefix)) { "All of its archives" } }
        (same("hookshot list --all-hosts"))
    };
    Ok(page(&person, Some(Tab::Hosts), &prefix, &content))
}

/// Writes the facts of a service, and what is wrong with it.
fn about(
    server: &Server,
    person: &Person,
    service: &Service,
    now: DateTime<Utc>,
) -> Result<Markup, Wrong> {
    let mut rows = vec![
        ("State", state(service.state, service.word)),
        ("Newest good archive", newest(service.newest_at, now)),
    ];
    if let Some(age) = service.max_age_seconds {
        rows.push(("Overdue after", html! { (span(age)) }));
    }
    rows.push((
        "Archives",
        html! { (service.archives) ", " (bytes(service.size_bytes)) },
    ));
    rows.push(("Destinations", html! { (service.destinations.join(", ")) }));
    rows.push(("Next backup", next(server, service)?));
    rows.push(("Configuration", html! { (service.config) }));
    Ok(html! {
        div .card { (facts(&rows)) }
        @if person.role >= Role::Operator && is_own(server, service)? {
            (actions(&[button(&format!("/configurations/{}/backup", id_of(&service.config, "")), "Back up now")]))
        }
        @for (destination, state, detail) in &service.details {
            @let how = if detail.unhealthy { *state } else { State::Unknown };
            (card(how, &html! {
                p { (destination) ": " (prose(&detail.message)) @if !detail.hint.is_empty() { br; span .quiet { (prose(&detail.hint)) } } }
            }))
        }
    })
}

/// Writes the next starts of backups, if this machine makes them.
fn next(server: &Server, service: &Service) -> Result<Markup, Wrong> {
    let look = server.database.look(&service.config, "schedule")?;
    let answer = look.map(|look| look.answer).unwrap_or_default();
    let jobs = answer["jobs"].as_array().into_iter().flatten();
    let job = jobs.into_iter().find(|job| job["job"] == "backup");
    let runs = job.and_then(|job| job["runs"].as_array());
    let times = runs.into_iter().flatten().filter_map(time);
    let times: Vec<i64> = times.collect();
    // Other machines that store here have schedules of their own.
    let is_own = is_own(server, service)?;
    Ok(html! {
        @if times.is_empty() || !is_own { span .quiet { "not known here: the machine that makes it has the schedule" } }
        @else { @for (place, time) in times.iter().enumerate() { @if place > 0 { br; } (moment(*time)) } }
    })
}

/// Returns true if this machine makes the archives: its last run made one, or nothing else stores here.
fn is_own(server: &Server, service: &Service) -> Result<bool, Wrong> {
    let look = server.database.look(&service.config, "status")?;
    let status = look.map(|look| look.answer).unwrap_or_default();
    let last = status["last_run"]["archive"].as_str().unwrap_or_default();
    let rest = last.strip_prefix(&service.prefix);
    let destinations = status["destinations"].as_array().into_iter().flatten();
    let mut prefixes = destinations.filter_map(|one| one["prefix"].as_str());
    let is_alone = prefixes.all(|prefix| prefix == service.prefix);
    Ok(is_alone || rest.is_some_and(|rest| rest.starts_with('-')))
}

fn time(run: &Value) -> Option<i64> {
    let time = DateTime::parse_from_rfc3339(run["time"].as_str()?).ok()?;
    Some(time.timestamp())
}

fn days(server: &Server, prefix: &str, now: DateTime<Utc>) -> Result<Markup, Wrong> {
    let today = now.timestamp().div_euclid(DAY);
    let found = (server.database).days(&[prefix], first_day(today, MONTHS))?;
    let days = found.into_values().flatten().map(|day| Dated {
        day: day.day,
        state: if day.is_usable {
            State::Good
        } else {
            State::Late
        },
        archives: day.archives,
        address: addresses::archives_of_day(prefix, &date(day.day)),
    });
    Ok(calendar(&days.collect::<Vec<_>>(), today, MONTHS))
}

/// Writes the sizes as a drawing, and the same numbers as a table.
fn over_time(sizes: &[Sized]) -> Markup {
    let points: Vec<_> = sizes
        .iter()
        .map(|one| (one.created_at, one.size_bytes))
        .collect();
    let rows = sizes.iter().rev().map(|one| {
        vec![
            html! { a href={ "/archives/" (one.id) } { (moment(one.created_at)) } },
            bytes(one.size_bytes),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let columns = [Column::Name("Archive"), Column::Number("Size")];
    html! {
        (chart(&points, "The sizes of the archives over time. The table below has the numbers."))
        details {
            summary { "The same numbers as a table" }
            (table("Sizes", &columns, &rows, "Nothing is known yet."))
        }
    }
}

//! One destination: its health, what it can do, and what the retention policy would remove there.

use std::{path::Path as File, sync::Arc};

use axum::{
    extract::{Path, State as Shared},
    response::Response,
};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde_json::Value;

use super::{addresses, archive::unreadable, home, wrong::Wrong};
use crate::{
    model::shell_word::quoted,
    serve::{
        Server,
        answer::{Trouble, require_told},
        database::{ServeRun, id_of},
        health::{Place, health},
        index::freshen,
        parts::{
            Column, State, Tab, actions, ago, button, bytes, empty, facts, page, same, state,
            table, title,
        },
        person::Viewer,
        program::Asked,
        role::Role,
    },
};

/// The archives of a list that are shown.
const ROWS: usize = 200;

/// Shows a destination.
pub async fn show(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Path(id): Path<String>,
) -> Result<Response, Wrong> {
    freshen(&server);
    let all = health(&server)?;
    let mut places = all.iter().flat_map(|one| one.places());
    let place = places.find(|place| id_of(place.config, place.name) == id);
    let place = place.ok_or_else(|| Trouble::missing("destination"))?;
    let config = server.config(place.config);
    let config = config.ok_or_else(|| Trouble::missing("configuration"))?;
    let now = server.now();
    let check = (server.database).last_run(place.config, "check", place.name)?;
    let check = check.and_then(|run| checked(&run));
    let retention = retention(&server, config, place.name).await;
    let mut buttons = Vec::new();
    if person.role >= Role::Operator {
        buttons.push(button(&format!("/destinations/{id}/check"), "Check now"));
    }
    let content = html! {
        (title(&[("/destinations", "Destinations")], &html! { (place.name) }))
        (about(&place, now))
        (actions(&buttons))
        h2 { "Services" }
        (services(&place, now))
        h2 { "Capabilities" }
        (capabilities(check, now))
        h2 { "Retention" }
        (retention)
        (same(&format!("hookshot prune --dry-run {}", quoted(place.name))))
    };
    Ok(page(&person, Some(Tab::Destinations), place.name, &content))
}

/// Returns the time of the newest good archive of a destination.
pub fn newest_of(place: &Place<'_>) -> Option<i64> {
    let newest = place.services.iter().filter_map(|one| one.newest.as_ref());
    newest.map(|newest| newest.time.timestamp()).max()
}

fn about(place: &Place<'_>, now: DateTime<Utc>) -> Markup {
    let worst = place.worst(now.timestamp());
    let how = worst.map_or(State::Unknown, |worst| worst.state(now.timestamp()));
    let word = worst.map_or("unknown", |worst| worst.word(now.timestamp()));
    let mut rows = vec![
        ("State", state(how, word)),
        ("Newest good archive", home::newest(newest_of(place), now)),
        (
            "Archives",
            html! { (place.archives()) ", " (bytes(place.size_bytes())) },
        ),
    ];
    if let Some(room) = place.room_bytes() {
        rows.push(("Free", bytes(room)));
    }
    rows.push(("Configuration", html! { (place.config) }));
    html! { div .card { (facts(&rows)) } }
}

fn services(place: &Place<'_>, now: DateTime<Utc>) -> Markup {
    let seconds = now.timestamp();
    let mut services = place.services.clone();
    services.sort_by_key(|one| std::cmp::Reverse(one.state(seconds)));
    let rows: Vec<_> = services
        .iter()
        .take(ROWS)
        .map(|one| {
            let newest = one.newest.as_ref().map(|newest| newest.time.timestamp());
            vec![
                html! { a href=(addresses::service(&one.prefix)) { (one.prefix) } },
                state(one.state(seconds), one.word(seconds)),
                home::newest(newest, now),
                html! { @match one.archives { Some(count) => (count), None => "-" } },
                html! { @match one.size_bytes { Some(size) => (bytes(size)), None => "-" } },
                html! { @for detail in &one.details { p { (detail.message) } } },
            ]
        })
        .collect();
    let columns = [
        Column::Name("Service"),
        Column::Text("State"),
        Column::Text("Newest"),
        Column::Number("Archives"),
        Column::Number("Size"),
        Column::Text("Remarks"),
    ];
    html! {
        (table("Services", &columns, &rows, "Nothing stores here."))
        @if services.len() > ROWS { p .quiet { "The first " (ROWS) " of " (services.len()) ", the worst first." } }
    }
}

/// Returns what a run that checked this destination told of it, with the time of its end.
fn checked(run: &ServeRun) -> Option<(i64, Value)> {
    // It was asked for this destination alone.
    let destinations = run.report.as_ref()?["destinations"].as_array()?;
    Some((run.ended_at?, destinations.first()?.clone()))
}

fn capabilities(check: Option<(i64, Value)>, now: DateTime<Utc>) -> Markup {
    let Some((at, told)) = check else {
        return empty(
            "It was not checked from here yet. A check writes, reads and removes a small object.",
        );
    };
    let all = told["capabilities"].as_array().into_iter().flatten();
    let rows: Vec<_> = all
        .map(|one| {
            let name = one["name"].as_str().unwrap_or("-").replace('_', " ");
            let is_good = one["good"].as_bool().unwrap_or(false);
            vec![
                html! { (name) },
                if is_good {
                    state(State::Good, "yes")
                } else {
                    state(State::Bad, "no")
                },
                html! { (one["message"].as_str().unwrap_or("")) },
            ]
        })
        .collect();
    let columns = [
        Column::Name("Capability"),
        Column::Text("Works"),
        Column::Text("Remark"),
    ];
    html! {
        p .quiet { "The last check ended " (ago(at, now)) "." }
        (table("Capabilities", &columns, &rows, "The check told of none: see its run."))
    }
}

/// Writes the archives that the policy would remove there, and the reasons.
async fn retention(server: &Server, config: &File, name: &str) -> Markup {
    let asked = server.program.ask(config, &Asked::Prune(name)).await;
    let told = asked.map_err(Trouble::from);
    let told = told.and_then(|answer| require_told(answer.report, "keep"));
    let report = match told {
        Ok(report) => report,
        Err(trouble) => return unreadable(&trouble.failure),
    };
    let [remove, keep] = ["remove", "keep"].map(|key| report[key].as_array().cloned());
    let (remove, keep) = (remove.unwrap_or_default(), keep.unwrap_or_default());
    let rows: Vec<_> = remove.iter().take(ROWS).map(removal).collect();
    let columns = [
        Column::Name("Archive that would go"),
        Column::Text("Reason"),
        Column::Number("Size"),
    ];
    html! {
        @if keep.iter().all(|one| one["reasons"] == serde_json::json!(["no policy"])) {
            p { "No retention policy is set for it, so nothing is removed." }
        } @else { p {
            @match remove.len() {
                0 => "The policy would remove nothing now",
                1 => "The policy would remove one archive now",
                count => { "The policy would remove " (count) " archives now" }
            }
            ", and keep " (keep.len()) ". " span .quiet { "Looking removes nothing." }
        } }
        @if !rows.is_empty() { (table("Archives that would go", &columns, &rows, "")) }
        @if remove.len() > ROWS { p .quiet { "The first " (ROWS) " are shown." } }
        @if let Some(message) = report["error"]["message"].as_str() { p .quiet { (message) } }
    }
}

fn removal(one: &Value) -> Vec<Markup> {
    vec![
        html! { (one["name"].as_str().unwrap_or("-")) },
        html! { (one["reason"].as_str().unwrap_or("")) },
        html! { @if let Some(size) = one["size_bytes"].as_u64() { (bytes(size)) } },
    ]
}

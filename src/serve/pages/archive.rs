//! One archive: whose it is, of when, at which destinations, and what is in it.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State as Shared},
    http::HeaderMap,
    response::Response,
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::{
    addresses,
    archives::{standing, state_of},
    tree::tree,
    wrong::Wrong,
};
use crate::{
    error::Failure,
    model::shell_word::quoted,
    serve::{
        Server,
        api::{download, readable, seen},
        cursor,
        database::Archive,
        identity::Person,
        inspected::{Inspected, Wanted, inspect},
        parts::{
            Column, State, Tab, actions, ago, button, bytes, card, facts, link, moment, page,
            prose, same, state, table, title,
        },
        person::{Operator, Viewer},
        role::Role,
    },
};

/// The entries and folders that are shown.
const ROWS: usize = 500;

/// The words of the address of the page.
#[derive(Debug, Deserialize)]
pub struct Asked {
    path: Option<String>,
    after: Option<String>,
}

/// The words of the address of an entry.
#[derive(Debug, Deserialize)]
pub struct AskedEntry {
    entry: String,
}

/// Shows an archive.
pub async fn show(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Wrong> {
    let archive = seen(&server, &person, &id)?;
    let (config, copy) = readable(&server, &archive)?;
    let path = asked.path.map(|path| path.trim_matches('/').to_owned());
    let path = path.filter(|path| !path.is_empty());
    let after = cursor::given(asked.after.as_deref(), cursor::read_name)?;
    let wanted = Wanted::below(path.clone(), after, ROWS);
    // A page of an archive that cannot be read tells of its copies all the same.
    let (inspected, failure) = match inspect(&server.program, config, copy, wanted).await {
        Ok(inspected) => (inspected, None),
        Err(trouble) => (Inspected::default(), Some(trouble.failure)),
    };
    let above = [
        ("/archives".to_owned(), "Archives"),
        (addresses::service(&archive.prefix), archive.prefix.as_str()),
    ];
    let above = above.each_ref().map(|(path, name)| (path.as_str(), *name));
    let content = html! {
        (title(&above, &html! { (archive.prefix) ", " (moment(archive.created_at)) }))
        (about(&archive, &inspected, server.now()))
        (buttons(&archive, &person))
        h2 { "Copies" }
        (copies(&archive))
        h2 #entries { "Entries" }
        @match &failure {
            Some(failure) => (unreadable(failure)),
            None => (tree(&archive.id, path.as_deref(), &inspected, person.role)),
        }
        (same(&format!("hookshot inspect {}", quoted(&copy.location))))
    };
    Ok(page(&person, Some(Tab::Archives), &archive.name, &content))
}

/// Gives an entry as a download.
pub async fn content(
    Shared(server): Shared<Arc<Server>>,
    Operator(person): Operator,
    Path(id): Path<String>,
    Query(asked): Query<AskedEntry>,
    headers: HeaderMap,
) -> Result<Response, Wrong> {
    Ok(download(&server, &person, (&id, &asked.entry), &headers).await?)
}

fn about(archive: &Archive, inspected: &Inspected, now: chrono::DateTime<chrono::Utc>) -> Markup {
    let nothing = Value::Null;
    let manifest = inspected.report.get("manifest").unwrap_or(&nothing);
    let (how, word) = standing(archive);
    let mut rows = vec![
        ("State", state(how, word)),
        ("Age", ago(archive.created_at, now)),
    ];
    for (name, key) in [
        ("Host", "hostname"),
        ("Application", "app"),
        ("Version", "app_version"),
    ] {
        if let Some(text) = manifest[key].as_str() {
            rows.push((name, html! { (text) }));
        }
    }
    rows.push(("File", html! { (archive.name) }));
    html! { div .card { (facts(&rows)) } }
}

/// Writes the buttons that the role allows.
fn buttons(archive: &Archive, person: &Person) -> Markup {
    let path = format!("/archives/{}", archive.id);
    let mut all = Vec::new();
    if person.role >= Role::Operator {
        let restore = html! { a .button.main href={ (path) "/restore" } { "Restore…" } };
        all.push(restore);
    }
    all.push(link(&format!("{path}/diff"), "Compare"));
    if person.role >= Role::Operator {
        all.push(button(&format!("{path}/verify"), "Verify"));
        all.push(button(&format!("{path}/drill"), "Drill"));
    }
    html! {
        (actions(&all))
        @if person.role >= Role::Operator {
            details {
                summary { "Keep it, whatever the retention policy says" }
                form .filter method="post" action={ (path) "/mark" } {
                    div {
                        label for="reason" { "Reason" }
                        input #reason name="reason" maxlength="200" required;
                    }
                    div {
                        label for="until" { "Until, for good if empty" }
                        input #until type="date" name="until";
                    }
                    button type="submit" { "Keep" }
                }
                @if archive.copies.iter().any(|copy| copy.mark.is_some()) {
                    form .filter method="post" action={ (path) "/mark" } {
                        button type="submit" name="act" value="release" { "Keep it no longer" }
                    }
                }
            }
        }
    }
}

fn copies(archive: &Archive) -> Markup {
    let rows = archive.copies.iter().map(|copy| {
        let (how, word) = state_of(&copy.standing);
        vec![
            html! { (copy.destination) },
            state(how, word),
            bytes(copy.size_bytes),
            html! { @if let Some(time) = copy.modified_at { (moment(time)) } @else { "-" } },
            html! { @if copy.is_sealed { "yes" } @else { "no" } },
            html! { (copy.mark.as_deref().unwrap_or("")) },
        ]
    });
    let columns = [
        Column::Name("Destination"),
        Column::Text("State"),
        Column::Number("Size"),
        Column::Text("Arrived"),
        Column::Text("Encrypted"),
        Column::Text("Mark"),
    ];
    let rows: Vec<_> = rows.collect();
    table(
        "Copies",
        &columns,
        &rows,
        "No destination holds it any more.",
    )
}

/// Writes that an archive cannot be read, and why.
pub fn unreadable(failure: &Failure) -> Markup {
    card(
        State::Bad,
        &html! {
            p { (prose(&failure.message)) }
            @for fault in &failure.faults { p { (fault) } }
            @if let Some(hint) = &failure.hint { p .quiet { (prose(hint)) } }
        },
    )
}

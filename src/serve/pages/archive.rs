//! One archive: whose it is, of when, at which destinations, and what is in it.

use std::sync::Arc;

use axum::{
    extract::{Path, State as Shared},
    response::Response,
};
use maud::{Markup, html};
use serde_json::Value;

use super::wrong::Wrong;
use crate::{
    model::shell_word::quoted,
    serve::{
        Server,
        answer::Trouble,
        inspected::{Inspected, Wanted, inspect},
        parts::{Tab, ago, bytes, moment, page, same},
        person::Viewer,
    },
};

/// The entries that are shown.
const ROWS: usize = 1000;

/// Shows an archive.
pub async fn show(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Path(id): Path<String>,
) -> Result<Response, Wrong> {
    let archive = server.database.archive(&id)?;
    let archive = archive.filter(|archive| person.sees(&archive.prefix));
    let archive = archive.ok_or_else(|| Trouble::missing("archive"))?;
    let config = server.config(&archive.config);
    let config = config.ok_or_else(|| Trouble::missing("configuration"))?;
    let copy = archive
        .copies
        .first()
        .ok_or_else(|| Trouble::missing("copy"))?;
    let wanted = Wanted::first(ROWS);
    // A page of an archive that cannot be read tells of its copies all the same.
    let (inspected, failure) = match inspect(&server.program, config, copy, wanted).await {
        Ok(inspected) => (inspected, None),
        Err(trouble) => (Inspected::default(), Some(trouble.failure)),
    };
    let nothing = Value::Null;
    let manifest = inspected.report.get("manifest").unwrap_or(&nothing);
    let now = server.now();
    let content = html! {
        p .quiet { a href={ "/archives?service=" (archive.prefix) } { (archive.prefix) } }
        h1 { (archive.prefix) ", " (moment(archive.created_at)) }
        div .card {
            dl .facts {
                dt { "Age" } dd { (ago(archive.created_at, now)) }
                dt { "File" } dd { (archive.name) }
                @if let Some(host) = manifest["hostname"].as_str() { dt { "Host" } dd { (host) } }
                @if let Some(app) = manifest["app"].as_str() { dt { "Application" } dd { (app) } }
                @if let Some(version) = manifest["app_version"].as_str() { dt { "Version" } dd { (version) } }
            }
        }
        h2 { "Copies" }
        div .wide tabindex="0" role="region" aria-label="Copies" {
            table {
                thead { tr {
                    th scope="col" { "Destination" } th scope="col" .number { "Size" }
                    th scope="col" { "Arrived" } th scope="col" { "Mark" }
                } }
                tbody {
                    @for copy in &archive.copies {
                        tr {
                            td { (copy.destination) }
                            td .number { (bytes(copy.size_bytes)) }
                            td { @if let Some(time) = copy.modified_at { (moment(time)) } @else { "-" } }
                            td { (copy.mark.as_deref().unwrap_or("")) }
                        }
                    }
                }
            }
        }
        h2 { "Entries" }
        @match &failure {
            Some(failure) => div .card.needs.bad {
                p { (failure.message) }
                @if let Some(hint) = &failure.hint { p .quiet { (hint) } }
            },
            None => (entries(&inspected)),
        }
        (same(&format!("hookshot inspect {}", quoted(&copy.location))))
    };
    Ok(page(&person, Some(Tab::Archives), &archive.name, &content))
}

fn entries(inspected: &Inspected) -> Markup {
    let shown = inspected.entries.len();
    html! {
        div .wide tabindex="0" role="region" aria-label="Entries" {
            table {
                thead { tr { th scope="col" { "Entry" } th scope="col" { "Kind" } th scope="col" .number { "Size" } th scope="col" { "Mode" } } }
                tbody {
                    @for entry in &inspected.entries {
                        tr {
                            td .name { (entry.entry) }
                            td { (entry.kind) }
                            td .number { (bytes(entry.size_bytes)) }
                            td { (entry.mode.as_deref().unwrap_or("-")) }
                        }
                    }
                }
            }
        }
        @if inspected.has_more { p .quiet { "The first " (shown) " of " (inspected.count) " entries." } }
    }
}

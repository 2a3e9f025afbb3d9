//! The archives of all destinations, the newest first.

use std::sync::Arc;

use axum::{
    extract::{Query, State as Shared},
    response::Response,
};
use maud::html;
use serde::Deserialize;

use super::wrong::Wrong;
use crate::serve::{
    Server, cursor,
    database::{Archive, ArchiveFilter},
    index::freshen,
    parts::{Tab, ago, bytes, moment, page, same},
    person::Viewer,
};

/// The archives of a page.
const ROWS: u32 = 100;

/// The words of the address of the page.
#[derive(Debug, Deserialize)]
pub struct Asked {
    service: Option<String>,
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
    let before = asked.before.as_deref().and_then(cursor::read);
    let filter = ArchiveFilter {
        prefixes: service.clone().map(|service| vec![service]),
        before,
        count: ROWS,
        ..ArchiveFilter::default()
    };
    let archives = server.database.archives(&filter)?;
    let services = server.database.services()?;
    let mut names: Vec<&String> = services.keys().collect();
    names.sort();
    let next = (archives.len() == ROWS as usize)
        .then(|| archives.last())
        .flatten();
    let content = html! {
        h1 { "Archives" }
        form method="get" action="/archives" {
            label for="service" { "Service" }
            select #service name="service" {
                option value="" { "all" }
                @for name in names {
                    option value=(name) selected[service.as_ref() == Some(name)] {
                        (name) " (" (services.get(name).map_or(0, |(count, _)| *count)) ")"
                    }
                }
            }
            " " button type="submit" { "Show" }
        }
        p {}
        div .wide tabindex="0" role="region" aria-label="Archives" {
            table {
                thead {
                    tr {
                        th scope="col" { "Archive" }
                        th scope="col" { "Time" }
                        th scope="col" { "Age" }
                        th scope="col" { "Destinations" }
                        th scope="col" .number { "Size" }
                        th scope="col" { "Mark" }
                    }
                }
                tbody {
                    @for archive in &archives {
                        tr {
                            td .name { a href={ "/archives/" (archive.id) } { (archive.name) } }
                            td { (moment(archive.created_at)) }
                            td { (ago(archive.created_at, now)) }
                            td { (destinations(archive)) }
                            td .number { @if let Some(copy) = archive.copies.first() { (bytes(copy.size_bytes)) } }
                            td { (mark(archive)) }
                        }
                    }
                    @if archives.is_empty() { tr { td colspan="6" { "There are none." } } }
                }
            }
        }
        @if let Some(last) = next {
            p .pages {
                a href={ "/archives?service=" (service.as_deref().unwrap_or_default()) "&before=" (cursor::after(last)) } {
                    "Older archives"
                }
            }
        }
        (same("hookshot list --all-hosts"))
    };
    Ok(page(&person, Some(Tab::Archives), "Archives", &content))
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

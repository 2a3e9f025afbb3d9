//! The hosts, by the place of their archives: found by name, sorted, page by page.

use std::{cmp::Reverse, sync::Arc};

use axum::{
    extract::{Query, State as Shared},
    response::Response,
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{addresses, home::newest, wrong::Wrong};
use crate::serve::{
    Server,
    health::health,
    index::freshen,
    parts::{Column, State, Tab, bytes, page, same, state, table, title},
    person::Viewer,
    services::{Service, services},
};

/// The hosts of a page.
const ROWS: usize = 50;

/// The words of the address of the page.
#[derive(Debug, Default, Deserialize)]
pub struct Asked {
    name: Option<String>,
    #[serde(default)]
    sort: Sort,
    page: Option<usize>,
}

/// The order of the hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sort {
    /// The worst first.
    #[default]
    State,
    /// By name.
    Name,
    /// The oldest first.
    Age,
    /// The largest first.
    Size,
}

impl Sort {
    const ALL: [(Sort, &'static str, &'static str); 4] = [
        (Sort::State, "state", "Worst first"),
        (Sort::Name, "name", "Name"),
        (Sort::Age, "age", "Oldest archive first"),
        (Sort::Size, "size", "Largest first"),
    ];

    fn name(self) -> &'static str {
        let found = Sort::ALL.iter().find(|(sort, ..)| *sort == self);
        found.map_or("state", |(_, name, _)| name)
    }

    fn order(self, hosts: &mut [Service]) {
        match self {
            Sort::State => hosts.sort_by_key(|host| (Reverse(host.state), host.newest_at)),
            Sort::Name => hosts.sort_by(|one, other| one.prefix.cmp(&other.prefix)),
            Sort::Age => hosts.sort_by_key(|host| host.newest_at),
            Sort::Size => hosts.sort_by_key(|host| Reverse(host.size_bytes)),
        }
    }
}

/// Shows hosts.
pub async fn show(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Query(asked): Query<Asked>,
) -> Result<Response, Wrong> {
    freshen(&server);
    let all = health(&server)?;
    let mut hosts = services(&server, &all)?;
    let count = hosts.len();
    let ill = hosts
        .iter()
        .filter(|host| host.state > State::Unknown)
        .count();
    let name = asked.name.unwrap_or_default();
    hosts.retain(|host| person.sees(&host.prefix) && host.prefix.contains(name.trim()));
    asked.sort.order(&mut hosts);
    let number = asked.page.unwrap_or(1).max(1);
    let start = (number - 1).saturating_mul(ROWS).min(hosts.len());
    let shown: Vec<&Service> = hosts.iter().skip(start).take(ROWS).collect();
    let now = server.now();
    let rows: Vec<_> = shown
        .iter()
        .map(|host| {
            vec![
                html! { a href=(addresses::service(&host.prefix)) { (host.prefix) } },
                state(host.state, host.word),
                newest(host.newest_at, now),
                html! { (host.archives) },
                bytes(host.size_bytes),
                html! { (host.destinations.join(", ")) },
            ]
        })
        .collect();
    let columns = [
        Column::Name("Host or service"),
        Column::Text("State"),
        Column::Text("Newest"),
        Column::Number("Archives"),
        Column::Number("Size"),
        Column::Text("Destinations"),
    ];
    let content = html! {
        (title(&[], &html! { "Hosts" }))
        p .quiet { (summary(count, ill)) " The names of the archives at the destinations tell them." }
        (filter(&name, asked.sort))
        (table("Hosts", &columns, &rows, "No name fits."))
        (pages(&name, asked.sort, (number, hosts.len())))
        (same("hookshot status --all-hosts"))
    };
    Ok(page(&person, Some(Tab::Hosts), "Hosts", &content))
}

fn summary(count: usize, ill: usize) -> String {
    let hosts = if count == 1 {
        "One host".to_owned()
    } else {
        format!("{count} hosts")
    };
    match ill {
        0 => format!("{hosts}, and nothing is to be done."),
        1 => format!("{hosts}, of which one needs work."),
        _ => format!("{hosts}, of which {ill} need work."),
    }
}

fn filter(name: &str, sort: Sort) -> Markup {
    html! {
        form .filter method="get" action="/hosts" role="search" {
            div {
                label for="name" { "Part of the name" }
                input #name type="search" name="name" value=(name) autocapitalize="none";
            }
            div {
                label for="sort" { "Order" }
                select #sort name="sort" {
                    @for (one, value, words) in Sort::ALL { option value=(value) selected[one == sort] { (words) } }
                }
            }
            button type="submit" { "Show" }
        }
    }
}

fn pages(name: &str, sort: Sort, (number, count): (usize, usize)) -> Markup {
    let last = count.div_ceil(ROWS).max(1);
    let address = |number: usize| {
        format!(
            "/hosts?name={}&sort={}&page={number}",
            addresses::word(name),
            sort.name()
        )
    };
    html! {
        @if last > 1 {
            nav .pages aria-label="Pages of the list" {
                @if number > 1 { a rel="prev" href=(address(number.min(last + 1) - 1)) { "Before" } }
                span .quiet { "Page " (number.min(last)) " of " (last) }
                @if number < last { a rel="next" href=(address(number + 1)) { "Next" } }
            }
        }
    }
}

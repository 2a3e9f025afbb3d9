//! Users, tokens and the audit trail, for admins.

use std::sync::Arc;

use axum::{extract::State as Shared, response::Response};
use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::wrong::Wrong;
use crate::serve::{
    Server,
    database::Token,
    parts::{Column, State, Tab, ago, moment, page, state, table, title},
    person::Admin,
};

/// The records of the trail that are shown.
const ROWS: u32 = 200;
const USERS: [Column<'_>; 3] = [
    Column::Name("Name"),
    Column::Text("Role"),
    Column::Text("Changed"),
];
const TOKENS: [Column<'_>; 5] = [
    Column::Name("Name"),
    Column::Text("Role"),
    Column::Text("Services"),
    Column::Text("Ends"),
    Column::Text("Last use"),
];
const RECORDS: [Column<'_>; 6] = [
    Column::Name("Act"),
    Column::Text("Time"),
    Column::Text("Name"),
    Column::Text("Address"),
    Column::Text("Outcome"),
    Column::Number("Number"),
];

/// Shows users, tokens and the trail.
pub async fn show(
    Shared(server): Shared<Arc<Server>>,
    Admin(person): Admin,
) -> Result<Response, Wrong> {
    let (users, tokens) = (server.database.users()?, server.database.tokens()?);
    let (records, fault) = (
        server.database.audit(None, ROWS)?,
        server.database.audit_fault()?,
    );
    let now = server.now();
    let users: Vec<_> = users
        .into_iter()
        .map(|user| {
            vec![
                html! { (user.name) },
                html! { (user.role) },
                ago(user.changed_at, now),
            ]
        })
        .collect();
    let tokens: Vec<_> = tokens.iter().map(|token| row_of(token, now)).collect();
    let records: Vec<_> = records
        .into_iter()
        .map(|record| {
            vec![
                html! { (record.action) @if !record.target.is_empty() { " " (record.target) } },
                moment(record.at),
                html! { (record.actor) },
                html! { (record.address) },
                html! { (record.outcome) },
                html! { (record.number) },
            ]
        })
        .collect();
    let content = html! {
        (title(&[], &html! { "Settings" }))
        h2 { "Users" }
        (table("Users", &USERS, &users, "No user is known."))
        p .quiet { "New users are made on the machine: " code { "hookshot serve user add NAME --role viewer --state " (server.database.path().display()) } }
        h2 { "Tokens" }
        (table("Tokens", &TOKENS, &tokens, "None yet. Programs need one to use the REST API."))
        p .quiet { "They are made on the machine: " code { "hookshot serve token add NAME --role viewer --expires 90d --state " (server.database.path().display()) } }
        h2 { "Audit trail" }
        p {
            @match fault {
                None => { (state(State::Good, "whole")) " No record was changed or removed since it was written." },
                Some(number) => { (state(State::Bad, "changed")) " Record " (number) " is not as it was written." }
            }
        }
        (table("Audit trail", &RECORDS, &records, "Nothing was done yet."))
    };
    Ok(page(&person, Some(Tab::Settings), "Settings", &content))
}

fn row_of(token: &Token, now: DateTime<Utc>) -> Vec<Markup> {
    let hosts = token.hosts.as_ref();
    vec![
        html! { (token.name) },
        html! { (token.role) },
        html! { (hosts.map_or_else(|| "all".to_owned(), |hosts| hosts.join(", "))) },
        html! { @match token.expires_at { Some(time) => (moment(time)), None => "never" } },
        html! { @match token.used_at { Some(time) => (ago(time, now)), None => "never" } },
    ]
}

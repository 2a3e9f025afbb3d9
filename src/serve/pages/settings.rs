//! Users, tokens and the audit trail, for admins.

use std::sync::Arc;

use axum::{extract::State as Shared, response::Response};
use maud::html;

use super::wrong::Wrong;
use crate::serve::{
    Server,
    parts::{State, Tab, ago, moment, page, same, state},
    person::Admin,
};

/// The records of the trail that are shown.
const ROWS: u32 = 200;

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
    let content = html! {
        h1 { "Settings" }
        h2 { "Users" }
        div .wide tabindex="0" role="region" aria-label="Users" { table {
            thead { tr { th scope="col" { "Name" } th scope="col" { "Role" } th scope="col" { "Changed" } } }
            tbody { @for user in users { tr { td { (user.name) } td { (user.role) } td { (ago(user.changed_at, now)) } } } }
        } }
        (same("hookshot serve user add NAME --role viewer"))
        h2 { "Tokens" }
        div .wide tabindex="0" role="region" aria-label="Tokens" { table {
            thead { tr {
                th scope="col" { "Name" } th scope="col" { "Role" } th scope="col" { "Services" }
                th scope="col" { "Ends" } th scope="col" { "Last use" }
            } }
            tbody {
                @for token in &tokens {
                    tr {
                        td { (token.name) } td { (token.role) }
                        td { (token.hosts.as_ref().map_or_else(|| "all".to_owned(), |hosts| hosts.join(", "))) }
                        td { @match token.expires_at { Some(time) => (moment(time)), None => "never" } }
                        td { @match token.used_at { Some(time) => (ago(time, now)), None => "never" } }
                    }
                }
                @if tokens.is_empty() { tr { td colspan="5" { "There are none." } } }
            }
        } }
        (same("hookshot serve token add NAME --role viewer --expires 90d"))
        h2 { "Audit trail" }
        p {
            @match fault {
                None => (state(State::Good, "whole")),
                Some(number) => { (state(State::Bad, "changed")) " Record " (number) " is not as it was written." }
            }
        }
        div .wide tabindex="0" role="region" aria-label="Audit trail" { table {
            thead { tr {
                th scope="col" .number { "Number" } th scope="col" { "Time" } th scope="col" { "Name" } th scope="col" { "Address" }
                th scope="col" { "Act" } th scope="col" { "Target" } th scope="col" { "Outcome" }
            } }
            tbody { @for record in records { tr {
                td .number { (record.number) } td { (moment(record.at)) } td { (record.actor) } td { (record.address) }
                td { (record.action) } td { (record.target) } td { (record.outcome) }
            } } }
        } }
    };
    Ok(page(&person, Some(Tab::Settings), "Settings", &content))
}

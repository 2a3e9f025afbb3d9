//! The first step of a restore: an archive, and the entries of it that are wanted. The answer is a plan; nothing changes.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Form,
    extract::{Path, State as Shared},
    response::{IntoResponse as _, Redirect, Response},
};
use maud::{Markup, html};

use super::wrong::Wrong;
use crate::{
    error::{Failure, Kind},
    model::shell_word::quoted,
    serve::{
        Server,
        api::{readable, seen},
        parts::{State, Tab, ago, bytes, card, moment, page, same, title},
        person::Operator,
        plans::{Choice, Wish, choices, plan_import},
    },
};

/// The name of the fields of the form.
const FIELD: &str = "entry";

/// Shows an archive and its entries, all of them chosen.
pub async fn show(
    Shared(server): Shared<Arc<Server>>,
    Operator(person): Operator,
    Path(id): Path<String>,
) -> Result<Response, Wrong> {
    let archive = seen(&server, &person, &id)?;
    let (config, copy) = readable(&server, &archive)?;
    let (choices, inspected) = choices(&server, config, copy).await?;
    let manifest = inspected
        .report
        .get("manifest")
        .cloned()
        .unwrap_or_default();
    let host = manifest["hostname"].as_str();
    let content = html! {
        (title(
            &[("/archives", "Archives"), (&format!("/archives/{}", archive.id), &archive.name)],
            &html! { "Restore " (archive.prefix) " of " (moment(archive.created_at)) },
        ))
        p .large {
            "The state of " strong { (archive.prefix) } ", as it was " (ago(archive.created_at, server.now()))
            @if let Some(host) = host { " on " strong { (host) } }
            ", from " strong { (copy.destination) } ", onto this machine: " strong { (server.host) } "."
        }
        @if host.is_some_and(|host| host != server.host) {
            (card(State::Late, &html! { p {
                "This archive is of another machine, " strong { (host.unwrap_or_default()) } ". This machine is "
                strong { (server.host) } "."
            } }))
        }
        form method="post" action={ "/archives/" (archive.id) "/plan" } {
            fieldset {
                legend { "Restore these entries" }
                (boxes(&choices))
            }
            p .quiet { "The next page shows what would happen, step by step. Nothing changes yet." }
            button .main type="submit" { "Show what would happen" }
        }
        (same(&format!("hookshot import --dry-run {}", quoted(&copy.location))))
    };
    Ok(page(&person, Some(Tab::Archives), "Restore", &content))
}

fn boxes(choices: &[Choice]) -> Markup {
    html! {
        @for choice in choices {
            label .check {
                input type="checkbox" name=(FIELD) value=(choice.entry) checked;
                span {
                    (choice.entry) " "
                    span .quiet {
                        "(" (choice.kind)
                        @if let Some(size) = choice.size_bytes { ", " (bytes(size)) }
                        ")"
                    }
                }
            }
        }
    }
}

/// Makes the plan, and leads to it.
pub async fn plan(
    Shared(server): Shared<Arc<Server>>,
    Operator(person): Operator,
    Path(id): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Wrong> {
    let archive = seen(&server, &person, &id)?;
    let (config, copy) = readable(&server, &archive)?;
    let fields = fields.into_iter().filter(|(name, _)| name == FIELD);
    let chosen: BTreeSet<String> = fields.map(|(_, entry)| entry).collect();
    if chosen.is_empty() {
        let failure = Failure::new(Kind::Usage, "no entry is chosen");
        return Err(failure.hint("go back, and choose at least one").into());
    }
    let (choices, inspected) = choices(&server, config, copy).await?;
    // All entries that the form offered are the whole archive, if it offered them all.
    let is_whole = !inspected.has_more && choices.iter().all(|one| chosen.contains(&one.entry));
    let wish = Wish {
        entries: match is_whole && chosen.len() == choices.len() {
            true => Vec::new(),
            false => chosen.into_iter().collect(),
        },
        ..Wish::default()
    };
    let plan = plan_import(&server, &person, &archive, wish).await?;
    Ok(Redirect::to(&format!("/plans/{}", plan.id)).into_response())
}

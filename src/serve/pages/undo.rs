//! Undo: leads to the plan of a rollback, and says why not if there is nothing to undo.

use std::sync::Arc;

use axum::{
    Form,
    extract::State as Shared,
    response::{IntoResponse as _, Redirect, Response},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::wrong::Wrong;
use crate::serve::{
    Server,
    answer::Trouble,
    database::ServeRun,
    identity::Person,
    person::Operator,
    plans::{Undo, plan_rollback, undo},
    role::Role,
};

/// The field of the form.
#[derive(Deserialize)]
pub struct Undoing {
    configuration: String,
}

/// Makes the plan of a rollback, and leads to it. Nothing changes.
pub async fn plan(
    Shared(server): Shared<Arc<Server>>,
    Operator(person): Operator,
    Form(said): Form<Undoing>,
) -> Result<Response, Wrong> {
    let config = server.config(&said.configuration);
    let config = config.ok_or_else(|| Trouble::missing("configuration"))?;
    let plan = plan_rollback(&server, &person, &server.host, config).await?;
    Ok(Redirect::to(&format!("/plans/{}", plan.id)).into_response())
}

/// Writes the part of the page of a run that undoes it.
pub fn part(server: &Server, person: &Person, run: &ServeRun) -> anyhow::Result<Markup> {
    let undo = undo(server, run)?;
    Ok(html! {
        @match undo {
            Undo::Nothing => {}
            Undo::Impossible(reason) => {
                h2 { "Undo" }
                p { (reason) }
            }
            Undo::Possible => {
                h2 { "Undo" }
                p { "What was replaced stays beside the new, and can be brought back. The next page shows how; nothing changes yet." }
                @if person.role >= Role::Operator {
                    form method="post" action="/undo" {
                        input type="hidden" name="configuration" value=(run.config);
                        button type="submit" { "Show what undo would do" }
                    }
                }
            }
        }
    })
}

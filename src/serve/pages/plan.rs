//! A plan, step by step, and the form that applies it.

use std::sync::Arc;

use axum::{
    Form,
    extract::{Path, State as Shared},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::wrong::Wrong;
use crate::{
    error::{Failure, Kind},
    model::shell_word::quoted,
    serve::{
        Server,
        database::{Plan, PlanKind},
        identity::Person,
        parts::{Column, State, Tab, ago, card, moment, page, same, state, table, title},
        person::{Admin, Operator},
        plans::{Confirmation, PlanState, Told, apply, seen, told},
        role::Role,
    },
    store::Secret,
};

/// The fields of the form.
#[derive(Deserialize)]
pub struct Applying {
    digest: String,
    #[serde(default)]
    host_name: String,
    archive_host_name: Option<String>,
    #[serde(default)]
    password: String,
}

/// Shows a plan.
pub async fn show(
    Shared(server): Shared<Arc<Server>>,
    Operator(person): Operator,
    Path(id): Path<String>,
) -> Result<Response, Wrong> {
    let plan = seen(&server, &person, &id)?;
    Ok(shown(&server, &person, &plan, None))
}

/// Applies a plan, and leads to its run. If it is refused, the page says why.
pub async fn act(
    Shared(server): Shared<Arc<Server>>,
    Admin(person): Admin,
    Path(id): Path<String>,
    Form(said): Form<Applying>,
) -> Result<Response, Wrong> {
    let said = Confirmation {
        digest: said.digest,
        host_name: said.host_name,
        archive_host_name: said.archive_host_name,
        password: Some(Secret::new(said.password)),
    };
    let trouble = match apply(&server, &person, &id, said).await {
        Ok(run) => return Ok(Redirect::to(&format!("/runs/{}", run.id)).into_response()),
        Err(trouble) => trouble,
    };
    if trouble.status == StatusCode::NOT_FOUND {
        return Err(trouble.into());
    }
    let plan = seen(&server, &person, &id)?;
    let mut response = shown(&server, &person, &plan, Some(&trouble.failure));
    *response.status_mut() = trouble.status;
    Ok(response)
}

fn shown(server: &Server, person: &Person, plan: &Plan, fault: Option<&Failure>) -> Response {
    let now = server.now();
    let told = told(&plan.report);
    let how = PlanState::of(plan, now.timestamp());
    // Something changed since: only a new plan tells what would happen.
    let is_stale = fault.is_some_and(|fault| fault.kind == Kind::Blocked);
    let title = match plan.kind {
        PlanKind::Import => "Plan of a restore",
        PlanKind::Rollback => "Plan of an undo",
    };
    let content = html! {
        (heading(plan, &told))
        @if let Some(fault) = fault {
            div .card.needs.bad role="alert" {
                p { strong { "This was refused: " } (fault.message) "." }
                @if let Some(hint) = &fault.hint { p .quiet { (hint) } }
            }
        }
        p {
            @match how {
                PlanState::Open if is_stale => { (state(State::Late, "stale")) " Nothing has changed." }
                PlanState::Open => {
                    (state(State::Unknown, "plan")) " Nothing has changed yet. It can be applied until "
                    (moment(plan.expires_at)) ", which is " (ago(plan.expires_at, now)) "."
                }
                PlanState::Blocked => { (state(State::Bad, "blocked")) " Nothing has changed, and this cannot be done now." }
                PlanState::Expired => {
                    (state(State::Late, "expired"))
                    " Nothing has changed. This plan is older than 15 minutes and cannot be applied any more."
                }
                PlanState::Applied => { (state(State::Good, "applied")) " " (applied(plan)) }
            }
        }
        @if how != PlanState::Applied { (obstacles(&told)) }
        h2 { "Step by step" }
        @if !told.steps.is_empty() { p { (summary(&told)) } }
        (steps(&told))
        @if told.is_guarded() {
            p { "The service is stopped for this, and started again. If it is not healthy then, the state of before comes back." }
        }
        (remarks(&told))
        @match how {
            PlanState::Open if is_stale => (again(plan)),
            PlanState::Open => (form(person, plan, &told)),
            PlanState::Blocked | PlanState::Expired => (again(plan)),
            PlanState::Applied => {}
        }
        (same(&command(plan)))
    };
    page(person, Some(Tab::Archives), title, &content)
}

fn heading(plan: &Plan, told: &Told) -> Markup {
    let undoes = told.plan.as_ref().and_then(|plan| plan.undoes.as_ref());
    html! {
        @match (&plan.archive, undoes) {
            (Some(archive), _) => {
                (title(
                    &[("/archives", "Archives"), (&format!("/archives/{}", archive.id), &archive.name)],
                    &html! { "Restore " span .name { (archive.name) } " onto " (plan.host) },
                ))
                p .large {
                    "This replaces the state of this machine, " strong { (plan.host) } ", with that of "
                    strong { (archive.location) } "."
                    @if !plan.entries.is_empty() { " Only these entries: " (plan.entries.join(", ")) "." }
                }
            }
            (None, Some(undoes)) => {
                (title(&[("/runs", "Runs")], &html! { "Undo the last " (word_of(&undoes.verb)) " on " (plan.host) }))
                p .large {
                    "This brings back what this machine, " strong { (plan.host) } ", had before the "
                    (word_of(&undoes.verb)) " of " (undoes.time)
                    @if let Some(archive) = &undoes.archive { " from " strong { (archive) } }
                    "."
                }
            }
            (None, None) => (title(&[("/runs", "Runs")], &html! { "Undo the last restore on " (plan.host) })),
        }
        @if let Some(other) = told.other_host(&plan.host) {
            (card(State::Late, &html! { p {
                "This archive is of another machine, " strong { (other) } ". " strong { (plan.host) }
                " would get the state of " strong { (other) } "."
            } }))
        }
    }
}

fn word_of(verb: &str) -> &str {
    match verb {
        "rollback" => "undo",
        _ => "restore",
    }
}

fn applied(plan: &Plan) -> Markup {
    let applied = plan.applied.as_ref();
    html! {
        @if let Some(applied) = applied {
            (applied.actor) " applied it, " (moment(applied.at)) ". "
            @match &applied.run {
                Some(run) => a href={ "/runs/" (run) } { "To its run" },
                None => { "Nothing tells of its run: look at " a href="/runs" { "the runs" } "." }
            }
        }
    }
}

fn obstacles(told: &Told) -> Markup {
    html! {
        @for blocked in &told.blocked {
            div .card.needs.bad {
                p { (blocked.message) "." }
                @if !blocked.hint.is_empty() { p .quiet { "Do this: " (blocked.hint) } }
            }
        }
    }
}

fn remarks(told: &Told) -> Markup {
    html! {
        @if !told.left_undone.is_empty() {
            h2 { "Not restored" }
            ul { @for remark in &told.left_undone { li { (remark.message) } } }
        }
        @if !told.warnings.is_empty() {
            h2 { "Worth knowing" }
            ul { @for remark in &told.warnings { li { (remark.message) } } }
        }
    }
}

fn summary(told: &Told) -> String {
    let all = ["replace", "create", "remove", "unchanged", "skip"].into_iter();
    let counted = all.filter_map(|action| {
        let steps = told.steps.iter().filter(|step| step.action == action);
        match (steps.count(), action) {
            (0, _) => None,
            (1, _) => Some(format!("1 {}", word(action))),
            (count, "unchanged") => Some(format!("{count} stay as they are")),
            (count, _) => Some(format!("{count} {}", word(action).replacen("is", "are", 1))),
        }
    });
    let counted: Vec<String> = counted.collect();
    format!("Of the entries, {}.", counted.join(", "))
}

fn word(action: &str) -> &str {
    match action {
        "create" => "is created",
        "replace" => "is replaced",
        "unchanged" => "stays as it is",
        "remove" => "is removed",
        "skip" => "is left out",
        other => other,
    }
}

fn steps(told: &Told) -> Markup {
    let columns = [
        Column::Name("Entry"),
        Column::Text("What happens"),
        Column::Text("On this machine"),
        Column::Text("The old one stays as"),
    ];
    let rows = told.steps.iter().map(|step| {
        let nowhere = match step.action.as_str() {
            "skip" => "no place",
            _ => "a command takes it",
        };
        vec![
            html! { (step.entry) },
            html! { (word(&step.action)) },
            html! { (step.target.as_deref().unwrap_or(nowhere)) },
            html! { (step.backup.as_deref().unwrap_or("-")) },
        ]
    });
    let rows: Vec<_> = rows.collect();
    table("Steps", &columns, &rows, "No step is needed.")
}

fn form(person: &Person, plan: &Plan, told: &Told) -> Markup {
    let button = match plan.kind {
        PlanKind::Import => "Restore",
        PlanKind::Rollback => "Undo",
    };
    html! {
        h2 { (button) }
        @if person.role < Role::Admin {
            p { "An admin can apply this plan. Give one the address of this page." }
        } @else {
            form method="post" action={ "/plans/" (plan.id) "/apply" } autocomplete="off" {
                input type="hidden" name="digest" value=(plan.digest);
                label for="host_name" { "Type the name of this machine, " code { (plan.host) } }
                input #host_name name="host_name" autocapitalize="none" autocomplete="off" spellcheck="false" required;
                @if let Some(other) = told.other_host(&plan.host) {
                    label for="archive_host_name" { "Type the name of the machine that the archive is of, " code { (other) } }
                    input #archive_host_name name="archive_host_name" autocapitalize="none" autocomplete="off" spellcheck="false" required;
                }
                label for="password" { "Your password" }
                input #password name="password" type="password" autocomplete="current-password" required;
                p { button .main type="submit" { (button) } }
            }
        }
    }
}

/// Writes the form that makes the same plan again.
fn again(plan: &Plan) -> Markup {
    html! {
        @if let Some(archive) = &plan.archive {
            p { a href={ "/archives/" (archive.id) "/restore" } { "Make a new plan" } }
        } @else {
            form method="post" action="/undo" {
                input type="hidden" name="configuration" value=(plan.config);
                button type="submit" { "Make a new plan" }
            }
        }
    }
}

fn command(plan: &Plan) -> String {
    let Some(archive) = &plan.archive else {
        return "hookshot rollback --dry-run".to_owned();
    };
    let only = plan
        .entries
        .iter()
        .map(|entry| format!("--only {} ", quoted(entry)));
    let only: String = only.collect();
    format!(
        "hookshot import --dry-run {only}{}",
        quoted(&archive.location)
    )
}

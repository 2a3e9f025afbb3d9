//! The policies, and the values in force at each configuration, with the place of each.

use std::{path::Path as File, sync::Arc};

use axum::{
    Form,
    extract::{Path, State as Shared},
    response::{Redirect, Response},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::wrong::Wrong;
use crate::{
    serve::{
        Server,
        answer::Trouble,
        confirm::confirm,
        database::{Assignment, Policy, id_of},
        identity::Person,
        index::freshen,
        parts::{Column, State, Tab, card, page, prose, same, state, table, title},
        person::{Admin, Viewer},
        policies::{Desired, How, PolicyValues, assign, desired, differences},
        role::Role,
    },
    store::Secret,
};

/// The word of the form for a configuration that decides by itself.
const NONE: &str = "none";

/// The fields of the form by which a configuration gets a policy.
#[derive(Deserialize)]
pub struct AssignForm {
    #[serde(default)]
    policy: String,
    #[serde(default)]
    generation: String,
    #[serde(default)]
    password: String,
}

/// A configuration with its policy.
struct Configured<'a> {
    config: &'a File,
    /// The report of `serve policy show`, or null.
    report: Value,
    desired: Desired,
}

/// Shows policies and configurations.
pub async fn show(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
) -> Result<Response, Wrong> {
    freshen(&server);
    let policies = server.database.policies()?;
    let mut configured = Vec::new();
    for config in &server.configs {
        let name = config.display().to_string();
        let look = server.database.look(&name, "policy")?;
        let report = look.map(|look| look.answer).unwrap_or_default();
        let desired = desired(&server, &name, &report)?;
        configured.push(Configured {
            config,
            report,
            desired,
        });
    }
    let content = html! {
        (title(&[], &html! { "Policies" }))
        p { "A policy is a schedule and a retention under a name. It is in force as soon as it stands in a configuration." }
        (list(&policies, &configured))
        @if person.role == Role::Admin { p { a .button href="/policies/new" { "New policy" } } }
        h2 { "Configurations" }
        @for one in &configured { (about(one, &policies, &person)) }
        (same("hookshot serve policy show"))
    };
    Ok(page(&person, Some(Tab::Policies), "Policies", &content))
}

fn list(policies: &[Policy], configured: &[Configured<'_>]) -> Markup {
    let rows = policies.iter().map(|policy| {
        let meant = configured.iter().filter(|one| {
            let own = one.desired.policy.as_ref();
            own.is_some_and(|own| own.id == policy.id)
        });
        let name = html! { a href={ "/policies/" (policy.id) } { (policy.name) } };
        vec![
            html! { (name) @if policy.is_default { span .quiet { " (the default)" } } },
            html! { (policy.values.schedule.as_deref().unwrap_or("-")) },
            html! { (rules(&policy.values)) },
            html! { (meant.count()) },
        ]
    });
    let columns = [
        Column::Name("Policy"),
        Column::Text("Starts"),
        Column::Text("Keeps"),
        Column::Number("Configurations"),
    ];
    table(
        "Policies",
        &columns,
        &rows.collect::<Vec<_>>(),
        "No policy is known.",
    )
}

/// Writes rules of retention in words.
pub fn rules(values: &PolicyValues) -> String {
    let rules = values.rules().into_iter();
    let words = rules.map(|(key, value)| {
        let name = key.trim_start_matches("keep_");
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        format!("{name} {value}")
    });
    let words: Vec<String> = words.collect();
    match words.is_empty() {
        true => "as the configuration says".to_owned(),
        false => words.join(", "),
    }
}

fn about(one: &Configured<'_>, policies: &[Policy], person: &Person) -> Markup {
    let missing = differences(&one.desired.values, &one.report);
    html! {
        h3 { (one.config.display()) }
        @if let Some(message) = one.report["error"]["message"].as_str() {
            (card(State::Bad, &html! { p { (message) } }))
        } @else if one.report.is_null() {
            p .quiet { "It is being looked at. Load the page again." }
        } @else {
            p {
                @match missing.len() {
                    0 => (state(State::Good, "in force")),
                    _ => (state(State::Late, "not written")),
                }
                " " (decides(&one.desired))
            }
            (values(one))
            @if person.role == Role::Admin { (form(one, policies, person)) }
        }
    }
}

fn decides(desired: &Desired) -> Markup {
    let name = desired.policy.as_ref().map(|policy| policy.name.as_str());
    html! {
        @match (desired.how, name) {
            (How::Own, Some(name)) => { "It has the policy " strong { (name) } "." }
            (How::Inherited, Some(name)) => {
                "It says nothing itself, so the default policy " strong { (name) } " is meant."
            }
            _ => "Its file decides.",
        }
    }
}

/// Writes the values in force, each with its place, and the value that the policy means.
fn values(one: &Configured<'_>) -> Markup {
    let missing = differences(&one.desired.values, &one.report);
    let all = one.report["values"].as_array().into_iter().flatten();
    let said = all.filter(|value| {
        !value["value"].is_null() || missing.iter().any(|it| value["key"] == *it.key)
    });
    let rows = said.map(|value| {
        let key = value["key"].as_str().unwrap_or("-");
        let meant = missing.iter().find(|one| one.key == key);
        let place = value["place"].as_str().or(value["from"].as_str());
        vec![
            html! { (key.trim_start_matches("backup.")) },
            html! { (written(&value["value"])) },
            html! { (place.unwrap_or("-")) },
            html! { @if let Some(one) = meant { @if one.meant.is_null() { "none" } @else { (written(&one.meant)) } } },
        ]
    });
    let columns = [
        Column::Name("Key"),
        Column::Text("In force"),
        Column::Text("Said by"),
        Column::Text("The policy means"),
    ];
    table(
        "Values in force",
        &columns,
        &rows.collect::<Vec<_>>(),
        "It says nothing.",
    )
}

fn written(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(written).collect::<Vec<_>>().join(", "),
        value => value.to_string(),
    }
}

fn form(one: &Configured<'_>, policies: &[Policy], person: &Person) -> Markup {
    let id = id_of(&one.config.display().to_string(), "");
    let own = one.desired.policy.as_ref();
    let field = |name: &str| format!("{name}-{id}");
    let digest = one.report["digest"].as_str().unwrap_or_default();
    html! {
        details {
            summary { "Give it a policy" }
            form method="post" action={ "/configurations/" (id) "/policy" } autocomplete="off" {
                input type="hidden" name="generation" value=(digest);
                label for=(field("policy")) { "Policy" }
                select id=(field("policy")) name="policy" {
                    @for policy in policies {
                        option value=(policy.id) selected[own.is_some_and(|own| own.id == policy.id)] { (policy.name) }
                    }
                    option value=(NONE) selected[own.is_none()] { "none: its file decides" }
                }
                // For the keepers of passwords.
                input type="text" name="username" autocomplete="username" value=(person.name) hidden;
                label for=(field("password")) { "Your password" }
                input id=(field("password")) name="password" type="password" autocomplete="current-password" required;
                p .quiet { (prose("The values are written into the file, whose comments stay. With none the file stays as it is.")) }
                button .main type="submit" { "Write it into the file" }
            }
        }
    }
}

/// Gives a configuration a policy, and leads back to the policies.
pub async fn act(
    Shared(server): Shared<Arc<Server>>,
    Admin(person): Admin,
    Path(id): Path<String>,
    Form(form): Form<AssignForm>,
) -> Result<Redirect, Wrong> {
    let config = server.config_of(&id);
    let config = config.ok_or_else(|| Trouble::missing("configuration"))?;
    let password = Some(Secret::new(form.password));
    confirm(&server, &person, password)
        .await
        .map_err(Trouble::from)?;
    let name = config.display().to_string();
    let old = server.database.assignment(&name)?.unwrap_or_default();
    let policy = Some(form.policy).filter(|policy| policy != NONE);
    let overrides = match old.policy == policy {
        // A page does not show them; the same policy keeps them.
        true => old.overrides,
        false => PolicyValues::default(),
    };
    let assignment = Assignment { policy, overrides };
    assign(&server, &person, config, (assignment, &form.generation)).await?;
    Ok(Redirect::to("/policies"))
}

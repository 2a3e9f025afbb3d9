//! One policy: its values, and what they would remove, before they are saved.

use std::sync::Arc;

use axum::{
    Form,
    extract::{Path, Query, State as Shared},
    response::{Redirect, Response},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{archive::unreadable, policies::rules, wrong::Wrong};
use crate::{
    serve::{
        Server,
        answer::Trouble,
        api::simulated,
        database::Policy,
        health::health,
        parts::{Column, State, Tab, bytes, card, page, same, table, title},
        person::{Admin, Viewer},
        policies::{PolicyValues, Wanted, add, change, decided, no_good, remove},
        role::Role,
    },
    work::run_id::new_run_id,
};

/// The identifier of a policy that is not there yet.
const NEW: &str = "new";
/// The archives that are shown for each destination.
const ROWS: usize = 50;

/// The fields of the form. An empty one says nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PolicyForm {
    name: String,
    description: String,
    is_default: Option<String>,
    schedule: String,
    timezone: String,
    jitter: String,
    keep_last: String,
    keep_hourly: String,
    keep_daily: String,
    keep_weekly: String,
    keep_monthly: String,
    keep_yearly: String,
    keep_within: String,
    destinations: String,
    generation: i64,
    /// The simulation of these values, in place of those that are saved.
    simulate: Option<String>,
    /// `remove` to remove the policy.
    act: Option<String>,
}

impl PolicyForm {
    fn of(policy: &Policy) -> PolicyForm {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let values = &policy.values;
        let rules = values.rules();
        let rule = |key: &str| {
            let found = rules.iter().find(|(rule, _)| *rule == key);
            found.map_or_else(String::new, |(_, value)| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            })
        };
        PolicyForm {
            name: policy.name.clone(),
            description: policy.description.clone(),
            is_default: policy.is_default.then(|| "on".to_owned()),
            schedule: text(&values.schedule),
            timezone: text(&values.timezone),
            jitter: text(&values.jitter),
            keep_last: rule("keep_last"),
            keep_hourly: rule("keep_hourly"),
            keep_daily: rule("keep_daily"),
            keep_weekly: rule("keep_weekly"),
            keep_monthly: rule("keep_monthly"),
            keep_yearly: rule("keep_yearly"),
            keep_within: rule("keep_within"),
            destinations: values
                .destinations
                .as_ref()
                .map(|names| names.join(", "))
                .unwrap_or_default(),
            generation: policy.generation,
            simulate: None,
            act: None,
        }
    }

    /// Returns the fields of rules, in the order of their periods.
    fn fields(&self) -> [(&'static str, &'static str, &String); 7] {
        [
            ("keep_last", "Newest", &self.keep_last),
            ("keep_hourly", "Hours", &self.keep_hourly),
            ("keep_daily", "Days", &self.keep_daily),
            ("keep_weekly", "Weeks", &self.keep_weekly),
            ("keep_monthly", "Months", &self.keep_monthly),
            ("keep_yearly", "Years", &self.keep_yearly),
            ("keep_within", "All within", &self.keep_within),
        ]
    }

    /// Returns the values of the fields.
    fn values(&self) -> Result<PolicyValues, Trouble> {
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let mut faults = Vec::new();
        let mut rule = |key: &str, text: &str| {
            let text = text.trim();
            let read = (!text.is_empty()).then(|| text.parse());
            match read.transpose() {
                Ok(count) => count.map(crate::serve::policies::Rule),
                Err(fault) => {
                    faults.push(format!("`{key}`: {fault}"));
                    None
                }
            }
        };
        let names = self.destinations.split(',').filter_map(text);
        let names: Vec<String> = names.collect();
        let values = PolicyValues {
            schedule: text(&self.schedule),
            timezone: text(&self.timezone),
            jitter: text(&self.jitter),
            keep_last: rule("keep_last", &self.keep_last),
            keep_hourly: rule("keep_hourly", &self.keep_hourly),
            keep_daily: rule("keep_daily", &self.keep_daily),
            keep_weekly: rule("keep_weekly", &self.keep_weekly),
            keep_monthly: rule("keep_monthly", &self.keep_monthly),
            keep_yearly: rule("keep_yearly", &self.keep_yearly),
            keep_within: text(&self.keep_within),
            destinations: (!names.is_empty()).then_some(names),
        };
        faults.extend(values.faults());
        match faults.is_empty() {
            true => Ok(values),
            false => Err(no_good("the policy", faults)),
        }
    }
}

/// Shows a policy, or the form of a new one.
pub async fn show(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Path(id): Path<String>,
    Query(asked): Query<PolicyForm>,
) -> Result<Response, Wrong> {
    let policy = server.database.policy(&id)?;
    if policy.is_none() && id != NEW {
        return Err(Trouble::missing("policy").into());
    }
    let saved = policy.as_ref().map(PolicyForm::of).unwrap_or_default();
    let form = match asked.simulate {
        Some(_) => asked,
        None => saved,
    };
    let values = form.values();
    let simulated = match &values {
        Ok(values) if policy.is_some() || form.simulate.is_some() => {
            simulation(&server, &id, values).await?
        }
        Ok(_) => html! {},
        Err(trouble) => unreadable(&trouble.failure),
    };
    let name = policy.as_ref().map_or("New policy", |policy| &policy.name);
    let command = values.as_ref().map(command).unwrap_or_default();
    let content = html! {
        (title(&[("/policies", "Policies")], &html! { (name) }))
        @if let Some(policy) = &policy { p { (policy.description) " " span .quiet { "Keeps: " (rules(&policy.values)) "." } } }
        @if form.simulate.is_some() {
            (card(State::Late, &html! { p { "These values are not saved." } }))
        }
        (fields(&form, &id, policy.is_some(), person.role == Role::Admin))
        h2 { "What the retention would remove" }
        (simulated)
        @if !command.is_empty() { (same(&command)) }
    };
    Ok(page(&person, Some(Tab::Policies), name, &content))
}

fn command(values: &PolicyValues) -> String {
    let options = values.prune_options().join(" ");
    match options.is_empty() {
        true => String::new(),
        false => format!("hookshot prune --dry-run {options}"),
    }
}

fn fields(form: &PolicyForm, id: &str, is_known: bool, may_save: bool) -> Markup {
    let text = |name: &str, label: &str, value: &str| {
        html! {
            label for=(name) { (label) }
            input id=(name) name=(name) value=(value) autocomplete="off" spellcheck="false";
        }
    };
    html! {
        form method="get" action={ "/policies/" (id) } {
            input type="hidden" name="generation" value=(form.generation);
            (text("name", "Name", &form.name))
            (text("description", "Description", &form.description))
            fieldset {
                legend { "Schedule" }
                (text("schedule", "Starts at, such as 02:00 or 0 2 * * *", &form.schedule))
                (text("timezone", "Time zone, such as Europe/Berlin", &form.timezone))
                (text("jitter", "Delayed by at most, such as 30m", &form.jitter))
            }
            fieldset .short {
                legend { "Retention: the newest archive of each of so many" }
                @for (name, label, value) in form.fields() { div { (text(name, label, value)) } }
            }
            (text("destinations", "Destinations, by name, with commas between; as the configuration says if empty", &form.destinations))
            label .check {
                input type="checkbox" name="is_default" checked[form.is_default.is_some()];
                span { "The default: configurations that say nothing have it" }
            }
            p .quiet { "An empty field leaves the configuration as it is. Rules of retention count as a whole." }
            div .actions {
                button .main type="submit" name="simulate" value="1" { "Simulate" }
                @if may_save {
                    button type="submit" formmethod="post" { "Save" }
                    @if is_known { button type="submit" formmethod="post" name="act" value="remove" { "Remove" } }
                }
            }
        }
    }
}

/// Writes what these values would remove at each destination: of the configurations that have the policy, else of all.
async fn simulation(server: &Server, id: &str, values: &PolicyValues) -> Result<Markup, Wrong> {
    if values.rules().is_empty() {
        return Ok(html! { p { "It has no rules of retention, so each configuration decides." } });
    }
    let meant = decided(server, id)?;
    let mut shown = Vec::new();
    for one in health(server)? {
        let desired = meant.iter().find(|(config, _)| *config == one.config);
        if desired.is_none() && !meant.is_empty() {
            continue;
        }
        let overrides = desired.map(|(_, desired)| desired.overrides.clone());
        let values = values.with(&overrides.unwrap_or_default());
        for place in one.places() {
            let report = simulated(server, (&one.config, place.name), &values).await;
            shown.push(html! {
                h3 { (place.name) }
                @match &report { Ok(report) => (removed(report)), Err(trouble) => (unreadable(&trouble.failure)) }
            });
        }
    }
    Ok(html! {
        @if shown.is_empty() { p .quiet { "No destination is known yet. Load the page again." } }
        @for one in &shown { (one) }
    })
}

fn removed(report: &serde_json::Value) -> Markup {
    let list = |key: &str| report[key].as_array().cloned().unwrap_or_default();
    let (remove, keep) = (list("remove"), list("keep"));
    let rows = remove.iter().take(ROWS).map(|one| {
        vec![
            html! { (one["name"].as_str().unwrap_or("-")) },
            html! { (one["reason"].as_str().unwrap_or("")) },
            html! { @if let Some(size) = one["size_bytes"].as_u64() { (bytes(size)) } },
        ]
    });
    let rows: Vec<_> = rows.collect();
    let columns = [
        Column::Name("Archive that would go"),
        Column::Text("Reason"),
        Column::Number("Size"),
    ];
    html! {
        p { "It would remove " (remove.len()) ", and keep " (keep.len()) ". " span .quiet { "Looking removes nothing." } }
        @if !rows.is_empty() { (table("Archives that would go", &columns, &rows, "")) }
        @if let Some(message) = report["error"]["message"].as_str() { p .quiet { (message) } }
    }
}

/// Saves a policy, or removes it.
pub async fn act(
    Shared(server): Shared<Arc<Server>>,
    Admin(person): Admin,
    Path(id): Path<String>,
    Form(form): Form<PolicyForm>,
) -> Result<Redirect, Wrong> {
    if form.act.as_deref() == Some("remove") {
        remove(&server, &person, (&id, form.generation))?;
        return Ok(Redirect::to("/policies"));
    }
    let wanted = Wanted {
        values: form.values()?,
        name: form.name,
        description: form.description,
        is_default: form.is_default.is_some(),
    };
    let policy = match id.as_str() {
        NEW => add(&server, &person, &new_run_id(), wanted)?,
        id => change(&server, &person, (id, form.generation), wanted)?,
    };
    Ok(Redirect::to(&format!("/policies/{}", policy.id)))
}

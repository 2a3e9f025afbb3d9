//! `GET health`: what `status` told, and when.

use std::sync::Arc;

use axum::{Json, extract::State as Shared};
use chrono::DateTime;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    model::written::rfc3339,
    serve::{
        Server,
        answer::Trouble,
        health::{self as known, sentence},
        index::freshen,
        parts::State,
        person::{Person, Viewer},
    },
};

/// The health of everything.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthAnswer {
    /// True if nothing is to be done.
    healthy: bool,
    /// The same in a sentence.
    sentence: String,
    /// The health of each configuration.
    configurations: Vec<ConfigurationHealth>,
}

/// The health of the destinations of a configuration.
#[derive(Debug, Serialize, ToSchema)]
struct ConfigurationHealth {
    /// The file of the configuration.
    config: String,
    /// The time at which the destinations were asked; null if they were not yet.
    #[schema(format = DateTime)]
    as_of: Option<String>,
    /// The report of `hookshot status --all-hosts --json`; null if there is none yet.
    status: Value,
}

/// The health of all destinations
///
/// Answers what is known, and how old that is, at once; what is older than a minute is asked again meanwhile.
#[utoipa::path(
    get, path = "/health", tag = "health", security(("token" = ["viewer"])),
    responses((status = 200, description = "The health", body = HealthAnswer))
)]
pub async fn health(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
) -> Result<Json<HealthAnswer>, Trouble> {
    freshen(&server);
    let mut all = known::health(&server)?;
    let mut configurations = Vec::new();
    for one in &mut all {
        one.destinations.retain(|one| person.sees(&one.prefix));
        if person.prefixes.is_some() {
            one.details.clear();
        }
        let look = server.database.look(&one.config, "status")?;
        configurations.push(ConfigurationHealth {
            config: one.config.clone(),
            as_of: one.as_of.and_then(written),
            status: look.map_or(Value::Null, |look| seen(look.answer, &person)),
        });
    }
    let (state, sentence) = sentence(&all, server.now().timestamp());
    Ok(Json(HealthAnswer {
        healthy: state == State::Good,
        sentence,
        configurations,
    }))
}

/// Writes a time in Unix seconds.
pub fn written(seconds: i64) -> Option<String> {
    DateTime::from_timestamp(seconds, 0).map(rfc3339)
}

/// Returns the part of a report of `status` that is about services that the person sees.
fn seen(mut report: Value, person: &Person) -> Value {
    if person.prefixes.is_none() {
        return report;
    }
    let mut destinations = report["destinations"].take();
    if let Some(destinations) = destinations.as_array_mut() {
        let is_seen = |one: &Value| one["prefix"].as_str().is_some_and(|one| person.sees(one));
        destinations.retain(is_seen);
    }
    json!({ "destinations": destinations, "time": report["time"], "version": report["version"] })
}

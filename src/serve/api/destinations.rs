//! `GET destinations`: the places of archives, and what the policy would remove there.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State as Shared};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    health::written,
    simulation::simulated,
    words::{Place, Words},
};
use crate::serve::{
    Server,
    answer::{Trouble, require_told},
    database::id_of,
    health::{DestinationHealth, health},
    index::freshen,
    person::Viewer,
    policies::{PolicyValues, no_good},
    program::Asked,
};

/// The destinations.
#[derive(Debug, Serialize, ToSchema)]
pub struct DestinationsAnswer {
    /// The destinations of all configurations.
    destinations: Vec<Destination>,
}

/// A destination.
#[derive(Debug, Serialize, ToSchema)]
struct Destination {
    /// Its identifier.
    id: String,
    /// The configuration that names it.
    config: String,
    /// Its name, as verbs take it.
    name: String,
    /// The time at which it was asked.
    #[schema(format = DateTime)]
    as_of: Option<String>,
    /// The state of each service there, in a word: `protected`, `overdue`, `long overdue`, `no archive`, `needs work`.
    states: BTreeMap<String, &'static str>,
    /// The report of `hookshot status` on each service there.
    services: Vec<DestinationHealth>,
}

/// The retention that is simulated.
#[derive(Debug, Deserialize)]
pub struct Simulation {
    simulate: Option<String>,
}

/// The destinations, with the services that keep archives there
#[utoipa::path(
    get, path = "/destinations", tag = "destinations", security(("token" = ["viewer"])),
    responses((status = 200, description = "The destinations", body = DestinationsAnswer))
)]
pub async fn destinations(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
) -> Result<Json<DestinationsAnswer>, Trouble> {
    freshen(&server);
    let now = server.now().timestamp();
    let mut destinations: Vec<Destination> = Vec::new();
    for one in health(&server)? {
        let seen = one.destinations.into_iter();
        for service in seen.filter(|service| person.sees(&service.prefix)) {
            let id = id_of(&one.config, &service.destination);
            let known = destinations.iter_mut().find(|known| known.id == id);
            let word = (service.prefix.clone(), service.word(now));
            if let Some(known) = known {
                known.states.extend([word]);
                known.services.push(service);
                continue;
            }
            destinations.push(Destination {
                id,
                config: one.config.clone(),
                name: service.destination.clone(),
                as_of: one.as_of.and_then(written),
                states: BTreeMap::from([word]),
                services: vec![service],
            });
        }
    }
    Ok(Json(DestinationsAnswer { destinations }))
}

/// The archives that the retention policy would remove there, and why
///
/// Removes nothing. Not for tokens that see some services only.
#[utoipa::path(
    get, path = "/destinations/{id}/retention", tag = "destinations", security(("token" = ["viewer"])),
    params(
        ("id" = String, Path, description = "The identifier of the destination"),
        ("simulate" = Option<String>, Query, description = "Other rules: the identifier of a policy, or values in JSON"),
    ),
    responses((status = 200, description = "The report of `hookshot prune --dry-run --json`", body = Value))
)]
pub async fn retention(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Place(id): Place<String>,
    Words(Simulation { simulate }): Words<Simulation>,
) -> Result<Json<Value>, Trouble> {
    person.require_all("this")?;
    let found = place(&server, &id)?;
    let (config, name) = found.ok_or_else(|| Trouble::missing("destination"))?;
    if let Some(simulate) = simulate {
        let values = values_of(&server, &simulate)?;
        let report = simulated(&server, (&config, &name), &values).await?;
        return Ok(Json(report));
    }
    let config = server.config(&config);
    let config = config.ok_or_else(|| Trouble::missing("configuration"))?;
    let answer = server.program.ask(config, &Asked::Prune(&name)).await?;
    Ok(Json(require_told(answer.report, "keep")?))
}

/// Returns the values of a policy, or those of a JSON object.
fn values_of(server: &Server, text: &str) -> Result<PolicyValues, Trouble> {
    if !text.trim_start().starts_with('{') {
        let policy = server.database.policy(text)?;
        return Ok(policy.ok_or_else(|| Trouble::missing("policy"))?.values);
    }
    let values: Result<PolicyValues, _> = serde_json::from_str(text);
    let fault = |error| Trouble::misread(format!("`simulate` cannot be read: {error}"));
    let values = values.map_err(fault)?;
    let faults = values.faults();
    match faults.is_empty() {
        true => Ok(values),
        false => Err(no_good("the policy", faults)),
    }
}

/// Returns configuration and name of the destination of this identifier.
pub fn place(server: &Server, id: &str) -> Result<Option<(String, String)>, Trouble> {
    for one in health(server)? {
        for service in one.destinations {
            if id_of(&one.config, &service.destination) == id {
                return Ok(Some((one.config, service.destination)));
            }
        }
    }
    Ok(None)
}

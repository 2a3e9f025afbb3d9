//! `GET destinations`: the places of archives, and what the policy would remove there.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State as Shared};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{health::written, words::Place};
use crate::serve::{
    Server,
    answer::{Trouble, require_told},
    database::id_of,
    health::{DestinationHealth, health},
    index::freshen,
    person::Viewer,
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
    params(("id" = String, Path, description = "The identifier of the destination")),
    responses((status = 200, description = "The report of `hookshot prune --dry-run --json`", body = Value))
)]
pub async fn retention(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Place(id): Place<String>,
) -> Result<Json<Value>, Trouble> {
    person.require_all("this")?;
    let found = place(&server, &id)?;
    let (config, name) = found.ok_or_else(|| Trouble::missing("destination"))?;
    let config = server.config(&config);
    let config = config.ok_or_else(|| Trouble::missing("configuration"))?;
    let answer = server.program.ask(config, &Asked::Prune(&name)).await?;
    Ok(Json(require_told(answer.report, "keep")?))
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

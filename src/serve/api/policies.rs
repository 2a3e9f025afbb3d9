//! Policies: `GET` and `POST policies`, `PATCH` and `DELETE policies/{id}`, and `GET policies/{id}/preview`.

use std::sync::Arc;

use axum::{Json, extract::State as Shared};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    body::{Generation, Given},
    destinations::place,
    simulation::simulated,
    words::Place,
};
use crate::{
    serve::{
        Server,
        answer::Trouble,
        database::Policy,
        health::health,
        person::{Admin, Viewer},
        policies::{self as keep, PolicyValues, Wanted, decided},
    },
    work::run_id::new_run_id,
};

/// The policies.
#[derive(Debug, Serialize, ToSchema)]
pub struct PoliciesAnswer {
    /// All policies, the default first.
    policies: Vec<PolicyAnswer>,
}

/// A policy.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyAnswer {
    /// Its identifier.
    id: String,
    /// The number of its changes, for `If-Match`.
    generation: i64,
    #[serde(flatten)]
    body: PolicyBody,
    /// The configurations for which it is meant.
    configurations: Vec<String>,
}

/// The words and values of a policy.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Map<String, Value>")]
pub struct PolicyBody {
    /// Its name.
    name: String,
    /// Words about it.
    #[schema(required = false)]
    description: String,
    /// True for the one that configurations without one of their own inherit.
    #[schema(required = false)]
    is_default: bool,
    /// Its destinations, by their identifiers, in place of their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_ids: Option<Vec<String>>,
    #[serde(flatten)]
    values: PolicyValues,
}

/// The words and values of a policy that change. This type describes the body alone.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description is made from it, no value")]
struct PolicyChange {
    /// Its name.
    #[schema(nullable = false)]
    name: Option<String>,
    /// Words about it.
    description: Option<String>,
    /// True for the one that configurations without one of their own inherit.
    is_default: Option<bool>,
    /// Its destinations, by their identifiers, in place of their names.
    destination_ids: Option<Vec<String>>,
    #[serde(flatten)]
    values: PolicyValues,
}

/// A retention that is simulated at each destination.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewAnswer {
    /// The destinations of the configurations for which it is meant.
    destinations: Vec<Preview>,
}

/// A retention that is simulated at one destination.
#[derive(Debug, Serialize, ToSchema)]
struct Preview {
    /// The configuration.
    config: String,
    /// The destination.
    destination: String,
    /// The report of `hookshot prune --dry-run --json` with these rules.
    report: Value,
}

/// The policies, with the configurations for which they are meant
///
/// Not for tokens that see some services only.
#[utoipa::path(
    get, path = "/policies", tag = "policies", security(("token" = ["viewer"])),
    responses((status = 200, description = "The policies", body = PoliciesAnswer))
)]
pub async fn policies(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
) -> Result<Json<PoliciesAnswer>, Trouble> {
    person.require_all("this")?;
    let all = server.database.policies()?.into_iter();
    let policies = all.map(|policy| PolicyAnswer::of(&server, policy));
    let policies = policies.collect::<Result<_, _>>()?;
    Ok(Json(PoliciesAnswer { policies }))
}

/// Adds a policy
///
/// It is in force nowhere: a configuration gets it by `PATCH configurations/{id}`. Not for tokens that see some services only.
#[utoipa::path(
    post, path = "/policies", tag = "policies", security(("token" = ["admin"])),
    request_body = PolicyBody,
    responses((status = 200, description = "The policy", body = PolicyAnswer))
)]
pub async fn add(
    Shared(server): Shared<Arc<Server>>,
    Admin(person): Admin,
    Given(body): Given<PolicyBody>,
) -> Result<Json<PolicyAnswer>, Trouble> {
    person.require_all("this")?;
    let policy = keep::add(&server, &person, &new_run_id(), body.wanted(&server)?)?;
    Ok(Json(PolicyAnswer::of(&server, policy)?))
}

/// Changes a policy: a value that is null goes, one that is missing stays (RFC 7396)
///
/// Files that have its values already keep them, until it is written there anew. Not for tokens that see some services only.
#[utoipa::path(
    patch, path = "/policies/{id}", tag = "policies", security(("token" = ["admin"])),
    params(("id" = String, Path, description = "The identifier of the policy"), Generation),
    request_body = PolicyChange,
    responses((status = 200, description = "The policy", body = PolicyAnswer))
)]
pub async fn change(
    Shared(server): Shared<Arc<Server>>,
    Admin(person): Admin,
    Place(id): Place<String>,
    generation: Generation,
    Given(patch): Given<Map<String, Value>>,
) -> Result<Json<PolicyAnswer>, Trouble> {
    person.require_all("this")?;
    let old = server.database.policy(&id)?;
    let old = old.ok_or_else(|| Trouble::missing("policy"))?;
    let body = PolicyBody::from(&old).patched(patch)?;
    let what = (id.as_str(), generation.number());
    let policy = keep::change(&server, &person, what, body.wanted(&server)?)?;
    Ok(Json(PolicyAnswer::of(&server, policy)?))
}

/// Removes a policy that no configuration has
///
/// Not for tokens that see some services only.
#[utoipa::path(
    delete, path = "/policies/{id}", tag = "policies", security(("token" = ["admin"])),
    params(("id" = String, Path, description = "The identifier of the policy"), Generation),
    responses((status = 200, description = "The policy as it was", body = PolicyAnswer))
)]
pub async fn remove(
    Shared(server): Shared<Arc<Server>>,
    Admin(person): Admin,
    Place(id): Place<String>,
    generation: Generation,
) -> Result<Json<PolicyAnswer>, Trouble> {
    person.require_all("this")?;
    let old = keep::remove(&server, &person, (&id, generation.number()))?;
    Ok(Json(PolicyAnswer::of(&server, old)?))
}

/// The archives that the retention of a policy would remove, at each destination of the configurations for which it is meant
///
/// Of a policy that is meant for none, at every destination. Removes nothing. Not for tokens that see some services only.
#[utoipa::path(
    get, path = "/policies/{id}/preview", tag = "policies", security(("token" = ["viewer"])),
    params(("id" = String, Path, description = "The identifier of the policy")),
    responses((status = 200, description = "The simulations", body = PreviewAnswer))
)]
pub async fn preview(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Place(id): Place<String>,
) -> Result<Json<PreviewAnswer>, Trouble> {
    person.require_all("this")?;
    let policy = server.database.policy(&id)?;
    let policy = policy.ok_or_else(|| Trouble::missing("policy"))?;
    let meant = decided(&server, &id)?;
    let mut destinations = Vec::new();
    for one in health(&server)? {
        let desired = meant.iter().find(|(config, _)| *config == one.config);
        let values = match desired {
            Some((_, desired)) => &desired.values,
            None if meant.is_empty() => &policy.values,
            None => continue,
        };
        for found in one.places() {
            destinations.push(Preview {
                config: one.config.clone(),
                destination: found.name.to_owned(),
                report: simulated(&server, (&one.config, found.name), values).await?,
            });
        }
    }
    Ok(Json(PreviewAnswer { destinations }))
}

/// The words of a body, without the values.
#[derive(Deserialize)]
struct Head {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    is_default: bool,
    #[serde(default)]
    destination_ids: Option<Vec<String>>,
}

impl TryFrom<Map<String, Value>> for PolicyBody {
    type Error = serde_json::Error;

    /// Reads a body in two parts: an unknown key is refused.
    fn try_from(mut values: Map<String, Value>) -> serde_json::Result<PolicyBody> {
        let keys = ["name", "description", "is_default", "destination_ids"];
        let head = keys.into_iter().filter_map(|key| values.remove_entry(key));
        let head = Value::Object(head.collect());
        let head: Head = serde_json::from_value(head)?;
        Ok(PolicyBody {
            name: head.name,
            description: head.description,
            is_default: head.is_default,
            destination_ids: head.destination_ids,
            values: serde_json::from_value(Value::Object(values))?,
        })
    }
}

impl From<&Policy> for PolicyBody {
    fn from(policy: &Policy) -> PolicyBody {
        PolicyBody {
            name: policy.name.clone(),
            description: policy.description.clone(),
            is_default: policy.is_default,
            destination_ids: None,
            values: policy.values.clone(),
        }
    }
}

impl PolicyBody {
    /// Returns it with the changes of a merge patch.
    fn patched(self, patch: Map<String, Value>) -> Result<PolicyBody, Trouble> {
        let mut body = serde_json::to_value(self).map_err(anyhow::Error::from)?;
        for (key, value) in patch {
            match value {
                Value::Null => drop(body.as_object_mut().and_then(|body| body.remove(&key))),
                value => body[key] = value,
            }
        }
        let body = serde_json::from_value(body);
        body.map_err(|error| Trouble::misread(format!("the body cannot be read: {error}")))
    }

    /// Returns its words and values, with destinations by their names.
    fn wanted(self, server: &Server) -> Result<Wanted, Trouble> {
        let mut values = self.values;
        if let Some(ids) = &self.destination_ids {
            values.destinations = Some(names_of(server, ids)?);
        }
        Ok(Wanted {
            name: self.name,
            description: self.description,
            is_default: self.is_default,
            values,
        })
    }
}

/// Returns the names of destinations by their identifiers, each once.
fn names_of(server: &Server, ids: &[String]) -> Result<Vec<String>, Trouble> {
    let mut names: Vec<String> = Vec::new();
    for id in ids {
        let found = place(server, id)?;
        let (_, name) = found.ok_or_else(|| Trouble::missing("destination"))?;
        let name = name.strip_prefix('@').unwrap_or(&name).to_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

impl PolicyAnswer {
    fn of(server: &Server, policy: Policy) -> Result<PolicyAnswer, Trouble> {
        let meant = decided(server, &policy.id)?.into_iter();
        Ok(PolicyAnswer {
            body: PolicyBody::from(&policy),
            id: policy.id,
            generation: policy.generation,
            configurations: meant.map(|(config, _)| config).collect(),
        })
    }
}

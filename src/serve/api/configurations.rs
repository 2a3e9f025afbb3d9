//! `GET configurations`, `PATCH configurations/{id}`, and `POST configurations/{id}/backup`.

use std::{path::Path, sync::Arc};

use axum::{Json, extract::State as Shared, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    body::{Generation, Given, RequestKey},
    runs::RunAnswer,
    words::Place,
};
use crate::serve::{
    Server,
    answer::Trouble,
    database::{Assignment, id_of},
    index::freshen,
    orders,
    person::{Admin, Operator, Viewer},
    policies::{Difference, How, PolicyValues, assign, desired, differences},
};

/// The configurations.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConfigurationsAnswer {
    /// All configurations that the server looks after.
    configurations: Vec<Configuration>,
}

/// A configuration.
#[derive(Debug, Serialize, ToSchema)]
pub struct Configuration {
    /// Its identifier.
    id: String,
    /// Its file.
    config: String,
    /// The report of `hookshot schedule --json`; null if there is none yet.
    schedule: Value,
    /// The way by which it has its policy: `own`, `inherited`, or `configuration` if its file decides.
    how: How,
    /// The identifier of the policy that is meant for it.
    policy: Option<String>,
    /// The values in place of those of the policy.
    overrides: PolicyValues,
    /// The report of `hookshot serve policy show --json`: the values in force, each with the file that says it.
    effective: Value,
    /// The values that the policy means otherwise than they are in force.
    differences: Vec<Difference>,
    /// The digest of the file, for `If-Match`; null if it cannot be read.
    generation: Option<String>,
}

/// The policy of a configuration.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigurationBody {
    /// The identifier of the policy; null if the configuration is to decide by itself.
    policy: Option<String>,
    /// The values in place of those of the policy.
    #[serde(default)]
    overrides: PolicyValues,
}

/// The body of a request for a backup.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupBody {}

/// The configurations, with the next runs of their jobs
///
/// Not for tokens that see some services only.
#[utoipa::path(
    get, path = "/configurations", tag = "configurations", security(("token" = ["viewer"])),
    responses((status = 200, description = "The configurations", body = ConfigurationsAnswer))
)]
pub async fn configurations(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
) -> Result<Json<ConfigurationsAnswer>, Trouble> {
    person.require_all("this")?;
    freshen(&server);
    let mut configurations = Vec::new();
    for config in &server.configs {
        configurations.push(Configuration::of(&server, config)?);
    }
    Ok(Json(ConfigurationsAnswer { configurations }))
}

/// Gives a configuration a policy, and writes its values into the file: `hookshot serve policy apply`
///
/// Comments and the order of keys stay. `If-Match` is the `generation` of the configuration; if the file changed in between,
/// or if the server may not write it, the answer is 409. Not for tokens that see some services only.
#[utoipa::path(
    patch, path = "/configurations/{id}", tag = "configurations", security(("token" = ["admin"])),
    params(("id" = String, Path, description = "The identifier of the configuration"), Generation),
    request_body = ConfigurationBody,
    responses((status = 200, description = "The configuration", body = Configuration))
)]
pub async fn change(
    Shared(server): Shared<Arc<Server>>,
    Admin(person): Admin,
    Place(id): Place<String>,
    generation: Generation,
    Given(body): Given<ConfigurationBody>,
) -> Result<Json<Configuration>, Trouble> {
    person.require_all("this")?;
    let config = server.config_of(&id);
    let config = config.ok_or_else(|| Trouble::missing("configuration"))?;
    let assignment = Assignment {
        policy: body.policy,
        overrides: body.overrides,
    };
    let meant = (assignment, generation.word());
    assign(&server, &person, config, meant).await?;
    Ok(Json(Configuration::of(&server, config)?))
}

impl Configuration {
    fn of(server: &Server, config: &Path) -> Result<Configuration, Trouble> {
        let config = config.display().to_string();
        let told = |verb| {
            let look = server.database.look(&config, verb)?;
            Ok::<_, Trouble>(look.map(|look| look.answer).unwrap_or_default())
        };
        let effective = told("policy")?;
        let desired = desired(server, &config, &effective)?;
        Ok(Configuration {
            id: id_of(&config, ""),
            schedule: told("schedule")?,
            how: desired.how,
            policy: desired.policy.map(|policy| policy.id),
            overrides: desired.overrides,
            differences: differences(&desired.values, &effective),
            generation: effective["digest"].as_str().map(str::to_owned),
            effective,
            config,
        })
    }
}

/// Starts the nightly job: `hookshot backup`
///
/// Answers at once; the run tells how it goes. A repeated request with the same `Idempotency-Key` gets the same run. Not
/// for tokens that see some services only.
#[utoipa::path(
    post, path = "/configurations/{id}/backup", tag = "configurations", security(("token" = ["operator"])),
    params(("id" = String, Path, description = "The identifier of the configuration"), RequestKey),
    request_body = BackupBody,
    responses((status = 202, description = "The run", body = RunAnswer))
)]
pub async fn backup(
    Shared(server): Shared<Arc<Server>>,
    Operator(person): Operator,
    Place(id): Place<String>,
    key: RequestKey,
    Given(BackupBody {}): Given<BackupBody>,
) -> Result<(StatusCode, Json<RunAnswer>), Trouble> {
    let run = orders::backup(&server, &person, &id, key.name)?;
    Ok((StatusCode::ACCEPTED, Json(RunAnswer::of(&server, run)?)))
}

//! `GET` and `POST configurations`, `PATCH configurations/{id}`, and `POST configurations/{id}/backup`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{Json, extract::State as Shared, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    body::{Generation, Given, RequestKey, object},
    runs::RunAnswer,
    words::Place,
};
use crate::serve::{
    Server,
    answer::Trouble,
    database::{Assignment, id_of},
    health::health,
    index::freshen,
    orders,
    person::{Admin, Operator, Viewer},
    policies::{Difference, How, PolicyValues, assign, desired, differences, shown},
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
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true)]
    policy: Option<String>,
    /// The values in place of those of the policy.
    #[serde(default, deserialize_with = "object")]
    overrides: PolicyValues,
}

/// The wish for backups of a service, in the words of older clients.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnableBody {
    /// The identifier of the configuration, or the name of its service.
    app_id: String,
    /// The identifier of the policy.
    policy_id: String,
    /// It changes nothing: the sources in the file decide.
    #[schema(value_type = Option<bool>)]
    #[serde(default, rename = "backup_volumes")]
    _backup_volumes: Option<bool>,
    /// It changes nothing: the sources in the file decide.
    #[schema(value_type = Option<bool>)]
    #[serde(default, rename = "backup_compose")]
    _backup_compose: Option<bool>,
    /// It changes nothing: the sources in the file decide.
    #[schema(value_type = Option<bool>)]
    #[serde(default, rename = "backup_env")]
    _backup_env: Option<bool>,
}

/// A configuration that has the policy.
#[derive(Debug, Serialize, ToSchema)]
pub struct EnableAnswer {
    /// The result, in words.
    message: &'static str,
    #[serde(flatten)]
    configuration: Configuration,
}

/// A backup that has begun.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupAnswer {
    /// Null: the archive is there when the run has ended.
    snapshot_id: Option<String>,
    /// Always `in_progress`; `state` tells more.
    status: &'static str,
    #[serde(flatten)]
    run: RunAnswer,
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

/// Gives a configuration a policy, in the words of older clients
///
/// The values of the policy are written as by PATCH, into the file as it is now. What its archives have in them is said by the
/// sources in the file alone. Not for tokens that see some services only.
#[utoipa::path(
    post, path = "/configurations", tag = "configurations", security(("token" = ["admin"])),
    request_body = EnableBody,
    responses((status = 200, description = "The configuration", body = EnableAnswer))
)]
pub async fn enable(
    Shared(server): Shared<Arc<Server>>,
    Admin(person): Admin,
    Given(body): Given<EnableBody>,
) -> Result<Json<EnableAnswer>, Trouble> {
    person.require_all("this")?;
    let config = config_of(&server, &body.app_id)?;
    let report = shown(&server, &config).await?;
    let assignment = Assignment {
        policy: Some(body.policy_id),
        overrides: PolicyValues::default(),
    };
    let digest = report["digest"].as_str().unwrap_or_default();
    assign(&server, &person, &config, (assignment, digest)).await?;
    Ok(Json(EnableAnswer {
        message: "the policy is written; the sources in the file say what is backed up",
        configuration: Configuration::of(&server, &config)?,
    }))
}

/// Returns the configuration of this identifier, or the only one whose service has this name.
fn config_of(server: &Server, id: &str) -> Result<PathBuf, Trouble> {
    if let Some(config) = server.config_of(id) {
        return Ok(config.to_owned());
    }
    let all = health(server)?.into_iter();
    let mut named = all.filter(|one| one.destinations.iter().any(|place| place.prefix == id));
    let (first, second) = (named.next(), named.next());
    let one = first.filter(|_| second.is_none());
    let config = one.and_then(|one| server.config(&one.config).map(Path::to_owned));
    config.ok_or_else(|| Trouble::missing("configuration"))
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
    responses((status = 202, description = "The run", body = BackupAnswer))
)]
pub async fn backup(
    Shared(server): Shared<Arc<Server>>,
    Operator(person): Operator,
    Place(id): Place<String>,
    key: RequestKey,
    Given(BackupBody {}): Given<BackupBody>,
) -> Result<(StatusCode, Json<BackupAnswer>), Trouble> {
    let run = orders::backup(&server, &person, &id, key.name)?;
    let answer = BackupAnswer {
        snapshot_id: None,
        status: "in_progress",
        run: RunAnswer::of(&server, run)?,
    };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

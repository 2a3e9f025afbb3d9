//! `GET configurations`, and `POST configurations/{id}/backup`.

use std::sync::Arc;

use axum::{Json, extract::State as Shared, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    body::{Given, RequestKey},
    runs::RunAnswer,
    words::Place,
};
use crate::serve::{
    Server,
    answer::Trouble,
    database::id_of,
    index::freshen,
    orders,
    person::{Operator, Viewer},
};

/// The configurations.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConfigurationsAnswer {
    /// All configurations that the server looks after.
    configurations: Vec<Configuration>,
}

/// A configuration.
#[derive(Debug, Serialize, ToSchema)]
struct Configuration {
    /// Its identifier.
    id: String,
    /// Its file.
    config: String,
    /// The report of `hookshot schedule --json`; null if there is none yet.
    schedule: Value,
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
        let config = config.display().to_string();
        let look = server.database.look(&config, "schedule")?;
        configurations.push(Configuration {
            id: id_of(&config, ""),
            schedule: look.map(|look| look.answer).unwrap_or_default(),
            config,
        });
    }
    Ok(Json(ConfigurationsAnswer { configurations }))
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

//! Work on archives and destinations: `check`, `verify`, `drill`, and marks.

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
    database::ServeRun,
    orders::{self, Marking, Work},
    person::Operator,
};

/// The body of a request for the test of a destination.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckBody {}

/// The copies of an archive that are meant.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyBody {
    /// The copy at this destination alone; without it all copies, or the best one for a drill.
    #[serde(default)]
    destination: Option<String>,
}

/// A mark.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MarkBody {
    /// The reason, for the audit trail.
    #[schema(min_length = 1, max_length = 200, pattern = "\\S")]
    reason: String,
    /// The end of the mark, a date or RFC 3339; without it the mark holds for good.
    #[serde(default)]
    until: Option<String>,
    /// The copy at this destination alone; without it all copies.
    #[serde(default)]
    destination: Option<String>,
}

/// The marks of the copies of an archive.
#[derive(Debug, Serialize, ToSchema)]
pub struct MarksAnswer {
    /// The report of `hookshot keep --json` for each copy.
    marks: Vec<Value>,
}

/// Tests what a destination permits: `hookshot check`
///
/// Answers at once; the run tells how it goes. Not for tokens that see some services only.
#[utoipa::path(
    post, path = "/destinations/{id}/check", tag = "destinations", security(("token" = ["operator"])),
    params(("id" = String, Path, description = "The identifier of the destination"), RequestKey),
    request_body = CheckBody,
    responses((status = 202, description = "The run", body = RunAnswer))
)]
pub async fn check(
    Shared(server): Shared<Arc<Server>>,
    Operator(person): Operator,
    Place(id): Place<String>,
    key: RequestKey,
    Given(CheckBody {}): Given<CheckBody>,
) -> Result<(StatusCode, Json<RunAnswer>), Trouble> {
    let run = orders::check(&server, &person, &id, key.name)?;
    Ok((StatusCode::ACCEPTED, Json(RunAnswer::of(&server, run)?)))
}

/// Verifies the copies of an archive: `hookshot verify`
///
/// Answers at once; the run tells how it goes.
#[utoipa::path(
    post, path = "/snapshots/{id}/verify", tag = "snapshots", security(("token" = ["operator"])),
    params(("id" = String, Path, description = "The identifier of the archive"), RequestKey),
    request_body = CopyBody,
    responses((status = 202, description = "The run", body = RunAnswer))
)]
pub async fn verify(
    Shared(server): Shared<Arc<Server>>,
    Operator(person): Operator,
    Place(id): Place<String>,
    key: RequestKey,
    Given(copy): Given<CopyBody>,
) -> Result<(StatusCode, Json<RunAnswer>), Trouble> {
    let destination = copy.destination.as_deref();
    let run = orders::work(&server, &person, (&id, Work::Verify), destination, key.name)?;
    Ok((StatusCode::ACCEPTED, Json(RunAnswer::of(&server, run)?)))
}

/// Rehearses the restore of an archive: `hookshot drill`
///
/// Answers at once; the run tells how it goes.
#[utoipa::path(
    post, path = "/snapshots/{id}/drill", tag = "snapshots", security(("token" = ["operator"])),
    params(("id" = String, Path, description = "The identifier of the archive"), RequestKey),
    request_body = CopyBody,
    responses((status = 202, description = "The run", body = RunAnswer))
)]
pub async fn drill(
    Shared(server): Shared<Arc<Server>>,
    Operator(person): Operator,
    Place(id): Place<String>,
    key: RequestKey,
    Given(copy): Given<CopyBody>,
) -> Result<(StatusCode, Json<RunAnswer>), Trouble> {
    let destination = copy.destination.as_deref();
    let run = orders::work(&server, &person, (&id, Work::Drill), destination, key.name)?;
    Ok((StatusCode::ACCEPTED, Json(RunAnswer::of(&server, run)?)))
}

/// Marks the copies of an archive, so that no policy removes them: `hookshot keep`
#[utoipa::path(
    put, path = "/snapshots/{id}/mark", tag = "snapshots", security(("token" = ["operator"])),
    params(("id" = String, Path, description = "The identifier of the archive")),
    request_body = MarkBody,
    responses((status = 200, description = "The marks", body = MarksAnswer))
)]
pub async fn keep(
    Shared(server): Shared<Arc<Server>>,
    Operator(person): Operator,
    Place(id): Place<String>,
    Given(mark): Given<MarkBody>,
) -> Result<Json<MarksAnswer>, Trouble> {
    let marking = Marking::Keep {
        reason: mark.reason,
        until: mark.until,
    };
    let destination = mark.destination.as_deref();
    let runs = orders::mark(&server, &person, (&id, marking), destination).await?;
    Ok(Json(MarksAnswer::of(runs)))
}

/// Removes the marks of the copies of an archive: `hookshot keep --remove`
#[utoipa::path(
    delete, path = "/snapshots/{id}/mark", tag = "snapshots", security(("token" = ["operator"])),
    params(("id" = String, Path, description = "The identifier of the archive")),
    request_body = CopyBody,
    responses((status = 200, description = "The marks", body = MarksAnswer))
)]
pub async fn release(
    Shared(server): Shared<Arc<Server>>,
    Operator(person): Operator,
    Place(id): Place<String>,
    Given(copy): Given<CopyBody>,
) -> Result<Json<MarksAnswer>, Trouble> {
    let destination = copy.destination.as_deref();
    let runs = orders::mark(&server, &person, (&id, Marking::Release), destination).await?;
    Ok(Json(MarksAnswer::of(runs)))
}

impl MarksAnswer {
    fn of(runs: Vec<ServeRun>) -> MarksAnswer {
        let reports = runs.into_iter();
        let reports = reports.map(|run| run.report.unwrap_or_default());
        MarksAnswer {
            marks: reports.collect(),
        }
    }
}

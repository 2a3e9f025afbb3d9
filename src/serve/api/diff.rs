//! `GET snapshots/{id}/diff`: what differs between an archive and this machine, or another archive.

use std::sync::Arc;

use axum::{Json, extract::State as Shared};
use serde_json::Value;

use super::{
    snapshots::{readable, seen},
    words::Place,
};
use crate::serve::{
    Server,
    answer::{Trouble, require_told},
    person::Viewer,
    program::Asked,
};

/// The differences between this machine's state and an archive
///
/// `here` is this machine. Not for tokens that see some services only.
#[utoipa::path(
    get, path = "/snapshots/{id}/diff", tag = "snapshots", security(("token" = ["viewer"])),
    params(("id" = String, Path, description = "The identifier of the archive")),
    responses((status = 200, description = "The report of `hookshot diff --json`", body = Value))
)]
pub async fn diff_here(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Place(id): Place<String>,
) -> Result<Json<Value>, Trouble> {
    let archive = seen(&server, &person, &id)?;
    person.require_all("this machine's state")?;
    let (config, copy) = readable(&server, &archive)?;
    let answer = server.program.ask(config, &Asked::DiffHere(copy)).await?;
    Ok(Json(require_told(answer.report, "entries")?))
}

/// The differences between two archives
///
/// `here` is the first one. Both are of the same configuration.
#[utoipa::path(
    get, path = "/snapshots/{id}/diff/{other}", tag = "snapshots", security(("token" = ["viewer"])),
    params(
        ("id" = String, Path, description = "The identifier of an archive"),
        ("other" = String, Path, description = "The identifier of the other archive")
    ),
    responses((status = 200, description = "The report of `hookshot diff --json`", body = Value))
)]
pub async fn diff(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Place((id, other)): Place<(String, String)>,
) -> Result<Json<Value>, Trouble> {
    let one = seen(&server, &person, &id)?;
    let other = seen(&server, &person, &other)?;
    let (config, copy) = readable(&server, &one)?;
    let (other_config, other_copy) = readable(&server, &other)?;
    if config != other_config {
        return Err(Trouble::misread(
            "the two archives are of two configurations",
        ));
    }
    let asked = Asked::Diff(copy, other_copy);
    let answer = server.program.ask(config, &asked).await?;
    Ok(Json(require_told(answer.report, "entries")?))
}

//! The forms of pages that start work. Each leads to the page of its run.

use std::sync::Arc;

use axum::{
    Form,
    extract::{Path, State},
    response::Redirect,
};
use serde::Deserialize;

use super::wrong::Wrong;
use crate::serve::{
    Server,
    answer::Trouble,
    database::ServeRun,
    orders::{self, Marking, Work},
    person::Operator,
    runs,
};

/// The fields of the form of a mark.
#[derive(Debug, Deserialize)]
pub struct MarkForm {
    #[serde(default)]
    reason: String,
    until: Option<String>,
    /// `release` to remove the mark.
    act: Option<String>,
}

/// Verifies an archive.
pub async fn verify(
    State(server): State<Arc<Server>>,
    Operator(person): Operator,
    Path(id): Path<String>,
) -> Result<Redirect, Wrong> {
    let run = orders::work(&server, &person, (&id, Work::Verify), None, None)?;
    Ok(to(&run))
}

/// Rehearses the restore of an archive.
pub async fn drill(
    State(server): State<Arc<Server>>,
    Operator(person): Operator,
    Path(id): Path<String>,
) -> Result<Redirect, Wrong> {
    let run = orders::work(&server, &person, (&id, Work::Drill), None, None)?;
    Ok(to(&run))
}

/// Marks an archive, or removes its mark.
pub async fn mark(
    State(server): State<Arc<Server>>,
    Operator(person): Operator,
    Path(id): Path<String>,
    Form(form): Form<MarkForm>,
) -> Result<Redirect, Wrong> {
    let marking = match form.act.as_deref() {
        Some("release") => Marking::Release,
        _ => Marking::Keep {
            reason: form.reason,
            until: form.until,
        },
    };
    let ended = orders::mark(&server, &person, (&id, marking), None).await?;
    let run = ended.last().ok_or_else(|| Trouble::missing("copy"))?;
    Ok(to(run))
}

/// Tests a destination.
pub async fn check(
    State(server): State<Arc<Server>>,
    Operator(person): Operator,
    Path(id): Path<String>,
) -> Result<Redirect, Wrong> {
    Ok(to(&orders::check(&server, &person, &id, None)?))
}

/// Starts a backup.
pub async fn backup(
    State(server): State<Arc<Server>>,
    Operator(person): Operator,
    Path(id): Path<String>,
) -> Result<Redirect, Wrong> {
    Ok(to(&orders::backup(&server, &person, &id, None)?))
}

/// Asks a run to end.
pub async fn cancel(
    State(server): State<Arc<Server>>,
    Operator(person): Operator,
    Path(id): Path<String>,
) -> Result<Redirect, Wrong> {
    Ok(to(&runs::cancel(&server, &id, &person).await?))
}

fn to(run: &ServeRun) -> Redirect {
    Redirect::to(&format!("/runs/{}", run.id))
}

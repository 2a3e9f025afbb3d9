//! `GET snapshots/{id}/entries`: the entries of an archive, page by page.

use std::sync::Arc;

use axum::{Json, extract::State as Shared};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    snapshots::{readable, seen},
    words::{Place, Words},
};
use crate::serve::{
    Server,
    answer::Trouble,
    cursor,
    inspected::{Entry, Wanted, inspect},
    person::Viewer,
};

/// The entries of an answer.
const ROWS: usize = 1000;

/// The entries that are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EntryWords {
    /// The entry of this name, and those below it
    path: Option<String>,
    /// `next` of the answer before
    cursor: Option<String>,
}

/// A page of entries.
#[derive(Debug, Serialize, ToSchema)]
pub struct EntriesAnswer {
    /// Entries, by name.
    entries: Vec<Entry>,
    /// The cursor of the next page; null on the last one.
    next: Option<String>,
}

/// The entries of an archive, by name
///
/// The files of a directory of more than 10,000 are not among them: the entry `DIRECTORY.files.jsonl` lists those.
#[utoipa::path(
    get, path = "/snapshots/{id}/entries", tag = "snapshots", security(("token" = ["viewer"])),
    params(("id" = String, Path, description = "The identifier of the archive"), EntryWords),
    responses((status = 200, description = "A page of entries", body = EntriesAnswer))
)]
pub async fn entries(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Place(id): Place<String>,
    Words(words): Words<EntryWords>,
) -> Result<Json<EntriesAnswer>, Trouble> {
    let archive = seen(&server, &person, &id)?;
    let (config, copy) = readable(&server, &archive)?;
    let path = words.path.map(|path| path.trim_end_matches('/').to_owned());
    let wanted = Wanted {
        path: path.filter(|path| !path.is_empty()),
        after: cursor::given(words.cursor.as_deref(), cursor::read_name)?,
        count: ROWS,
        ..Wanted::default()
    };
    let inspected = inspect(&server.program, config, copy, wanted).await?;
    let last = inspected.entries.last().filter(|_| inspected.has_more);
    Ok(Json(EntriesAnswer {
        next: last.map(|entry| cursor::after_name(&entry.entry)),
        entries: inspected.entries,
    }))
}

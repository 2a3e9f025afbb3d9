//! `GET snapshots`: the archives of all destinations.

use std::sync::Arc;

use axum::{Json, extract::State as Shared};
use chrono::{DateTime, NaiveDate};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    health::written,
    words::{Place, Words},
};
use crate::{
    error::{Failure, Kind},
    serve::{
        Server,
        answer::Trouble,
        cursor,
        database::{Archive, ArchiveFilter, Copy},
        index::freshen,
        inspected::{Wanted, inspect},
        person::{Person, Viewer},
    },
};

/// The archives of an answer.
const ROWS: u32 = 500;

/// The archives that are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SnapshotWords {
    /// The archives of this host alone: what the names of its archives begin with
    host: Option<String>,
    /// The same
    service: Option<String>,
    /// The same, in the words of older clients
    app_id: Option<String>,
    /// The archives of this time and later ones: a date, or RFC 3339
    from: Option<String>,
    /// `next` of the answer before
    cursor: Option<String>,
}

/// A page of archives.
#[derive(Debug, Serialize, ToSchema)]
pub struct SnapshotsAnswer {
    /// Archives, the newest first.
    snapshots: Vec<Snapshot>,
    /// The cursor of the next page; null on the last one.
    next: Option<String>,
}

/// An archive.
#[derive(Debug, Serialize, ToSchema)]
pub struct Snapshot {
    /// Its identifier.
    id: String,
    /// The host or service that it is of: what its name begins with.
    host: String,
    /// The name of its file.
    name: String,
    /// The time that it tells.
    #[schema(format = DateTime)]
    created_at: Option<String>,
    /// The best that is known of one of its copies: `good`, `unproven`, `bad` and others.
    status: Option<String>,
    /// The bytes of its largest copy.
    size_bytes: Option<u64>,
    /// The same, for older clients.
    total_size: Option<u64>,
    /// The same: an archive is whole. A repository keeps less, as its archives share what they have in common.
    data_added: Option<u64>,
    /// Null: the run that made it tells how long it took.
    duration: Option<u64>,
    /// Null: an archive is named by `id`, in repositories too.
    restic_snapshot_id: Option<String>,
    /// Its copies, by destination.
    copies: Vec<Copy>,
}

/// An archive, with what it says of itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct SnapshotAnswer {
    #[serde(flatten)]
    snapshot: Snapshot,
    /// The number of its entries.
    entries: u64,
    /// The report of `hookshot inspect --json`, without `files` of the manifest: those are at `entries`.
    inspected: Value,
}

/// The archives of all destinations, the newest first
#[utoipa::path(
    get, path = "/snapshots", tag = "snapshots", security(("token" = ["viewer"])), params(SnapshotWords),
    responses((status = 200, description = "A page of archives", body = SnapshotsAnswer))
)]
pub async fn snapshots(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Words(words): Words<SnapshotWords>,
) -> Result<Json<SnapshotsAnswer>, Trouble> {
    freshen(&server);
    let filter = ArchiveFilter {
        prefixes: prefixes(&person, [words.host, words.service, words.app_id]),
        since: words.from.as_deref().map(since).transpose()?,
        before: cursor::given(words.cursor.as_deref(), cursor::read)?,
        count: ROWS + 1,
    };
    let mut archives = server.database.archives(&filter)?;
    let is_full = archives.len() > ROWS as usize;
    archives.truncate(ROWS as usize);
    let next = archives.last().filter(|_| is_full).map(cursor::after);
    let snapshots = archives.into_iter().map(Snapshot::of).collect();
    Ok(Json(SnapshotsAnswer { snapshots, next }))
}

/// An archive, with what it says of itself
///
/// 404 if the token does not see its service.
#[utoipa::path(
    get, path = "/snapshots/{id}", tag = "snapshots", security(("token" = ["viewer"])),
    params(("id" = String, Path, description = "The identifier of the archive")),
    responses((status = 200, description = "The archive", body = SnapshotAnswer))
)]
pub async fn snapshot(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Place(id): Place<String>,
) -> Result<Json<SnapshotAnswer>, Trouble> {
    let archive = seen(&server, &person, &id)?;
    let (config, copy) = readable(&server, &archive)?;
    let inspected = inspect(&server.program, config, copy, Wanted::first(0)).await?;
    Ok(Json(SnapshotAnswer {
        snapshot: Snapshot::of(archive),
        entries: inspected.count,
        inspected: inspected.report.into(),
    }))
}

/// Returns the archive of this identifier, if the person sees it.
pub fn seen(server: &Server, person: &Person, id: &str) -> Result<Archive, Trouble> {
    let archive = server.database.archive(id)?;
    let archive = archive.filter(|archive| person.sees(&archive.prefix));
    archive.ok_or_else(|| Trouble::missing("snapshot"))
}

/// Returns the configuration and the copy by which an archive is read.
pub fn readable<'a>(
    server: &'a Server,
    archive: &'a Archive,
) -> Result<(&'a std::path::Path, &'a Copy), Trouble> {
    let config = server.config(&archive.config);
    let config = config.ok_or_else(|| Trouble::missing("configuration"))?;
    let copy = archive.best_copy();
    Ok((config, copy.ok_or_else(|| Trouble::missing("copy"))?))
}

/// Returns the services whose archives are asked for and seen; `None` for all.
fn prefixes(person: &Person, words: [Option<String>; 3]) -> Option<Vec<String>> {
    let mut asked = words.into_iter().flatten();
    let Some(first) = asked.next() else {
        return person.prefixes.clone();
    };
    let is_one = asked.all(|other| other == first);
    Some(match is_one && person.sees(&first) {
        true => vec![first],
        false => Vec::new(),
    })
}

/// Reads a date or a time.
fn since(text: &str) -> Result<i64, Trouble> {
    let date = text.parse::<NaiveDate>().ok();
    let midnight = date.and_then(|date| date.and_hms_opt(0, 0, 0));
    let time = midnight.map(|time| time.and_utc().timestamp());
    let time = time.or_else(|| Some(DateTime::parse_from_rfc3339(text).ok()?.timestamp()));
    time.ok_or_else(|| {
        let failure = Failure::new(Kind::Usage, "`from` is not a time");
        failure
            .hint("write 2026-11-21, or 2026-11-21T04:00:00Z")
            .into()
    })
}

impl Snapshot {
    fn of(archive: Archive) -> Snapshot {
        let standings = archive.copies.iter().map(|copy| copy.standing.as_str());
        let is_good = |standing: &&str| *standing == "good";
        let status = standings.clone().find(is_good).or(standings.min());
        let size = archive.copies.iter().map(|copy| copy.size_bytes).max();
        Snapshot {
            status: status.map(str::to_owned),
            created_at: written(archive.created_at),
            size_bytes: size,
            total_size: size,
            data_added: size,
            duration: None,
            restic_snapshot_id: None,
            id: archive.id,
            host: archive.prefix,
            name: archive.name,
            copies: archive.copies,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::role::Role;

    fn person(prefixes: Option<&[&str]>) -> Person {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Person {
            name: "t".to_owned(),
            role: Role::Viewer,
            address: [127, 0, 0, 1].into(),
            prefixes: prefixes.map(own),
            session: None,
        }
    }

    #[test]
    fn a_token_is_asked_for_no_service_that_it_does_not_see() {
        let word = |text: &str| Some(text.to_owned());
        let own = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        let all = person(None);
        assert_eq!(prefixes(&all, [None, None, None]), None);
        assert_eq!(prefixes(&all, [word("a"), None, None]), own(&["a"]));
        assert_eq!(prefixes(&all, [word("a"), word("b"), None]), own(&[]));
        let some = person(Some(&["a"]));
        assert_eq!(prefixes(&some, [None, None, None]), own(&["a"]));
        assert_eq!(prefixes(&some, [None, None, word("a")]), own(&["a"]));
        assert_eq!(prefixes(&some, [None, word("b"), None]), own(&[]));
        assert_eq!(prefixes(&person(Some(&[])), [None, None, None]), own(&[]));
    }

    #[test]
    fn from_is_a_date_or_a_time() {
        assert_eq!(since("1970-01-02").ok(), Some(86_400));
        assert_eq!(since("1970-01-01T01:00:05+01:00").ok(), Some(5));
        assert!(since("yesterday").is_err() && since("").is_err());
    }
}

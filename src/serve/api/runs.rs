//! `GET runs`: the history of jobs.

use std::{cmp::Reverse, sync::Arc};

use axum::{Json, extract::State as Shared};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::words::{Place, Words};
use crate::serve::{
    Server,
    answer::Trouble,
    cursor,
    index::freshen,
    person::{Person, Viewer},
};

/// The runs of an answer.
const ROWS: usize = 200;

/// The runs that are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RunWords {
    /// `next` of the answer before
    cursor: Option<String>,
}

/// A page of runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunsAnswer {
    /// Runs, the newest first.
    runs: Vec<Run>,
    /// The cursor of the next page; null on the last one.
    next: Option<String>,
}

/// A run of a job.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Run {
    /// Its identifier.
    id: String,
    /// The configuration that it was of.
    config: String,
    /// Its state: `running`, `done`, `failed`, or `lost` if nothing tells how it ended.
    state: &'static str,
    /// Its record, as `hookshot history --json` has it.
    #[serde(flatten)]
    record: Value,
}

/// The runs of jobs, the newest first
///
/// A token that sees some services only sees the runs that made archives of those.
#[utoipa::path(
    get, path = "/runs", tag = "runs", security(("token" = ["viewer"])), params(RunWords),
    responses((status = 200, description = "A page of runs", body = RunsAnswer))
)]
pub async fn runs(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Words(words): Words<RunWords>,
) -> Result<Json<RunsAnswer>, Trouble> {
    freshen(&server);
    let all = history(&server, &person)?;
    let behind = |id: &str| Some(all.iter().position(|run| run.id == id)? + 1);
    let start = cursor::given(words.cursor.as_deref(), behind)?.unwrap_or(0);
    let runs: Vec<Run> = all.iter().skip(start).take(ROWS).cloned().collect();
    let is_last = start + runs.len() >= all.len();
    let last = runs.last().filter(|_| !is_last);
    Ok(Json(RunsAnswer {
        next: last.map(|run| run.id.clone()),
        runs,
    }))
}

/// A run of a job
#[utoipa::path(
    get, path = "/runs/{id}", tag = "runs", security(("token" = ["viewer"])),
    params(("id" = String, Path, description = "The identifier of the run")),
    responses((status = 200, description = "The run", body = Run))
)]
pub async fn run(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Place(id): Place<String>,
) -> Result<Json<Run>, Trouble> {
    let mut all = history(&server, &person)?.into_iter();
    let found = all.find(|run| run.id == id);
    Ok(Json(found.ok_or_else(|| Trouble::missing("run"))?))
}

/// Returns the runs of all configurations that the person sees, the newest first.
fn history(server: &Server, person: &Person) -> Result<Vec<Run>, Trouble> {
    let mut runs = Vec::new();
    for config in &server.configs {
        let config = config.display().to_string();
        let look = server.database.look(&config, "history")?;
        let mut answer = look.map(|look| look.answer).unwrap_or_default();
        if let Value::Array(found) = answer["runs"].take() {
            let found = found.into_iter().filter(|record| sees(person, record));
            runs.extend(found.map(|record| Run::of(&config, record)));
        }
    }
    let text = |run: &Run, key: &str| run.record[key].as_str().unwrap_or_default().to_owned();
    runs.sort_by_cached_key(|run| Reverse((text(run, "started_at"), run.id.clone())));
    Ok(runs)
}

impl Run {
    fn of(config: &str, record: Value) -> Run {
        Run {
            id: record["run_id"].as_str().unwrap_or_default().to_owned(),
            config: config.to_owned(),
            state: match record["result"].as_str().unwrap_or_default() {
                "running" => "running",
                "success" | "skipped" | "unchanged" => "done",
                "killed" => "lost",
                _ => "failed",
            },
            record,
        }
    }
}

/// Returns true if the person sees the service whose archive a run made.
fn sees(person: &Person, record: &Value) -> bool {
    let Some(prefixes) = &person.prefixes else {
        return true;
    };
    let archive = record["archive"].as_str().unwrap_or_default();
    let is_of = |prefix: &String| {
        // The time follows, which begins with a digit; another prefix may begin with this one.
        let rest = archive.strip_prefix(prefix.as_str());
        let rest = rest.and_then(|rest| rest.strip_prefix('-'));
        rest.is_some_and(|rest| rest.len() >= 15 && is_time(&rest.as_bytes()[..15]))
    };
    prefixes.iter().any(is_of)
}

/// Returns true for the time in the name of an archive: `20261121-040000`.
fn is_time(text: &[u8]) -> bool {
    let fits = |(place, byte): (usize, &u8)| match place {
        8 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    text.iter().enumerate().all(fits)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::serve::role::Role;

    #[test]
    fn a_token_sees_the_runs_of_its_services_alone() {
        let person = Person {
            name: "t".to_owned(),
            role: Role::Viewer,
            address: [127, 0, 0, 1].into(),
            prefixes: Some(vec!["shop".to_owned()]),
            session: None,
        };
        for (archive, is_seen) in [
            ("shop-20261121-040000.tar.gz", true),
            ("shop-20261121-040000.1.tar.gz.age", true),
            ("shop-eu-20261121-040000.tar.gz", false),
            ("shopping-20261121-040000.tar.gz", false),
            ("shop-20261121", false),
            ("", false),
        ] {
            assert_eq!(
                sees(&person, &json!({ "archive": archive })),
                is_seen,
                "{archive}"
            );
        }
        assert!(!sees(&person, &json!({})));
    }
}

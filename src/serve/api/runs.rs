//! `GET runs`: the runs of the server and of jobs; `DELETE runs/{id}`: the end of one.

use std::sync::Arc;

use axum::{
    Json,
    extract::State as Shared,
    http::header,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use super::words::{Place, Words};
use crate::serve::{
    Server,
    answer::Trouble,
    cursor,
    database::{RunState, ServeRun},
    history::{Past, history},
    identity::Person,
    index::freshen,
    person::{Operator, Viewer},
    runs::{self, Progress, failure, lines, progress},
};

/// The runs of an answer.
const ROWS: usize = 200;

/// The runs that are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RunWords {
    /// The runs of this state alone: `running`, `done`, `failed`, `cancelled`, `lost`
    state: Option<String>,
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

/// A run.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Run {
    /// Its identifier.
    id: String,
    /// Its state. `lost`: nothing tells how it ended.
    state: RunState,
    /// Further fields: `config`, `verb`, `actor`, `target`, `started_at`, `ended_at`, `message`; and the record of a job, as
    /// `hookshot history --json` has it.
    #[serde(flatten)]
    record: Map<String, Value>,
}

/// A run in detail.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RunAnswer {
    #[serde(flatten)]
    run: Run,
    /// The exit code of the verb; null until its end, and if nothing tells it.
    exit_code: Option<u8>,
    /// The user or token that asked for its end.
    cancelled_by: Option<String>,
    /// The failure, as the command line prints it.
    error: Value,
    /// The progress of a run at work, as far as its verb told any.
    progress: Option<Progress>,
    /// The report of the verb, as the command line prints it with `--json`. Of long lists, the rest is left out.
    report: Value,
}

impl Run {
    fn of(past: &Past) -> Run {
        let mut record = past.json();
        record.remove("id");
        record.remove("state");
        Run {
            id: past.id.clone(),
            state: past.state,
            record,
        }
    }
}

impl RunAnswer {
    /// Returns true if nothing changes any more.
    pub fn has_ended(&self) -> bool {
        self.run.state != RunState::Running
    }

    /// Describes a run of the server.
    pub fn of(server: &Server, run: ServeRun) -> Result<RunAnswer, Trouble> {
        let found = runs::log(server, &run.id)?;
        let (run, log) = found.unwrap_or((run, String::new()));
        let past = Past::of_server(&run, None);
        Ok(RunAnswer::new(&past, run, &log))
    }

    fn new(past: &Past, run: ServeRun, log: &str) -> RunAnswer {
        let error = failure(run.report.as_ref(), log, run.exit_code).map(|failure| {
            json!({
                "code": run.exit_code, "kind": failure.kind.name(), "message": failure.message,
                "hint": failure.hint, "faults": failure.faults,
            })
        });
        let mut shown = Run::of(past);
        // The fields of the same name stand beside it.
        for name in ["error", "exit_code"] {
            shown.record.remove(name);
        }
        let progress = progress(log).filter(|_| run.state == RunState::Running);
        RunAnswer {
            run: shown,
            exit_code: run.exit_code,
            cancelled_by: run.cancelled_by,
            error: error.unwrap_or_default(),
            progress,
            report: run.report.unwrap_or_default(),
        }
    }

    fn of_job(past: &Past) -> RunAnswer {
        let mut run = Run::of(past);
        let code = run
            .record
            .remove("exit_code")
            .and_then(|code| code.as_u64());
        RunAnswer {
            error: run.record.remove("error").unwrap_or_default(),
            run,
            exit_code: code.and_then(|code| u8::try_from(code).ok()),
            cancelled_by: None,
            progress: None,
            report: Value::Null,
        }
    }
}

/// The runs of the server and of jobs, the newest first
///
/// A token that sees some services only sees the runs of archives of those.
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
    let mut all = history(&server, &person)?;
    if let Some(state) = &words.state {
        all.retain(|one| one.state.name() == state);
    }
    let behind = |id: &str| Some(all.iter().position(|run| run.id == id)? + 1);
    let start = cursor::given(words.cursor.as_deref(), behind)?.unwrap_or(0);
    let runs: Vec<Run> = all.iter().skip(start).take(ROWS).map(Run::of).collect();
    let is_last = start + runs.len() >= all.len();
    let last = runs.last().filter(|_| !is_last);
    Ok(Json(RunsAnswer {
        next: last.map(|run| run.id.clone()),
        runs,
    }))
}

/// A run, with its report and its progress
#[utoipa::path(
    get, path = "/runs/{id}", tag = "runs", security(("token" = ["viewer"])),
    params(("id" = String, Path, description = "The identifier of the run")),
    responses((status = 200, description = "The run", body = RunAnswer))
)]
pub async fn run(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Place(id): Place<String>,
) -> Result<Json<RunAnswer>, Trouble> {
    found(&server, &person, &id).map(Json)
}

/// Returns a run of the server or of a job that the person sees.
pub fn found(server: &Server, person: &Person, id: &str) -> Result<RunAnswer, Trouble> {
    if let Some((run, log)) = runs::log(server, id)? {
        let past = Past::of_server(&run, None);
        return match past.is_seen_by(person) {
            true => Ok(RunAnswer::new(&past, run, &log)),
            false => Err(Trouble::missing("run")),
        };
    }
    let mut all = history(server, person)?.into_iter();
    let past =
        all.find(|run| run.id == id || run.record.get("run_id").is_some_and(|own| own == id));
    let past = past.ok_or_else(|| Trouble::missing("run"))?;
    match runs::log(server, &past.id)? {
        Some((run, log)) => Ok(RunAnswer::new(&past, run, &log)),
        None => Ok(RunAnswer::of_job(&past)),
    }
}

/// The last messages of a run of the server, as lines
#[utoipa::path(
    get, path = "/runs/{id}/log", tag = "runs", security(("token" = ["viewer"])),
    params(("id" = String, Path, description = "The identifier of the run")),
    responses((status = 200, description = "At most 64 KiB", body = String, content_type = "text/plain"))
)]
pub async fn log(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Place(id): Place<String>,
) -> Result<Response, Trouble> {
    let found = runs::log(&server, &id)?;
    let seen = found.filter(|(run, _)| Past::of_server(run, None).is_seen_by(&person));
    let (_, log) = seen.ok_or_else(|| Trouble::missing("run"))?;
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((kind, lines(&log)).into_response())
}

/// Asks a run of the server to end
///
/// The verb ends by itself, and leaves nothing half done. An import past its point of no return goes on: the result of the
/// run tells which it was.
#[utoipa::path(
    delete, path = "/runs/{id}", tag = "runs", security(("token" = ["operator"])),
    params(("id" = String, Path, description = "The identifier of the run")),
    responses((status = 202, description = "The run", body = RunAnswer))
)]
pub async fn cancel(
    Shared(server): Shared<Arc<Server>>,
    Operator(person): Operator,
    Place(id): Place<String>,
) -> Result<(axum::http::StatusCode, Json<RunAnswer>), Trouble> {
    let found = runs::log(&server, &id)?;
    let seen = found.filter(|(run, _)| Past::of_server(run, None).is_seen_by(&person));
    seen.ok_or_else(|| Trouble::missing("run"))?;
    let run = runs::cancel(&server, &id, &person).await?;
    Ok((
        axum::http::StatusCode::ACCEPTED,
        Json(RunAnswer::of(&server, run)?),
    ))
}

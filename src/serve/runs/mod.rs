//! The runs: verbs that work, started as processes that outlive the server, followed to their end.
//!
//! The audit record and the row come first, so nothing works that the state does not know. A server that starts again finds the
//! runs of the one before it by the files that they write.

mod files;
mod follow;
mod record;
mod report;
mod told;

use std::{path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::http::StatusCode;
use nix::{sys::signal::Signal, unistd::Pid};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::{
    Server,
    answer::Trouble,
    database::{Beginning, Deed, End, Key, RunState, ServeRun},
    identity::Person,
    task::Task,
};
use crate::{
    error::{Failure, Kind},
    model::digest::Digest,
    work::{run_id::new_run_id, session},
};

pub use self::{
    files::Runs,
    follow::adopt,
    record::run_recorded,
    told::{Progress, failure, lines, progress},
};

/// The time for which the answer to a short verb waits.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// The characters of the target of a record of the audit trail.
const MOST_TARGET: usize = 500;

/// The order for a run.
pub struct Order<'a> {
    /// The configuration.
    pub config: PathBuf,
    /// The work.
    pub task: Task,
    /// The object of the work, for people: a destination, the name of an archive.
    pub target: String,
    /// The person that asks for it.
    pub person: &'a Person,
    /// The act, for the audit trail.
    pub action: &'a str,
    /// The name of the request, if it has one: a repeated request gets the same run.
    pub key: Option<String>,
}

/// Starts a run.
///
/// Errors: 409 if the same work is under way or too many runs are; 422 if the key is that of another request; 507 if the
/// disk of the state is full. Each is in the audit trail, as far as that can be written.
pub fn start(server: &Arc<Server>, order: Order<'_>) -> Result<ServeRun, Trouble> {
    let begun = begin(server, &order);
    if let Err(trouble) = &begun {
        let (from, words) = (order.person.address.to_string(), order.words());
        let deed = order.deed((&from, &words), trouble.failure.kind.name());
        let recorded = server.database.record(deed, server.now());
        // The refusal itself is the answer, also if it cannot be recorded.
        if let Err(error) = recorded {
            tracing::warn!("Cannot record a refused {}: {error:#}", order.action);
        }
    }
    match begun? {
        Begun::Repeated(run) => Ok(run),
        Begun::New(run) => {
            if let Err(error) = launch(server, &order, &run) {
                let failure = Failure::of(&error);
                give_up(server, &run, &failure);
                return Err(failure.into());
            }
            Ok(run)
        }
    }
}

/// A run that the state knows.
enum Begun {
    New(ServeRun),
    Repeated(ServeRun),
}

impl Order<'_> {
    /// Returns the target of the record of the audit trail, with the reason of a mark.
    fn words(&self) -> String {
        let words = match &self.task {
            Task::Keep { reason, .. } if !reason.is_empty() => format!("{}: {reason}", self.target),
            _ => self.target.clone(),
        };
        words.chars().take(MOST_TARGET).collect()
    }

    fn deed<'a>(&'a self, (from, target): (&'a str, &'a str), outcome: &'a str) -> Deed<'a> {
        Deed {
            actor: &self.person.name,
            address: from,
            action: self.action,
            target,
            outcome,
        }
    }
}

fn begin(server: &Server, order: &Order<'_>) -> Result<Begun, Trouble> {
    let now = server.now();
    let config = order.config.display().to_string();
    let work = (config.as_str(), order.task.verb(), order.target.as_str());
    let run = ServeRun::begun(&new_run_id(), work, &order.person.name, now.timestamp());
    let key = order.key.as_ref().map(|name| {
        let request = json!([run.config, order.action, order.target, order.task]);
        Key {
            name: name.clone(),
            digest: Digest::of(request.to_string().as_bytes()).to_string(),
        }
    });
    let (from, words) = (order.person.address.to_string(), order.words());
    let deed = order.deed((&from, &words), "begun");
    let begun = (server.database).begin_run(&run, key.as_ref(), deed, now)?;
    let blocked = |message: String| Failure::new(Kind::Blocked, message);
    match begun {
        Beginning::Begun => Ok(Begun::New(run)),
        Beginning::Repeated(id) => {
            let found = server.database.run(&id)?;
            let (run, _) = found.ok_or_else(|| Trouble::missing("run"))?;
            Ok(Begun::Repeated(run))
        }
        Beginning::OtherRequest => Err(Trouble {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            failure: Failure::new(Kind::Usage, "another request had this Idempotency-Key")
                .hint("give every request a key of its own"),
        }),
        Beginning::Same(id) => {
            let message = format!("`{}` is at work already, as run {id}", run.verb);
            Err(blocked(message)
                .hint("wait for its end, or cancel it")
                .into())
        }
        Beginning::Many => {
            let message = "too many runs of this configuration are at work".to_owned();
            Err(blocked(message)
                .hint("wait until one of them has ended")
                .into())
        }
    }
}

/// Starts the process of a run, and follows it.
fn launch(server: &Arc<Server>, order: &Order<'_>, run: &ServeRun) -> anyhow::Result<()> {
    let (report, log) = server.runs.create(&run.id)?;
    let record = server.runs.files(&run.id).record;
    let mut command = server
        .program
        .recorded_command(&record, &order.config, &order.task)?;
    command.stdin(Stdio::null()).stdout(report).stderr(log);
    let child = command.spawn();
    let child = child.context("the process of the verb does not start")?;
    follow::follow(server, &run.id, child);
    Ok(())
}

/// Ends a run whose process does not start.
fn give_up(server: &Server, run: &ServeRun, failure: &Failure) {
    let report = json!({"error": {
        "code": failure.kind.code(), "kind": failure.kind.name(), "message": failure.message,
        "hint": failure.hint, "faults": failure.faults,
    }});
    let end = End {
        exit_code: Some(failure.kind.code()),
        message: Some(failure.message.clone()),
        report: Some(&report),
        log: "",
    };
    let noted = server.database.end_run(&run.id, &end, server.now());
    let removed = server.runs.files(&run.id).remove();
    if let Err(error) = noted.and(removed.map_err(Into::into)) {
        tracing::warn!("Cannot end the run {}: {error:#}", run.id);
    }
}

/// Asks a run to end. It ends by itself, and leaves nothing half done; an import past its point of no return goes on.
///
/// Errors: 404 if it is unknown; 409 if it has ended.
pub async fn cancel(server: &Server, id: &str, person: &Person) -> Result<ServeRun, Trouble> {
    let found = server.database.run(id)?;
    let (run, _) = found.ok_or_else(|| Trouble::missing("run"))?;
    let target = format!("{} {} ({id})", run.verb, run.target);
    let from = person.address.to_string();
    let deed = |outcome| Deed {
        actor: &person.name,
        address: &from,
        action: "cancel",
        target: &target,
        outcome,
    };
    if !server.database.cancel_run(id, deed("done"), server.now())? {
        server.database.record(deed("blocked"), server.now())?;
        return Err(Failure::new(Kind::Blocked, "this run has ended").into());
    }
    // A client that goes away takes nothing back.
    let record = server.runs.files(id).record;
    let told = tokio::spawn(async move {
        if let Some(process) = follow::at_work(&record).await {
            session::signal(Pid::from_raw(process.pid), Signal::SIGTERM);
        }
    });
    let _ = told.await;
    let found = server.database.run(id)?;
    Ok(found.ok_or_else(|| Trouble::missing("run"))?.0)
}

/// Waits for the end of a run, for some time. Returns it with its log.
pub async fn end_of(server: &Server, id: &str) -> anyhow::Result<Option<(ServeRun, String)>> {
    let end = Instant::now() + LONGEST_WAIT;
    loop {
        let told = server.runs.ends.notified();
        let found = log(server, id)?;
        let is_running = |(run, _): &(ServeRun, String)| run.state == RunState::Running;
        if !found.as_ref().is_some_and(is_running) || timeout_at(end, told).await.is_err() {
            return Ok(found);
        }
    }
}

/// Returns what a run has told so far: its log in lines of the verb.
pub fn log(server: &Server, id: &str) -> anyhow::Result<Option<(ServeRun, String)>> {
    let Some((run, kept)) = server.database.run(id)? else {
        return Ok(None);
    };
    let log = match run.state {
        RunState::Running => server.runs.files(id).log_tail(),
        _ => kept,
    };
    Ok(Some((run, log)))
}

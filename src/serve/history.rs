//! The history: runs of this server and of jobs, as one list. A job that the server started is one run.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    time::Duration,
};

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::{
    Server,
    database::{RunState, ServeRun},
    identity::Person,
};
use crate::model::written::rfc3339;

/// The runs of the server that are read.
const MOST_RUNS: u32 = 2000;

/// A run of the server or of a job.
#[derive(Debug, Clone)]
pub struct Past {
    /// Its identifier.
    pub id: String,
    /// The configuration that it is of.
    pub config: String,
    /// Its progress.
    pub state: RunState,
    /// The verb.
    pub verb: String,
    /// The user or token that asked the server for it; `None` for a run of a schedule or a terminal.
    pub actor: Option<String>,
    /// The object of the work, if the server knows it.
    pub target: String,
    /// The archive that it made or worked on.
    pub archive: String,
    /// The time of its beginning, in RFC 3339.
    pub started_at: String,
    /// The time of its end.
    pub ended_at: Option<String>,
    /// The failure in words.
    pub message: Option<String>,
    /// Its record, as `hookshot history --json` has it, if there is one.
    pub record: Map<String, Value>,
}

/// Returns the runs that the person sees, the newest first.
pub fn history(server: &Server, person: &Person) -> Result<Vec<Past>> {
    let own = server.database.runs(MOST_RUNS)?;
    let mut past = Vec::new();
    let mut records: HashMap<String, Vec<Value>> = HashMap::new();
    for config in &server.configs {
        let config = config.display().to_string();
        let look = server.database.look(&config, "history")?;
        let mut answer = look.map(|look| look.answer).unwrap_or_default();
        if let Value::Array(found) = answer["runs"].take() {
            records.insert(config, found);
        }
    }
    let mut merged: HashSet<String> = HashSet::new();
    for run in &own {
        let known = records.get(&run.config).map(Vec::as_slice);
        let record = record_of(run, known.unwrap_or_default(), &merged);
        if let Some(record) = record {
            merged.insert(record["run_id"].as_str().unwrap_or_default().to_owned());
        }
        past.push(Past::of_server(run, record));
    }
    for (config, records) in records {
        let others = records.into_iter();
        let others = others.filter(|record| !merged.contains(text(record, "run_id")));
        past.extend(others.map(|record| Past::of_job(&config, record)));
    }
    past.retain(|one| one.is_seen_by(person));
    past.sort_by_cached_key(|one| Reverse((one.started_at.clone(), one.id.clone())));
    Ok(past)
}

fn text<'a>(record: &'a Value, key: &str) -> &'a str {
    record[key].as_str().unwrap_or_default()
}

/// Returns the record of the job that a run of the server is: the one that its report names, the one at work since its start,
/// or the one that was interrupted in its time if it was cancelled.
fn record_of<'a>(
    run: &ServeRun,
    records: &'a [Value],
    merged: &HashSet<String>,
) -> Option<&'a Value> {
    if let Some(id) = &run.job_run {
        return records.iter().find(|record| text(record, "run_id") == id);
    }
    let start = |record: &Value| DateTime::parse_from_rfc3339(text(record, "started_at")).ok();
    let until = run.ended_at.unwrap_or(i64::MAX);
    records.iter().find(|record| {
        let start = start(record).map(|start| start.timestamp());
        let is_within = start.is_some_and(|start| (run.begun_at..=until).contains(&start));
        let is_it = match run.state {
            RunState::Running => text(record, "result") == "running",
            RunState::Cancelled => matches!(record["exit_code"].as_u64(), Some(129 | 130 | 143)),
            _ => false,
        };
        let is_other = || merged.contains(text(record, "run_id"));
        text(record, "job") == run.verb && is_within && is_it && !is_other()
    })
}

impl Past {
    /// Returns a run of the server, with the record of the job if it is one.
    pub fn of_server(run: &ServeRun, record: Option<&Value>) -> Past {
        let written = |seconds| DateTime::from_timestamp(seconds, 0).map(rfc3339);
        let record = record.and_then(Value::as_object).cloned();
        Past {
            id: run.id.clone(),
            config: run.config.clone(),
            state: run.state,
            verb: run.verb.clone(),
            actor: Some(run.actor.clone()),
            target: run.target.clone(),
            archive: match (&run.archive, run.verb.as_str()) {
                (Some(archive), _) => archive.clone(),
                (None, "backup" | "check" | "rollback") => String::new(),
                (None, _) => run.target.clone(),
            },
            started_at: written(run.begun_at).unwrap_or_default(),
            ended_at: run.ended_at.and_then(written),
            message: run.message.clone(),
            record: record.unwrap_or_default(),
        }
    }

    fn of_job(config: &str, record: Value) -> Past {
        let own = |key: &str| text(&record, key).to_owned();
        Past {
            id: own("run_id"),
            config: config.to_owned(),
            state: match text(&record, "result") {
                "running" => RunState::Running,
                "success" | "skipped" | "unchanged" => RunState::Done,
                "killed" => RunState::Lost,
                _ => RunState::Failed,
            },
            verb: own("job"),
            actor: None,
            target: String::new(),
            archive: own("archive"),
            started_at: own("started_at"),
            ended_at: end_of(&record),
            message: (record["error"].as_str().or(record["skipped"].as_str())).map(str::to_owned),
            record: record.as_object().cloned().unwrap_or_default(),
        }
    }

    /// Returns true if the person sees the service that it is of.
    pub fn is_seen_by(&self, person: &Person) -> bool {
        person.prefixes.as_ref().is_none_or(|prefixes| {
            let mut prefixes = prefixes.iter();
            prefixes.any(|prefix| is_of(&self.archive, prefix))
        })
    }

    /// Returns it in JSON: the record of the job, and what the server knows.
    pub fn json(&self) -> Map<String, Value> {
        let mut out = self.record.clone();
        let own = json!({
            "id": self.id, "config": self.config, "state": self.state, "verb": self.verb,
            "started_at": self.started_at, "ended_at": self.ended_at,
            "actor": self.actor, "target": self.target, "message": self.message,
        });
        if let Value::Object(own) = own {
            out.extend(own);
        }
        out
    }
}

/// Returns the end of a job: its record has the start and the duration.
fn end_of(record: &Value) -> Option<String> {
    let start = DateTime::parse_from_rfc3339(text(record, "started_at")).ok()?;
    let seconds = Duration::try_from_secs_f64(record["duration_seconds"].as_f64()?).ok()?;
    let end = start
        .with_timezone(&Utc)
        .checked_add_signed(TimeDelta::from_std(seconds).ok()?);
    end.map(rfc3339)
}

/// Returns true for the name of an archive of this service.
fn is_of(archive: &str, prefix: &str) -> bool {
    // The time follows, which begins with a digit; another prefix may begin with this one.
    let rest = archive.strip_prefix(prefix);
    let rest = rest.and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|rest| rest.len() >= 15 && is_time(&rest.as_bytes()[..15]))
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
    use super::*;

    #[test]
    fn a_name_is_that_of_one_service_alone() {
        for (archive, is_own) in [
            ("shop-20261121-040000.tar.gz", true),
            ("shop-20261121-040000.1.tar.gz.age", true),
            ("shop-eu-20261121-040000.tar.gz", false),
            ("shopping-20261121-040000.tar.gz", false),
            ("shop-20261121", false),
            ("", false),
        ] {
            assert_eq!(is_of(archive, "shop"), is_own, "{archive}");
        }
    }

    fn run(job_run: Option<&str>, state: RunState) -> ServeRun {
        ServeRun {
            job_run: job_run.map(str::to_owned),
            state,
            ..ServeRun::begun("1", ("c", "backup", ""), "anna", 1000)
        }
    }

    #[test]
    fn a_job_tells_its_end_and_its_fault() {
        let record = json!({
            "run_id": "a", "job": "backup", "result": "partial", "archive": "x", "error": "a disk is full",
            "skipped": null, "started_at": "2026-12-01T04:58:17Z", "duration_seconds": 62.9,
        });
        let past = Past::of_job("c", record.clone());
        assert_eq!(past.ended_at.as_deref(), Some("2026-12-01T04:59:19Z"));
        assert_eq!(past.message.as_deref(), Some("a disk is full"));
        for odd in [json!(null), json!(-1), json!(1e300)] {
            let mut record = record.clone();
            record["duration_seconds"] = odd;
            assert_eq!(Past::of_job("c", record).ended_at, None);
        }
    }

    #[test]
    fn a_job_that_the_server_started_is_found_by_its_report_or_while_it_works() {
        let records = [
            json!({"run_id": "a", "job": "backup", "result": "success", "started_at": "1970-01-01T00:16:41Z"}),
            json!({"run_id": "b", "job": "prune", "result": "running", "started_at": "1970-01-01T00:16:41Z"}),
            json!({"run_id": "c", "job": "backup", "result": "running", "started_at": "1970-01-01T00:16:39Z"}),
            json!({"run_id": "d", "job": "backup", "result": "running", "started_at": "1970-01-01T00:16:40Z"}),
            json!({"run_id": "f", "job": "backup", "result": "failure", "exit_code": 143, "started_at": "1970-01-01T00:16:42Z"}),
            json!({"run_id": "e", "job": "backup", "result": "failure", "exit_code": 143, "started_at": "1970-01-01T00:16:42Z"}),
        ];
        let merged = HashSet::from(["f".to_owned()]);
        let found =
            |run: ServeRun| record_of(&run, &records, &merged).map(|record| text(record, "run_id"));
        assert_eq!(found(run(Some("a"), RunState::Done)), Some("a"));
        assert_eq!(found(run(Some("x"), RunState::Done)), None);
        assert_eq!(found(run(None, RunState::Running)), Some("d"));
        assert_eq!(found(run(None, RunState::Lost)), None);
        let cancelled = |ended_at| ServeRun {
            ended_at: Some(ended_at),
            ..run(None, RunState::Cancelled)
        };
        assert_eq!(found(cancelled(1005)), Some("e"));
        assert_eq!(found(cancelled(1001)), None);
    }
}

//! The runs of verbs that the server was asked for.

use anyhow::Result;
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    audit::{Deed, append},
    file::Database,
};

/// The runs that are kept.
const MOST_RUNS: u32 = 10_000;
/// The runs at once of a configuration.
const MOST_AT_ONCE: usize = 4;
/// The time for which a key is remembered, in seconds.
const KEY_SECONDS: i64 = 24 * 3600;

/// The progress of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// It works.
    Running,
    /// It ended with exit code 0.
    Done,
    /// It ended with another exit code.
    Failed,
    /// It was interrupted.
    Cancelled,
    /// Nothing tells how it ended: it was killed, or the machine was.
    Lost,
}

impl RunState {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Done => "done",
            RunState::Failed => "failed",
            RunState::Cancelled => "cancelled",
            RunState::Lost => "lost",
        }
    }
}

/// A run of a verb.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServeRun {
    /// Its identifier.
    pub id: String,
    /// The configuration that it is of.
    pub config: String,
    /// The verb.
    pub verb: String,
    /// The object of the work.
    pub target: String,
    /// The user or token that asked for it.
    pub actor: String,
    /// The time of its beginning, in Unix seconds.
    pub begun_at: i64,
    /// The time of its end, in Unix seconds.
    pub ended_at: Option<i64>,
    /// Its exit code.
    pub exit_code: Option<u8>,
    /// The user or token that asked for its end.
    pub cancelled_by: Option<String>,
    /// Its progress.
    pub state: RunState,
    /// The run of a job that it is, in the history.
    pub job_run: Option<String>,
    /// The archive that it made.
    pub archive: Option<String>,
    /// The failure in words.
    pub message: Option<String>,
    /// Its report in JSON; lists of runs leave it out.
    pub report: Option<Value>,
}

/// The end of a run.
#[derive(Debug, Clone, Default)]
pub struct End<'a> {
    /// Its exit code, if anything tells it.
    pub exit_code: Option<u8>,
    /// The failure in words.
    pub message: Option<String>,
    /// Its report.
    pub report: Option<&'a Value>,
    /// Its last messages.
    pub log: &'a str,
}

/// A name that a program gives a request, so that it may repeat it: `Idempotency-Key`.
#[derive(Debug, Clone)]
pub struct Key {
    /// The name.
    pub name: String,
    /// The digest of the request.
    pub digest: String,
}

/// The answer to a run that wants to begin.
#[derive(Debug, PartialEq, Eq)]
pub enum Beginning {
    /// It has begun.
    Begun,
    /// The request is a repeated one, and this is its run.
    Repeated(String),
    /// The key is that of another request.
    OtherRequest,
    /// This run does the same work now.
    Same(String),
    /// Too many runs of the configuration are at work.
    Many,
}

impl ServeRun {
    /// Describes a run that begins: of a configuration, a verb, and the object of its work.
    pub fn begun(
        id: &str,
        (config, verb, target): (&str, &str, &str),
        actor: &str,
        begun_at: i64,
    ) -> ServeRun {
        ServeRun {
            id: id.to_owned(),
            config: config.to_owned(),
            verb: verb.to_owned(),
            target: target.to_owned(),
            actor: actor.to_owned(),
            begun_at,
            ended_at: None,
            exit_code: None,
            cancelled_by: None,
            state: RunState::Running,
            job_run: None,
            archive: None,
            message: None,
            report: None,
        }
    }

    fn of(row: &Row<'_>) -> rusqlite::Result<ServeRun> {
        let ended_at: Option<i64> = row.get("ended_at")?;
        let exit_code: Option<u8> = row.get("exit_code")?;
        let report: Option<String> = row.get("answer")?;
        let state = match (ended_at, exit_code) {
            (None, _) => RunState::Running,
            (Some(_), Some(0)) => RunState::Done,
            // 128 and the number of SIGHUP, SIGINT or SIGTERM.
            (Some(_), Some(129 | 130 | 143)) => RunState::Cancelled,
            (Some(_), Some(_)) => RunState::Failed,
            (Some(_), None) => RunState::Lost,
        };
        Ok(ServeRun {
            id: row.get("id")?,
            config: row.get("config")?,
            verb: row.get("verb")?,
            target: row.get("target")?,
            actor: row.get("actor")?,
            begun_at: row.get("begun_at")?,
            ended_at,
            exit_code,
            cancelled_by: row.get("cancelled_by")?,
            state,
            job_run: row.get("job_run")?,
            archive: row.get("archive")?,
            message: row.get("message")?,
            report: report.and_then(|report| serde_json::from_str(&report).ok()),
        })
    }
}

impl Database {
    /// Adds a run that begins, and its record of the audit trail; or neither. Of many runs, the newest stay.
    pub fn begin_run(
        &self,
        run: &ServeRun,
        key: Option<&Key>,
        deed: Deed<'_>,
        now: DateTime<Utc>,
    ) -> Result<Beginning> {
        self.change(|transaction| {
            if let Some(beginning) = hindrance(transaction, run, key, now)? {
                return Ok(beginning);
            }
            transaction.execute(
                "INSERT INTO runs (id, config, verb, target, actor, begun_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![run.id, run.config, run.verb, run.target, run.actor, run.begun_at],
            )?;
            transaction.execute(
                "DELETE FROM runs WHERE ended_at IS NOT NULL AND id NOT IN \
                 (SELECT id FROM runs ORDER BY begun_at DESC, id DESC LIMIT ?1)",
                [MOST_RUNS],
            )?;
            if let Some(key) = key {
                transaction.execute(
                    "INSERT INTO keys (actor, key, digest, run, at) VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![run.actor, key.name, key.digest, run.id, now.timestamp()],
                )?;
            }
            append(transaction, deed, now)?;
            Ok(Beginning::Begun)
        })
    }

    /// Notes how a run ended. One that has ended stays as it is.
    pub fn end_run(&self, id: &str, end: &End<'_>, now: DateTime<Utc>) -> Result<()> {
        let report = end.report.map(serde_json::to_string).transpose()?;
        let told = |key: &str| end.report.and_then(|report| report[key].as_str());
        // An import tells the place of its archive, too.
        let archive = told("archive").and_then(|archive| archive.rsplit('/').next());
        let job_run = told("run_id");
        self.change(|transaction| {
            transaction.execute(
                "UPDATE runs SET ended_at = ?2, exit_code = ?3, answer = ?4, log = ?5, job_run = ?6, archive = ?7, \
                 message = ?8 WHERE id = ?1 AND ended_at IS NULL",
                params![
                    id,
                    now.timestamp(),
                    end.exit_code,
                    report,
                    end.log,
                    job_run,
                    archive,
                    end.message
                ],
            )?;
            Ok(())
        })
    }

    /// Notes that the end of a run is asked for, with the record of the audit trail. Returns false if it has ended.
    pub fn cancel_run(&self, id: &str, deed: Deed<'_>, now: DateTime<Utc>) -> Result<bool> {
        self.change(|transaction| {
            let count = transaction.execute(
                "UPDATE runs SET cancelled_by = coalesce(cancelled_by, ?2) WHERE id = ?1 AND ended_at IS NULL",
                [id, deed.actor],
            )?;
            if count > 0 {
                append(transaction, deed, now)?;
            }
            Ok(count > 0)
        })
    }

    /// Returns the runs at work, the newest first.
    pub fn running(&self) -> Result<Vec<ServeRun>> {
        self.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT * FROM runs WHERE ended_at IS NULL ORDER BY begun_at DESC, id DESC",
            )?;
            query.query_map([], ServeRun::of)?.collect()
        })
    }

    /// Returns runs without their reports, the newest first: at most `count`.
    pub fn runs(&self, count: u32) -> Result<Vec<ServeRun>> {
        self.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT id, config, verb, target, actor, begun_at, ended_at, exit_code, cancelled_by, job_run, archive, \
                 message, NULL AS answer FROM runs ORDER BY begun_at DESC, id DESC LIMIT ?1",
            )?;
            query.query_map([count], ServeRun::of)?.collect()
        })
    }

    /// Returns the last run of a verb on an object that ended with a report.
    pub fn last_run(&self, config: &str, verb: &str, target: &str) -> Result<Option<ServeRun>> {
        self.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT * FROM runs WHERE config = ?1 AND verb = ?2 AND target = ?3 AND answer IS NOT NULL \
                 ORDER BY begun_at DESC, id DESC LIMIT 1",
            )?;
            let row = query.query_row([config, verb, target], ServeRun::of);
            row.optional()
        })
    }

    /// Returns a run, with what it wrote to its log before it ended.
    pub fn run(&self, id: &str) -> Result<Option<(ServeRun, String)>> {
        self.read(|connection| {
            let mut query = connection.prepare_cached("SELECT * FROM runs WHERE id = ?1")?;
            let row = query.query_row([id], |row| Ok((ServeRun::of(row)?, row.get("log")?)));
            row.optional()
        })
    }
}

/// Returns what keeps a run from beginning.
fn hindrance(
    transaction: &Transaction<'_>,
    run: &ServeRun,
    key: Option<&Key>,
    now: DateTime<Utc>,
) -> Result<Option<Beginning>> {
    if let Some(key) = key {
        let oldest = now.timestamp() - KEY_SECONDS;
        transaction.execute("DELETE FROM keys WHERE at <= ?1", [oldest])?;
        let mut query = transaction
            .prepare_cached("SELECT digest, run FROM keys WHERE actor = ?1 AND key = ?2")?;
        let known = query.query_row([&run.actor, &key.name], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?))
        });
        if let Some((digest, id)) = known.optional()? {
            return Ok(Some(match digest == key.digest {
                true => Beginning::Repeated(id),
                false => Beginning::OtherRequest,
            }));
        }
    }
    let mut query = transaction.prepare_cached(
        "SELECT id, verb = ?2 AND target = ?3 FROM runs WHERE config = ?1 AND ended_at IS NULL",
    )?;
    let running = query.query_map([&run.config, &run.verb, &run.target], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?))
    })?;
    let running: Vec<(String, bool)> = running.collect::<rusqlite::Result<_>>()?;
    let count = running.len();
    let same = running.into_iter().find(|(_, is_same)| *is_same);
    Ok(match same {
        Some((id, _)) => Some(Beginning::Same(id)),
        None if count >= MOST_AT_ONCE => Some(Beginning::Many),
        None => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEED: Deed<'_> = Deed {
        actor: "anna",
        address: "127.0.0.1",
        action: "backup",
        target: "",
        outcome: "begun",
    };

    fn run(id: &str, target: &str) -> ServeRun {
        ServeRun::begun(id, ("c", "check", target), "anna", 5)
    }

    fn end(exit_code: Option<u8>, log: &str) -> End<'_> {
        End {
            exit_code,
            log,
            ..End::default()
        }
    }

    fn key(name: &str, digest: &str) -> Option<Key> {
        Some(Key {
            name: name.to_owned(),
            digest: digest.to_owned(),
        })
    }

    #[test]
    fn a_run_begins_once_for_a_key_and_only_some_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::open(&folder.path().join("serve.sqlite")).expect("made");
        let start = DateTime::from_timestamp(1_796_040_000, 0).expect("a time");
        let begin = |id: &str, target: &str, key: Option<Key>, seconds: i64| {
            let now = start + chrono::TimeDelta::seconds(seconds);
            let begun = database.begin_run(&run(id, target), key.as_ref(), DEED, now);
            begun.expect("asked")
        };
        assert_eq!(begin("1", "a", key("k", "x"), 0), Beginning::Begun);
        let same = |id: &str| Beginning::Repeated(id.to_owned());
        assert_eq!(begin("2", "a", key("k", "x"), 5), same("1"));
        assert_eq!(begin("2", "a", key("k", "y"), 5), Beginning::OtherRequest);
        assert_eq!(begin("2", "a", None, 5), Beginning::Same("1".to_owned()));
        assert_eq!(begin("2", "b", None, 5), Beginning::Begun);
        assert_eq!(begin("3", "c", None, 5), Beginning::Begun);
        assert_eq!(begin("4", "d", None, 5), Beginning::Begun);
        assert_eq!(begin("5", "e", None, 5), Beginning::Many);
        database
            .end_run("1", &end(Some(0), "log"), start)
            .expect("ended");
        // A later word changes nothing.
        database
            .end_run("1", &end(Some(1), ""), start)
            .expect("ended");
        let (ended, log) = database.run("1").expect("read").expect("there");
        assert_eq!((ended.state, log.as_str()), (RunState::Done, "log"));
        assert_eq!(begin("6", "a", key("k", "x"), KEY_SECONDS - 1), same("1"));
        assert_eq!(
            begin("6", "a", key("k", "x"), KEY_SECONDS),
            Beginning::Begun
        );
        // Those that did not begin left no record.
        assert_eq!(database.audit(None, 99).expect("read").len(), 5);
        let report = serde_json::json!({"archive": "@d1/a"});
        let reported = End {
            report: Some(&report),
            ..end(Some(0), "")
        };
        database.end_run("6", &reported, start).expect("ended");
        let last = |target: &str| database.last_run("c", "check", target).expect("read");
        let found = last("a").expect("a run");
        assert_eq!(
            (found.id.as_str(), found.archive.as_deref()),
            ("6", Some("a"))
        );
        assert_eq!(last("b"), None);
        assert_eq!(begin("7", "f", None, 5), Beginning::Begun);
        database
            .end_run("2", &end(Some(0), ""), start)
            .expect("ended");
        for (code, state) in [
            (None, RunState::Lost),
            (Some(143), RunState::Cancelled),
            (Some(13), RunState::Failed),
        ] {
            let id = state.name();
            assert_eq!(begin(id, id, None, 9), Beginning::Begun);
            assert_eq!(begin("8", "8", None, 9), Beginning::Many);
            assert!(database.cancel_run(id, DEED, start).expect("asked"));
            database.end_run(id, &end(code, ""), start).expect("ended");
            assert!(!database.cancel_run(id, DEED, start).expect("asked"));
            let (run, _) = database.run(id).expect("read").expect("there");
            assert_eq!(
                (run.state, run.cancelled_by.as_deref()),
                (state, Some("anna"))
            );
        }
        assert_eq!(database.running().expect("read").len(), 3);
    }
}

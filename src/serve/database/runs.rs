//! The runs of verbs that the server was asked for.

use anyhow::Result;
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, Row, params};
use serde::Serialize;
use serde_json::Value;

use super::file::Database;

/// The runs that are kept.
const MOST_RUNS: u32 = 10_000;

/// The progress of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// It works.
    Running,
    /// It ended with exit code 0.
    Done,
    /// It ended with another exit code.
    Failed,
    /// The server ended before it: nothing tells how it went on.
    Lost,
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
    /// Its progress.
    pub state: RunState,
    /// Its report in JSON.
    pub report: Option<Value>,
}

impl ServeRun {
    fn of(row: &Row<'_>) -> rusqlite::Result<ServeRun> {
        let ended_at: Option<i64> = row.get("ended_at")?;
        let exit_code: Option<u8> = row.get("exit_code")?;
        let report: Option<String> = row.get("answer")?;
        let state = match (ended_at, exit_code) {
            (None, _) => RunState::Running,
            (Some(_), Some(0)) => RunState::Done,
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
            state,
            report: report.and_then(|report| serde_json::from_str(&report).ok()),
        })
    }
}

impl Database {
    /// Adds a run that begins. Of many, the newest stay.
    pub fn begin_run(&self, run: &ServeRun) -> Result<()> {
        self.change(|transaction| {
            transaction.execute(
                "INSERT INTO runs (id, config, verb, target, actor, begun_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![run.id, run.config, run.verb, run.target, run.actor, run.begun_at],
            )?;
            transaction.execute(
                "DELETE FROM runs WHERE ended_at IS NOT NULL AND id NOT IN \
                 (SELECT id FROM runs ORDER BY begun_at DESC, id DESC LIMIT ?1)",
                [MOST_RUNS],
            )?;
            Ok(())
        })
    }

    /// Notes how a run ended.
    pub fn end_run(
        &self,
        id: &str,
        (exit_code, report): (u8, Option<&Value>),
        log: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let report = report.map(serde_json::to_string).transpose()?;
        self.change(|transaction| {
            transaction.execute(
                "UPDATE runs SET ended_at = ?2, exit_code = ?3, answer = ?4, log = ?5 WHERE id = ?1",
                params![id, now.timestamp(), exit_code, report, log],
            )?;
            Ok(())
        })
    }

    /// Ends the runs of an earlier server, whose end nothing tells.
    pub fn lose_runs(&self, now: DateTime<Utc>) -> Result<()> {
        self.change(|transaction| {
            transaction.execute(
                "UPDATE runs SET ended_at = ?1 WHERE ended_at IS NULL",
                [now.timestamp()],
            )?;
            Ok(())
        })
    }

    /// Returns runs, the newest first: at most `count`.
    pub fn runs(&self, count: u32) -> Result<Vec<ServeRun>> {
        self.read(|connection| {
            let mut query = connection
                .prepare_cached("SELECT * FROM runs ORDER BY begun_at DESC, id DESC LIMIT ?1")?;
            query.query_map([count], ServeRun::of)?.collect()
        })
    }

    /// Returns a run, with what it wrote to its log.
    pub fn run(&self, id: &str) -> Result<Option<(ServeRun, String)>> {
        self.read(|connection| {
            let mut query = connection.prepare_cached("SELECT * FROM runs WHERE id = ?1")?;
            let row = query.query_row([id], |row| Ok((ServeRun::of(row)?, row.get("log")?)));
            row.optional()
        })
    }
}

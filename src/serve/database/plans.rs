//! The plans of imports and rollbacks. A plan is never changed; that it was applied is a row of its own.

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{OptionalExtension as _, Row, params};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::file::Database;

/// The time for which a plan may be applied.
pub const LIFE: TimeDelta = TimeDelta::minutes(15);
/// The time for which plans that were not applied are kept.
const KEPT: TimeDelta = TimeDelta::days(30);
/// The plans that are kept.
const MOST_PLANS: u32 = 1000;

/// The run of an application. A server that ended before it could name the run gave it the key of the plan.
const RUN: &str = "coalesce(applies.run, (SELECT keys.run FROM keys WHERE keys.actor = applies.actor \
    AND keys.key = 'plan' || char(10) || applies.plan))";

/// The work that a plan is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlanKind {
    /// The state of an archive replaces that of this machine.
    Import,
    /// The last import is undone.
    Rollback,
}

impl PlanKind {
    fn name(self) -> &'static str {
        match self {
            PlanKind::Import => "import",
            PlanKind::Rollback => "rollback",
        }
    }
}

/// The archive that a plan is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedArchive {
    /// Its identifier.
    pub id: String,
    /// The name of its file.
    pub name: String,
    /// The service that it is of.
    pub prefix: String,
    /// The copy that is read, as verbs take it.
    pub location: String,
}

/// A plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Its identifier.
    pub id: String,
    /// The work.
    pub kind: PlanKind,
    /// The configuration that says where files go.
    pub config: String,
    /// The archive of an import.
    pub archive: Option<PlannedArchive>,
    /// The machine whose state is replaced.
    pub host: String,
    /// The entries that are asked for; all if it is empty.
    pub entries: Vec<String>,
    /// The digest of all that decides the result, as the verb told it.
    pub digest: String,
    /// The report of the dry run.
    pub report: Value,
    /// The user or token that made it.
    pub actor: String,
    /// The time at which it was made, in Unix seconds.
    pub made_at: i64,
    /// The time from which it cannot be applied any more, in Unix seconds.
    pub expires_at: i64,
    /// The application of the plan.
    pub applied: Option<Applied>,
}

/// The application of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The user or token that applied it.
    pub actor: String,
    /// The time, in Unix seconds.
    pub at: i64,
    /// The run; `None` until it has begun.
    pub run: Option<String>,
}

impl Plan {
    /// Returns the key of the request that begins its run: one that no header can have.
    pub fn key(&self) -> String {
        format!("plan\n{}", self.id)
    }

    fn of(row: &Row<'_>) -> rusqlite::Result<Plan> {
        let kind: String = row.get("kind")?;
        let (entries, report): (String, String) = (row.get("entries")?, row.get("report")?);
        let archive: Option<String> = row.get("archive")?;
        let archive = archive.map(|id| {
            Ok::<_, rusqlite::Error>(PlannedArchive {
                id,
                name: row.get("name")?,
                prefix: row.get("prefix")?,
                location: row.get("location")?,
            })
        });
        let applied: Option<i64> = row.get("applied_at")?;
        let applied = applied.map(|at| {
            Ok::<_, rusqlite::Error>(Applied {
                at,
                actor: row.get("applied_by")?,
                run: row.get("run")?,
            })
        });
        let broken = |error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
        Ok(Plan {
            id: row.get("id")?,
            kind: match kind.as_str() {
                "rollback" => PlanKind::Rollback,
                _ => PlanKind::Import,
            },
            config: row.get("config")?,
            archive: archive.transpose()?,
            host: row.get("host")?,
            // Entries that cannot be read are not all entries.
            entries: serde_json::from_str(&entries).map_err(broken)?,
            digest: row.get("digest")?,
            report: serde_json::from_str(&report).map_err(broken)?,
            actor: row.get("actor")?,
            made_at: row.get("made_at")?,
            expires_at: row.get("expires_at")?,
            applied: applied.transpose()?,
        })
    }
}

impl Database {
    /// Adds a plan. Old ones that were not applied go.
    pub fn add_plan(&self, plan: &Plan) -> Result<()> {
        let (entries, report) = (
            serde_json::to_string(&plan.entries)?,
            serde_json::to_string(&plan.report)?,
        );
        let archive = plan.archive.as_ref();
        self.change(|transaction| {
            transaction.execute(
                "INSERT INTO plans (id, kind, config, archive, name, prefix, location, host, entries, digest, report, \
                 actor, made_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
                params![
                    plan.id,
                    plan.kind.name(),
                    plan.config,
                    archive.map(|archive| &archive.id),
                    archive.map(|archive| &archive.name),
                    archive.map(|archive| &archive.prefix),
                    archive.map(|archive| &archive.location),
                    plan.host,
                    entries,
                    plan.digest,
                    report,
                    plan.actor,
                    plan.made_at,
                    plan.expires_at
                ],
            )?;
            let oldest = plan.made_at - KEPT.num_seconds();
            transaction.execute(
                "DELETE FROM plans WHERE id NOT IN (SELECT plan FROM applies) AND made_at < ?1",
                [oldest],
            )?;
            transaction.execute(
                "DELETE FROM plans WHERE id NOT IN \
                 (SELECT id FROM plans ORDER BY made_at DESC, id = ?1 DESC LIMIT ?2)",
                params![plan.id, MOST_PLANS],
            )?;
            Ok(())
        })
    }

    /// Returns a plan.
    pub fn plan(&self, id: &str) -> Result<Option<Plan>> {
        let text = format!(
            "SELECT plans.*, applies.actor AS applied_by, applies.at AS applied_at, {RUN} AS run \
             FROM plans LEFT JOIN applies ON applies.plan = plans.id WHERE plans.id = ?1"
        );
        self.read(|connection| {
            let mut query = connection.prepare_cached(&text)?;
            query.query_row([id], Plan::of).optional()
        })
    }

    /// Claims a plan for a run that begins; returns false if it was claimed before. One claim of many wins.
    pub fn claim_plan(&self, id: &str, actor: &str, now: DateTime<Utc>) -> Result<bool> {
        self.change(|transaction| {
            let claimed = transaction.execute(
                "INSERT OR IGNORE INTO applies (plan, actor, at) VALUES (?1, ?2, ?3)",
                params![id, actor, now.timestamp()],
            )?;
            Ok(claimed == 1)
        })
    }

    /// Names the run of a plan that was claimed.
    pub fn name_run(&self, id: &str, run: &str) -> Result<()> {
        self.change(|transaction| {
            transaction.execute(
                "UPDATE applies SET run = ?2 WHERE plan = ?1 AND run IS NULL",
                [id, run],
            )?;
            Ok(())
        })
    }

    /// Gives back the claims of a server that ended before their runs began, and names the runs of the others.
    pub fn release_plans(&self) -> Result<()> {
        self.change(|transaction| {
            // Keys are forgotten after a day, and applications never.
            transaction.execute(
                &format!("UPDATE applies SET run = {RUN} WHERE run IS NULL"),
                [],
            )?;
            transaction.execute("DELETE FROM applies WHERE run IS NULL", [])?;
            Ok(())
        })
    }

    /// Gives back a claim whose run did not begin.
    pub fn release_plan(&self, id: &str) -> Result<()> {
        self.change(|transaction| {
            transaction.execute(
                &format!("DELETE FROM applies WHERE plan = ?1 AND {RUN} IS NULL"),
                [id],
            )?;
            Ok(())
        })
    }

    /// Returns the run of a configuration that a rollback would undo: the last one of those that this server began. One that
    /// told that it changed nothing is not meant.
    pub fn last_applied_run(&self, config: &str) -> Result<Option<String>> {
        let text = format!(
            "SELECT {RUN} AS last FROM applies JOIN plans ON plans.id = plan LEFT JOIN runs ON runs.id = last \
             WHERE plans.config = ?1 AND last IS NOT NULL \
             AND (runs.answer IS NULL OR json_extract(runs.answer, '$.applied')) \
             ORDER BY applies.at DESC, applies.rowid DESC LIMIT 1"
        );
        self.read(|connection| {
            let mut query = connection.prepare_cached(&text)?;
            query.query_row([config], |row| row.get(0)).optional()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::database::{Beginning, Deed, End, Key, ServeRun};

    fn plan(id: &str, made_at: i64) -> Plan {
        Plan {
            id: id.to_owned(),
            kind: PlanKind::Import,
            config: "c".to_owned(),
            archive: Some(PlannedArchive {
                id: "a".to_owned(),
                name: "x-1.tar.gz".to_owned(),
                prefix: "x".to_owned(),
                location: "@d1/x-1.tar.gz".to_owned(),
            }),
            host: "h".to_owned(),
            entries: vec!["page".to_owned()],
            digest: "0".to_owned(),
            report: serde_json::json!({"steps": []}),
            actor: "anna".to_owned(),
            made_at,
            expires_at: made_at + LIFE.num_seconds(),
            applied: None,
        }
    }

    #[test]
    fn one_claim_wins_and_names_its_run_for_ever() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::open(&folder.path().join("serve.sqlite")).expect("made");
        let now = DateTime::from_timestamp(1_796_040_000, 0).expect("a time");
        let one = plan("one", now.timestamp());
        database.add_plan(&one).expect("added");
        assert_eq!(database.plan("one").expect("read"), Some(one));
        let claim = |actor| database.claim_plan("one", actor, now).expect("claimed");
        assert!(claim("anna"));
        assert!(!claim("ben"));
        database.release_plan("one").expect("released");
        assert!(claim("ben"));
        // The next server gives back what the one before it did not begin.
        database.release_plans().expect("released");
        assert!(claim("ben"));
        database.name_run("one", "r1").expect("named");
        database.name_run("one", "r2").expect("ignored");
        database.release_plan("one").expect("ignored");
        database.release_plans().expect("ignored");
        assert!(!claim("anna"));
        let applied = database.plan("one").expect("read").expect("a plan").applied;
        let applied = applied.expect("applied");
        assert_eq!(
            (applied.actor.as_str(), applied.run.as_deref()),
            ("ben", Some("r1"))
        );
        let last = database.last_applied_run("c").expect("read");
        assert_eq!(last.as_deref(), Some("r1"));
    }

    /// Applies a plan, by a run with this key that told this.
    fn apply(database: &Database, id: &str, report: Option<Value>, seconds: i64) {
        let now = DateTime::from_timestamp(1_796_040_000 + seconds, 0).expect("a time");
        let plan = plan(id, now.timestamp());
        database.add_plan(&plan).expect("added");
        assert!(database.claim_plan(id, "anna", now).expect("claimed"));
        let key = Key {
            name: plan.key(),
            digest: String::new(),
        };
        let deed = Deed {
            actor: "anna",
            address: "",
            action: "apply",
            target: "",
            outcome: "begun",
        };
        let run = ServeRun::begun(id, ("c", "import", ""), "anna", now.timestamp());
        let begun = database.begin_run(&run, Some(&key), deed, now);
        assert_eq!(begun.expect("asked"), Beginning::Begun);
        let end = End {
            exit_code: report.is_some().then_some(11),
            report: report.as_ref(),
            ..End::default()
        };
        database.end_run(id, &end, now).expect("ended");
    }

    #[test]
    fn a_run_that_began_is_that_of_its_plan_also_a_day_later() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::open(&folder.path().join("serve.sqlite")).expect("made");
        apply(&database, "one", None, 0);
        // The server was killed before it named the run, or could not start its process.
        database.release_plan("one").expect("kept");
        database.release_plans().expect("kept");
        let forget = |connection: &rusqlite::Connection| connection.execute("DELETE FROM keys", []);
        assert_eq!(database.read(forget).expect("forgotten"), 1);
        database.release_plans().expect("kept");
        let applied = database.plan("one").expect("read").expect("a plan").applied;
        assert_eq!(applied.expect("applied").run.as_deref(), Some("one"));
    }

    #[test]
    fn a_run_that_changed_nothing_takes_no_undo_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::open(&folder.path().join("serve.sqlite")).expect("made");
        let last = || database.last_applied_run("c").expect("read");
        let failed = serde_json::json!({"error": {"kind": "blocked"}});
        for (number, (id, report, expected)) in [
            ("a", serde_json::json!({"applied": true}), "a"),
            ("b", serde_json::json!({"applied": false}), "a"),
            ("c", failed, "a"),
            ("d", serde_json::json!({"applied": true}), "d"),
        ]
        .into_iter()
        .enumerate()
        {
            apply(
                &database,
                id,
                Some(report),
                i64::try_from(number).expect("small"),
            );
            assert_eq!(last().as_deref(), Some(expected), "{id}");
        }
        // Nothing tells how this one ended.
        apply(&database, "e", None, 9);
        assert_eq!(last().as_deref(), Some("e"));
    }

    #[test]
    fn old_plans_go_unless_they_were_applied() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::open(&folder.path().join("serve.sqlite")).expect("made");
        let now = DateTime::from_timestamp(1_796_040_000, 0).expect("a time");
        for id in ["applied", "open"] {
            database
                .add_plan(&plan(id, now.timestamp()))
                .expect("added");
        }
        database
            .claim_plan("applied", "anna", now)
            .expect("claimed");
        let later = now + KEPT + TimeDelta::seconds(1);
        database
            .add_plan(&plan("new", later.timestamp()))
            .expect("added");
        let is_there = |id| database.plan(id).expect("read").is_some();
        assert_eq!(
            ["applied", "open", "new"].map(is_there),
            [true, false, true]
        );
    }
}

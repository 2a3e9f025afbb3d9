//! The policies, and the configurations that have one of their own. One policy is the default.

use anyhow::Result;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use super::{
    audit::{Deed, append},
    file::Database,
};
use crate::{
    error::{Failure, Kind},
    serve::policies::PolicyValues,
};

/// The most policies.
const MOST: i64 = 200;

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Words about it.
    pub description: String,
    /// True for the one that configurations without one of their own inherit.
    pub is_default: bool,
    /// Its values.
    pub values: PolicyValues,
    /// The number of its changes.
    pub generation: i64,
}

/// The policy that a configuration has of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    /// The policy; `None` if the configuration alone decides.
    pub policy: Option<String>,
    /// The values in place of those of the policy.
    pub overrides: PolicyValues,
}

impl Policy {
    fn of(row: &Row<'_>) -> rusqlite::Result<Policy> {
        Ok(Policy {
            id: row.get("id")?,
            name: row.get("name")?,
            description: row.get("description")?,
            is_default: row.get("is_default")?,
            values: values_of(&row.get::<_, String>("contents")?)?,
            generation: row.get("generation")?,
        })
    }
}

impl Database {
    /// Returns the policies: the default first, then by name.
    pub fn policies(&self) -> Result<Vec<Policy>> {
        self.read(|connection| {
            let mut query = connection
                .prepare_cached("SELECT * FROM policies ORDER BY is_default DESC, name, id")?;
            query.query_map([], Policy::of)?.collect()
        })
    }

    /// Returns a policy.
    pub fn policy(&self, id: &str) -> Result<Option<Policy>> {
        self.read(|connection| policy_of(connection, id))
    }

    /// Adds a policy.
    ///
    /// Errors: [`Kind::Blocked`] if the name is taken, or if there are too many.
    pub fn add_policy(&self, policy: &Policy, deed: Deed<'_>, now: DateTime<Utc>) -> Result<()> {
        self.change(|transaction| {
            let count: i64 =
                transaction.query_row("SELECT count(*) FROM policies", [], |row| row.get(0))?;
            if count >= MOST {
                let message = format!("there are {MOST} policies already");
                return Err(Failure::new(Kind::Blocked, message).into());
            }
            require_free(transaction, policy)?;
            put(transaction, policy)?;
            append(transaction, deed, now)
        })
    }

    /// Changes a policy that has this generation. Returns it with the next one.
    ///
    /// Errors: [`Kind::Blocked`] if it was changed in between, if the name is taken, or if there would be no default.
    pub fn change_policy(
        &self,
        policy: &Policy,
        deed: Deed<'_>,
        now: DateTime<Utc>,
    ) -> Result<Policy> {
        self.change(|transaction| {
            let old = require_generation(transaction, &policy.id, policy.generation)?;
            require_free(transaction, policy)?;
            if old.is_default && !policy.is_default {
                return Err(still_default());
            }
            let new = Policy {
                generation: policy.generation + 1,
                ..policy.clone()
            };
            put(transaction, &new)?;
            append(transaction, deed, now)?;
            Ok(new)
        })
    }

    /// Removes a policy that has this generation.
    ///
    /// Errors: [`Kind::Blocked`] if it was changed in between, is the default, or if a configuration has it.
    pub fn remove_policy(
        &self,
        (id, generation): (&str, i64),
        deed: Deed<'_>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        self.change(|transaction| {
            if require_generation(transaction, id, generation)?.is_default {
                return Err(still_default());
            }
            let mut query =
                transaction.prepare("SELECT config FROM assignments WHERE policy = ?1")?;
            let user: Option<String> = query.query_row([id], |row| row.get(0)).optional()?;
            if let Some(config) = user {
                let message = format!("{config} has this policy");
                let failure = Failure::new(Kind::Blocked, message);
                return Err(failure.hint("give it another one first").into());
            }
            transaction.execute("DELETE FROM policies WHERE id = ?1", [id])?;
            append(transaction, deed, now)
        })
    }

    /// Returns the policy that a configuration has of its own, if that was ever decided.
    pub fn assignment(&self, config: &str) -> Result<Option<Assignment>> {
        self.read(|connection| {
            let mut query = connection
                .prepare_cached("SELECT policy, overrides FROM assignments WHERE config = ?1")?;
            let row = query.query_row([config], |row| {
                Ok(Assignment {
                    policy: row.get(0)?,
                    overrides: values_of(&row.get::<_, String>(1)?)?,
                })
            });
            row.optional()
        })
    }

    /// Gives a configuration a policy.
    pub fn assign(
        &self,
        config: &str,
        assignment: &Assignment,
        deed: Deed<'_>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let overrides = serde_json::to_string(&assignment.overrides)?;
        self.change(|transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO assignments (config, policy, overrides) VALUES (?1, ?2, ?3)",
                params![config, assignment.policy, overrides],
            )?;
            append(transaction, deed, now)
        })
    }
}

fn values_of(text: &str) -> rusqlite::Result<PolicyValues> {
    let broken = |error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
    serde_json::from_str(text).map_err(broken)
}

fn policy_of(connection: &Connection, id: &str) -> rusqlite::Result<Option<Policy>> {
    let mut query = connection.prepare_cached("SELECT * FROM policies WHERE id = ?1")?;
    query.query_row([id], Policy::of).optional()
}

fn put(transaction: &Transaction<'_>, policy: &Policy) -> Result<()> {
    if policy.is_default {
        transaction.execute(
            "UPDATE policies SET is_default = 0 WHERE id <> ?1",
            [&policy.id],
        )?;
    }
    transaction.execute(
        "INSERT INTO policies (id, name, description, is_default, contents, generation) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
         description = excluded.description, is_default = excluded.is_default, contents = excluded.contents, \
         generation = excluded.generation",
        params![
            policy.id,
            policy.name,
            policy.description,
            policy.is_default,
            serde_json::to_string(&policy.values)?,
            policy.generation
        ],
    )?;
    Ok(())
}

fn require_generation(transaction: &Transaction<'_>, id: &str, generation: i64) -> Result<Policy> {
    let policy = policy_of(transaction, id)?;
    let missing = || Failure::new(Kind::NotFound, "this policy does not exist");
    let policy = policy.ok_or_else(missing)?;
    if policy.generation == generation {
        return Ok(policy);
    }
    let message = format!(
        "the policy was changed: its generation is {}",
        policy.generation
    );
    let failure = Failure::new(Kind::Blocked, message);
    Err(failure.hint("look at it again, then decide again").into())
}

fn require_free(transaction: &Transaction<'_>, policy: &Policy) -> Result<()> {
    let mut query = transaction.prepare("SELECT 1 FROM policies WHERE name = ?1 AND id <> ?2")?;
    match query.exists([&policy.name, &policy.id])? {
        true => Err(Failure::new(Kind::Blocked, "another policy has this name").into()),
        false => Ok(()),
    }
}

fn still_default() -> anyhow::Error {
    let failure = Failure::new(Kind::Blocked, "this policy is the default");
    failure.hint("make another one the default first").into()
}

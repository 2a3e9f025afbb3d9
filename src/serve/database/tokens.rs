//! Tokens: what programs log in with. Only the digest of the secret part is kept.

use anyhow::Result;
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, Row, params};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    audit::ByHand,
    file::Database,
    times::{moment, moment_or_none},
};
use crate::{
    error::{Failure, Kind},
    model::digest::Digest,
    serve::role::Role,
};

/// The right of a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Token {
    /// The public part of what the program sends.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// The hosts whose archives it sees: prefixes of archives. `None` for all.
    pub hosts: Option<Vec<String>>,
    /// The time at which it was made, in Unix seconds; RFC 3339 in JSON, as are the others.
    #[serde(serialize_with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub made_at: i64,
    /// The time from which it is not accepted any more, in Unix seconds.
    #[serde(serialize_with = "moment_or_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<i64>,
    /// The time of its last use, to the minute, in Unix seconds.
    #[serde(serialize_with = "moment_or_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub used_at: Option<i64>,
}

impl Token {
    fn of(row: &Row<'_>) -> rusqlite::Result<Token> {
        let hosts: Option<String> = row.get("hosts")?;
        // Hosts that cannot be read are none, not all.
        let hosts = hosts.map(|hosts| serde_json::from_str(&hosts).unwrap_or_default());
        Ok(Token {
            id: row.get("id")?,
            name: row.get("name")?,
            role: row.get("role")?,
            hosts,
            made_at: row.get("made_at")?,
            expires_at: row.get("expires_at")?,
            used_at: row.get("used_at")?,
        })
    }
}

impl Database {
    /// Returns all tokens, by name.
    pub fn tokens(&self) -> Result<Vec<Token>> {
        self.read(|connection| {
            let mut query = connection.prepare_cached("SELECT * FROM tokens ORDER BY name")?;
            query.query_map([], Token::of)?.collect()
        })
    }

    /// Adds a token with its secret.
    ///
    /// Errors: [`Kind::Usage`] if there is one of that name.
    pub fn add_token(&self, token: &Token, secret: &str, by: ByHand<'_>) -> Result<()> {
        let hosts = token
            .hosts
            .as_ref()
            .map(serde_json::to_string)
            .transpose()?;
        self.change(|transaction| {
            let added = transaction.execute(
                "INSERT OR IGNORE INTO tokens (id, name, digest, role, hosts, made_at, expires_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    token.id,
                    token.name,
                    Digest::of(secret.as_bytes()).to_string(),
                    token.role,
                    hosts,
                    token.made_at,
                    token.expires_at
                ],
            )?;
            if added == 1 {
                return by.record(transaction, "add token", &token.name);
            }
            let message = format!("there is a token {} already", token.name);
            Err(Failure::new(Kind::Usage, message)
                .hint("choose another name, or revoke that one first")
                .into())
        })
    }

    /// Returns the token of this identifier if the secret is its own and it has not expired.
    pub fn token(&self, id: &str, secret: &str, now: DateTime<Utc>) -> Result<Option<Token>> {
        let found = self.read(|connection| {
            let mut query = connection.prepare_cached("SELECT * FROM tokens WHERE id = ?1")?;
            let row = query.query_row([id], |row| {
                Ok((Token::of(row)?, row.get::<_, String>("digest")?))
            });
            row.optional()
        })?;
        let Some((token, digest)) = found else {
            return Ok(None);
        };
        // A digest tells nothing of the secret by the time that its comparison takes.
        let is_own = Digest::of(secret.as_bytes()).to_string() == digest;
        if !is_own || token.expires_at.is_some_and(|end| end <= now.timestamp()) {
            return Ok(None);
        }
        if token
            .used_at
            .is_none_or(|used| now.timestamp() >= used + 60)
        {
            self.note(
                "UPDATE tokens SET used_at = ?2 WHERE id = ?1",
                params![id, now.timestamp()],
            );
        }
        Ok(Some(token))
    }

    /// Removes the token of this name.
    pub fn revoke_token(&self, name: &str, by: ByHand<'_>) -> Result<()> {
        self.change(|transaction| {
            match transaction.execute("DELETE FROM tokens WHERE name = ?1", [name])? {
                0 => Err(
                    Failure::new(Kind::NotFound, format!("the token {name} does not exist"))
                        .hint("`hookshot serve token list` shows them")
                        .into(),
                ),
                _ => by.record(transaction, "revoke token", name),
            }
        })
    }
}

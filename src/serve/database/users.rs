//! People, with their roles and the hashes of their passwords.

use anyhow::Result;
use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use serde::Serialize;
use utoipa::ToSchema;

use super::{audit::ByHand, file::Database, times::moment};
use crate::{
    error::{Failure, Kind},
    serve::role::Role,
};

/// A person with an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct User {
    /// Their name.
    pub name: String,
    /// Their role.
    pub role: Role,
    /// The time of the last change of role or password, in Unix seconds; RFC 3339 in JSON.
    #[serde(serialize_with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: i64,
    /// The hash of their password: a PHC string.
    #[serde(skip)]
    pub password: String,
}

impl User {
    fn of(row: &Row<'_>) -> rusqlite::Result<User> {
        Ok(User {
            name: row.get("name")?,
            role: row.get("role")?,
            changed_at: row.get("changed_at")?,
            password: row.get("password")?,
        })
    }
}

impl Database {
    /// Returns all users, by name.
    pub fn users(&self) -> Result<Vec<User>> {
        self.read(|connection| {
            let mut query = connection.prepare_cached("SELECT * FROM users ORDER BY name")?;
            query.query_map([], User::of)?.collect()
        })
    }

    /// Returns a user.
    pub fn user(&self, name: &str) -> Result<Option<User>> {
        self.read(|connection| {
            let mut query = connection.prepare_cached("SELECT * FROM users WHERE name = ?1")?;
            query.query_row([name], User::of).optional()
        })
    }

    /// Adds a user.
    ///
    /// Errors: [`Kind::Usage`] if there is one of that name.
    pub fn add_user(&self, user: &User, by: ByHand<'_>) -> Result<()> {
        self.change(|transaction| {
            let added = transaction.execute(
                "INSERT OR IGNORE INTO users (name, role, password, changed_at) VALUES (?1, ?2, ?3, ?4)",
                params![user.name, user.role, user.password, user.changed_at],
            )?;
            if added == 1 {
                return by.record(transaction, "add user", &user.name);
            }
            let message = format!("there is a user {} already", user.name);
            Err(Failure::new(Kind::Usage, message)
                .hint("`hookshot serve user passwd` gives a new password")
                .into())
        })
    }

    /// Gives a user another password, and ends all sessions of that user.
    pub fn change_password(&self, name: &str, password: &str, by: ByHand<'_>) -> Result<()> {
        self.change(|transaction| {
            require(transaction, name)?;
            transaction.execute(
                "UPDATE users SET password = ?2, changed_at = ?3 WHERE name = ?1",
                params![name, password, by.now.timestamp()],
            )?;
            transaction.execute("DELETE FROM sessions WHERE user = ?1", [name])?;
            by.record(transaction, "change password", name)
        })
    }

    /// Gives a user another role, and ends all sessions of that user. The last admin stays one.
    pub fn change_role(&self, name: &str, role: Role, by: ByHand<'_>) -> Result<()> {
        self.change(|transaction| {
            require(transaction, name)?;
            if role != Role::Admin {
                require_other_admin(transaction, name)?;
            }
            transaction.execute(
                "UPDATE users SET role = ?2, changed_at = ?3 WHERE name = ?1",
                params![name, role, by.now.timestamp()],
            )?;
            transaction.execute("DELETE FROM sessions WHERE user = ?1", [name])?;
            by.record(transaction, "change role", name)
        })
    }

    /// Removes a user, with all sessions. The last admin stays.
    pub fn remove_user(&self, name: &str, by: ByHand<'_>) -> Result<()> {
        self.change(|transaction| {
            require(transaction, name)?;
            require_other_admin(transaction, name)?;
            transaction.execute("DELETE FROM users WHERE name = ?1", [name])?;
            by.record(transaction, "remove user", name)
        })
    }
}

fn require(transaction: &Transaction<'_>, name: &str) -> Result<()> {
    let found = transaction
        .query_row("SELECT 1 FROM users WHERE name = ?1", [name], |_| Ok(()))
        .optional()?;
    found.ok_or_else(|| {
        Failure::new(Kind::NotFound, format!("the user {name} does not exist"))
            .hint("`hookshot serve user list` shows them")
            .into()
    })
}

/// Fails if `name` is the only admin: without one, nothing can be changed any more.
fn require_other_admin(transaction: &Transaction<'_>, name: &str) -> Result<()> {
    let count: i64 = transaction.query_row(
        "SELECT count(*) FROM users WHERE role = ?1 AND name <> ?2",
        params![Role::Admin, name],
        |row| row.get(0),
    )?;
    let is_admin: i64 = transaction.query_row(
        "SELECT count(*) FROM users WHERE role = ?1 AND name = ?2",
        params![Role::Admin, name],
        |row| row.get(0),
    )?;
    if is_admin == 0 || count > 0 {
        return Ok(());
    }
    let message = format!("{name} is the last admin");
    Err(Failure::new(Kind::Usage, message)
        .hint("make another user an admin first")
        .into())
}

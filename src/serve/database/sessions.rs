//! Sessions: people that logged in. Only the digest of what a browser sends is kept.

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{OptionalExtension as _, params};

use super::{file::Database, users::User};
use crate::model::digest::Digest;

/// The time after which a session ends that nothing used.
pub const IDLE: TimeDelta = TimeDelta::hours(12);
/// The time after which every session ends.
pub const LONGEST: TimeDelta = TimeDelta::days(7);

impl Database {
    /// Begins a session of a user for the one that sends `secret`. Ends all that are too old.
    pub fn begin_session(&self, user: &str, secret: &str, now: DateTime<Utc>) -> Result<()> {
        self.change(|transaction| {
            transaction.execute(
                "DELETE FROM sessions WHERE used_at <= ?1 OR begun_at <= ?2",
                params![(now - IDLE).timestamp(), (now - LONGEST).timestamp()],
            )?;
            transaction.execute(
                "INSERT INTO sessions (digest, user, begun_at, used_at) VALUES (?1, ?2, ?3, ?3)",
                params![digest_of(secret), user, now.timestamp()],
            )?;
            Ok(())
        })
    }

    /// Returns the user of a session, unless it has ended.
    pub fn session(&self, secret: &str, now: DateTime<Utc>) -> Result<Option<User>> {
        let digest = digest_of(secret);
        let found = self.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT user, used_at FROM sessions WHERE digest = ?1 AND used_at > ?2 AND begun_at > ?3",
            )?;
            let limits = params![
                digest,
                (now - IDLE).timestamp(),
                (now - LONGEST).timestamp()
            ];
            let row = query.query_row(limits, |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
            });
            row.optional()
        })?;
        let Some((user, used_at)) = found else {
            return Ok(None);
        };
        // Once a minute is enough for a limit of hours.
        if now.timestamp() >= used_at + 60 {
            self.note(
                "UPDATE sessions SET used_at = ?2 WHERE digest = ?1",
                params![digest, now.timestamp()],
            );
        }
        self.user(&user)
    }

    /// Ends a session.
    pub fn end_session(&self, secret: &str) -> Result<()> {
        self.change(|transaction| {
            transaction.execute(
                "DELETE FROM sessions WHERE digest = ?1",
                [digest_of(secret)],
            )?;
            Ok(())
        })
    }
}

fn digest_of(secret: &str) -> String {
    Digest::of(secret.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::{database::ByHand, role::Role};

    fn hand(now: DateTime<Utc>) -> ByHand<'static> {
        ByHand { user: "root", now }
    }

    fn with_user(folder: &tempfile::TempDir, now: DateTime<Utc>) -> Database {
        let database = Database::open(&folder.path().join("serve.sqlite")).expect("made");
        for name in ["anna", "root"] {
            let user = User {
                name: name.to_owned(),
                role: Role::Admin,
                changed_at: now.timestamp(),
                password: String::new(),
            };
            database.add_user(&user, hand(now)).expect("added");
        }
        database
    }

    #[test]
    fn a_session_ends_by_age_by_idleness_and_with_its_user() {
        let folder = tempfile::tempdir().expect("a folder");
        let start = DateTime::from_timestamp(1_796_040_000, 0).expect("a time");
        let database = with_user(&folder, start);
        let is_in = |secret: &str, now| database.session(secret, now).expect("read").is_some();
        database.begin_session("anna", "one", start).expect("begun");
        assert!(is_in("one", start + TimeDelta::hours(11)));
        // The use of hour 11 counts.
        assert!(is_in("one", start + TimeDelta::hours(22)));
        assert!(!is_in("one", start + TimeDelta::hours(35)));
        assert!(!is_in("other", start));
        database.begin_session("anna", "two", start).expect("begun");
        for hours in (6..168).step_by(6) {
            assert!(is_in("two", start + TimeDelta::hours(hours)), "{hours}");
        }
        assert!(!is_in("two", start + LONGEST));
        for (secret, ends) in [
            (
                "three",
                &(|| database.remove_user("anna", hand(start))) as &dyn Fn() -> Result<()>,
            ),
            ("four", &|| {
                database.change_password("root", "x", hand(start))
            }),
            ("five", &|| database.end_session("five")),
        ] {
            let user = if secret == "three" { "anna" } else { "root" };
            database.begin_session(user, secret, start).expect("begun");
            assert!(is_in(secret, start));
            ends().expect("ended");
            assert!(!is_in(secret, start), "{secret}");
        }
    }

    #[test]
    fn the_last_admin_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let now = DateTime::from_timestamp(1_796_040_000, 0).expect("a time");
        let database = with_user(&folder, now);
        database
            .change_role("anna", Role::Viewer, hand(now))
            .expect("another one is there");
        for refused in [
            database.change_role("root", Role::Operator, hand(now)),
            database.remove_user("root", hand(now)),
        ] {
            let error = refused.expect_err("refused");
            assert!(error.to_string().contains("the last admin"), "{error}");
        }
    }
}

//! Passwords of users: stretched by Argon2id (RFC 9106), a few at a time.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use crate::{
    error::{Failure, Kind},
    store::Secret,
};

/// The passwords that are stretched at once: each takes 19 MiB.
const AT_ONCE: usize = 2;
/// The passwords that wait for their turn; further ones are refused.
const WAITING: usize = 32;
/// The fewest characters of a password.
const FEWEST: usize = 8;
/// The most bytes of a password.
const MOST: usize = 1024;

/// Returns the stretched form of a new password, a PHC string.
///
/// Errors: [`Kind::Usage`] if it is too short or too long.
pub fn stretched(password: &Secret) -> Result<String> {
    let length = password.reveal().chars().count();
    if length < FEWEST || password.reveal().len() > MOST {
        let message =
            format!("a password has {FEWEST} characters at least, and {MOST} bytes at most");
        return Err(Failure::new(Kind::Usage, message).into());
    }
    let mut salt = [0; 16];
    random(&mut salt)?;
    let hash = Argon2::default().hash_password_with_salt(password.reveal().as_bytes(), &salt);
    let hash = hash.map_err(|error| anyhow!("cannot stretch the password: {error}"))?;
    Ok(hash.to_string())
}

/// Fills the bytes at random (getrandom(2)).
pub fn random(bytes: &mut [u8]) -> Result<()> {
    let filled = rustix::rand::getrandom(&mut *bytes, rustix::rand::GetRandomFlags::empty());
    let filled = filled.context("the system gives no random bytes")?;
    anyhow::ensure!(
        filled == bytes.len(),
        "the system gives too few random bytes"
    );
    Ok(())
}

/// Returns a random secret: 32 bytes, in hexadecimal digits.
pub fn random_secret() -> Result<String> {
    let mut bytes = [0; 32];
    random(&mut bytes)?;
    Ok(hex::encode(bytes))
}

/// The checks of passwords, in bounded memory.
pub struct Checks {
    turns: Arc<Semaphore>,
    waiting: Semaphore,
    /// The stretched form that the password of an unknown user is compared with: the answer takes as long.
    unknown: String,
}

impl Checks {
    /// Makes the checks.
    pub fn new() -> Result<Checks> {
        Ok(Checks {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Semaphore::new(WAITING),
            unknown: stretched(&Secret::new(random_secret()?))?,
        })
    }

    /// Returns true if the password is that of the stretched form; false for a user that is unknown, after the same time.
    /// `None` if too many passwords wait.
    pub async fn is_right(&self, password: Secret, stretched: Option<String>) -> Option<bool> {
        let _waiting = self.waiting.try_acquire().ok()?;
        let turn = self.turns.clone().acquire_owned().await.ok()?;
        let is_known = stretched.is_some();
        let stretched = stretched.unwrap_or_else(|| self.unknown.clone());
        let check = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let is_right = PasswordHash::new(&stretched).is_ok_and(|hash| {
                let password = password.reveal().as_bytes();
                password.len() <= MOST && Argon2::default().verify_password(password, &hash).is_ok()
            });
            is_right && is_known
        });
        check.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_of_a_known_user_is_right() {
        let checks = Checks::new().expect("made");
        let password = || Secret::new("correct horse");
        let right = stretched(&password()).expect("stretched");
        assert!(right.starts_with("$argon2id$"), "{right}");
        assert_eq!(
            checks.is_right(password(), Some(right.clone())).await,
            Some(true)
        );
        let wrong = Secret::new("correct horse ");
        assert_eq!(checks.is_right(wrong, Some(right)).await, Some(false));
        assert_eq!(checks.is_right(password(), None).await, Some(false));
    }

    #[test]
    fn a_short_password_is_refused() {
        assert!(stretched(&Secret::new("1234567")).is_err());
        assert!(stretched(&Secret::new("é".repeat(513))).is_err());
    }
}

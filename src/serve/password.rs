//! Passwords of users: stretched by Argon2id (RFC 9106), a few at a time.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use tokio::sync::Semaphore;

use crate::{
    error::{Failure, Kind},
    store::Secret,
};

/// The passwords that are stretched at once: each takes 19 MiB.
const AT_ONCE: usize = 2;
/// The memory that is asked for, in blocks of 1 KiB: more than [`Argon2`] needs, the rest of which is never touched. From 32 MiB
/// on, an allocator gives memory back to the system at once (mallopt(3)); less stays, several times over.
const BLOCKS: usize = 40 << 10;
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
    let hash = hash(password, &salt);
    Ok(hash.context("cannot stretch the password")?.to_string())
}

fn hash(password: &Secret, salt: &[u8]) -> Result<PasswordHash> {
    let (algorithm, version) = (Algorithm::default(), Version::default());
    let params = Params::default();
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    let argon = Argon2::new(algorithm, version, params.clone());
    stretch(&argon, password, salt, &mut output)?;
    let made = || {
        Ok::<_, argon2::password_hash::Error>(PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(&params)?,
            salt: Some(Salt::new(salt)?),
            hash: Some(Output::new(&output)?),
        })
    };
    made().map_err(|error| anyhow!("{error}"))
}

/// Returns true if the password has this stretched form; `None` if that cannot be told.
fn is_stretched(password: &Secret, stretched: &str) -> Option<bool> {
    let hash = PasswordHash::new(stretched).ok()?;
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    let version = Version::try_from(hash.version?).ok()?;
    let argon = Argon2::new(algorithm, version, Params::try_from(&hash).ok()?);
    let (salt, expected) = (hash.salt?, hash.hash?);
    let mut output = vec![0; expected.len()];
    stretch(&argon, password, &salt, &mut output).ok()?;
    // This takes as long, however much of it is alike.
    Some(Output::new(&output).ok()? == expected)
}

fn stretch(argon: &Argon2<'_>, password: &Secret, salt: &[u8], output: &mut [u8]) -> Result<()> {
    let count = argon.params().block_count();
    let mut memory = Vec::new();
    memory.try_reserve_exact(count.max(BLOCKS))?;
    memory.resize(count, Block::default());
    let password = password.reveal().as_bytes();
    argon
        .hash_password_into_with_memory(password, salt, output, memory)
        .map_err(|error| anyhow!("{error}"))
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
            let is_right = password.reveal().len() <= MOST
                && is_stretched(&password, &stretched) == Some(true);
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
    fn a_stretched_form_is_that_of_the_standard() {
        use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
        let password = Secret::new("correct horse");
        let ours = stretched(&password).expect("stretched");
        let ours = PasswordHash::new(&ours).expect("a PHC string");
        let argon = Argon2::default();
        argon
            .verify_password(password.reveal().as_bytes(), &ours)
            .expect("right");
        let salt = [7; 16];
        let theirs = argon.hash_password_with_salt(password.reveal().as_bytes(), &salt);
        let theirs = theirs.expect("stretched").to_string();
        assert_eq!(is_stretched(&password, &theirs), Some(true));
        assert_eq!(is_stretched(&Secret::new("correct"), &theirs), Some(false));
        assert_eq!(is_stretched(&password, "$argon2id$v=19$x"), None);
    }

    #[test]
    fn a_short_password_is_refused() {
        assert!(stretched(&Secret::new("1234567")).is_err());
        assert!(stretched(&Secret::new("é".repeat(513))).is_err());
    }
}

//! The password, asked for again before an act that replaces a state.

use axum::http::StatusCode;

use super::{Server, answer::Trouble, identity::Person, tries::Verdict};
use crate::{
    error::{Failure, Kind},
    store::Secret,
};

/// A password that is not accepted.
#[derive(Debug)]
pub enum Unconfirmed {
    /// It is wrong, or missing.
    Wrong,
    /// It is one try too many: the first within a minute, or a further one.
    TooMany {
        /// True for the first.
        is_first: bool,
    },
    /// Nothing tells.
    Unknown(Trouble),
}

impl From<Unconfirmed> for Trouble {
    fn from(unconfirmed: Unconfirmed) -> Trouble {
        match unconfirmed {
            Unconfirmed::Wrong => Trouble::forbidden("the password is wrong"),
            Unconfirmed::TooMany { .. } => Trouble {
                status: StatusCode::TOO_MANY_REQUESTS,
                failure: Failure::new(Kind::Forbidden, "too many tries of passwords")
                    .hint("wait a minute, then try again"),
            },
            Unconfirmed::Unknown(trouble) => trouble,
        }
    }
}

/// Checks the password of a person with a session. A program with a token has none.
pub async fn confirm(
    server: &Server,
    person: &Person,
    password: Option<Secret>,
) -> Result<(), Unconfirmed> {
    if person.session.is_none() {
        return Ok(());
    }
    let password = password.unwrap_or_else(|| Secret::new(""));
    // A thief of a session has no more tries than a stranger at the login.
    let verdict = server
        .tries
        .count(&person.name, person.address, server.now());
    if verdict != Verdict::Allowed {
        let is_first = verdict == Verdict::FirstRefused;
        return Err(Unconfirmed::TooMany { is_first });
    }
    let user = server.database.user(&person.name);
    let user = user.map_err(|error| Unconfirmed::Unknown(error.into()))?;
    let stretched = user.map(|user| user.password);
    match server.checks.is_right(password, stretched).await {
        Some(true) => {
            server.tries.forget(&person.name, person.address);
            Ok(())
        }
        Some(false) => Err(Unconfirmed::Wrong),
        None => Err(Unconfirmed::TooMany { is_first: false }),
    }
}

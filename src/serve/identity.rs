//! The person or program that makes a request.

use std::net::IpAddr;

use super::{answer::Trouble, role::Role};

/// A user or a program that is logged in.
#[derive(Debug, Clone)]
pub struct Person {
    /// The name of the user or of the token.
    pub name: String,
    /// The role.
    pub role: Role,
    /// The address that the request comes from.
    pub address: IpAddr,
    /// The services whose archives are seen, by prefix; `None` for all.
    pub prefixes: Option<Vec<String>>,
    /// The secret of the session; `None` for a token.
    pub session: Option<String>,
}

impl Person {
    /// Refuses a token that sees the archives of some services only.
    pub fn require_all(&self, what: &str) -> Result<(), Trouble> {
        match &self.prefixes {
            None => Ok(()),
            Some(_) => Err(Trouble::forbidden(format!(
                "{what} tells of all services, and {} sees some only",
                self.name
            ))),
        }
    }

    /// Returns true if archives of this prefix are seen.
    pub fn sees(&self, prefix: &str) -> bool {
        let prefixes = self.prefixes.as_ref();
        prefixes.is_none_or(|prefixes| prefixes.iter().any(|one| one == prefix))
    }
}

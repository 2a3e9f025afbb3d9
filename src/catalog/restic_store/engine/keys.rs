//! The keys of a repository: the content key, sealed by a password each.

use anyhow::Result;
use rustic_core::repofile::KeyId;

use super::{
    Engine,
    key_file::{first_opened, read_keys, sealed_key},
};
use crate::{
    catalog::vault::VaultKey,
    error::{Failure, Kind},
    store::Secret,
};

impl Engine {
    /// Returns the keys, those that are damaged first, then the oldest.
    pub fn keys(&self) -> Result<Vec<VaultKey>> {
        let mut keys = Vec::new();
        for key in read_keys(&self.backend, &self.shown)? {
            let file = match key.file {
                Ok(file) => Some(file),
                Err(failure) if failure.kind == Kind::Refused => None,
                Err(failure) => return Err(failure.into()),
            };
            let created = file.as_ref().and_then(|file| file.created.as_ref());
            let created = created.map(|time| time.timestamp().as_second());
            keys.push(VaultKey {
                current: self.key_id == key.id,
                damaged: file.is_none(),
                id: key.id.to_hex().as_str().to_owned(),
                created: created
                    .and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0))
                    .map(crate::model::written::rfc3339),
                host: file.as_ref().and_then(|file| file.hostname.clone()),
                user: file.and_then(|file| file.username),
            });
        }
        keys.sort_by(|one, other| (&one.created, &one.id).cmp(&(&other.created, &other.id)));
        Ok(keys)
    }

    /// Adds a key for `password`, and returns its ID. Fails with [`Kind::Usage`] if the password opens the repository
    /// already. A damaged key is passed over: another one opened the repository.
    pub fn add_key(&self, password: &Secret) -> Result<String> {
        let keys = read_keys(&self.backend, &self.shown)?;
        if first_opened(keys, password, &self.shown)?.found.is_some() {
            let message = "this password opens the repository already";
            return Err(Failure::new(Kind::Usage, message)
                .hint("nothing was changed; name the file of another one")
                .into());
        }
        let file = sealed_key(&self.key, password, &self.maker)?;
        let id = self.backend.write_key(file)?;
        Ok(id.to_hex().as_str().to_owned())
    }

    /// Removes the key whose ID begins with `begin`, and returns its ID. The caller holds the exclusive lock.
    pub fn remove_key(&self, begin: &str) -> Result<String> {
        let ids = self.key_ids()?;
        let mut found = ids.iter().filter(|id| hex(id).starts_with(begin));
        let (id, more) = (found.next(), found.next());
        let refuse = |kind, why: &str| {
            let message = format!("the key {begin} {why}");
            Failure::new(kind, message)
                .hint("`hookshot repo key list` shows the IDs; nothing was removed")
        };
        let id = match (id, more) {
            (Some(id), None) if !begin.is_empty() => id,
            (None, _) => return Err(refuse(Kind::NotFound, "does not exist").into()),
            _ => return Err(refuse(Kind::Usage, "is more than one").into()),
        };
        if self.is_in_use(id) || ids.len() == 1 {
            let message = format!("the key {} is the one in use", hex(id));
            return Err(Failure::new(Kind::Usage, message)
                .hint("open the repository with another password, and remove it then")
                .into());
        }
        self.known(self.repository.delete_key(id))?;
        Ok(hex(id))
    }

    fn key_ids(&self) -> Result<Vec<KeyId>> {
        Ok(self.known(self.repository.list::<KeyId>())?.collect())
    }

    fn is_in_use(&self, id: &KeyId) -> bool {
        self.key_id == **id
    }
}

fn hex(id: &KeyId) -> String {
    id.to_hex().as_str().to_owned()
}

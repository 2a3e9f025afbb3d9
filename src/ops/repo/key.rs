//! `repo key`: the passwords that open a repository. Each has a key of its own.

use std::{ffi::OsStr, path::Path};

use anyhow::Result;
use serde::Serialize;

use super::word::{place, vault};
use crate::{
    catalog::vault::VaultKey,
    config::{
        Settings, absolute, read_text,
        secret::{SecretForm, WrittenSecret, private, read_required},
    },
    context::Context,
    error::{Failure, Kind},
    store::Secret,
};

/// The keys of a repository.
#[derive(Debug, Serialize)]
pub struct RepoKeysReport {
    /// The address of the repository.
    pub repository: String,
    /// The keys, those that are damaged first, then the oldest.
    pub keys: Vec<VaultKey>,
    /// The failure of keys that are damaged.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

/// A key that was added or removed.
#[derive(Debug, Serialize)]
pub struct RepoKeyReport {
    /// The address of the repository.
    pub repository: String,
    /// The ID of the key.
    pub id: String,
}

/// Lists the keys of the repository that `word` names.
pub fn keys(
    context: &Context,
    settings: &Settings,
    word: Option<&OsStr>,
) -> Result<RepoKeysReport> {
    let place = place(context, settings, word)?;
    let keys = vault(&*place.repository)?.keys()?;
    Ok(RepoKeysReport {
        repository: place.repository.address(),
        failure: damaged(&keys),
        keys,
    })
}

/// Returns the failure of keys that no password opens; `None` if there are none.
fn damaged(keys: &[VaultKey]) -> Option<Failure> {
    let damaged = keys.iter().filter(|key| key.damaged);
    let faults: Vec<String> = damaged
        .map(|key| format!("the key {} is damaged: no password opens it", key.id))
        .collect();
    let message = faults.first()?.clone();
    let hint = "`hookshot repo key remove ID` removes it; its password needs a new one: `hookshot repo key add`";
    Some(
        Failure::new(Kind::Partial, message)
            .hint(hint)
            .faults(faults),
    )
}

/// Lets the password in `file` open the repository that `word` names.
pub fn add_key(
    context: &Context,
    settings: &Settings,
    word: Option<&OsStr>,
    file: &Path,
) -> Result<RepoKeyReport> {
    let place = place(context, settings, word)?;
    place.require_enabled()?;
    let vault = vault(&*place.repository)?;
    let password = password(file)?;
    context.runner.masks.add(password.reveal());
    Ok(RepoKeyReport {
        repository: place.repository.address(),
        id: vault.add_key(&password)?,
    })
}

/// Removes a key of the repository that `word` names: its password opens nothing there any more.
pub fn remove_key(
    context: &Context,
    settings: &Settings,
    word: Option<&OsStr>,
    id: &str,
) -> Result<RepoKeyReport> {
    let place = place(context, settings, word)?;
    place.require_removable()?;
    Ok(RepoKeyReport {
        repository: place.repository.address(),
        id: vault(&*place.repository)?.remove_key(id)?,
    })
}

/// Reads the password in a file that only its owner can read.
fn password(file: &Path) -> Result<Secret> {
    let file = absolute(file)?;
    let refuse = |why: String| {
        Failure::new(
            Kind::Usage,
            format!("the new password cannot be read: {why}"),
        )
        .hint("`openssl rand -hex 32` makes one; write it to a file of mode 600")
    };
    private(&file).map_err(refuse)?;
    let text = read_text(&file)?.unwrap_or_default();
    let written = WrittenSecret {
        key: "--password-file",
        form: SecretForm::Line,
        text: Secret::new(""),
    };
    Ok(read_required(&written, &text)?)
}

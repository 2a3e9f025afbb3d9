//! `repo init`: makes a repository, and its password if the configuration names a file that does not exist.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    state_size::state_size,
    word::{place, vault},
};
use crate::{
    catalog::{destination::Destination, vault::Vault},
    config::Settings,
    context::Context,
    disk::{
        exists, folder_of,
        publish::{Existing, publish},
    },
    error::{Failure, Kind},
    model::{chunks::Chunks, readable::size, written::escaped},
};

/// A new repository.
#[derive(Debug, Serialize)]
pub struct RepoInitReport {
    /// Its address.
    pub repository: String,
    /// The size of its chunks.
    pub chunk: String,
    /// The reason for that size.
    pub chunk_reason: String,
    /// The file with its new password, if it was made.
    pub password_file: Option<String>,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file_escaped: Option<String>,
}

/// Makes the repository that `word` names. The size of its chunks is `chunks`, else that of the configuration, else one
/// that fits the size of the state.
///
/// Errors: [`Kind::Usage`] if there is a repository, which stays as it is.
pub fn init(
    context: &Context,
    settings: &Settings,
    word: Option<&OsStr>,
    chunks: Option<Chunks>,
) -> Result<RepoInitReport> {
    let mut destination = place(context, settings, word)?;
    destination.require_enabled()?;
    if vault(&*destination.repository)?.exists()? {
        let message = format!("{} has a repository already", destination.shown());
        return Err(Failure::new(Kind::Usage, message)
            .hint("use it as it is; nothing was changed")
            .into());
    }
    let file = missing_password_file(settings, &destination);
    if let Some(file) = &file {
        make_password_file(vault(&*destination.repository)?, file)?;
        destination = place(context, settings, word)?;
    }
    let made = vault(&*destination.repository)?;
    let (chunks, chunk_reason) = match (chunks, made.wanted_chunks()) {
        (Some(chunks), _) => (chunks, "--chunk".to_owned()),
        (None, Some(chunks)) => (chunks, "`chunk` of the destination".to_owned()),
        (None, None) => suitable(context, settings)?,
    };
    made.create(chunks)?;
    Ok(RepoInitReport {
        repository: destination.repository.address(),
        chunk: chunks.to_string(),
        chunk_reason,
        password_file_escaped: file.as_deref().and_then(escaped),
        password_file: file.map(|file| file.display().to_string()),
    })
}

/// Returns the size of chunks that suits the state, and the reason.
fn suitable(context: &Context, settings: &Settings) -> Result<(Chunks, String)> {
    Ok(match state_size(context, settings)? {
        None => {
            let reason = "the state cannot be read".to_owned();
            (Chunks::for_state(0), reason)
        }
        Some(bytes) if bytes >= Chunks::LARGE_STATE => {
            let reason = format!("the state has {} or more", size(Chunks::LARGE_STATE));
            (Chunks::for_state(bytes), reason)
        }
        Some(bytes) => {
            let reason = format!("the state has {}", size(bytes));
            (Chunks::for_state(bytes), reason)
        }
    })
}

/// Returns the file that the configuration names as the password of a destination, if it does not exist.
fn missing_password_file(settings: &Settings, destination: &Destination) -> Option<PathBuf> {
    let written = settings
        .schema
        .destinations
        .get(destination.name.as_ref()?)?;
    let text = written.repository.password.as_ref()?.text.reveal();
    let file = folder_of(&settings.config).join(text.strip_prefix("file:")?);
    (!exists(&file)).then_some(file)
}

/// Writes a random password into a new file, 0600.
fn make_password_file(vault: &dyn Vault, file: &Path) -> Result<()> {
    let folder = folder_of(file);
    if !folder.is_dir() {
        let folder = folder.display();
        let message = format!("the folder {folder} does not exist, and no password was made");
        return Err(Failure::new(Kind::Failed, message)
            .hint(format!("make it first: `mkdir -p -m 700 {folder}`"))
            .into());
    }
    let password = vault.invent_password();
    let line = Zeroizing::new(format!("{}\n", password.reveal()));
    publish(file, line.as_bytes(), Existing::Keep)
}

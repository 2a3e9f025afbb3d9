//! `key generate`: makes a key pair.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    config::absolute,
    context::Context,
    crypt::{self, PublicKey},
    disk::{
        exists, folder_of,
        publish::{Existing, publish},
    },
    error::{Failure, Kind},
    model::written::escaped,
};

/// A new key pair.
#[derive(Serialize)]
pub struct GenerateReport {
    /// The file with the private key; nothing if the caller shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_escaped: Option<String>,
    /// The public key.
    pub public_key: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// The text of an identity file, if the caller shows it.
    #[serde(skip)]
    pub text: Option<Zeroizing<String>>,
}

/// Makes a key pair, and writes the private key to `file`, 0600, if one is named.
///
/// Errors: [`Kind::Usage`] if the file exists.
pub fn generate(context: &Context, file: Option<&Path>) -> Result<GenerateReport> {
    let file = file.map(absolute).transpose()?;
    if let Some(file) = file.as_deref().filter(|file| exists(file)) {
        return Err(taken(file).into());
    }
    let folder = file.as_deref().map(folder_of);
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(no_folder(&folder).into());
    }
    let pair = crypt::generate();
    let text = pair.file(&context.time());
    if let Some(file) = &file {
        publish(file, text.as_bytes(), Existing::Keep)?;
    }
    let fingerprint = PublicKey::parse(&pair.public).map(|key| key.fingerprint());
    Ok(GenerateReport {
        file_escaped: file.as_deref().and_then(escaped),
        text: file.is_none().then_some(text),
        file: file.map(|file| file.display().to_string()),
        public_key: pair.public,
        fingerprint: fingerprint.unwrap_or_default(),
    })
}

fn no_folder(folder: &Path) -> Failure {
    let folder = folder.display();
    let message = format!("the folder {folder} does not exist, and no key was made");
    Failure::new(Kind::Failed, message).hint(format!(
        "make it first (`mkdir -p -m 700 {folder}`), or name another file"
    ))
}

fn taken(file: &Path) -> Failure {
    let message = format!(
        "{} exists already, and a key is never overwritten",
        file.display()
    );
    Failure::new(Kind::Usage, message)
        .hint("name another file; `hookshot key show FILE` prints the public key of this one")
}

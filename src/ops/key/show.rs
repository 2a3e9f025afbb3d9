//! `key show`: the public keys of a file.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::{
    catalog::keys::key_file,
    config::absolute,
    crypt::{Ask, PublicKey, public_keys},
    model::written::escaped,
};

/// The public keys of a file.
#[derive(Debug, Serialize)]
pub struct ShowReport {
    /// The file.
    pub file: String,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_escaped: Option<String>,
    /// Its keys, in its order.
    pub keys: Vec<ShownKey>,
}

/// A public key.
#[derive(Debug, Serialize)]
pub struct ShownKey {
    /// Its kind, as archives name it: `X25519` or `ssh-ed25519`.
    pub kind: &'static str,
    /// Its text.
    pub public_key: String,
    /// Its fingerprint.
    pub fingerprint: String,
}

impl ShownKey {
    /// Returns the facts of a key.
    pub fn of(key: &PublicKey) -> ShownKey {
        ShownKey {
            kind: key.kind(),
            public_key: key.text().to_owned(),
            fingerprint: key.fingerprint(),
        }
    }
}

/// Returns the public keys of an identity file, of a private key of OpenSSH, or of a file of public keys. `ask` asks for
/// the passphrase of an identity file.
pub fn show(file: &Path, ask: Option<&Ask>) -> Result<ShowReport> {
    let file = absolute(file)?;
    let shown = file.display().to_string();
    let content = key_file(&file)?;
    let keys = public_keys(&shown, &content, ask)?;
    Ok(ShowReport {
        file_escaped: escaped(&file),
        file: shown,
        keys: keys.iter().map(ShownKey::of).collect(),
    })
}

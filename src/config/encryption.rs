//! `[backup.encryption]`, and `encryption` of a destination: for whom archives are sealed, and the files of the keys that
//! open them.

use std::path::{Path, PathBuf};

use anyhow::Result;
use toml::Value;

use super::{
    reader::Section,
    secret::{Lookup, SecretForm, WrittenSecret, is_reference},
    text::read_text,
};
use crate::{
    crypt::{PublicKey, Recipients, SecretString, is_private_key},
    disk::folder_of,
    error::{Failure, Kind},
    store::Secret,
};

/// The key that names private keys.
pub const IDENTITY_FILE: &str = "identity_file";
/// The fault of a key that stands where its file belongs.
const PRIVATE_KEY: &str = "is a private key itself: put it into a file that only its owner can read (chmod 600), and name that";

/// The recipients of archives, as the file names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncryptionSettings {
    /// `recipients`: public keys.
    pub recipients: Vec<PublicKey>,
    /// `recipients_file`: a file with a public key on each line; a relative path counts from the configuration's folder.
    pub recipients_file: Option<PathBuf>,
    /// `passphrase`: it seals and opens, and stands alone.
    pub passphrase: Option<WrittenSecret>,
    /// `identity_file`: the files of the private keys that open archives on this machine, as paths or references.
    pub identity_files: Vec<WrittenSecret>,
}

/// The encryption of one destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DestinationEncryption {
    /// That of `[backup.encryption]`.
    #[default]
    Shared,
    /// None: `encryption = false`.
    Off,
    /// Its own recipients.
    Own(EncryptionSettings),
}

/// Reads `[backup.encryption]`.
pub(super) fn read(section: &Section<'_>) -> EncryptionSettings {
    let settings = EncryptionSettings {
        identity_files: identity_files(section),
        ..recipients(section)
    };
    if settings == EncryptionSettings::default() && section.value("recipients").is_none() {
        section.refuse(format!(
            "[{}] names no recipients: `recipients`, `recipients_file` or `passphrase`; `hookshot key generate` makes a key",
            section.name()
        ));
    }
    settings
}

/// Reads `encryption` of a destination: `false`, or a section with recipients.
pub(super) fn of_destination(destination: &Section<'_>) -> DestinationEncryption {
    match destination.value("encryption") {
        None => {
            // The keys of the section are those of this kind, even if it is not written.
            destination.section("encryption", recipients);
            DestinationEncryption::Shared
        }
        Some(Value::Boolean(false)) => DestinationEncryption::Off,
        Some(Value::Table(_)) => {
            let own = destination
                .section("encryption", recipients)
                .unwrap_or_default();
            if !own.seals() {
                destination.fault(
                    "encryption",
                    "names no recipients; `encryption = false` leaves archives unsealed",
                );
            }
            DestinationEncryption::Own(own)
        }
        Some(_) => {
            destination.fault(
                "encryption",
                "must be false, or a section with `recipients`; encryption by the server of a bucket is `sse`",
            );
            DestinationEncryption::Off
        }
    }
}

fn recipients(section: &Section<'_>) -> EncryptionSettings {
    let mut keys = Vec::new();
    for text in section.list("recipients") {
        match PublicKey::parse(&text) {
            Ok(key) => keys.push(key),
            // The text may be a private key.
            Err(fault) => section.fault("recipients", format!("has a key that {fault}")),
        }
    }
    let recipients_file = section.path("recipients_file");
    let is_private = |path: &PathBuf| path.to_str().is_some_and(is_private_key);
    let recipients_file = recipients_file.filter(|path| {
        if is_private(path) {
            section.fault("recipients_file", PRIVATE_KEY);
        }
        !is_private(path)
    });
    let passphrase = section.secret("passphrase", SecretForm::Line);
    if passphrase.is_some() && (!keys.is_empty() || recipients_file.is_some()) {
        section.fault(
            "passphrase",
            "stands alone: an archive is sealed for keys or by a passphrase, not both",
        );
    }
    if let Some(Value::Array(written)) = section.value("recipients")
        && written.is_empty()
        && recipients_file.is_none()
        && passphrase.is_none()
    {
        section.fault(
            "recipients",
            "is empty: archives are sealed for at least one key",
        );
    }
    EncryptionSettings {
        recipients: keys,
        recipients_file,
        passphrase,
        identity_files: Vec::new(),
    }
}

fn identity_files(section: &Section<'_>) -> Vec<WrittenSecret> {
    let key = IDENTITY_FILE;
    section.know_path(key);
    let words: Vec<String> = match section.value(key) {
        None => Vec::new(),
        Some(Value::String(_)) => section.text(key).into_iter().collect(),
        Some(_) => section.list(key),
    };
    let mut files = Vec::new();
    for word in &words {
        match is_private_key(word.strip_prefix("file:").unwrap_or(word)) {
            // The text is repeated nowhere.
            true => section.fault(key, PRIVATE_KEY),
            false => files.push(identity(word)),
        }
    }
    files
}

/// Returns the file of a private key: a path, or a reference such as `credential:NAME`.
pub fn identity(word: &str) -> WrittenSecret {
    let text = match is_reference(word) {
        true => word.to_owned(),
        false => format!("file:{word}"),
    };
    WrittenSecret {
        key: IDENTITY_FILE,
        form: SecretForm::Key,
        text: Secret::new(text),
    }
}

impl EncryptionSettings {
    /// Returns true if archives are sealed. A section may name files of private keys alone.
    pub fn seals(&self) -> bool {
        !self.recipients.is_empty() || self.recipients_file.is_some() || self.passphrase.is_some()
    }

    /// Returns the recipients of archives; `None` if archives are not sealed.
    ///
    /// Errors: [`Kind::Usage`] for a file that is missing or has something else in it; those of a reference.
    pub fn resolve(&self, lookup: &Lookup<'_>) -> Result<Option<Recipients>> {
        if let Some(passphrase) = &self.passphrase {
            let found = lookup.resolve(passphrase)?;
            let found = SecretString::from(found.reveal().to_owned());
            return Ok(Some(Recipients::passphrase(found)));
        }
        let mut keys = self.recipients.clone();
        if let Some(file) = &self.recipients_file {
            keys.extend(listed(&folder_of(lookup.config).join(file))?);
        }
        let seals = self.seals();
        Ok(seals.then(|| Recipients::keys(keys)).transpose()?)
    }
}

/// Reads a file with a public key on each line; empty lines and those that begin with `#` are skipped (age(1), `-R`).
fn listed(path: &Path) -> Result<Vec<PublicKey>> {
    let shown = path.display();
    let refuse = |fault: String| {
        let message = format!("`recipients_file` {shown} {fault}");
        Failure::new(Kind::Usage, message)
            .hint("it has a public key on each line: age1... or ssh-ed25519 ...")
    };
    let text = read_text(path)?.ok_or_else(|| refuse("does not exist".to_owned()))?;
    let text = text.trim_start_matches('\u{feff}');
    let mut keys = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = PublicKey::parse(line);
        keys.push(key.map_err(|fault| refuse(format!("has a key in line {number} that {fault}")))?);
    }
    match keys.is_empty() {
        true => Err(refuse("has no key".to_owned()).into()),
        false => Ok(keys),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::reader,
        crypt::{ExposeSecret as _, generate},
    };

    #[test]
    fn recipients_are_read_and_faults_repeat_no_key() {
        let (one, two) = (generate(), generate());
        let read_in = |text: &str| {
            reader::read(text, |root| {
                root.section("encryption", read).unwrap_or_default()
            })
        };
        let text = format!(
            "[encryption]\nrecipients = [\"{}\", \"{}\"]\nidentity_file = \"key.txt\"\n",
            one.public, two.public
        );
        let settings = read_in(&text).expect("good");
        assert_eq!(settings.recipients.len(), 2);
        assert_eq!(settings.identity_files, [identity("file:key.txt")]);
        let several =
            "[encryption]\npassphrase = \"file:p\"\nidentity_file = [\"a\", \"credential:b\"]\n";
        let settings = read_in(several).expect("good");
        assert_eq!(
            settings.identity_files,
            [identity("a"), identity("credential:b")]
        );
        let secret = two.secret.expose_secret();
        for (text, expected) in [
            (format!("recipients = [\"{secret}\"]"), "is a private key"),
            ("recipients = [\"age1\"]".to_owned(), "is damaged"),
            ("recipients = []".to_owned(), "is empty"),
            (String::new(), "names no recipients"),
            (
                format!("recipients = [\"{}\"]\npassphrase = \"x\"", one.public),
                "stands alone",
            ),
        ] {
            let faults = read_in(&format!("[encryption]\n{text}\n")).expect_err(&text);
            assert!(faults[0].contains(expected), "{faults:?}");
            assert!(!faults[0].contains(&secret[16..40]), "{faults:?}");
        }
    }

    #[test]
    fn a_destination_has_the_shared_recipients_none_or_its_own() {
        let key = generate().public;
        let read_in = |text: &str| reader::read(text, of_destination);
        assert_eq!(read_in("").expect("good"), DestinationEncryption::Shared);
        assert_eq!(
            read_in("encryption = false").expect("good"),
            DestinationEncryption::Off
        );
        let own = read_in(&format!("[encryption]\nrecipients = [\"{key}\"]")).expect("good");
        assert!(matches!(own, DestinationEncryption::Own(own) if own.seals()));
        for text in ["encryption = {}", "[encryption]"] {
            let faults = read_in(text).expect_err(text);
            assert!(faults[0].contains("names no recipients"), "{faults:?}");
        }
        for text in ["encryption = true", "encryption = \"aws:kms\""] {
            let faults = read_in(text).expect_err(text);
            assert!(faults[0].contains("`sse`"), "{faults:?}");
        }
    }
}

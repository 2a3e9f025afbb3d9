//! The private keys of a run: those that options, the environment and the configuration name.

use std::{io::Read as _, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use zeroize::Zeroizing;

use crate::{
    config::{
        Choices, Settings, absolute,
        destinations::DestinationSettings,
        encryption::{DestinationEncryption, identity},
        secret::{Lookup, WrittenSecret, is_reference, private},
    },
    context::Context,
    crypt::{
        Ask, Keyring, Keys, PublicKey, SecretString, forbid_core_dumps, is_private_key, is_secret,
        private_texts,
    },
    disk::{exists, folder_of, open_regular},
    error::{Failure, Kind},
};

/// The time limit of a command that prints a key.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// The largest identity file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The archives for whose passphrase the user is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// Every one that is sealed by a passphrase, and that none of the configuration opens.
    ForAny,
    /// The same, unless the configuration names a passphrase: a look at many archives does not ask for those of an
    /// earlier one.
    UnlessConfigured,
}

/// Returns the keys that `choices` and their configuration name, loaded when they are needed. `ask` asks the user for
/// passphrases: those of keys, and those of archives as `asking` says.
pub fn keys(context: &Context, choices: &Choices, ask: Option<Ask>, asking: Asking) -> Keys {
    let (context, choices) = (context.clone(), choices.clone());
    Keys::lazily(move || {
        let loaded = load(&context, &choices, ask.as_ref(), asking);
        loaded.map_err(|error| unusable(&error))
    })
}

fn load(
    context: &Context,
    choices: &Choices,
    ask: Option<&Ask>,
    asking: Asking,
) -> Result<Keyring> {
    let named = Named::read(choices)?;
    with_lookup(context, choices, |lookup| {
        let mut ring = Keyring::default();
        let mask = |key: &str| context.runner.masks.add(key);
        for word in &named.files {
            let (shown, content) = content(lookup, word)?;
            ring.add_file(&shown, &content, ask, &mask)?;
        }
        for passphrase in &named.passphrases {
            let find = found_by(context, choices, passphrase)?;
            ring.add_passphrase("the passphrase of the configuration", find);
        }
        let may_ask = asking == Asking::ForAny || named.passphrases.is_empty();
        if let Some(ask) = ask.filter(|_| may_ask) {
            // The last one: the user is asked if nothing else opens the archive.
            ring.add_asked(ask.clone());
        }
        Ok(ring)
    })
}

/// A private key in full, for a recovery kit.
pub struct PrivateKey {
    /// Its file, for messages.
    pub shown: String,
    /// Its public key.
    pub public: Option<PublicKey>,
    /// Its text, as an identity file has it.
    pub text: Zeroizing<String>,
}

/// Returns the text of every private key, and every passphrase, that `choices` and their configuration name.
///
/// Errors: [`Kind::Key`] for a file that a passphrase locks.
pub fn private_keys(
    context: &Context,
    choices: &Choices,
) -> Result<(Vec<PrivateKey>, Vec<Zeroizing<String>>)> {
    let named = Named::read(choices)?;
    with_lookup(context, choices, |lookup| {
        let (mut keys, mut passphrases) = (Vec::new(), Vec::new());
        for word in &named.files {
            let (shown, content) = found_at(context, lookup, word)?;
            for (public, text) in private_texts(&shown, &content)? {
                let shown = shown.clone();
                keys.push(PrivateKey {
                    shown,
                    public,
                    text,
                });
            }
        }
        for passphrase in &named.passphrases {
            let found = lookup.resolve(passphrase)?;
            passphrases.push(Zeroizing::new(found.reveal().to_owned()));
        }
        Ok((keys, passphrases))
    })
    .map_err(|error| unusable(&error).into())
}

/// The files of private keys, and the passphrases, that the user names.
struct Named {
    files: Vec<WrittenSecret>,
    passphrases: Vec<WrittenSecret>,
}

impl Named {
    fn read(choices: &Choices) -> Result<Named> {
        let words = choices.identities.iter().map(|path| match path.to_str() {
            Some(word) if is_reference(word) => Ok(identity(word)),
            _ => Ok(identity(&absolute(path)?.to_string_lossy())),
        });
        let mut files: Vec<WrittenSecret> = words.collect::<Result<_>>()?;
        // An unusable configuration is reported by whatever needs more of it than keys.
        let schema = Settings::load(choices).ok().map(|settings| settings.schema);
        let encryption = schema.as_ref().map(|schema| &schema.encryption);
        if let Some(encryption) = encryption.filter(|_| files.is_empty()) {
            files.clone_from(&encryption.identity_files);
        }
        let own = |destination: &DestinationSettings| match &destination.encryption {
            DestinationEncryption::Own(own) => own.passphrase.clone(),
            _ => None,
        };
        let destinations = schema
            .iter()
            .flat_map(|schema| schema.destinations.values());
        let shared = encryption.and_then(|encryption| encryption.passphrase.clone());
        let mut passphrases: Vec<WrittenSecret> = Vec::new();
        for passphrase in destinations.filter_map(own).chain(shared) {
            if !passphrases.contains(&passphrase) {
                passphrases.push(passphrase);
            }
        }
        Ok(Named { files, passphrases })
    }
}

/// Does `work` with the way to find what the configuration refers to.
fn with_lookup<T>(
    context: &Context,
    choices: &Choices,
    work: impl FnOnce(&Lookup<'_>) -> Result<T>,
) -> Result<T> {
    forbid_core_dumps();
    let advance = context.step();
    work(&Lookup {
        config: &choices.config_path()?,
        environment: &context.environment,
        runner: &context.runner,
        limit: TIME_LIMIT,
        advance: &advance,
    })
}

/// Returns the name of an identity file and its content, whose private keys are masked from now on.
fn found_at(
    context: &Context,
    lookup: &Lookup<'_>,
    word: &WrittenSecret,
) -> Result<(String, Zeroizing<Vec<u8>>)> {
    let (shown, content) = content(lookup, word)?;
    for line in String::from_utf8_lossy(&content).lines() {
        if line.starts_with("AGE-SECRET-KEY-") {
            context.runner.masks.add(line);
        }
    }
    Ok((shown, content))
}

/// Returns the way to a passphrase of the configuration, which is found when it is needed.
fn found_by(context: &Context, choices: &Choices, passphrase: &WrittenSecret) -> Result<Ask> {
    let (context, passphrase) = (context.clone(), passphrase.clone());
    let config = choices.config_path()?;
    Ok(Arc::new(move |_| {
        let advance = context.step();
        let lookup = Lookup {
            config: &config,
            environment: &context.environment,
            runner: &context.runner,
            limit: TIME_LIMIT,
            advance: &advance,
        };
        let found = lookup.resolve(&passphrase);
        let found = found.map_err(|error| Failure::of(&error))?;
        Ok(Some(SecretString::from(found.reveal().to_owned())))
    }))
}

/// Returns the name of an identity file for messages, and its content.
fn content(lookup: &Lookup<'_>, word: &WrittenSecret) -> Result<(String, Zeroizing<Vec<u8>>)> {
    let text = word.text.reveal();
    let Some(path) = text.strip_prefix("file:") else {
        let (kind, name) = text.split_once(':').unwrap_or_default();
        // A command may hold a secret.
        let shown = if kind == "command" {
            "a command".to_owned()
        } else {
            format!("{kind}:{name}")
        };
        let found = Zeroizing::new(std::mem::take(&mut *lookup.find(word)?).into_bytes());
        return Ok((shown, found));
    };
    let path = folder_of(lookup.config).join(path);
    let shown = path.display().to_string();
    if !exists(&path) {
        return Err(missing(&shown).into());
    }
    private(&path).map_err(refused)?;
    let found = bounded(&path)?;
    Ok((shown, found))
}

/// Reads a file of public or private keys. One with a private key is refused if others can read it.
pub fn key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    forbid_core_dumps();
    names_a_file("the argument", path)?;
    if !exists(path) {
        let message = format!("the key file {} does not exist", path.display());
        return Err(Failure::new(Kind::NotFound, message)
            .hint("look at the path; `hookshot key generate -o FILE` makes a key")
            .into());
    }
    let content = bounded(path)?;
    if is_secret(&content) {
        private(path).map_err(refused)?;
    }
    Ok(content)
}

/// Refuses a private key that stands where its file belongs, without repeating it. `said` is where it stands.
///
/// Errors: [`Kind::Usage`].
pub fn names_a_file(said: &str, path: &Path) -> Result<(), Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match is_private_key(&name) {
        false => Ok(()),
        true => Err(Failure::new(
            Kind::Usage,
            format!("{said} is a private key itself, and not a file that holds one"),
        )
        .hint("put it into a file that only you can read (chmod 600), and name that; its text is in the shell's history now")),
    }
}

fn bounded(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let shown = path.display();
    let reading = || format!("cannot read the identity file {shown}");
    let mut found = Zeroizing::new(Vec::new());
    let file = open_regular(path).with_context(reading)?;
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut found)
        .with_context(reading)?;
    if found.len() as u64 > MAX_FILE_BYTES {
        return Err(refused(format!("{shown} is larger than 1 MiB")).into());
    }
    Ok(found)
}

/// Returns the failure of an identity file that does not exist.
fn missing(shown: &str) -> Failure {
    let message = format!("the identity file {shown} does not exist");
    Failure::new(Kind::Key, message).hint(
        "look at the path; if the configuration names it, put the private key there (chmod 600), or take `identity_file` \
        out: backups need public keys only",
    )
}

fn refused(why: String) -> Failure {
    let message = format!("the identity file cannot be used: {why}");
    Failure::new(Kind::Key, message)
        .hint("look at its path, its owner and its mode (0600); `hookshot key show FILE` says which keys a file holds")
}

/// Returns the failure of keys that cannot be loaded.
fn unusable(error: &anyhow::Error) -> Failure {
    let failure = Failure::of(error);
    match failure.kind {
        Kind::Interrupted(_) | Kind::Key => failure,
        _ => Failure {
            kind: Kind::Key,
            ..failure
        },
    }
}

//! The private keys of a run: those that options, the environment and the configuration name.

use std::{io::Read as _, time::Duration};

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
    crypt::{Ask, Keyring, Keys, SecretString, forbid_core_dumps},
    disk::{folder_of, open_regular},
    error::{Failure, Kind},
};

/// The time limit of a command that prints a key.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// The largest identity file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Returns the keys that `choices` and their configuration name, loaded when they are needed. `ask` asks the user for
/// passphrases.
pub fn keys(context: &Context, choices: &Choices, ask: Option<Ask>) -> Keys {
    let (context, choices) = (context.clone(), choices.clone());
    Keys::lazily(move || load(&context, &choices, ask.as_ref()).map_err(|error| unusable(&error)))
}

fn load(context: &Context, choices: &Choices, ask: Option<&Ask>) -> Result<Keyring> {
    forbid_core_dumps();
    let words = choices.identities.iter().map(|path| match path.to_str() {
        Some(word) if is_reference(word) => Ok(identity(word)),
        _ => Ok(identity(&absolute(path)?.to_string_lossy())),
    });
    let mut words: Vec<WrittenSecret> = words.collect::<Result<_>>()?;
    let schema = match Settings::load(choices) {
        Ok(settings) => Some(settings.schema),
        // The command line names the keys, even if the configuration is not usable.
        Err(_) if !words.is_empty() => None,
        Err(error) => return Err(error),
    };
    let encryption = schema.as_ref().map(|schema| &schema.encryption);
    if let Some(encryption) = encryption.filter(|_| words.is_empty()) {
        words.clone_from(&encryption.identity_files);
    }
    let advance = context.step();
    let lookup = Lookup {
        config: &choices.config_path()?,
        environment: &context.environment,
        runner: &context.runner,
        limit: TIME_LIMIT,
        advance: &advance,
    };
    let mut ring = Keyring::default();
    for word in &words {
        let (shown, content) = content(&lookup, word)?;
        for line in String::from_utf8_lossy(&content).lines() {
            if line.starts_with("AGE-SECRET-KEY-") {
                context.runner.masks.add(line);
            }
        }
        ring.add_file(&shown, &content, ask)?;
    }
    let own = |destination: &DestinationSettings| match &destination.encryption {
        DestinationEncryption::Own(own) => own.passphrase.clone(),
        _ => None,
    };
    let destinations = schema
        .iter()
        .flat_map(|schema| schema.destinations.values());
    let shared = encryption.and_then(|encryption| encryption.passphrase.clone());
    let passphrases = destinations.filter_map(own).chain(shared);
    let mut known: Vec<WrittenSecret> = Vec::new();
    for passphrase in passphrases {
        if known.contains(&passphrase) {
            continue;
        }
        let found = lookup.resolve(&passphrase)?;
        let found = SecretString::from(found.reveal().to_owned());
        ring.add_passphrase("the passphrase of the configuration", found);
        known.push(passphrase);
    }
    if let Some(ask) = ask.filter(|_| known.is_empty()) {
        ring.add_asked(ask.clone());
    }
    Ok(ring)
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
        let found = Zeroizing::new(lookup.find(word)?.into_bytes());
        return Ok((shown, found));
    };
    let path = folder_of(lookup.config).join(path);
    let shown = path.display().to_string();
    let refuse = |why: String| {
        let message = format!("the identity file cannot be used: {why}");
        Failure::new(Kind::Key, message)
            .hint("`hookshot key generate -o FILE` makes one with the right permissions")
    };
    private(&path).map_err(refuse)?;
    let reading = || format!("cannot read the identity file {shown}");
    let mut found = Zeroizing::new(Vec::new());
    let file = open_regular(&path).with_context(reading)?;
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut found)
        .with_context(reading)?;
    if found.len() as u64 > MAX_FILE_BYTES {
        return Err(refuse(format!("{shown} is larger than 1 MiB")).into());
    }
    Ok((shown, found))
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

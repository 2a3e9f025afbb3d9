//! `key export --paper`: the recovery kit, what is needed if everything but the archives is gone.

use anyhow::Result;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    kit_commands::{Command, Opening, fetch, open, restore, way_to},
    show::ShownKey,
};
use crate::{
    catalog::{
        destination,
        keys::{PrivateKey, private_keys},
    },
    config::{
        Choices, Settings,
        destinations::DestinationSettings,
        elsewhere::tidy,
        encryption::{DestinationEncryption, EncryptionSettings},
        sources::Source,
    },
    context::Context,
    crypt::PublicKey,
    disk::folder_of,
    error::{Failure, Kind},
    model::archive_name::Ending,
    store::Address,
};

/// The part of private keys in a kit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivateKeys {
    /// They stay where they are.
    LeftOut,
    /// They are in it.
    Included,
}

/// A recovery kit.
#[derive(Serialize)]
pub struct RecoveryKit {
    /// The application.
    pub app: String,
    /// The machine.
    pub host: Option<String>,
    /// The time at which the kit was made.
    pub time: String,
    /// The version of hookshot that made it.
    pub version: String,
    /// The configuration.
    pub config: String,
    /// The beginning of the names of archives.
    pub prefix: String,
    /// The public keys for which archives are sealed.
    pub keys: Vec<ShownKey>,
    /// The destinations.
    pub destinations: Vec<KitDestination>,
    /// The parts of the state, with their places on this machine.
    pub entries: Vec<KitEntry>,
    /// The commands that restore an archive with hookshot.
    pub restore: Vec<Command>,
    /// The commands that open an archive without hookshot.
    pub open: Vec<Command>,
    /// The secrets that no archive holds.
    pub secrets: Vec<KitSecret>,
    /// The private keys, if they were requested.
    #[serde(skip)]
    pub private_keys: Vec<PrivateKey>,
    /// The passphrases of the configuration, if private keys were requested.
    #[serde(skip)]
    pub passphrases: Vec<Zeroizing<String>>,
    /// True if private keys were requested.
    pub has_private_keys: bool,
}

/// A destination of archives.
#[derive(Debug, Serialize)]
pub struct KitDestination {
    /// Its name.
    pub name: String,
    /// Its URL, or its folder.
    pub url: String,
    /// Further settings of the destination that lead to it, such as an endpoint.
    pub settings: Vec<(String, String)>,
    /// The form of its archives.
    pub seal: KitSeal,
    /// The positions in `keys` of those that open its archives.
    pub keys: Vec<usize>,
    /// The command that brings an archive without hookshot.
    pub fetch: Command,
}

/// The form in which a destination gets archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KitSeal {
    /// They are not sealed.
    None,
    /// For public keys.
    Keys,
    /// By a passphrase.
    Passphrase,
}

/// A part of the state.
#[derive(Debug, Serialize)]
pub struct KitEntry {
    /// Its name in archives.
    pub name: String,
    /// Its place; nothing for that of a command.
    pub path: Option<String>,
}

/// A secret that has to be entered again.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct KitSecret {
    /// Its key and its section.
    pub place: String,
    /// The reference to it.
    pub reference: String,
}

/// Gathers the recovery kit of a configuration. Private keys are those of the run.
///
/// Errors: [`Kind::Key`] if they are requested and there are none.
pub fn recovery_kit(
    context: &Context,
    choices: &Choices,
    settings: &Settings,
    private: PrivateKeys,
) -> Result<RecoveryKit> {
    let schema = &settings.schema;
    let mut keys = Keys::default();
    let mut destinations = Vec::new();
    for (name, written) in schema.destinations.iter().filter(|(_, one)| one.enabled) {
        destinations.push(keys.destination(context, settings, name, written)?);
    }
    let (_, shared) = keys.add(context, settings, &schema.encryption)?;
    let has_phrase = shared == KitSeal::Passphrase
        || (destinations.iter()).any(|one| one.seal == KitSeal::Passphrase);
    let opening = match (keys.0.is_empty(), has_phrase) {
        (false, _) => Opening::Key,
        (true, true) => Opening::Passphrase,
        (true, false) => Opening::Plain,
    };
    let stem = format!("{}-YYYYMMDD-HHMMSS", schema.prefix);
    let mut secrets = Vec::new();
    for placed in schema.secrets() {
        if let Some(reference) = placed.reference() {
            let reference = absolute(settings, reference);
            let place = placed.place;
            secrets.push(KitSecret { place, reference });
        }
    }
    let (private_keys, passphrases) = match private {
        PrivateKeys::LeftOut => (Vec::new(), Vec::new()),
        PrivateKeys::Included => private_keys(context, choices)?,
    };
    if private == PrivateKeys::Included && private_keys.is_empty() && passphrases.is_empty() {
        let message = "no private key is given for the kit";
        return Err(Failure::new(Kind::Key, message)
            .hint("name its file with --identity FILE, or leave out --with-secret")
            .into());
    }
    Ok(RecoveryKit {
        app: schema.app.clone(),
        host: context.hostname.clone(),
        time: context.time(),
        version: context.version.to_string(),
        config: settings.config.display().to_string(),
        prefix: schema.prefix.clone(),
        keys: keys.0.iter().map(ShownKey::of).collect(),
        destinations,
        entries: settings.sources.iter().map(entry).collect(),
        restore: restore(settings, &stem, opening),
        open: open(&schema.prefix, &stem, opening),
        secrets,
        private_keys,
        passphrases,
        has_private_keys: private == PrivateKeys::Included,
    })
}

/// Returns a reference whose file is named from the root on, as the page leaves this machine.
fn absolute(settings: &Settings, reference: String) -> String {
    match reference.strip_prefix("file:") {
        Some(path) => {
            let path = tidy(&folder_of(&settings.config).join(path));
            format!("file:{}", path.display())
        }
        None => reference,
    }
}

fn entry(source: &Source) -> KitEntry {
    KitEntry {
        name: source.name.to_string(),
        path: source.path().map(|path| path.display().to_string()),
    }
}

/// The public keys of all destinations, each once.
#[derive(Default)]
struct Keys(Vec<PublicKey>);

impl Keys {
    /// Adds the keys of an encryption, and returns their positions.
    fn add(
        &mut self,
        context: &Context,
        settings: &Settings,
        encryption: &EncryptionSettings,
    ) -> Result<(Vec<usize>, KitSeal)> {
        if encryption.passphrase.is_some() {
            return Ok((Vec::new(), KitSeal::Passphrase));
        }
        let Some(recipients) = destination::recipients(context, settings, encryption)? else {
            return Ok((Vec::new(), KitSeal::None));
        };
        let mut positions = Vec::new();
        for key in recipients.public_keys() {
            let at = self.0.iter().position(|known| known == key);
            positions.push(at.unwrap_or(self.0.len()));
            if at.is_none() {
                self.0.push(key.clone());
            }
        }
        Ok((positions, KitSeal::Keys))
    }

    fn destination(
        &mut self,
        context: &Context,
        settings: &Settings,
        name: &str,
        written: &DestinationSettings,
    ) -> Result<KitDestination> {
        let (keys, seal) = match &written.encryption {
            DestinationEncryption::Shared => {
                self.add(context, settings, &settings.schema.encryption)?
            }
            DestinationEncryption::Off => (Vec::new(), KitSeal::None),
            DestinationEncryption::Own(own) => self.add(context, settings, own)?,
        };
        let ending = match seal {
            KitSeal::None => Ending::Plain,
            KitSeal::Keys | KitSeal::Passphrase => Ending::Sealed,
        };
        let stem = format!("{}-YYYYMMDD-HHMMSS", settings.schema.prefix);
        let archive = format!("{stem}{}", ending.text());
        Ok(KitDestination {
            name: name.to_owned(),
            url: match &written.address {
                Address::Folder(folder) => {
                    let folder = tidy(&folder_of(&settings.config).join(folder));
                    folder.display().to_string()
                }
                address => address.to_string(),
            },
            settings: way_to(&written.options.own),
            seal,
            keys,
            fetch: fetch(settings, written, &archive),
        })
    }
}

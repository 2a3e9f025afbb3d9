//! Destinations of archives: the configured ones, and those at an address of the command line.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;

#[cfg(feature = "restic")]
use super::restic_store::{RepositoryRules, ResticStore};
use super::{
    cache_folder::cache_folder, known::KnownArchives, repository::Repository, tar_store::TarStore,
};
use crate::{
    config::{
        Settings, absolute, destinations,
        elsewhere::tidy,
        encryption::{DestinationEncryption, EncryptionSettings},
        repository::RepositorySettings,
        retention::Retention,
        secret::{self, SecretForm, WrittenSecret},
    },
    context::Context,
    crypt::Recipients,
    disk::{folder_of, mounts::is_mounted},
    error::{Failure, Kind},
    model::written::{escaped, percent_encoded},
    store::{self, Address, Secret, Store},
};

/// The rule that says if an archive is read back although the store tells a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBack {
    /// If the destination's `read_back` says so.
    AsConfigured,
    /// Always.
    Always,
}

/// A destination that keeps archives.
pub struct Destination {
    /// Its name in the configuration.
    pub name: Option<String>,
    /// Its address.
    pub address: Address,
    /// The store that holds the bytes of its archives.
    pub store: Arc<dyn Store>,
    /// Its archives.
    pub repository: Arc<dyn Repository>,
    /// The encryption of its archives.
    pub encryption: EncryptionSettings,
    /// The rules that say which archives it keeps.
    pub retention: Retention,
    mounted: bool,
    exists: bool,
    enabled: bool,
}

impl Destination {
    /// Opens the destination that the configuration calls `name`; sends no request yet.
    pub fn named(
        context: &Context,
        settings: &Settings,
        name: &str,
        read_back: ReadBack,
    ) -> Result<Destination> {
        let found = settings.schema.destinations.get(name);
        let found = found.ok_or_else(|| unknown(settings, name))?;
        let mut found = found.clone();
        // A path in the configuration is relative to the configuration's folder.
        let place = match &mut found.address {
            Address::Restic(place) => &mut **place,
            place => place,
        };
        if let Address::Folder(folder) = place {
            *folder = tidy(&folder_of(&settings.config).join(&*folder));
        }
        Destination::open(context, settings, Some(name.to_owned()), found, read_back)
    }

    /// Opens the destination at an address, which the configuration need not know; sends no request yet.
    pub fn at(
        context: &Context,
        settings: &Settings,
        address: Address,
        read_back: ReadBack,
    ) -> Result<Destination> {
        let written = destinations::DestinationSettings::at(address);
        Destination::open(context, settings, None, written, read_back)
    }

    fn open(
        context: &Context,
        settings: &Settings,
        name: Option<String>,
        written: destinations::DestinationSettings,
        read_back: ReadBack,
    ) -> Result<Destination> {
        context.signs.keep_in(&settings.folders());
        settings.mask_secrets(&context.runner.masks);
        let mut options = written.options;
        options.transfer.read_back |= read_back == ReadBack::Always;
        let lookup = secret::Lookup {
            config: &settings.config,
            environment: &context.environment,
            runner: &context.runner,
            limit: options.transfer.timeout,
            advance: &context.step(),
        };
        let options = options.resolve(&mut |written| lookup.resolve(&written).map(Some))?;
        let stop = context.stop.clone();
        let store: Arc<dyn Store> = Arc::from(store::open(
            &written.address,
            &options,
            &context.environment,
            Arc::new(move || Ok(stop.check()?)),
        )?);
        let known = KnownArchives::of(context, settings).at(&written.address, &options);
        let shown = name.as_ref().map(|name| format!("@{name}"));
        Ok(Destination {
            name,
            repository: match &written.address {
                Address::Restic(_) => {
                    let password = password(&lookup, written.repository.password.as_ref());
                    let written_folder = written.repository.cache_dir.as_deref();
                    let cache = cache_folder(context, settings, &written.address, written_folder);
                    let wishes = (written.repository, password, cache);
                    repository(context, store.clone(), shown, wishes)?
                }
                address => Arc::new(TarStore::new(
                    store.clone(),
                    shown,
                    matches!(address, Address::Folder(_)),
                    (context.keys.clone(), known),
                    context.events.clone(),
                )),
            },
            encryption: match written.encryption {
                // Its password seals what it holds.
                _ if written.address.is_repository() => EncryptionSettings::default(),
                DestinationEncryption::Shared => settings.schema.encryption.clone(),
                DestinationEncryption::Off => EncryptionSettings::default(),
                DestinationEncryption::Own(own) => own,
            },
            address: written.address,
            store,
            retention: written.retention.unwrap_or(settings.schema.retention),
            mounted: written.mounted,
            exists: written.exists,
            enabled: written.enabled,
        })
    }

    /// Checks all that is known of a configured destination before the first request: its options, its secrets and the
    /// environment. Returns the faults that may exist in this process alone.
    pub fn look_over(
        context: &Context,
        settings: &Settings,
        written: &destinations::DestinationSettings,
    ) -> Result<Vec<String>> {
        settings.mask_secrets(&context.runner.masks);
        let (mut is_complete, mut unseen) = (true, Vec::new());
        let lookup = secret::Lookup {
            config: &settings.config,
            environment: &context.environment,
            runner: &context.runner,
            limit: written.options.transfer.timeout,
            advance: &context.step(),
        };
        let options = written.options.clone().resolve(&mut |written| {
            if !written.is_at_hand() {
                is_complete = false;
                return Ok(None);
            }
            match lookup.find(&written) {
                Ok(value) => Ok(secret::read(&written, &value)?),
                Err(error) => {
                    is_complete = false;
                    unseen.push(format!("{error:#}"));
                    Ok::<_, anyhow::Error>(None)
                }
            }
        })?;
        let environment = &context.environment;
        store::look_over(&written.address, &options, environment)?;
        if is_complete {
            let stop = context.stop.clone();
            let check = Arc::new(move || Ok(stop.check()?));
            let opened = store::open(&written.address, &options, environment, check);
            // The secret may exist in another environment, such as that of a systemd unit.
            unseen.extend(opened.err().map(|error| format!("{error:#}")));
        }
        Ok(unseen)
    }

    /// Returns itself, unless the configuration expects its folder to be mounted (`mounted`) or to exist (`create`),
    /// and it is not. Files written into an empty mount point are on the wrong disk.
    pub fn ready(self) -> Result<Destination> {
        let Address::Folder(folder) = self.address.place() else {
            return Ok(self);
        };
        let (shown, path) = (self.shown(), folder.display());
        let message = if self.mounted && !is_mounted(folder) {
            format!(
                "nothing is mounted at {path}, nor at a folder above it: the disk of {shown} is missing"
            )
        } else if self.exists && !folder.is_dir() {
            format!("the folder {path} does not exist, and {shown} does not allow to create it")
        } else {
            return Ok(self);
        };
        Err(Failure::new(Kind::NotFound, message)
            .hint("mount it first; `mounted` and `create` of the destination ask for this")
            .into())
    }

    /// Fails with [`Kind::Usage`] if the destination is disabled: it can be read, and nothing in it is changed.
    pub fn require_enabled(&self) -> Result<(), Failure> {
        match self.enabled {
            true => Ok(()),
            false => Err(disabled(&self.shown())),
        }
    }

    /// Fails with [`Kind::Usage`] if nothing may be removed there: it is disabled, or it only grows (`append_only`).
    pub fn require_removable(&self) -> Result<(), Failure> {
        self.require_enabled()?;
        let vault = self.repository.vault();
        vault.map_or(Ok(()), |vault| vault.require_removable())
    }

    /// Returns the recipients for whom archives there are sealed; `None` if they are not.
    pub fn recipients(&self, context: &Context, settings: &Settings) -> Result<Option<Recipients>> {
        recipients(context, settings, &self.encryption)
    }

    /// Returns `@NAME`, or the address, for messages.
    pub fn shown(&self) -> String {
        self.repository.shown()
    }

    /// Returns the text of [`Destination::shown`], percent-encoded, if it is the path of a folder that is not UTF-8.
    pub fn shown_escaped(&self) -> Option<String> {
        match self.name {
            Some(_) => None,
            None => self.path_escaped(),
        }
    }

    /// Returns the path of the folder, percent-encoded, if it is not UTF-8.
    pub fn path_escaped(&self) -> Option<String> {
        match &self.address {
            Address::Folder(folder) => escaped(folder),
            _ => None,
        }
    }

    /// Returns the folder, with a slash at its end, if it is on this machine.
    pub fn folder(&self) -> Option<PathBuf> {
        match &self.address {
            Address::Folder(folder) => Some(folder.join("")),
            _ => None,
        }
    }
}

/// Returns the archives of the repository in `store`.
#[cfg(feature = "restic")]
fn repository(
    context: &Context,
    store: Arc<dyn Store>,
    shown: Option<String>,
    (wishes, password, cache): (RepositorySettings, Result<Secret>, Option<PathBuf>),
) -> Result<Arc<dyn Repository>> {
    // Not everything needs the password, and its lack is the failure of this destination alone.
    let password = password.map_err(|error| Failure::of(&error));
    if let Err(failure) = &password
        && matches!(failure.kind, Kind::Interrupted(_))
    {
        return Err(failure.clone().into());
    }
    let rules = RepositoryRules {
        password,
        chunks: wishes.chunks,
        level: wishes.level,
        append_only: wishes.append_only,
        cache,
    };
    Ok(Arc::new(ResticStore::new(context, store, shown, rules)))
}

/// Fails: the store would have refused the address.
#[cfg(not(feature = "restic"))]
fn repository(
    _: &Context,
    store: Arc<dyn Store>,
    _: Option<String>,
    _: (RepositorySettings, Result<Secret>, Option<PathBuf>),
) -> Result<Arc<dyn Repository>> {
    Err(Failure::without("restic", &format!("{} cannot be used", store.shown())).into())
}

/// Returns the password of a repository: the configured one, else that of restic's variables of the environment.
fn password(lookup: &secret::Lookup<'_>, written: Option<&WrittenSecret>) -> Result<Secret> {
    if let Some(written) = written {
        return lookup.resolve_trimmed(written);
    }
    // restic looks in this order, too.
    for (key, kind) in [
        ("RESTIC_PASSWORD_COMMAND", "command:"),
        ("RESTIC_PASSWORD_FILE", "file:"),
        ("RESTIC_PASSWORD", "env:RESTIC_PASSWORD"),
    ] {
        let mut variables = lookup.environment.variables.iter();
        let Some((_, value)) = variables.find(|(name, value)| name == key && !value.is_empty())
        else {
            continue;
        };
        let text = match kind {
            // Its path is relative to the working folder, as restic reads it.
            "file:" => format!("file:{}", absolute(Path::new(value))?.display()),
            "command:" => format!("command:{value}"),
            kind => kind.to_owned(),
        };
        return lookup.resolve_trimmed(&WrittenSecret {
            key,
            form: SecretForm::Line,
            text: Secret::new(text),
        });
    }
    let message = "the repository has no password";
    Err(Failure::new(Kind::Key, message)
        .hint("write `password = \"file:PATH\"` for the destination, or set RESTIC_PASSWORD_FILE")
        .into())
}

/// Returns the recipients that `encryption` names; `None` if archives are not sealed.
pub fn recipients(
    context: &Context,
    settings: &Settings,
    encryption: &EncryptionSettings,
) -> Result<Option<Recipients>> {
    let advance = context.step();
    encryption.resolve(&secret::Lookup {
        config: &settings.config,
        environment: &context.environment,
        runner: &context.runner,
        limit: Duration::from_secs(60),
        advance: &advance,
    })
}

/// Returns the location of an archive in a folder, with the name percent-encoded as the folder is.
pub fn located(folder_escaped: Option<&str>, name: &str) -> Option<String> {
    let folder = folder_escaped?.trim_end_matches('/');
    Some(format!("{folder}/{}", percent_encoded(name.as_bytes())))
}

/// Returns the failure of a write to a disabled destination.
pub fn disabled(shown: &str) -> Failure {
    let message = format!("{shown} is disabled: nothing is written to it or removed from it");
    Failure::new(Kind::Usage, message)
        .hint("set `enabled = true` for it, or name another destination; its archives can be read")
}

/// Returns the failure of a destination that the configuration does not know.
pub fn unknown(settings: &Settings, name: &str) -> Failure {
    let known: Vec<String> = settings
        .schema
        .destinations
        .keys()
        .map(|name| format!("@{name}"))
        .collect();
    let message = format!("no destination is called @{name}");
    Failure::new(Kind::NotFound, message).hint(if known.is_empty() {
        format!(
            "{} names none; they stand under [backup.destinations.NAME]",
            settings.config.display()
        )
    } else {
        format!("there are {}", known.join(", "))
    })
}

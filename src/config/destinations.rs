//! `[backup.destinations.NAME]`: the places of archives, and the options of their stores.

use std::{collections::BTreeMap, time::Duration};

use toml::Value;

use super::{
    encryption::{self, DestinationEncryption},
    foreign,
    reader::{Kinds, Section, did_you_mean},
    repository::{self, RepositorySettings},
    retention::{self, Retention},
    secret::{SecretForm, WrittenSecret},
};
use crate::{
    model::{
        quantity::{Rate, Size, TimeLimit},
        schedule::Timetable,
        written::unexpanded,
    },
    store::{
        Address, Options, OwnOptions, Transfer,
        address::{Provider, ServerAddress, is_ssh_word},
        options::{
            AzureOptions, BucketOptions, Checksums, Encryption, GcsOptions, MAX_CHUNK_BYTES,
            MAX_PARALLEL_UPLOADS, MIN_CHUNK_BYTES, S3Options, SftpOptions,
        },
        shape::Shape,
    },
};

/// A destination as the file describes it; secrets are not resolved yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationSettings {
    /// Its place.
    pub address: Address,
    /// The options of its store, with secrets as they are written: values, or references.
    pub options: Options<WrittenSecret>,
    /// The recipients of its archives.
    pub encryption: DestinationEncryption,
    /// Its own retention, if it has one.
    pub retention: Option<Retention>,
    /// True if its folder has to lie on another mount than `/`.
    pub mounted: bool,
    /// True if its folder has to be there already.
    pub exists: bool,
    /// When it gets an archive: at the first run from such a moment on. `None` if each run delivers to it.
    pub every: Option<Timetable>,
    /// The age of its newest good archive from which it counts as stale.
    pub max_age: Option<Duration>,
    /// False if it gets no archives.
    pub enabled: bool,
    /// The wishes for its repository, if it is one.
    pub repository: RepositorySettings,
}

impl DestinationSettings {
    /// Returns a destination of which only the address is known.
    pub fn at(address: Address) -> DestinationSettings {
        DestinationSettings {
            options: Options::of(&address),
            address,
            encryption: DestinationEncryption::Shared,
            retention: None,
            mounted: false,
            exists: false,
            every: None,
            max_age: None,
            enabled: true,
            repository: RepositorySettings::default(),
        }
    }
}

/// The kinds of destinations; the keys of each are those that its function asks for.
const KINDS: &Kinds<Own> = &[
    (Address::FOLDER, folder),
    (Provider::S3.scheme(), s3),
    (Provider::Gcs.scheme(), gcs),
    (Provider::Azure.scheme(), azure),
    (Address::SFTP, sftp),
];

/// The slowest rate, in bytes for each second.
const MIN_RATE: u64 = 1000;

/// The settings that only some kinds have.
struct Own {
    options: OwnOptions<WrittenSecret>,
    mounted: bool,
    exists: bool,
    user: Option<String>,
    port: Option<u16>,
}

impl From<OwnOptions<WrittenSecret>> for Own {
    fn from(options: OwnOptions<WrittenSecret>) -> Own {
        Own {
            options,
            mounted: false,
            exists: false,
            user: None,
            port: None,
        }
    }
}

/// Reads `[backup.destinations]`.
pub(super) fn read(backup: &Section<'_>) -> BTreeMap<String, DestinationSettings> {
    backup.named("destinations", destination)
}

/// Reads `[backup] to`: names of destinations.
pub(super) fn read_to(
    backup: &Section<'_>,
    destinations: &BTreeMap<String, DestinationSettings>,
) -> Vec<String> {
    let names: Option<Vec<String>> = match backup.value("to") {
        None => return Vec::new(),
        Some(Value::Array(names)) => names
            .iter()
            .map(|name| name.as_str().map(str::to_owned))
            .collect(),
        Some(_) => None,
    };
    let Some(names) = names else {
        backup.fault("to", "must be a list of names of destinations");
        return Vec::new();
    };
    let known: Vec<&str> = destinations.keys().map(String::as_str).collect();
    // The fault of a destination that is written and has one is named there.
    let written = backup.value("destinations").and_then(Value::as_table);
    let is_written = |name: &str| written.is_some_and(|table| table.contains_key(name));
    for name in &names {
        if name.contains(['/', ':', '@', '~', '$']) {
            // It may hold a password.
            backup.fault("to", "has names, such as \"NAME\", of sections [backup.destinations.NAME]: a URL or a path \
                stands there as `url`");
        } else if !known.contains(&name.as_str()) && !is_written(name) && !backup.is_part() {
            let meant = did_you_mean(name, &known);
            backup.fault("to", format!("names no destination `{name}`{meant}"));
        }
    }
    names
}

fn destination(section: &Section<'_>) -> Option<DestinationSettings> {
    section.foreign(&foreign::OF_DESTINATIONS);
    let address = address(section);
    let own = match &address {
        Some(address) => section.of_kind("destinations", address.kind(), KINDS),
        None => {
            section.of_any_kind(KINDS);
            None
        }
    };
    let mut transfer = Transfer {
        read_back: section.flag("read_back").unwrap_or(false),
        ..Transfer::default()
    };
    numbers(section, &mut transfer);
    let encryption = encryption::of_destination(section);
    let retention = section.section("retention", retention::read);
    let every = section.timetable("every");
    let max_age = section.limit("max_age");
    let enabled = section.flag("enabled").unwrap_or(true);
    let repository = match address.as_ref().is_none_or(Address::is_repository) {
        true => repository::read(section, address.as_ref().map(Address::place)),
        false => RepositorySettings::default(),
    };
    let Own {
        options: mut own,
        mounted,
        exists,
        user,
        port,
    } = own?;
    if let (OwnOptions::Sftp(sftp), Some(_)) = (&mut own, &repository.password) {
        // The login of a repository's server takes keys alone, as restic's does.
        sftp.password = None;
    }
    Some(DestinationSettings {
        address: with_login(section, address?, user, port),
        options: Options { transfer, own },
        encryption,
        retention,
        mounted,
        exists,
        every,
        max_age,
        enabled,
        repository,
    })
}

fn address(section: &Section<'_>) -> Option<Address> {
    let url = section.required("url")?;
    let address = match unexpanded(&url, "in the configuration") {
        Some(fault) => Err(fault),
        None => Address::parse(&url),
    };
    let refuse = |fault| section.refuse(format!("{}: {fault}", section.shown("url")));
    address.map_err(refuse).ok()
}

fn folder(section: &Section<'_>) -> Own {
    Own {
        mounted: section.flag("mounted").unwrap_or(false),
        exists: section.flag("create") == Some(false),
        ..Own::from(OwnOptions::None)
    }
}

fn s3(section: &Section<'_>) -> Own {
    OwnOptions::S3(S3Options {
        bucket: bucket(section),
        access_key_id: section.secret("access_key_id", SecretForm::KeyName),
        secret_access_key: section.secret("secret_access_key", SecretForm::Key),
        session_token: section.secret("session_token", SecretForm::Key),
        profile: section.text("profile"),
        region: shaped(section, "region", Shape::Name),
        path_style: section.flag("path_style"),
        tags: section.strings("tags"),
        sse: encryption(section),
        conditional_writes: section.flag("conditional_writes").unwrap_or(true),
        checksums: checksums(section),
    })
    .into()
}

fn encryption(section: &Section<'_>) -> Option<Encryption> {
    let (kind, key) = (section.text("sse"), section.text("sse_kms_key_id"));
    match (kind.as_deref(), key) {
        (None, None) => None,
        (Some("AES256"), None) => Some(Encryption::Server),
        (Some("aws:kms") | None, key) => Some(Encryption::Kms(key)),
        _ => {
            section.fault(
                "sse",
                "must be \"AES256\" or \"aws:kms\"; `sse_kms_key_id` goes with the latter",
            );
            None
        }
    }
}

fn checksums(section: &Section<'_>) -> Checksums {
    match section.text("checksums").as_deref() {
        None | Some("sha256") => Checksums::Sha256,
        Some("none") => Checksums::None,
        Some(_) => {
            section.fault("checksums", "must be \"sha256\" or \"none\"");
            Checksums::Sha256
        }
    }
}

fn gcs(section: &Section<'_>) -> Own {
    OwnOptions::Gcs(GcsOptions {
        bucket: bucket(section),
        service_account_key: section.secret("service_account_key", SecretForm::Json),
    })
    .into()
}

fn azure(section: &Section<'_>) -> Own {
    OwnOptions::Azure(AzureOptions {
        bucket: bucket(section),
        account_key: section.secret("account_key", SecretForm::Key),
        account: shaped(section, "account", Shape::Name),
        tags: section.strings("tags"),
    })
    .into()
}

fn sftp(section: &Section<'_>) -> Own {
    section.foreign(&foreign::OF_SSH);
    let options = OwnOptions::Sftp(SftpOptions {
        password: section.secret("password", SecretForm::Line),
        identity_file: section.path("identity_file"),
        known_hosts_file: section.path("known_hosts_file"),
        ssh_config: section.path("ssh_config"),
    });
    let user = section.text("user").filter(|user| {
        let is_good = is_ssh_word(user);
        if !is_good {
            section.fault("user", "is not one that ssh could take");
        }
        is_good
    });
    Own {
        user,
        port: section.number("port", "a number from 1 to 65535", |port| *port > 0),
        ..Own::from(options)
    }
}

/// Reads the keys of every object store.
fn bucket(section: &Section<'_>) -> BucketOptions<WrittenSecret> {
    section.foreign(&foreign::OF_STORES);
    BucketOptions {
        endpoint: shaped(section, "endpoint", Shape::Url),
        storage_class: shaped(section, "storage_class", Shape::Name),
        ca_file: section.path("ca_file"),
        allow_http: section.flag("allow_http").unwrap_or(false),
        proxy: section.proxy("proxy"),
    }
}

fn shaped(section: &Section<'_>, key: &'static str, shape: Shape) -> Option<String> {
    match shape.read(&section.text(key)?) {
        Ok(Some(value)) => return Some(value),
        Ok(None) => section.fault(key, "is empty"),
        Err(fault) => section.fault(key, fault),
    }
    None
}

/// Puts `user` and `port` into the address of a server; those of the URL have to be the same.
fn with_login(
    section: &Section<'_>,
    mut address: Address,
    named_user: Option<String>,
    named_port: Option<u16>,
) -> Address {
    let Address::Sftp(ServerAddress { user, port, .. }) = &mut address else {
        return address;
    };
    const OTHER: &str = "is another one than that of `url`";
    if let Some(named) = named_user
        && user.get_or_insert_with(|| named.clone()) != &named
    {
        section.fault("user", OTHER);
    }
    if let Some(named) = named_port
        && *port.get_or_insert(named) != named
    {
        section.fault("port", OTHER);
    }
    address
}

/// Reads the keys of every destination that are numbers.
fn numbers(section: &Section<'_>, transfer: &mut Transfer) {
    let says = "a time limit from 1 s to 1 h, such as \"90s\"";
    let is_good = |time: &TimeLimit| (1..=3600).contains(&time.duration().as_secs());
    if let Some(time) = section.written("timeout", says, is_good) {
        transfer.timeout = time.duration();
    }
    let says = "a number from 0 to 100";
    if let Some(attempts) = section.written("retry_attempts", says, |number| *number <= 100) {
        transfer.retry_attempts = attempts;
    }
    let says = format!("a number from 1 to {MAX_PARALLEL_UPLOADS}");
    let is_good = |number: &usize| (1..=MAX_PARALLEL_UPLOADS).contains(number);
    if let Some(parallel) = section.written("parallel_uploads", &says, is_good) {
        transfer.parallel_uploads = parallel;
    }
    let says = "a size from 5 MiB to 512 MiB, such as \"8MiB\"";
    let bytes = |size: &Size| usize::try_from(size.bytes()).ok();
    let is_good = |size: &Size| {
        bytes(size).is_some_and(|bytes| (MIN_CHUNK_BYTES..=MAX_CHUNK_BYTES).contains(&bytes))
    };
    let size = section.written("chunk_size", says, is_good);
    if let Some(chunk_bytes) = size.and_then(|size| bytes(&size)) {
        transfer.chunk_bytes = chunk_bytes;
    }
    let says = "a rate of 1 kB/s at least, such as \"10MB/s\", or 0 for no limit";
    let is_good = |rate: &Rate| rate.bytes_per_second().is_none_or(|rate| rate >= MIN_RATE);
    let rate = section.written("bandwidth_limit", says, is_good);
    transfer.bandwidth_limit = rate.and_then(Rate::bytes_per_second);
}

#[cfg(test)]
mod tests;

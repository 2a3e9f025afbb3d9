//! `[backup.destinations.NAME]`: where archives are kept off this machine, and how that is talked to.

use std::{collections::BTreeMap, time::Duration};

use toml::{Table, Value};

use super::{
    foreign,
    nearest::nearest,
    quantity,
    retention::{self, Retention},
    schema::Reader,
};
use crate::{
    model::written::unexpanded,
    store::{
        Address, Options, Secret,
        address::{Service, is_ssh_word},
        options::{Checksums, Encryption, MAX_CHUNK_BYTES, MAX_PARALLEL_UPLOADS, MIN_CHUNK_BYTES},
        proxy::{self, Proxy},
        shape::Shape,
    },
};

/// The keys of every destination.
const COMMON: [&str; 8] = [
    "url",
    "timeout",
    "retry_attempts",
    "parallel_uploads",
    "chunk_size",
    "bandwidth_limit",
    "read_back",
    "retention",
];
const S3: [&str; 16] = [
    "profile",
    "ca_file",
    "proxy",
    "endpoint",
    "region",
    "path_style",
    "allow_http",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "storage_class",
    "sse",
    "sse_kms_key_id",
    "tags",
    "checksums",
    "conditional_writes",
];
const GCS: [&str; 6] = [
    "ca_file",
    "proxy",
    "endpoint",
    "allow_http",
    "service_account_key",
    "storage_class",
];
const AZURE: [&str; 8] = [
    "ca_file",
    "proxy",
    "endpoint",
    "allow_http",
    "account",
    "account_key",
    "storage_class",
    "tags",
];
const FOLDER: [&str; 2] = ["mounted", "create"];
const SFTP: [&str; 6] = [
    "user",
    "port",
    "password",
    "identity_file",
    "known_hosts_file",
    "ssh_config",
];

/// A destination as the file says it; values that are secret are not looked up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Where it is.
    pub address: Address,
    /// How it is talked to, but for what is secret.
    pub options: Options,
    /// What is secret, as it is written: a value, or where it is found.
    pub secrets: BTreeMap<String, Secret>,
    /// Its own retention, where it has one.
    pub retention: Option<Retention>,
    /// True if its folder has to lie on another mount than `/`.
    pub mounted: bool,
    /// True if its folder has to be there already.
    pub exists: bool,
}

impl Destination {
    /// A destination that only an address is known of.
    pub fn at(address: Address) -> Destination {
        Destination {
            address,
            options: Options::default(),
            secrets: BTreeMap::new(),
            retention: None,
            mounted: false,
            exists: false,
        }
    }
}

/// Reads `[backup.destinations]`.
pub(super) fn read(reader: &mut Reader<'_>, backup: &Table) -> BTreeMap<String, Destination> {
    let mut destinations = BTreeMap::new();
    let table = match backup.get("destinations") {
        None => return destinations,
        Some(Value::Table(table)) => table,
        Some(_) => {
            reader.fault(
                "`destinations` under [backup] must be sections, [backup.destinations.NAME]",
            );
            return destinations;
        }
    };
    for (name, value) in table {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if name.is_empty() || !name.bytes().all(is_name) {
            reader.fault("names under [backup.destinations] have letters, digits, `_` and `-`");
            continue;
        }
        let section = format!("backup.destinations.{name}");
        let Value::Table(table) = value else {
            reader.fault(format!(
                "`{name}` under [backup.destinations] must be a section"
            ));
            continue;
        };
        let Some(url) = reader.text(table, &section, "url") else {
            if !table.contains_key("url") {
                let every = [&COMMON[..], &S3, &GCS, &AZURE, &SFTP].concat();
                reader.required(table, &section, "url", &every);
                reader.unknown(table, &section, &every);
            }
            continue;
        };
        if let Some(fault) = unexpanded(&url, "in the configuration") {
            reader.fault(format!("`url` under [{section}]: {fault}"));
            continue;
        }
        match Address::parse(&url) {
            Ok(address) => {
                let destination = one(reader, table, &section, address);
                destinations.insert(name.clone(), destination);
            }
            Err(fault) => reader.fault(format!("`url` under [{section}]: {fault}")),
        }
    }
    destinations
}

/// Reads `[backup] to`: names of destinations.
pub(super) fn read_to(
    reader: &mut Reader<'_>,
    backup: &Table,
    destinations: &BTreeMap<String, Destination>,
) -> Vec<String> {
    let names: Option<Vec<String>> = match backup.get("to") {
        None => return Vec::new(),
        Some(Value::Array(names)) => names
            .iter()
            .map(|name| name.as_str().map(str::to_owned))
            .collect(),
        Some(_) => None,
    };
    let Some(names) = names else {
        reader.fault("`to` under [backup] must be a list of names of destinations");
        return Vec::new();
    };
    let known: Vec<&str> = destinations.keys().map(String::as_str).collect();
    for name in &names {
        if name.contains(['/', ':', '@', '~', '$']) {
            // It may hold a password.
            reader.fault("`to` under [backup] has names, such as \"NAME\", of sections [backup.destinations.NAME]: a URL or a path stands there as `url`");
        } else if backup
            .get("destinations")
            .and_then(Value::as_table)
            .is_some_and(|table| table.contains_key(name))
        {
            // What is wrong with it has been said, if anything is.
        } else if !known.contains(&name.as_str()) {
            let meant = nearest(name, &known)
                .map(|name| format!("; did you mean `{name}`?"))
                .unwrap_or_default();
            reader.fault(format!(
                "`to` under [backup] names no destination `{name}`{meant}"
            ));
        }
    }
    names
}

fn one(reader: &mut Reader<'_>, table: &Table, section: &str, address: Address) -> Destination {
    let (kind, own): (&str, &[&str]) = match &address {
        Address::Folder(_) => ("folder", &FOLDER),
        Address::Bucket { service, .. } => match service {
            Service::S3 => (service.scheme(), &S3),
            Service::Gcs => (service.scheme(), &GCS),
            Service::Azure => (service.scheme(), &AZURE),
        },
        Address::Sftp { .. } => ("sftp", &SFTP),
    };
    let kinds: [(&str, &[&str]); 5] = [
        ("folder", &FOLDER),
        (Service::S3.scheme(), &S3),
        (Service::Gcs.scheme(), &GCS),
        (Service::Azure.scheme(), &AZURE),
        ("sftp", &SFTP),
    ];
    let common: Vec<&str> = COMMON.iter().chain(own).copied().collect();
    let known = reader.misplaced(table, section, &common, ("destinations", kind), &kinds);
    foreign::unknown(reader, table, section, &known);
    let mut options = Options::default();
    let mut text = |key: &str| {
        own.contains(&key)
            .then(|| reader.text(table, section, key))
            .flatten()
    };
    options.profile = text("profile");
    let proxy = text("proxy");
    let (sse, kms_key) = (text("sse"), text("sse_kms_key_id"));
    let checksums = text("checksums");
    let mut shaped = |key: &str, shape: Shape| {
        let value = own.contains(&key).then(|| reader.text(table, section, key));
        match shape.read(&value.flatten()?) {
            Ok(Some(value)) => return Some(value),
            Ok(None) => reader.fault(format!("`{key}` under [{section}] is empty")),
            Err(fault) => reader.fault(format!("`{key}` under [{section}] {fault}")),
        }
        None
    };
    options.endpoint = shaped("endpoint", Shape::Url);
    options.region = shaped("region", Shape::Name);
    options.storage_class = shaped("storage_class", Shape::Name);
    options.account = shaped("account", Shape::Name);
    let mut path = |key: &str| {
        own.contains(&key)
            .then(|| reader.path(table, section, key))
            .flatten()
    };
    options.ca_file = path("ca_file");
    options.identity_file = path("identity_file");
    options.known_hosts_file = path("known_hosts_file");
    options.ssh_config = path("ssh_config");
    options.sse = match (sse.as_deref(), kms_key) {
        (None, None) => None,
        (Some("AES256"), None) => Some(Encryption::Server),
        (Some("aws:kms") | None, key) => Some(Encryption::Kms(key)),
        _ => {
            reader.fault(format!(
                "`sse` under [{section}] must be \"AES256\" or \"aws:kms\"; `sse_kms_key_id` goes with the latter"
            ));
            None
        }
    };
    if table.contains_key("conditional_writes") {
        options.conditional_writes = reader.flag(table, section, "conditional_writes");
    }
    options.checksums = match checksums.as_deref() {
        None | Some("sha256") => Checksums::Sha256,
        Some("none") => Checksums::None,
        Some(_) => {
            reader.fault(format!(
                "`checksums` under [{section}] must be \"sha256\" or \"none\""
            ));
            Checksums::Sha256
        }
    };
    if table.contains_key("path_style") {
        options.path_style = Some(reader.flag(table, section, "path_style"));
    }
    options.allow_http = reader.flag(table, section, "allow_http");
    options.read_back = reader.flag(table, section, "read_back");
    options.tags = reader.strings(table, section, "tags");
    numbers(reader, table, section, &mut options);
    let address = with_login(reader, table, section, address);
    let mut secrets = BTreeMap::new();
    for key in [
        "access_key_id",
        "secret_access_key",
        "session_token",
        "account_key",
        "service_account_key",
        "password",
    ] {
        if own.contains(&key)
            && let Some(value) = reader.text(table, section, key)
        {
            secrets.insert(key.to_owned(), Secret::new(value));
        }
    }
    if let Some(url) = proxy {
        let is_elsewhere = ["file:", "credential:", "env:", "command:"]
            .iter()
            .any(|kind| url.starts_with(kind));
        if !is_elsewhere
            && url != proxy::NONE
            && let Err(fault) = Proxy::parse(&url, "`proxy`")
        {
            reader.fault(format!("`proxy` under [{section}] cannot be used: {fault}"));
        }
        // With a password it is a secret like others.
        if is_elsewhere || url.contains('@') {
            secrets.insert("proxy".to_owned(), Secret::new(url));
        } else {
            options.proxy = Some(Secret::new(url));
        }
    }
    let retention = match table.get("retention") {
        None => None,
        Some(Value::Table(own)) => Some(retention::read(
            reader,
            own,
            &format!("{section}.retention"),
        )),
        Some(_) => {
            reader.fault(format!("`retention` under [{section}] must be a section"));
            None
        }
    };
    Destination {
        address,
        options,
        secrets,
        retention,
        mounted: own.contains(&"mounted") && reader.flag(table, section, "mounted"),
        exists: own.contains(&"create")
            && table.contains_key("create")
            && !reader.flag(table, section, "create"),
    }
}

/// Puts `user` and `port` into the address of a server; what stands in the URL as well has to be the same.
fn with_login(
    reader: &mut Reader<'_>,
    table: &Table,
    section: &str,
    mut address: Address,
) -> Address {
    let Address::Sftp { user, port, .. } = &mut address else {
        return address;
    };
    if let Some(named) = reader.text(table, section, "user") {
        if !is_ssh_word(&named) {
            reader.fault(format!(
                "`user` under [{section}] is not one that ssh could take"
            ));
        } else if user.get_or_insert_with(|| named.clone()) != &named {
            reader.fault(format!(
                "`user` under [{section}] is another one than that of `url`"
            ));
        }
    }
    if let Some(value) = table.get("port") {
        let number = value
            .as_integer()
            .and_then(|number| u16::try_from(number).ok());
        match number.filter(|number| *number > 0) {
            None => reader.fault(format!(
                "`port` under [{section}] must be a number from 1 to 65535"
            )),
            Some(number) if *port.get_or_insert(number) != number => {
                reader.fault(format!(
                    "`port` under [{section}] is another one than that of `url`"
                ));
            }
            Some(_) => {}
        }
    }
    address
}

fn numbers(reader: &mut Reader<'_>, table: &Table, section: &str, options: &mut Options) {
    let mut number = |key: &str, range: std::ops::RangeInclusive<u64>, says: &str, value| {
        let found = table.get(key)?;
        let value: Option<u64> = if value == Unit::Seconds {
            quantity::duration(found).map(|duration| duration.as_secs())
        } else {
            quantity::size(found)
        };
        let value = value.filter(|value| range.contains(value));
        if value.is_none() {
            reader.fault(format!("`{key}` under [{section}] must be {says}"));
        }
        value
    };
    let says = "a time from 1 s to 1 h, such as \"90s\"";
    if let Some(seconds) = number("timeout", 1..=3600, says, Unit::Seconds) {
        options.timeout = Duration::from_secs(seconds);
    }
    let says = "a number from 0 to 100";
    if let Some(attempts) = number("retry_attempts", 0..=100, says, Unit::None) {
        options.retry_attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
    }
    let says = "a number from 1 to 64";
    let most = MAX_PARALLEL_UPLOADS as u64;
    if let Some(parallel) = number("parallel_uploads", 1..=most, says, Unit::None) {
        options.parallel_uploads = usize::try_from(parallel).unwrap_or(1);
    }
    let says = "a size from 5 MiB to 512 MiB, such as \"8 MiB\"";
    let sizes = MIN_CHUNK_BYTES as u64..=MAX_CHUNK_BYTES as u64;
    if let Some(bytes) = number("chunk_size", sizes, says, Unit::Bytes) {
        options.chunk_bytes = usize::try_from(bytes).unwrap_or(MIN_CHUNK_BYTES);
    }
    let says = "bytes for each second, 1 kB at least, such as \"5 MB\"";
    options.bandwidth_limit = number("bandwidth_limit", 1000..=u64::MAX, says, Unit::Bytes);
}

#[derive(PartialEq, Eq)]
enum Unit {
    None,
    Seconds,
    Bytes,
}

#[cfg(test)]
mod tests {
    use super::Checksums;
    use crate::config::schema::Schema;

    #[test]
    fn destinations_are_read_and_their_secrets_not_shown() {
        let schema = Schema::parse(
            r#"
            [backup]
            to = ["local", "offsite"]
            [backup.destinations.local]
            url = "/var/backups"
            [backup.destinations.offsite]
            url = "s3://bucket/host"
            endpoint = "http://127.0.0.1:9000"
            allow_http = true
            path_style = true
            access_key_id = "env:KEY"
            secret_access_key = "hunter2"
            sse = "aws:kms"
            chunk_size = "16 MiB"
            timeout = "2m"
            bandwidth_limit = "5 MB"
            tags = { team = "ops" }
            checksums = "none"
            conditional_writes = false
            retention = { keep_last = 3 }
            "#,
        )
        .expect("good");
        assert_eq!(schema.to, ["local", "offsite"]);
        let offsite = &schema.destinations["offsite"];
        assert_eq!(offsite.address.to_string(), "s3://bucket/host");
        assert_eq!(offsite.options.chunk_bytes, 16 << 20);
        assert_eq!(offsite.options.timeout.as_secs(), 120);
        assert_eq!(offsite.options.checksums, Checksums::None);
        assert!(!offsite.options.conditional_writes);
        assert_eq!(offsite.options.bandwidth_limit, Some(5_000_000));
        assert_eq!(offsite.secrets.len(), 2);
        assert!(!format!("{schema:?}").contains("hunter2"));
    }

    #[test]
    fn every_fault_is_named_and_no_value_repeated() {
        let faults = Schema::parse(
            r#"
            [backup]
            to = ["ofsite"]
            [backup.destinations.offsite]
            url = "s3://bucket"
            regoin = "hunter2"
            identity_file = "hunter2"
            chunk_size = "1 MiB"
            timeout = "hunter2"
            sse = "hunter2"
            checksums = "hunter2"
            parallel_uploads = 0
            [backup.destinations.other]
            url = "sftp://me:hunter2@host/x"
            [backup.destinations.none]
            "#,
        )
        .expect_err("bad");
        let all = faults.join("\n");
        for says in [
            "did you mean `offsite`?",
            "unknown key `regoin` under [backup.destinations.offsite]; did you mean `region`?",
            "`identity_file` under [backup.destinations.offsite] is a key of destinations of the kind `sftp`, and this one is of the kind `s3`",
            "`chunk_size`",
            "`timeout`",
            "`sse`",
            "`checksums`",
            "`parallel_uploads`",
            "a password does not belong",
            "`url` is missing under [backup.destinations.none]",
        ] {
            assert!(all.contains(says), "{says}: {all}");
        }
        assert!(!all.contains("hunter2"), "{all}");
        assert_eq!(faults.len(), 10, "{all}");
    }
}

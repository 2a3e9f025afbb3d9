//! `POST destinations/{s3,local,sftp,gcs,azure}`: a destination, as lines of the configuration that would have it.
//!
//! Nothing is opened and nothing is stored. A secret in the body is dropped while it is read: the lines name a file for it.

use std::{net::IpAddr, sync::Arc};

use axum::{Json, extract::State as Shared};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use toml::{Table, Value};
use utoipa::ToSchema;

use super::body::Given;
use crate::{
    config::schema::Schema,
    error::{Failure, Kind},
    serve::{
        Server,
        answer::Trouble,
        database::{Deed, id_of},
        identity::Person,
        person::Admin,
        policies::refused,
    },
};

/// Folders of the system, in which no archive lies.
const OF_THE_SYSTEM: [&str; 6] = ["/", "/dev", "/etc", "/proc", "/run", "/sys"];
/// Names by which a cloud tells a machine its own keys, and by which a machine means itself.
const OF_THE_MACHINE: [&str; 4] = [
    "localhost",
    "metadata",
    "metadata.google.internal",
    "instance-data",
];

/// A bucket of S3.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct S3Body {
    name: String,
    endpoint: Option<String>,
    bucket: String,
    prefix: Option<String>,
    region: Option<String>,
    /// It is not kept.
    #[schema(value_type = Option<String>)]
    access_key: Option<IgnoredAny>,
    /// It is not kept.
    #[schema(value_type = Option<String>)]
    secret_key: Option<IgnoredAny>,
}

/// A folder of this machine.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalBody {
    name: String,
    /// The machine; this one is meant whatever it says.
    #[schema(value_type = Option<String>)]
    #[serde(rename = "device_id")]
    _device_id: Option<IgnoredAny>,
    path: String,
}

/// A folder of an SSH server.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SftpBody {
    name: String,
    host: String,
    port: Option<u16>,
    user: Option<String>,
    /// It is not kept.
    #[schema(value_type = Option<String>)]
    password: Option<IgnoredAny>,
    path: String,
}

/// A bucket of Google.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GcsBody {
    name: String,
    bucket: String,
    prefix: Option<String>,
    /// It is not kept.
    #[schema(value_type = Option<String>)]
    service_account_key: Option<IgnoredAny>,
}

/// A container of Azure.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AzureBody {
    name: String,
    account: Option<String>,
    container: String,
    prefix: Option<String>,
    /// It is not kept.
    #[schema(value_type = Option<String>)]
    account_key: Option<IgnoredAny>,
}

/// A destination that the configuration does not have yet.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProposedAnswer {
    /// The identifier that it will have.
    id: String,
    /// Its name, as the body says it.
    name: String,
    /// Its kind.
    r#type: &'static str,
    /// False: nothing was written, here or there.
    repo_initialized: bool,
    /// The configuration that the lines are for.
    config: String,
    /// The lines to add to the configuration.
    lines: String,
    /// The files beside the configuration that the secrets belong into, readable for their owner alone.
    secret_files: Vec<String>,
    /// The command that tests it then.
    check: String,
}

/// A destination to be.
struct Proposed {
    kind: &'static str,
    name: String,
    host: Option<String>,
    url: String,
    keys: Vec<(&'static str, Value)>,
    /// The keys of secrets that the body had.
    secrets: Vec<&'static str>,
}

macro_rules! proposes {
    ($(#[$summary:meta])* $name:ident, $path:literal, $body:ty) => {
        $(#[$summary])*
        #[utoipa::path(
            post, path = $path, tag = "destinations", security(("token" = ["admin"])),
            request_body = $body,
            responses((status = 200, description = "The lines of the configuration", body = ProposedAnswer))
        )]
        pub async fn $name(
            Shared(server): Shared<Arc<Server>>,
            Admin(person): Admin,
            Given(body): Given<$body>,
        ) -> Result<Json<ProposedAnswer>, Trouble> {
            answer(&server, &person, body.into())
        }
    };
}

proposes! {
    /// A bucket of S3, as lines for the configuration
    ///
    /// Nothing is stored, no secret of the body either. Not for tokens that see some services only.
    s3, "/destinations/s3", S3Body
}
proposes! {
    /// A folder of this machine, as lines for the configuration
    ///
    /// Nothing is stored. Not for tokens that see some services only.
    local, "/destinations/local", LocalBody
}
proposes! {
    /// A folder of an SSH server, as lines for the configuration
    ///
    /// Nothing is stored, no secret of the body either. Not for tokens that see some services only.
    sftp, "/destinations/sftp", SftpBody
}
proposes! {
    /// A bucket of Google, as lines for the configuration
    ///
    /// Nothing is stored, no secret of the body either. Not for tokens that see some services only.
    gcs, "/destinations/gcs", GcsBody
}
proposes! {
    /// A container of Azure, as lines for the configuration
    ///
    /// Nothing is stored, no secret of the body either. Not for tokens that see some services only.
    azure, "/destinations/azure", AzureBody
}

fn texts<const N: usize>(all: [(&'static str, Option<String>); N]) -> Vec<(&'static str, Value)> {
    let all = all.into_iter();
    let all = all.filter_map(|(key, text)| Some((key, Value::String(text?))));
    all.collect()
}

fn secrets<const N: usize>(all: [(&'static str, &Option<IgnoredAny>); N]) -> Vec<&'static str> {
    let all = all.into_iter();
    all.filter_map(|(key, secret)| secret.as_ref().map(|_| key))
        .collect()
}

fn below(scheme: &str, bucket: &str, prefix: Option<&str>) -> String {
    let prefix = prefix.unwrap_or_default().trim_matches('/');
    match prefix.is_empty() {
        true => format!("{scheme}://{bucket}"),
        false => format!("{scheme}://{bucket}/{prefix}"),
    }
}

impl From<S3Body> for Proposed {
    fn from(body: S3Body) -> Proposed {
        let endpoint = body
            .endpoint
            .map(|endpoint| match endpoint.contains("://") {
                true => endpoint,
                false => format!("https://{endpoint}"),
            });
        Proposed {
            kind: "s3",
            name: body.name,
            host: endpoint.clone(),
            url: below("s3", &body.bucket, body.prefix.as_deref()),
            keys: texts([("endpoint", endpoint), ("region", body.region)]),
            secrets: secrets([
                ("access_key_id", &body.access_key),
                ("secret_access_key", &body.secret_key),
            ]),
        }
    }
}

impl From<LocalBody> for Proposed {
    fn from(body: LocalBody) -> Proposed {
        Proposed {
            kind: "local",
            name: body.name,
            host: None,
            url: body.path,
            keys: Vec::new(),
            secrets: Vec::new(),
        }
    }
}

impl From<SftpBody> for Proposed {
    fn from(body: SftpBody) -> Proposed {
        let mut keys = texts([("user", body.user)]);
        keys.extend(body.port.map(|port| ("port", Value::Integer(port.into()))));
        let slash = if body.path.starts_with('/') { "" } else { "/" };
        Proposed {
            kind: "sftp",
            name: body.name,
            url: format!("sftp://{}{slash}{}", body.host, body.path),
            host: Some(body.host),
            keys,
            secrets: secrets([("password", &body.password)]),
        }
    }
}

impl From<GcsBody> for Proposed {
    fn from(body: GcsBody) -> Proposed {
        Proposed {
            kind: "gcs",
            name: body.name,
            host: None,
            url: below("gs", &body.bucket, body.prefix.as_deref()),
            keys: Vec::new(),
            secrets: secrets([("service_account_key", &body.service_account_key)]),
        }
    }
}

impl From<AzureBody> for Proposed {
    fn from(body: AzureBody) -> Proposed {
        Proposed {
            kind: "azure",
            name: body.name,
            host: None,
            url: below("az", &body.container, body.prefix.as_deref()),
            keys: texts([("account", body.account)]),
            secrets: secrets([("account_key", &body.account_key)]),
        }
    }
}

fn answer(
    server: &Server,
    person: &Person,
    proposed: Proposed,
) -> Result<Json<ProposedAnswer>, Trouble> {
    person.require_all("this")?;
    let name = key_of(&proposed.name)?;
    match (proposed.kind, &proposed.host) {
        ("local", _) => require_folder(&proposed.url)?,
        (_, Some(host)) => require_elsewhere(host)?,
        _ => {}
    }
    let files: Vec<(&str, String)> = (proposed.secrets.iter())
        .map(|key| (*key, format!("{name}.{key}")))
        .collect();
    let mut keys = Table::from_iter([("url".to_owned(), Value::String(proposed.url))]);
    let written = proposed.keys.into_iter();
    keys.extend(written.map(|(key, value)| (key.to_owned(), value)));
    let references = files.iter();
    let references =
        references.map(|(key, file)| ((*key).to_owned(), format!("file:{file}").into()));
    keys.extend(references);
    let mut all = Value::Table(keys);
    for section in [name.as_str(), "destinations", "backup"] {
        all = Value::Table(Table::from_iter([(section.to_owned(), all)]));
    }
    let lines = toml::to_string(&all).unwrap_or_default();
    Schema::parse(&lines).map_err(refused)?;
    let config = server
        .configs
        .first()
        .ok_or_else(|| Trouble::missing("configuration"))?;
    let config = config.display().to_string();
    let deed = Deed {
        actor: &person.name,
        address: &person.address.to_string(),
        action: "propose destination",
        target: &name,
        outcome: "done",
    };
    server.database.record(deed, server.now())?;
    Ok(Json(ProposedAnswer {
        id: id_of(&config, &format!("@{name}")),
        check: format!("hookshot check @{name}"),
        name: proposed.name,
        r#type: proposed.kind,
        repo_initialized: false,
        config,
        lines,
        secret_files: files.into_iter().map(|(_, file)| file).collect(),
    }))
}

/// Returns the name that a configuration can have: letters, digits and hyphens.
fn key_of(name: &str) -> Result<String, Trouble> {
    let plain = name.trim().to_ascii_lowercase();
    let symbols = plain.chars().map(|symbol| match symbol {
        'a'..='z' | '0'..='9' | '_' => symbol,
        _ => '-',
    });
    let key: String = symbols.collect();
    let key = key.trim_matches('-').to_owned();
    match (1..=60).contains(&key.len()) {
        true => Ok(key),
        false => Err(Trouble::misread(
            "a destination needs a name with letters or digits",
        )),
    }
}

fn outward(message: String) -> Trouble {
    Failure::new(Kind::Refused, message).into()
}

/// Refuses a folder that is not a plain absolute path, or one of the system.
fn require_folder(path: &str) -> Result<(), Trouble> {
    let is_plain = path.starts_with('/') && !path.split('/').any(|part| part == "..");
    let trimmed = format!("/{}", path.trim_matches('/'));
    let is_of_the_system = OF_THE_SYSTEM.iter().any(|folder| {
        let below = trimmed.strip_prefix(folder);
        trimmed == *folder || *folder != "/" && below.is_some_and(|rest| rest.starts_with('/'))
    });
    match is_plain && !is_of_the_system {
        true => Ok(()),
        false => Err(outward("this folder is not one for archives".to_owned())),
    }
}

/// Refuses a server that is this machine, or that only this machine and its neighbours reach.
fn require_elsewhere(host: &str) -> Result<(), Trouble> {
    let (scheme, rest) = host.split_once("://").unwrap_or(("https", host));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_odd = authority.contains(['@', '\\', '%', ' ']) || authority.is_empty();
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None if authority.matches(':').count() > 1 => authority,
        None => authority.split(':').next().unwrap_or_default(),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    // Some readers take 0x7f.1 and 2852039166 for addresses.
    let is_number = !name.is_empty() && name.split('.').next_back().is_some_and(is_numeric);
    let is_near = match name.parse::<IpAddr>() {
        Ok(address) => is_near(address),
        Err(_) => {
            let is_named = OF_THE_MACHINE.contains(&name.as_str());
            is_named || name.ends_with(".localhost") || is_number
        }
    };
    match is_odd || is_near || !matches!(scheme, "https" | "http") {
        true => Err(outward("this server is not one for archives".to_owned())),
        false => Ok(()),
    }
}

fn is_numeric(label: &str) -> bool {
    label.starts_with("0x") || label.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_near(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let is_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        // RFC 4291, 2.5.6, and the address by which Amazon tells keys.
        IpAddr::V6(address) => {
            address.is_unicast_link_local() || address.segments()[..2] == [0xfd00, 0x0ec2]
        }
    };
    is_local || address.is_loopback() || address.is_unspecified() || address.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_are_near_and_folders_of_the_system_are_refused() {
        for host in [
            "http://169.254.169.254",
            "169.254.169.254:80",
            "https://[::ffff:169.254.169.254]/x",
            "http://[fd00:ec2::254]",
            "fe80::1",
            "https://localhost:9000",
            "a.localhost",
            "http://127.1",
            "https://2852039166",
            "https://0x7f000001/",
            "https://good.example@169.254.169.254",
            "metadata.google.internal.",
            "file:///etc/passwd",
            "0.0.0.0",
            "",
        ] {
            assert!(require_elsewhere(host).is_err(), "{host}");
        }
        for host in [
            "s3.us-west-002.backblazeb2.com",
            "http://192.168.1.9:9000",
            "nas",
            "[2001:db8::1]:22",
        ] {
            assert!(require_elsewhere(host).is_ok(), "{host}");
        }
        for path in [
            "/",
            "//",
            "/etc",
            "/etc/x",
            "/proc/self",
            "x",
            "/mnt/../etc",
            "file:///mnt",
        ] {
            assert!(require_folder(path).is_err(), "{path}");
        }
        for path in ["/mnt/nfs/backups", "/etcetera"] {
            assert!(require_folder(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_name_becomes_a_key() {
        assert_eq!(key_of("Backblaze B2").ok().as_deref(), Some("backblaze-b2"));
        assert_eq!(key_of("NAS]\n[x").ok().as_deref(), Some("nas---x"));
        assert!(key_of("   ").is_err() && key_of("…").is_err());
    }
}

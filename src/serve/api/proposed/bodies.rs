//! The bodies of new destinations, by kind. Their secrets are dropped while they are read.

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny},
};
use toml::Value;
use utoipa::ToSchema;

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
    #[serde(default, deserialize_with = "port")]
    #[schema(maximum = 65535)]
    port: Option<u16>,
    user: Option<String>,
    /// It is not kept.
    #[schema(value_type = Option<String>)]
    password: Option<IgnoredAny>,
    path: String,
}

/// Reads a port. Programs may write 22 as 22.0.
fn port<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    let Some(number) = Option::<f64>::deserialize(from)? else {
        return Ok(None);
    };
    let is_port = number.fract() == 0.0 && (0.0..=f64::from(u16::MAX)).contains(&number);
    match is_port {
        true => Ok(Some(number as u16)),
        false => Err(D::Error::custom("a port is a number up to 65535")),
    }
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

/// A destination to be.
pub struct Proposed {
    pub kind: &'static str,
    pub name: String,
    pub host: Option<String>,
    pub url: String,
    pub keys: Vec<(&'static str, Value)>,
    /// The keys of secrets that the body had.
    pub secrets: Vec<&'static str>,
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

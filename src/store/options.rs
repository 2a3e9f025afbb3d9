//! The options of a store: the settings that the configuration has for a destination.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Result;

use crate::work::{session::SessionStarter, shell::Masks};

/// The check that ends the work with an error if the process must stop.
pub type Check = Arc<dyn Fn() -> Result<()> + Send + Sync>;

/// The beginnings of variables that the providers' own tools read, and the ends of those that are secret.
const PROVIDERS: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];
const SECRET_ENDS: [&str; 4] = ["_KEY", "_SECRET", "_TOKEN", "_PASSWORD"];

/// The environment: variables that the providers' own tools read (`AWS_…`, `GOOGLE_…`, `AZURE_…`), and the way to start
/// helpers.
#[derive(Clone, Default)]
pub struct Environment {
    /// Name and value; in values, U+FFFD stands for bytes that are not UTF-8.
    pub variables: Vec<(String, String)>,
    /// Begins the session of ssh.
    pub starter: SessionStarter,
}

impl Environment {
    /// Returns the value of a variable; an empty one counts as none.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.variables.iter().find(|(known, _)| known == name)?;
        Some(value.trim()).filter(|value| !value.is_empty())
    }

    /// Adds the secrets among the variables to `masks`.
    pub fn mask_secrets(&self, masks: &Masks) {
        for (name, value) in &self.variables {
            let is_of_provider = PROVIDERS.iter().any(|begin| name.starts_with(begin));
            if is_of_provider && SECRET_ENDS.iter().any(|end| name.ends_with(end)) {
                masks.add(value);
            } else if name.to_ascii_lowercase().ends_with("_proxy") {
                masks.add_password_of(value);
            }
        }
    }
}

/// A value that must never be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(value.into())
    }

    /// Returns the value, for the code that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// A secret among the options of a store: each provider has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretName {
    /// S3: the name of the key.
    AccessKeyId,
    /// S3: the key itself.
    SecretAccessKey,
    /// S3: the token of a temporary key.
    SessionToken,
    /// Azure: the key of the account.
    AccountKey,
    /// Google: the key of the service account, JSON.
    ServiceAccountKey,
    /// SFTP: the password.
    Password,
    /// The URL of a proxy, with user and password.
    Proxy,
}

impl SecretName {
    /// Returns its key in the configuration.
    pub fn key(self) -> &'static str {
        match self {
            SecretName::AccessKeyId => "access_key_id",
            SecretName::SecretAccessKey => "secret_access_key",
            SecretName::SessionToken => "session_token",
            SecretName::AccountKey => "account_key",
            SecretName::ServiceAccountKey => "service_account_key",
            SecretName::Password => "password",
            SecretName::Proxy => "proxy",
        }
    }

    /// Returns false for the name of a key, which is in every log of its provider.
    pub fn is_confidential(self) -> bool {
        self != SecretName::AccessKeyId
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The options of a store. Those without a value follow the store's own defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The server, if it is not the provider's own.
    pub endpoint: Option<String>,
    /// S3: the region.
    pub region: Option<String>,
    /// S3: true if the bucket is in the path rather than in the host's name.
    pub path_style: Option<bool>,
    /// S3: the profile of Amazon's tools that provides key, region and endpoint.
    pub profile: Option<String>,
    /// The certificates of authorities to trust beside the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// The proxy in place of those of the environment; its URL may hold a password.
    pub proxy: Option<Secret>,
    /// True if connections to the server may be without TLS.
    pub allow_http: bool,
    /// S3: the key and its secret, and the token that temporary ones have.
    pub access_key_id: Option<Secret>,
    /// S3: see there.
    pub secret_access_key: Option<Secret>,
    /// S3: see there.
    pub session_token: Option<Secret>,
    /// S3: the class of storage that archives go to.
    pub storage_class: Option<String>,
    /// S3: encryption by the server.
    pub sse: Option<Encryption>,
    /// S3: the checksum sent with each request.
    pub checksums: Checksums,
    /// S3: true if the server creates a name on the condition that it is free; else hookshot checks the name first.
    pub conditional_writes: bool,
    /// S3: tags of the objects.
    pub tags: BTreeMap<String, String>,
    /// Azure: the account and its key.
    pub account: Option<String>,
    /// Azure: see there.
    pub account_key: Option<Secret>,
    /// Google: the service account's key, JSON.
    pub service_account_key: Option<Secret>,
    /// SFTP: the password, for servers that accept no keys.
    pub password: Option<Secret>,
    /// SFTP: the private key.
    pub identity_file: Option<PathBuf>,
    /// SFTP: the file of known hosts.
    pub known_hosts_file: Option<PathBuf>,
    /// SFTP: a configuration of ssh that replaces the user's.
    pub ssh_config: Option<PathBuf>,
    /// The longest time for one request, its content included.
    pub timeout: Duration,
    /// The number of retries of a request.
    pub retry_attempts: u32,
    /// The number of parts that are sent at the same time.
    pub parallel_uploads: usize,
    /// The size of a part, in bytes.
    pub chunk_bytes: usize,
    /// The most bytes that go out in a second.
    pub bandwidth_limit: Option<u64>,
    /// True if every archive is read back even if the store tells a checksum.
    pub read_back: bool,
}

/// The checksum of sent bytes, in a header of S3's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksums {
    /// SHA-256, which the server compares.
    Sha256,
    /// None, for servers that refuse the header; the upload is read back.
    None,
}

/// Encryption by an S3 server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// With keys that the server keeps (`AES256`).
    Server,
    /// With a key of its key management (`aws:kms`), the default one or this.
    Kms(Option<String>),
}

/// The smallest part that every store accepts (S3: 5 MiB).
pub const MIN_CHUNK_BYTES: usize = 5 << 20;
/// The largest part that is kept in memory.
pub const MAX_CHUNK_BYTES: usize = 512 << 20;
/// The most parts that are sent at the same time.
pub const MAX_PARALLEL_UPLOADS: usize = 64;

impl Options {
    /// Returns the field of a secret.
    pub fn secret_mut(&mut self, name: SecretName) -> &mut Option<Secret> {
        match name {
            SecretName::AccessKeyId => &mut self.access_key_id,
            SecretName::SecretAccessKey => &mut self.secret_access_key,
            SecretName::SessionToken => &mut self.session_token,
            SecretName::AccountKey => &mut self.account_key,
            SecretName::ServiceAccountKey => &mut self.service_account_key,
            SecretName::Password => &mut self.password,
            SecretName::Proxy => &mut self.proxy,
        }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            endpoint: None,
            region: None,
            path_style: None,
            profile: None,
            ca_file: None,
            proxy: None,
            allow_http: false,
            access_key_id: None,
            secret_access_key: None,
            session_token: None,
            storage_class: None,
            sse: None,
            checksums: Checksums::Sha256,
            conditional_writes: true,
            tags: BTreeMap::new(),
            account: None,
            account_key: None,
            service_account_key: None,
            password: None,
            identity_file: None,
            known_hosts_file: None,
            ssh_config: None,
            // 8 MiB in two minutes: 0.6 Mbit/s for each of the parallel parts.
            timeout: Duration::from_secs(120),
            // With the pauses between them: a minute and a half.
            retry_attempts: 12,
            parallel_uploads: 4,
            chunk_bytes: 8 << 20,
            bandwidth_limit: None,
            read_back: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_secret_has_a_place_and_a_key_of_its_own() {
        use SecretName::*;
        let names = [
            AccessKeyId,
            SecretAccessKey,
            SessionToken,
            AccountKey,
            ServiceAccountKey,
            Password,
            Proxy,
        ];
        let mut options = Options::default();
        for name in names {
            let place = options.secret_mut(name);
            assert_eq!(*place, None, "{}", name.key());
            *place = Some(Secret::new(name.key()));
        }
        for name in names {
            let kept = options.secret_mut(name).as_ref().map(Secret::reveal);
            assert_eq!(kept, Some(name.key()));
        }
    }

    #[test]
    fn nobody_sees_a_secret() {
        let options = Options {
            secret_access_key: Some(Secret::new("hunter2")),
            ..Options::default()
        };
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}

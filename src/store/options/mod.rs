//! The options of stores: what all of them share, and what each kind has of its own.
//!
//! A secret is of the type `S`: the value itself ([`Secret`]), or whatever a configuration has in its place. Each kind
//! has fields for its own secrets, so a secret cannot reach another provider.

mod azure;
mod bucket;
mod gcs;
mod s3;
mod sftp;

use std::{convert::Infallible, sync::Arc, time::Duration};

use anyhow::Result;

pub use self::{
    azure::AzureOptions,
    bucket::BucketOptions,
    gcs::GcsOptions,
    s3::{Checksums, Encryption, S3Options},
    sftp::SftpOptions,
};
use super::{
    address::{Address, Provider},
    secret::Secret,
};

/// The check that ends the work with an error if the process must stop.
pub type StopCheck = Arc<dyn Fn() -> Result<()> + Send + Sync>;

/// The options of a store. Those without a value follow the store's own defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options<S = Secret> {
    /// The options of every store.
    pub transfer: Transfer,
    /// The options of its kind.
    pub own: OwnOptions<S>,
}

/// The options of one kind of store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnOptions<S = Secret> {
    /// A folder has none.
    None,
    /// S3, and any server that speaks its protocol.
    S3(S3Options<S>),
    /// Google Cloud Storage.
    Gcs(GcsOptions<S>),
    /// Azure Blob Storage.
    Azure(AzureOptions<S>),
    /// An SSH server.
    Sftp(SftpOptions<S>),
}

/// The options that every store has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
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

/// The smallest part that every store accepts (S3: 5 MiB).
pub const MIN_CHUNK_BYTES: usize = 5 << 20;
/// The largest part that is kept in memory.
pub const MAX_CHUNK_BYTES: usize = 512 << 20;
/// The most parts that are sent at the same time.
pub const MAX_PARALLEL_UPLOADS: usize = 64;

impl Default for Transfer {
    fn default() -> Transfer {
        Transfer {
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

impl<S> Options<S> {
    /// Returns the endpoint of a bucket, if one is configured.
    pub fn endpoint(&self) -> Option<&str> {
        let bucket = match &self.own {
            OwnOptions::S3(own) => &own.bucket,
            OwnOptions::Gcs(own) => &own.bucket,
            OwnOptions::Azure(own) => &own.bucket,
            OwnOptions::None | OwnOptions::Sftp(_) => return None,
        };
        bucket.endpoint.as_deref()
    }

    /// Returns the options of a destination of which only the address is known.
    pub fn of(address: &Address) -> Options<S> {
        let own = match address.place() {
            Address::Folder(_) => OwnOptions::None,
            Address::Bucket(bucket) => match bucket.provider {
                Provider::S3 => OwnOptions::S3(S3Options::default()),
                Provider::Gcs => OwnOptions::Gcs(GcsOptions::default()),
                Provider::Azure => OwnOptions::Azure(AzureOptions::default()),
            },
            Address::Sftp(_) => OwnOptions::Sftp(SftpOptions::default()),
            // A repository lies at another address.
            Address::Restic(_) => OwnOptions::None,
        };
        Options {
            transfer: Transfer::default(),
            own,
        }
    }

    /// Returns every secret.
    pub fn secrets(&self) -> Vec<S>
    where
        S: Clone,
    {
        let mut secrets = Vec::new();
        let resolved = self.clone().resolve(&mut |secret| {
            secrets.push(secret);
            Ok::<_, Infallible>(None::<S>)
        });
        drop(resolved);
        secrets
    }

    /// Replaces each secret by what `resolve` makes of it; `None` takes it away.
    pub fn resolve<T, E>(
        self,
        resolve: &mut dyn FnMut(S) -> Result<Option<T>, E>,
    ) -> Result<Options<T>, E> {
        let resolve = &mut |secret: Option<S>| secret.map_or(Ok(None), &mut *resolve);
        let own = match self.own {
            OwnOptions::None => OwnOptions::None,
            OwnOptions::S3(own) => OwnOptions::S3(own.resolve(resolve)?),
            OwnOptions::Gcs(own) => OwnOptions::Gcs(own.resolve(resolve)?),
            OwnOptions::Azure(own) => OwnOptions::Azure(own.resolve(resolve)?),
            OwnOptions::Sftp(own) => OwnOptions::Sftp(own.resolve(resolve)?),
        };
        Ok(Options {
            transfer: self.transfer,
            own,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_is_resolved_and_stays_where_it_is() {
        let written = |name: &'static str| Some(name);
        let bucket = || BucketOptions {
            proxy: written("proxy"),
            ..BucketOptions::default()
        };
        let all = [
            OwnOptions::S3(S3Options {
                bucket: bucket(),
                access_key_id: written("access_key_id"),
                secret_access_key: written("secret_access_key"),
                session_token: written("session_token"),
                ..S3Options::default()
            }),
            OwnOptions::Gcs(GcsOptions {
                bucket: bucket(),
                service_account_key: written("service_account_key"),
            }),
            OwnOptions::Azure(AzureOptions {
                bucket: bucket(),
                account_key: written("account_key"),
                ..AzureOptions::default()
            }),
            OwnOptions::Sftp(SftpOptions {
                password: written("password"),
                ..SftpOptions::default()
            }),
        ];
        for own in all {
            let transfer = Transfer::default();
            let before = format!("{own:?}");
            let mut count = 0;
            let resolved = Options { transfer, own }.resolve(&mut |name: &str| {
                count += 1;
                Ok::<_, ()>(Some(name.to_owned()))
            });
            let own = resolved.expect("resolved").own;
            assert_eq!(format!("{own:?}"), before);
            assert_eq!(count, before.matches("Some(").count());
        }
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let options = S3Options {
            secret_access_key: Some(Secret::new("hunter2")),
            ..S3Options::default()
        };
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}

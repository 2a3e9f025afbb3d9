//! The options of S3, and of what speaks its protocol.

use std::collections::BTreeMap;

use super::bucket::BucketOptions;
use crate::store::secret::{Resolve, Secret};

/// The options of S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Options<S = Secret> {
    /// The options of every object store.
    pub bucket: BucketOptions<S>,
    /// The name of the key.
    pub access_key_id: Option<S>,
    /// The key itself.
    pub secret_access_key: Option<S>,
    /// The token of a temporary key.
    pub session_token: Option<S>,
    /// The profile of Amazon's tools that provides key, region and endpoint.
    pub profile: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// True if the bucket is in the path rather than in the host's name.
    pub path_style: Option<bool>,
    /// Tags of the objects.
    pub tags: BTreeMap<String, String>,
    /// Encryption by the server.
    pub sse: Option<Encryption>,
    /// True if the server creates a name on the condition that it is free; else hookshot checks the name first.
    pub conditional_writes: bool,
    /// The checksum sent with each request.
    pub checksums: Checksums,
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

impl<S> Default for S3Options<S> {
    fn default() -> S3Options<S> {
        S3Options {
            bucket: BucketOptions::default(),
            access_key_id: None,
            secret_access_key: None,
            session_token: None,
            profile: None,
            region: None,
            path_style: None,
            tags: BTreeMap::new(),
            sse: None,
            conditional_writes: true,
            checksums: Checksums::Sha256,
        }
    }
}

impl<S> S3Options<S> {
    pub(super) fn resolve<T, E>(self, resolve: Resolve<'_, S, T, E>) -> Result<S3Options<T>, E> {
        Ok(S3Options {
            access_key_id: resolve(self.access_key_id)?,
            secret_access_key: resolve(self.secret_access_key)?,
            session_token: resolve(self.session_token)?,
            bucket: self.bucket.resolve(resolve)?,
            profile: self.profile,
            region: self.region,
            path_style: self.path_style,
            tags: self.tags,
            sse: self.sse,
            conditional_writes: self.conditional_writes,
            checksums: self.checksums,
        })
    }
}

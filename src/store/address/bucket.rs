//! Addresses of buckets: a kind of object store, a bucket, and the prefix of its keys.

use std::fmt;

use super::aws::at_aws;
use crate::store::shape::is_bucket;

/// A kind of object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// Amazon S3, and any server that speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

impl Provider {
    /// Returns the scheme of its URLs.
    pub const fn scheme(self) -> &'static str {
        match self {
            Provider::S3 => "s3",
            Provider::Gcs => "gs",
            Provider::Azure => "az",
        }
    }
}

/// A bucket or container of an object store, and the prefix of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketAddress {
    /// The kind of store.
    pub provider: Provider,
    /// The bucket or container.
    pub bucket: String,
    /// Without slashes at the ends; empty for none.
    pub prefix: String,
}

impl BucketAddress {
    /// Reads the host and the path of a URL.
    pub(super) fn parse(
        provider: Provider,
        host: &str,
        path: &str,
    ) -> Result<BucketAddress, String> {
        if let Some(fault) = is_server(provider, host, path) {
            return Err(fault);
        }
        if host.is_empty() || host.contains(['@', ':']) {
            let scheme = provider.scheme();
            return Err(format!("{scheme}://BUCKET/PREFIX names no bucket here"));
        }
        let prefix = path.trim_matches('/');
        if !is_bucket(host) {
            return Err(format!(
                "{host:?} cannot be the name of a bucket: it has letters, digits, `.`, `_` and `-`"
            ));
        }
        if prefix.split('/').any(|part| matches!(part, "." | ".."))
            || prefix.contains("//")
            || !prefix.chars().all(is_of_key)
        {
            return Err(format!("{prefix:?} cannot be the prefix of keys"));
        }
        Ok(BucketAddress {
            provider,
            bucket: host.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

impl fmt::Display for BucketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.provider.scheme(), self.bucket)?;
        match self.prefix.as_str() {
            "" => Ok(()),
            prefix => write!(f, "/{prefix}"),
        }
    }
}

/// Returns the right spelling of a URL that names a server or an ARN instead of a bucket.
fn is_server(provider: Provider, host: &str, path: &str) -> Option<String> {
    let scheme = provider.scheme();
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let has_port = (host.rsplit_once(':')).is_some_and(|(_, port)| is_port(port));
    if has_port && !host.contains('@') {
        return Some(format!(
            "{host:?} is a server, and no bucket: write {scheme}://BUCKET/PREFIX, and the server as the destination's `endpoint`"
        ));
    }
    if provider != Provider::S3 {
        return None;
    }
    let or_word = |bucket: &str| match is_bucket(bucket) {
        true => bucket.to_owned(),
        false => "BUCKET".to_owned(),
    };
    if let Some(bucket) = host.strip_prefix("arn:aws:s3:::") {
        let bucket = or_word(bucket);
        return Some(format!(
            "a bucket is not named by its ARN: write s3://{bucket} in its place"
        ));
    }
    let right = at_aws(host, path)?;
    let path = path.trim_matches('/');
    let behind = if path.is_empty() { "" } else { "/" };
    Some(format!(
        "{host:?} is a server of AWS, and no bucket: write {right} in place of s3://{host}{behind}{path}, and where \
        the bucket is as the destination's `region`, or in AWS_REGION"
    ))
}

/// True for characters that stay as they are in a key. Others would be encoded, and other programs would not find the
/// keys.
fn is_of_key(letter: char) -> bool {
    matches!(letter, ' '..='~') && !r#"\{}^%`[]"<>~#|*?"#.contains(letter)
}

//! Servers of AWS in place of buckets.

use super::masked::shown;
use crate::store::shape::is_bucket;

/// Returns the URL of a bucket that is named with a server of AWS: `BUCKET.s3.REGION.amazonaws.com/PREFIX` or
/// `s3.REGION.amazonaws.com/BUCKET/PREFIX`; `None` for other servers.
pub fn at_aws(host: &str, path: &str) -> Option<String> {
    let lower = host.to_ascii_lowercase();
    let server = (lower.strip_suffix(".amazonaws.com"))
        .or_else(|| lower.strip_suffix(".amazonaws.com.cn"))?;
    let path = path.trim_matches('/');
    let is_alone = server == "s3" || server.starts_with("s3.") || server.starts_with("s3-");
    let (bucket, prefix) = if is_alone {
        path.split_once('/').unwrap_or((path, ""))
    } else {
        let ends = [".s3.", ".s3-"].iter().filter_map(|part| server.find(part));
        let end = ends
            .min()
            .or_else(|| server.strip_suffix(".s3").map(str::len));
        (&host[..end.unwrap_or_default()], path)
    };
    if !is_bucket(bucket) {
        return Some("s3://BUCKET/PREFIX".to_owned());
    }
    let slash = if prefix.is_empty() { "" } else { "/" };
    Some(format!("s3://{bucket}{slash}{}", shown(prefix)))
}

/// Returns the `s3://` URL for the web URL of a bucket, without the text after `?`, which may be a key.
pub(super) fn aws_url(rest: &str) -> Option<String> {
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    at_aws(host, path)
}

//! The means by which a destination is reached, as its configuration says.

use super::report::Connection;
use crate::{
    catalog::destination::Destination,
    config::{Settings, secret::WrittenSecret},
    store::{Address, Options, OwnOptions, address::masked, options::BucketOptions},
};

/// Returns the connection of a destination. It has no secret.
pub fn connection_of(settings: &Settings, destination: &Destination) -> Connection {
    let name = destination.name.as_ref();
    let written = name.and_then(|name| settings.schema.destinations.get(name));
    let options = match written {
        Some(written) => written.options.clone(),
        None => Options::<WrittenSecret>::of(&destination.address),
    };
    let endpoint = |bucket: &BucketOptions<WrittenSecret>| {
        let endpoint = bucket.endpoint.as_deref();
        endpoint.map(|endpoint| masked(endpoint).into_owned())
    };
    let (server, region) = match &options.own {
        OwnOptions::S3(own) => (endpoint(&own.bucket), own.region.clone()),
        OwnOptions::Gcs(own) => (endpoint(&own.bucket), None),
        OwnOptions::Azure(own) => (endpoint(&own.bucket), None),
        OwnOptions::Sftp(_) | OwnOptions::None => (None, None),
    };
    let server = server.or_else(|| match &destination.address {
        Address::Sftp(address) => Some(match address.port {
            Some(port) => format!("{}:{port}", address.host),
            None => address.host.clone(),
        }),
        _ => None,
    });
    let transfer = options.transfer;
    Connection {
        kind: destination.address.kind(),
        server,
        region,
        timeout_seconds: transfer.timeout.as_secs(),
        retry_attempts: transfer.retry_attempts,
        parallel_uploads: transfer.parallel_uploads,
        chunk_bytes: transfer.chunk_bytes,
        bytes_per_second: transfer.bandwidth_limit,
        read_back: transfer.read_back,
    }
}

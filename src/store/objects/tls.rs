//! Certificates: the authorities that a client of an object store trusts, and why it does not trust a server.

use anyhow::Result;
use object_store::{Certificate, ClientOptions};

use super::fault::RequestFault;
use crate::store::{
    authorities::{self, Authorities},
    distrust::{KeyNames, distrust},
    environment::Environment,
    options::BucketOptions,
    proxy::Server,
};

const KEYS: KeyNames = KeyNames {
    ca_file: "the destination's `ca_file`",
    address: "`endpoint`",
    plain: "http://, with `allow_http = true`",
};

/// Adds the certificates that configuration and environment name (`ca_file` and the variable `variable`) to those of
/// the system.
pub fn trust(
    mut client: ClientOptions,
    bucket: &BucketOptions,
    variable: Option<&str>,
    environment: &Environment,
) -> Result<ClientOptions> {
    let ca_file = bucket.ca_file.as_deref();
    let authorities = Authorities::read(ca_file, variable, environment, parse)?;
    if authorities.has_system {
        client = client.with_no_system_certificates(true);
    }
    for certificate in authorities.named {
        client = client.with_root_certificate(certificate);
    }
    Ok(client)
}

/// Reads the file that the configuration names, to check it.
pub fn look_over(bucket: &BucketOptions) -> Result<()> {
    authorities::look_over(bucket.ca_file.as_deref(), parse)
}

fn parse(pem: &[u8]) -> Option<Vec<Certificate>> {
    Certificate::from_pem_bundle(pem).ok()
}

/// Explains why a server, or a proxy before it, is not trusted; `text` is that of all causes.
pub fn fault(text: &str, server: &Server) -> Option<RequestFault> {
    let (what, hint) = distrust(text, &server.words(), &KEYS)?;
    Some(RequestFault::standing(what, hint))
}

//! Certificates: the authorities that a client trusts, and the reasons why it does not trust a server.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use object_store::{Certificate, ClientOptions};

use super::{fault::RequestFault, small_file};
use crate::{
    error::{Failure, Kind},
    store::{environment::Environment, options::BucketOptions, proxy::Server},
};

/// The files in which distributions keep the certificates of public authorities.
const SYSTEM_FILES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Adds the certificates that configuration and environment name (`ca_file` and the variable `authorities`) to those of
/// the system. `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the system's. The TLS library reads these two itself; this
/// only checks that they exist.
pub fn trust(
    mut client: ClientOptions,
    bucket: &BucketOptions,
    authorities: Option<&str>,
    environment: &Environment,
) -> Result<ClientOptions> {
    let mut named: Vec<(&str, PathBuf)> = Vec::new();
    if let Some(path) = &bucket.ca_file {
        named.push(("`ca_file`", path.clone()));
    }
    if let Some(variable) = authorities
        && let Some(path) = environment.get(variable)
    {
        named.push((variable, PathBuf::from(path)));
    }
    for (what, path) in &named {
        for certificate in certificates(what, path)? {
            client = client.with_root_certificate(certificate);
        }
    }
    if let Some(path) = environment.get("SSL_CERT_FILE") {
        certificates("SSL_CERT_FILE", Path::new(path))?;
    }
    if let Some(paths) = environment.get("SSL_CERT_DIR") {
        let mut folders = paths.split(':').filter(|path| !path.is_empty());
        if let Some(missing) = folders.find(|path| fs::read_dir(path).is_err()) {
            let why = "it is not a folder that can be read";
            return Err(unusable("SSL_CERT_DIR", Path::new(missing), why));
        }
    }
    // The library takes an empty variable for a file name.
    let is_empty = |(name, value): &(String, String)| {
        ["SSL_CERT_FILE", "SSL_CERT_DIR"].contains(&name.as_str()) && value.trim().is_empty()
    };
    let has_none =
        environment.get("SSL_CERT_FILE").is_none() && environment.get("SSL_CERT_DIR").is_none();
    if has_none && environment.variables.iter().any(is_empty) {
        client = client.with_no_system_certificates(true);
        let mut files = SYSTEM_FILES.iter().map(Path::new);
        if let Some(path) = files.find(|path| path.is_file()) {
            for certificate in certificates("SSL_CERT_FILE", path)? {
                client = client.with_root_certificate(certificate);
            }
        }
    }
    Ok(client)
}

/// Reads the file that the configuration names, to check it.
pub fn look_over(bucket: &BucketOptions) -> Result<()> {
    match &bucket.ca_file {
        Some(path) => certificates("`ca_file`", path).map(drop),
        None => Ok(()),
    }
}

fn certificates(what: &str, path: &Path) -> Result<Vec<Certificate>> {
    let bytes = small_file::read(path).map_err(|error| unusable(what, path, &error.to_string()))?;
    let found = Certificate::from_pem_bundle(&bytes);
    let found = found.map_err(|_| unusable(what, path, "its PEM text is damaged"))?;
    if found.is_empty() {
        let why = "it holds no certificate; a PEM file begins with -----BEGIN CERTIFICATE-----";
        return Err(unusable(what, path, why));
    }
    Ok(found)
}

fn unusable(what: &str, path: &Path, why: &str) -> anyhow::Error {
    let message = format!("{what} names {}: {why}", path.display());
    Failure::new(Kind::Usage, message)
        .hint("name a file with the certificates of the authorities that you trust, as PEM text")
        .into()
}

/// Explains why a server, or a proxy before it, is not trusted; `text` is that of all causes.
pub fn fault(text: &str, server: &Server) -> Option<RequestFault> {
    let shown = server.words();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if text.contains("invalid peer certificate") {
        let (what, hint) = if says(&["UnknownIssuer"]) {
            (
                format!("the certificate of {shown} is from an authority that is not known here"),
                "name the file of your own authority (PEM) by the destination's `ca_file` or by SSL_CERT_FILE; public \
                ones come with the system's package ca-certificates",
            )
        } else if says(&["CaUsedAsEndEntity"]) {
            (
                format!(
                    "the certificate of {shown} is self-signed, and made for an authority instead of a server"
                ),
                "make one with `basicConstraints = critical,CA:FALSE` and the server's name as `subjectAltName`, and \
                name its file by the destination's `ca_file`",
            )
        } else if says(&["NotValidYet", "not valid yet", "not yet valid"]) {
            (
                format!("the certificate of {shown} is not valid yet"),
                "look at this machine's clock",
            )
        } else if says(&["Expired", "expired"]) {
            (
                format!("the certificate of {shown} has expired"),
                "renew it on the server; if it is newer than that, look at this machine's clock",
            )
        } else if says(&["NotValidForName", "not valid for name"]) {
            (
                format!(
                    "the certificate of {shown} is for another name{}",
                    names(text)
                ),
                "write `endpoint` with a name of the certificate, or have one made that names this host as `subjectAltName`",
            )
        } else if says(&["Revoked", "revoked"]) {
            (
                format!("the certificate of {shown} was revoked"),
                "have a new one made for the server",
            )
        } else {
            let (_, code) = text.split_once("invalid peer certificate: ")?;
            let code: String = code.lines().next()?.chars().take(80).collect();
            (
                format!("the certificate of {shown} is refused: {code}"),
                "have a certificate of version 3 with `subjectAltName` made for the server",
            )
        };
        return Some(RequestFault::standing(what, hint));
    }
    if says(&["InvalidContentType", "corrupt message"]) {
        return Some(RequestFault::standing(
            format!("{shown} does not speak TLS"),
            "look at the port of `endpoint`; a server without TLS is written http://, with `allow_http = true`",
        ));
    }
    if says(&["fatal alert", "PeerIncompatible", "peer is incompatible"]) {
        return Some(RequestFault::standing(
            format!("{shown} and hookshot have no version of TLS, or no cipher, in common"),
            "let the server speak TLS 1.2 or 1.3; if it asks for certificates of its clients, hookshot has none",
        ));
    }
    None
}

/// Returns the names in the certificate, as rustls tells them.
fn names(text: &str) -> String {
    let Some((_, rest)) = text.split_once("certificate is only valid for ") else {
        return String::new();
    };
    let names = rest.lines().next().unwrap_or_default();
    let plain = |letter: &char| !letter.is_control() && *letter != '"';
    let names: String = names.chars().filter(plain).take(100).collect();
    format!(": {names}")
}

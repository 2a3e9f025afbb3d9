//! The authorities that a client of TLS trusts: the system's, and those that configuration and environment name.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::{environment::Environment, small_file};
use crate::error::{Failure, Kind};

/// The files in which distributions keep the certificates of public authorities.
const SYSTEM_FILES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A function of a library that reads the certificates of a PEM text; `None` if the text is damaged.
pub type Parse<C> = fn(&[u8]) -> Option<Vec<C>>;

/// The certificates of authorities, as a library reads them.
pub struct Authorities<C> {
    /// Those beside the system's.
    pub named: Vec<C>,
    /// True if the library must not read those of the system: they are among `named`.
    pub has_system: bool,
}

impl<C> Authorities<C> {
    /// Reads the certificates that configuration and environment name (`ca_file` and the variable `variable`).
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the system's. The TLS library reads these two itself; this only checks
    /// that they exist.
    pub fn read(
        ca_file: Option<&Path>,
        variable: Option<&str>,
        environment: &Environment,
        parse: Parse<C>,
    ) -> Result<Authorities<C>> {
        let mut paths: Vec<(&str, PathBuf)> = Vec::new();
        if let Some(path) = ca_file {
            paths.push(("`ca_file`", path.to_owned()));
        }
        if let Some(variable) = variable
            && let Some(path) = environment.get(variable)
        {
            paths.push((variable, PathBuf::from(path)));
        }
        let mut named = Vec::new();
        for (what, path) in &paths {
            named.extend(certificates(what, path, parse)?);
        }
        if let Some(path) = environment.get("SSL_CERT_FILE") {
            certificates("SSL_CERT_FILE", Path::new(path), parse)?;
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
        let has_system = has_none && environment.variables.iter().any(is_empty);
        if has_system {
            let mut files = SYSTEM_FILES.iter().map(Path::new);
            if let Some(path) = files.find(|path| path.is_file()) {
                named.extend(certificates("SSL_CERT_FILE", path, parse)?);
            }
        }
        Ok(Authorities { named, has_system })
    }
}

/// Reads the file that the configuration names, to check it.
pub fn look_over<C>(ca_file: Option<&Path>, parse: Parse<C>) -> Result<()> {
    match ca_file {
        Some(path) => certificates("`ca_file`", path, parse).map(drop),
        None => Ok(()),
    }
}

fn certificates<C>(what: &str, path: &Path, parse: Parse<C>) -> Result<Vec<C>> {
    let bytes = small_file::read(path).map_err(|error| unusable(what, path, &error.to_string()))?;
    let found = parse(&bytes).ok_or_else(|| unusable(what, path, "its PEM text is damaged"))?;
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

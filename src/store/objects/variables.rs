//! Checks of all that is known about an object store before the first request: options of the destination, and
//! variables that the provider's own tools read.
//!
//! The configuration wins as a whole. If it sets a key or a server, variables that would mix with it are not read, such
//! as the token of another key. Variables that would break a promise (a name is given once, tags) are never read.

use std::{fs, os::unix::fs::FileTypeExt as _};

use super::{
    forms::{OptionFaults, formed},
    provider::{ObjectProvider, Variables},
};
use crate::{
    error::{Failure, Kind},
    store::{address::BucketAddress, environment::Environment, shape::Shape::Text},
};

/// Returns the options and variables to use for the store that `address` names, or all faults in them.
pub fn checked<P: ObjectProvider>(
    address: &BucketAddress,
    own: &P,
    environment: &Environment,
) -> Result<(P, Environment), Failure> {
    let mut faults = OptionFaults::default();
    let own = own.checked(&mut faults);
    let OptionFaults(mut faults) = faults;
    let environment = of_environment(&own, environment, &mut faults);
    let variables = P::VARIABLES;
    let endpoint = own.bucket().endpoint.as_ref().or_else(|| {
        let mut given = environment.variables.iter();
        let named = given.find(|(name, _)| variables.endpoints.contains(&name.as_str()));
        named.map(|(_, value)| value)
    });
    if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"))
        && !own.bucket().allow_http
        && environment.get(&variables.allow_http()) != Some("true")
    {
        let fault = "the endpoint has no TLS (http://)".to_owned();
        if faults.is_empty() {
            return Err(
                Failure::new(Kind::Usage, format!("{address} cannot be used: {fault}"))
                    .hint("use https, or set the destination's `allow_http = true`")
                    .faults(vec![fault]),
            );
        }
        faults.push(fault);
    }
    let Some(first) = faults.first() else {
        return Ok((own, environment));
    };
    Err(
        Failure::new(Kind::Usage, format!("{address} cannot be used: {first}"))
            .hint("correct the destination's options, or the environment")
            .faults(faults),
    )
}

impl Variables {
    /// Returns true for variables that name a file which is read completely.
    fn is_file(&self, name: &str) -> bool {
        name.starts_with(self.begins) && name.ends_with("_FILE")
            || self.files.contains(&name)
            || self.authorities == Some(name)
            || name == "SSL_CERT_FILE"
    }
}

/// Returns true for devices except /dev/null: `/dev/zero` has no end.
fn is_endless(path: &str) -> bool {
    let device = fs::metadata(path).map(|metadata| metadata.file_type());
    device.is_ok_and(|kind| kind.is_char_device() || kind.is_block_device()) && path != "/dev/null"
}

fn of_environment<P: ObjectProvider>(
    own: &P,
    environment: &Environment,
    faults: &mut Vec<String>,
) -> Environment {
    let known = P::VARIABLES;
    let has_key = own.has_key();
    let is_said = |name: &str| {
        known.unread.contains(&name)
            || own.bucket().endpoint.is_some() && known.endpoints.contains(&name)
            || has_key && (known.keys.contains(&name) || known.direct.contains(&name))
            || own.replaces(name)
    };
    let mut variables = Vec::new();
    for (name, value) in &environment.variables {
        if known.is_file(name) && is_endless(value.trim()) && !is_said(name) {
            faults.push(format!(
                "`{name}` of the environment names a device, not a file"
            ));
            continue;
        }
        let shape = known.known.iter().find(|(known, _)| known == name);
        let shape = match shape {
            Some((_, shape)) => *shape,
            // Another variable of the provider's tools.
            None if name.starts_with(known.begins) => Text,
            None => {
                variables.push((name.clone(), value.clone()));
                continue;
            }
        };
        if is_said(name) {
            continue;
        }
        if known.direct.contains(&name.as_str()) && (value.is_empty() || value.trim() != value) {
            faults.push(format!(
                "`{name}` of the environment is empty, or has a blank or a line break at an end: unset or correct it"
            ));
            continue;
        }
        match formed(shape, value) {
            Ok(value) => variables.extend(value.map(|value| (name.clone(), value))),
            Err(fault) => faults.push(format!("`{name}` of the environment {fault}")),
        }
    }
    Environment {
        variables,
        absent: environment.absent.clone(),
        said: environment.said.clone(),
        starter: environment.starter.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        address::Provider,
        options::{BucketOptions, S3Options},
        secret::Secret,
    };

    fn at(own: &S3Options, environment: &[(&str, &str)]) -> Result<Vec<(String, String)>, Failure> {
        let address = BucketAddress {
            provider: Provider::S3,
            bucket: "bucket".to_owned(),
            prefix: String::new(),
        };
        let variables = (environment.iter())
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let checked = checked(&address, own, &Environment::of(variables));
        checked.map(|(_, environment)| environment.variables)
    }

    #[test]
    fn what_is_empty_says_nothing_and_what_is_wrong_is_refused() {
        let options = S3Options::default();
        let read = at(
            &options,
            &[
                ("AWS_ACCESS_KEY_ID", "AK\n"),
                ("AWS_ENDPOINT_URL", ""),
                ("AWS_REGION", " \n"),
                ("AZURE_ENDPOINT", "x"),
            ],
        );
        let left = [("AWS_ACCESS_KEY_ID", "AK"), ("AZURE_ENDPOINT", "x")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read.expect("good"), left);
        let failure = at(
            &options,
            &[
                ("AWS_ENDPOINT_URL", "minio.example:9000"),
                ("AWS_SECRET_ACCESS_KEY", "hun\nter2"),
            ],
        )
        .expect_err("bad");
        assert_eq!(failure.kind, Kind::Usage);
        assert!(
            failure.message.contains(
                "`AWS_ENDPOINT_URL` of the environment does not begin with https://: write \
            https://minio.example:9000"
            ),
            "{failure:?}"
        );
        assert_eq!(failure.faults.len(), 2);
        assert!(!format!("{failure:?}").contains("ter2"));
    }

    #[test]
    fn a_host_that_only_the_library_refuses_is_refused() {
        for host in ["https://xn--a", "https://xn--a:9000/x"] {
            let failure = at(&S3Options::default(), &[("AWS_ENDPOINT_URL", host)]).expect_err(host);
            assert!(
                failure.message.contains("a host that is none"),
                "{failure:?}"
            );
        }
        let good = [("AWS_ENDPOINT_URL", "https://xn--bcher-kva.example:9000")];
        at(&S3Options::default(), &good).expect("good");
    }

    #[test]
    fn the_configuration_wins_as_a_whole() {
        let options = S3Options {
            bucket: BucketOptions {
                endpoint: Some("https://here".to_owned()),
                ..BucketOptions::default()
            },
            access_key_id: Some(Secret::new("AK")),
            secret_access_key: Some(Secret::new("SK")),
            ..S3Options::default()
        };
        let other = [
            ("AWS_ENDPOINT_URL_S3", "https://elsewhere"),
            ("AWS_SESSION_TOKEN", "of another key"),
            ("AWS_CONDITIONAL_PUT", "disabled"),
        ];
        assert_eq!(at(&options, &other).expect("good"), []);
    }

    #[test]
    fn http_is_refused_before_the_first_request() {
        let options = |allow_http| S3Options {
            bucket: BucketOptions {
                endpoint: Some("http://127.0.0.1:9000".to_owned()),
                allow_http,
                ..BucketOptions::default()
            },
            ..S3Options::default()
        };
        let failure = at(&options(false), &[]).expect_err("no TLS");
        assert!(failure.hint.is_some_and(|hint| hint.contains("allow_http")));
        at(&options(true), &[]).expect("allowed");
        at(&options(false), &[("AWS_ALLOW_HTTP", "1")]).expect("allowed");
    }

    #[test]
    fn another_provider_is_not_concerned() {
        let other = [
            ("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:1"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/dev/zero"),
        ];
        at(&S3Options::default(), &other).expect("it is not asked");
        let own = [
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AZURE_ALLOW_HTTP", "true"),
        ];
        at(&S3Options::default(), &own).expect_err("no TLS");
    }
}

//! Checks of all that is known about an object store before the first request: options of the destination, and
//! variables that the providers' own tools read.
//!
//! The configuration wins as a whole. If it sets a key or a server, variables that would mix with it are not read, such
//! as the token of another key. Variables that would break a promise (a name is given once, tags) are never read.

use std::{fs, os::unix::fs::FileTypeExt as _};

use object_store::aws::AmazonS3Builder;

use super::Service;
use crate::{
    error::{Failure, Kind},
    store::{
        Address, Environment, Options, Secret,
        options::Encryption,
        shape::Shape::{self, Flag, Host, Key, Lines, Name, Text, Url, UrlPath, UrlWithQuery},
    },
};

/// The variables of S3 (AWS SDKs and Tools Reference Guide, "Environment variables"), and those of object_store.
const S3: [(&str, Shape); 32] = [
    ("AWS_ACCESS_KEY_ID", Key),
    ("AWS_SECRET_ACCESS_KEY", Key),
    ("AWS_SESSION_TOKEN", Key),
    ("AWS_TOKEN", Key),
    ("AWS_REGION", Name),
    ("AWS_DEFAULT_REGION", Name),
    ("AWS_ENDPOINT", Url),
    ("AWS_ENDPOINT_URL", Url),
    ("AWS_ENDPOINT_URL_S3", Url),
    ("AWS_ENDPOINT_URL_STS", Url),
    ("AWS_METADATA_ENDPOINT", Url),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", UrlPath),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", UrlWithQuery),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", Text),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", Text),
    ("AWS_ROLE_ARN", Key),
    ("AWS_ROLE_SESSION_NAME", Key),
    ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", Flag),
    ("AWS_S3_EXPRESS", Flag),
    ("AWS_IMDSV1_FALLBACK", Flag),
    ("AWS_UNSIGNED_PAYLOAD", Flag),
    ("AWS_SKIP_SIGNATURE", Flag),
    ("AWS_DISABLE_BULK_DELETE", Flag),
    ("AWS_REQUEST_PAYER", Name),
    ("AWS_ALLOW_HTTP", Flag),
    ("AWS_SERVER_SIDE_ENCRYPTION", Key),
    ("AWS_SSE_KMS_KEY_ID", Key),
    ("AWS_SSE_BUCKET_KEY_ENABLED", Flag),
    ("AWS_SSE_CUSTOMER_KEY_BASE64", Key),
    ("AWS_EC2_METADATA_DISABLED", Flag),
    ("AWS_EC2_METADATA_SERVICE_ENDPOINT", Url),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN", Lines),
];

/// The variables of Google, two of which the library reads by itself.
const GCS: [(&str, Shape); 11] = [
    ("GOOGLE_SERVICE_ACCOUNT", Text),
    ("GOOGLE_SERVICE_ACCOUNT_PATH", Text),
    ("GOOGLE_SERVICE_ACCOUNT_KEY", Lines),
    ("GOOGLE_APPLICATION_CREDENTIALS", Text),
    ("GOOGLE_BEARER_TOKEN", Key),
    ("GOOGLE_BASE_URL", Url),
    ("GOOGLE_SKIP_SIGNATURE", Flag),
    ("GOOGLE_ALLOW_HTTP", Flag),
    ("GCE_METADATA_HOST", Host),
    ("GCE_METADATA_ROOT", Host),
    ("GCE_METADATA_IP", Host),
];

/// The variables of Azure, two of which the library reads by itself.
const AZURE: [(&str, Shape); 41] = [
    ("AZURE_STORAGE_ACCOUNT_NAME", Name),
    ("AZURE_STORAGE_ACCOUNT_KEY", Key),
    ("AZURE_STORAGE_ACCESS_KEY", Key),
    ("AZURE_STORAGE_MASTER_KEY", Key),
    ("AZURE_STORAGE_SAS_KEY", Key),
    ("AZURE_STORAGE_SAS_TOKEN", Key),
    ("AZURE_STORAGE_TOKEN", Key),
    ("AZURE_STORAGE_CLIENT_ID", Key),
    ("AZURE_CLIENT_ID", Key),
    ("AZURE_STORAGE_CLIENT_SECRET", Key),
    ("AZURE_CLIENT_SECRET", Key),
    ("AZURE_STORAGE_TENANT_ID", Name),
    ("AZURE_STORAGE_AUTHORITY_ID", Name),
    ("AZURE_TENANT_ID", Name),
    ("AZURE_AUTHORITY_ID", Name),
    ("AZURE_STORAGE_AUTHORITY_HOST", Url),
    ("AZURE_AUTHORITY_HOST", Url),
    ("AZURE_STORAGE_USE_EMULATOR", Flag),
    ("AZURE_USE_EMULATOR", Flag),
    ("AZURE_STORAGE_ENDPOINT", Url),
    ("AZURE_ENDPOINT", Url),
    ("AZURE_MSI_ENDPOINT", UrlWithQuery),
    ("AZURE_IDENTITY_ENDPOINT", UrlWithQuery),
    ("AZURE_OBJECT_ID", Key),
    ("AZURE_MSI_RESOURCE_ID", Key),
    ("AZURE_FEDERATED_TOKEN_FILE", Text),
    ("AZURE_USE_FABRIC_ENDPOINT", Flag),
    ("AZURE_USE_AZURE_CLI", Flag),
    ("AZURE_SKIP_SIGNATURE", Flag),
    ("AZURE_FABRIC_TOKEN_SERVICE_URL", UrlWithQuery),
    ("AZURE_FABRIC_WORKLOAD_HOST", Key),
    ("AZURE_FABRIC_SESSION_TOKEN", Key),
    ("AZURE_FABRIC_CLUSTER_IDENTIFIER", Key),
    ("AZURE_CREDENTIAL_TYPE", Name),
    ("AZURE_STORAGE_ENCRYPTION_KEY", Key),
    ("AZURE_ENCRYPTION_KEY", Key),
    ("AZURE_ALLOW_HTTP", Flag),
    ("AZURE_STORAGE_CONNECTION_STRING", Text),
    ("IDENTITY_ENDPOINT", UrlWithQuery),
    ("IDENTITY_HEADER", Key),
    ("AZURITE_BLOB_STORAGE_URL", Url),
];

/// Variables that are never read. With them a name could be given twice, or tags could be silently omitted. The bucket
/// is the one in the URL.
const NOT_READ: [&str; 9] = [
    "AWS_CONDITIONAL_PUT",
    "AWS_COPY_IF_NOT_EXISTS",
    "AWS_CHECKSUM_ALGORITHM",
    "AWS_DISABLE_TAGGING",
    "AZURE_DISABLE_TAGGING",
    "AWS_BUCKET",
    "AWS_BUCKET_NAME",
    "AZURE_CONTAINER_NAME",
    "GOOGLE_BUCKET",
];

/// Variables that name a server; `endpoint` replaces them.
const ENDPOINTS: [&str; 6] = [
    "AWS_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_ENDPOINT",
    "GOOGLE_BASE_URL",
];

/// Variables that name or contain a key; a key of the destination replaces them.
const KEYS: [&str; 21] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_TOKEN",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_BEARER_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_MASTER_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_USE_AZURE_CLI",
    "AZURE_CREDENTIAL_TYPE",
    "AZURE_FABRIC_SESSION_TOKEN",
];

/// Variables that the library reads by itself, as they are.
const DIRECT: [&str; 5] = [
    "GCE_METADATA_HOST",
    "GCE_METADATA_ROOT",
    "GCE_METADATA_IP",
    "IDENTITY_HEADER",
    "AZURITE_BLOB_STORAGE_URL",
];

/// Returns the options and variables to use for the store that `address` names, or all faults in them.
pub fn checked(
    address: &Address,
    service: Service,
    options: &Options,
    environment: &Environment,
) -> Result<(Options, Environment), Failure> {
    let mut faults = Vec::new();
    let options = of_options(options, &mut faults);
    let environment = of_environment(service, &options, environment, &mut faults);
    let endpoint = options.endpoint.as_ref().or_else(|| {
        let mut variables = environment.variables.iter();
        let named = variables.find(|(name, _)| ENDPOINTS.contains(&name.as_str()));
        named.map(|(_, value)| value)
    });
    let allows_http =
        |(name, value): &(String, String)| name.ends_with("_ALLOW_HTTP") && value == "true";
    if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"))
        && !options.allow_http
        && !environment.variables.iter().any(allows_http)
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
        return Ok((options, environment));
    };
    Err(
        Failure::new(Kind::Usage, format!("{address} cannot be used: {first}"))
            .hint("correct the destination's options, or the environment")
            .faults(faults),
    )
}

/// Reads a value of the form `shape`. Also refuses values that only the library's parser refuses, such as a host in
/// invalid punycode: object_store panics at them.
fn formed(shape: Shape, value: &str) -> Result<Option<String>, String> {
    let read = shape.read(value)?;
    let url = match (shape, &read) {
        (Url | UrlWithQuery, Some(url)) => url.clone(),
        (Host, Some(host)) => format!("http://{host}"),
        _ => return Ok(read),
    };
    // The builder accepts no such URL for a bucket, but it checks first that it is a URL.
    let error = AmazonS3Builder::new().with_url(url).build().err();
    if error.is_some_and(|error| error.to_string().contains("Unable parse source url")) {
        return Err("names a host that is none".to_owned());
    }
    Ok(read)
}

/// Returns true for variables that name a file which is read completely.
fn is_file(name: &str) -> bool {
    let is_provider = ["AWS_", "AZURE_", "GOOGLE_"]
        .iter()
        .any(|begins| name.starts_with(begins));
    is_provider && name.ends_with("_FILE")
        || matches!(
            name,
            "AWS_CA_BUNDLE"
                | "SSL_CERT_FILE"
                | "GOOGLE_SERVICE_ACCOUNT"
                | "GOOGLE_SERVICE_ACCOUNT_PATH"
                | "GOOGLE_APPLICATION_CREDENTIALS"
        )
}

/// Returns true for devices except /dev/null: `/dev/zero` has no end.
fn is_endless(path: &str) -> bool {
    let device = fs::metadata(path).map(|metadata| metadata.file_type());
    device.is_ok_and(|kind| kind.is_char_device() || kind.is_block_device()) && path != "/dev/null"
}

fn of_options(options: &Options, faults: &mut Vec<String>) -> Options {
    let mut read = |key: &str, shape: Shape, value: &str| match formed(shape, value) {
        Ok(value) => value,
        Err(fault) => {
            faults.push(format!("`{key}` {fault}"));
            None
        }
    };
    let mut text = |key: &str, shape: Shape, value: &Option<String>| {
        value.as_ref().and_then(|value| read(key, shape, value))
    };
    let mut checked = Options {
        endpoint: text("endpoint", Url, &options.endpoint),
        region: text("region", Name, &options.region),
        storage_class: text("storage_class", Name, &options.storage_class),
        account: text("account", Name, &options.account),
        ..options.clone()
    };
    if let Some(Encryption::Kms(key)) = &options.sse {
        checked.sse = Some(Encryption::Kms(text("sse_kms_key_id", Key, key)));
    }
    for (key, shape, value) in [
        ("access_key_id", Key, &mut checked.access_key_id),
        ("secret_access_key", Key, &mut checked.secret_access_key),
        ("session_token", Key, &mut checked.session_token),
        ("account_key", Key, &mut checked.account_key),
        (
            "service_account_key",
            Lines,
            &mut checked.service_account_key,
        ),
    ] {
        let secret = value.take();
        *value = secret.and_then(|secret| read(key, shape, secret.reveal()).map(Secret::new));
    }
    for (key, value) in &options.tags {
        read("tags", Text, key);
        read("tags", Text, value);
    }
    checked
}

fn of_environment(
    service: Service,
    options: &Options,
    environment: &Environment,
    faults: &mut Vec<String>,
) -> Environment {
    let (begins, known): (&str, &[(&str, Shape)]) = match service {
        Service::S3 => ("AWS_", &S3),
        Service::Gcs => ("GOOGLE_", &GCS),
        Service::Azure => ("AZURE_", &AZURE),
    };
    let has_key = match service {
        Service::S3 => options.access_key_id.is_some() && options.secret_access_key.is_some(),
        Service::Gcs => options.service_account_key.is_some(),
        Service::Azure => options.account_key.is_some(),
    };
    let is_said = |name: &str| {
        NOT_READ.contains(&name)
            || options.endpoint.is_some() && ENDPOINTS.contains(&name)
            || has_key && (KEYS.contains(&name) || DIRECT.contains(&name))
            || options.region.is_some() && matches!(name, "AWS_REGION" | "AWS_DEFAULT_REGION")
            || options.account.is_some() && name == "AZURE_STORAGE_ACCOUNT_NAME"
    };
    let mut variables = Vec::new();
    for (name, value) in &environment.variables {
        if is_file(name) && is_endless(value.trim()) && !is_said(name) {
            faults.push(format!(
                "`{name}` of the environment names a device, not a file"
            ));
            continue;
        }
        let shape = known.iter().find(|(known, _)| known == name);
        let shape = match shape {
            Some((_, shape)) => *shape,
            // Another variable of the provider's tools.
            None if name.starts_with(begins) => Text,
            None => {
                variables.push((name.clone(), value.clone()));
                continue;
            }
        };
        if is_said(name) {
            continue;
        }
        if DIRECT.contains(&name.as_str()) && (value.is_empty() || value.trim() != value) {
            faults.push(format!("`{name}` of the environment is empty, or has a blank or a line break at an end: unset or correct it"));
            continue;
        }
        match formed(shape, value) {
            Ok(value) => variables.extend(value.map(|value| (name.clone(), value))),
            Err(fault) => faults.push(format!("`{name}` of the environment {fault}")),
        }
    }
    Environment {
        variables,
        starter: environment.starter.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(variables: &[(&str, &str)]) -> Environment {
        let variables = variables.iter();
        Environment {
            variables: variables
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Environment::default()
        }
    }

    fn at(
        options: &Options,
        environment: &[(&str, &str)],
    ) -> Result<Vec<(String, String)>, Failure> {
        let address = Address::parse("s3://b/x").expect("a place");
        checked(&address, Service::S3, options, &variables(environment))
            .map(|(_, environment)| environment.variables)
    }

    #[test]
    fn what_is_empty_says_nothing_and_what_is_wrong_is_refused() {
        let options = Options::default();
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
        assert!(failure.message.contains("`AWS_ENDPOINT_URL` of the environment does not begin with https://: write https://minio.example:9000"), "{failure:?}");
        assert_eq!(failure.faults.len(), 2);
        assert!(!format!("{failure:?}").contains("ter2"));
    }

    #[test]
    fn a_host_that_only_the_library_refuses_is_refused() {
        for host in ["https://xn--a", "https://xn--a:9000/x"] {
            let failure = at(&Options::default(), &[("AWS_ENDPOINT_URL", host)]).expect_err(host);
            assert!(
                failure.message.contains("a host that is none"),
                "{failure:?}"
            );
        }
        let good = [("AWS_ENDPOINT_URL", "https://xn--bcher-kva.example:9000")];
        at(&Options::default(), &good).expect("good");
    }

    #[test]
    fn the_configuration_wins_as_a_whole() {
        let options = Options {
            endpoint: Some("https://here".to_owned()),
            access_key_id: Some(Secret::new("AK")),
            secret_access_key: Some(Secret::new("SK")),
            ..Options::default()
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
        let options = |allow_http| Options {
            endpoint: Some("http://127.0.0.1:9000".to_owned()),
            allow_http,
            ..Options::default()
        };
        let failure = at(&options(false), &[]).expect_err("no TLS");
        assert!(failure.hint.is_some_and(|hint| hint.contains("allow_http")));
        at(&options(true), &[]).expect("allowed");
        at(&options(false), &[("AWS_ALLOW_HTTP", "1")]).expect("allowed");
    }
}

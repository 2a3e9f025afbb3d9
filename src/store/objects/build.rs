//! Clients of object stores, of an address, the options of a destination, and the providers' own environment.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail};
use object_store::{
    BackoffConfig, ClientConfigKey, ClientOptions, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
};

use super::{
    Client,
    answers::Answers,
    endpoint::{self, Endpoint},
};
use crate::{
    error::{Failure, Kind},
    store::{
        Address, Environment, Options,
        address::Service,
        network::{CONNECT_TIMEOUT, FIRST_PAUSE, LONGEST_PAUSE},
        options::{Checksums, Encryption},
    },
};

/// The longest that one request is tried: its signature is good for so long (S3: 15 minutes).
const LONGEST_RETRY: Duration = Duration::from_secs(14 * 60);

/// A client of the bucket that `address` names, which kind of store it is, and the prefix of its keys.
pub fn client(
    address: &Address,
    options: &Options,
    environment: &Environment,
) -> Result<(Arc<dyn Client>, Service, String)> {
    let Address::Bucket {
        service,
        bucket,
        prefix,
    } = address
    else {
        bail!("{address} is no bucket");
    };
    // The builders print secrets: nothing here is ever shown but the message.
    let client = match service {
        Service::S3 => {
            let endpoint = endpoint::of_bucket(bucket, options, environment)?;
            s3(bucket, options, environment, endpoint)
        }
        Service::Gcs => gcs(bucket, options, environment),
        Service::Azure => azure(bucket, options, environment),
    };
    let client = client.map_err(|error| {
        Failure::new(Kind::Usage, format!("{address} cannot be used: {error}"))
            .hint("look at the destination's options and at the environment")
    })?;
    Ok((client, *service, prefix.clone()))
}

type Built = Result<Arc<dyn Client>, object_store::Error>;

fn s3(
    bucket: &str,
    options: &Options,
    environment: &Environment,
    endpoint: Option<Endpoint>,
) -> Built {
    let mut builder = AmazonS3Builder::new();
    for (name, value) in &environment.variables {
        if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>()
            && name.starts_with("AWS_")
        {
            builder = builder.with_config(key, value);
        }
    }
    let text = |builder: AmazonS3Builder, key, value: &Option<String>| match value {
        Some(value) => builder.with_config(key, value),
        None => builder,
    };
    builder = text(builder, AmazonS3ConfigKey::Endpoint, &options.endpoint);
    builder = text(builder, AmazonS3ConfigKey::Region, &options.region);
    for (key, secret) in [
        (AmazonS3ConfigKey::AccessKeyId, &options.access_key_id),
        (
            AmazonS3ConfigKey::SecretAccessKey,
            &options.secret_access_key,
        ),
        (AmazonS3ConfigKey::Token, &options.session_token),
    ] {
        if let Some(secret) = secret {
            builder = builder.with_config(key, secret.reveal());
        }
    }
    if let Some(path_style) = options.path_style {
        builder = builder.with_virtual_hosted_style_request(!path_style);
    }
    match &options.sse {
        None => {}
        Some(Encryption::Server) => {
            let key = "aws_server_side_encryption".parse()?;
            builder = builder.with_config(key, "AES256");
        }
        Some(Encryption::Kms(key)) => {
            builder = builder
                .with_sse_kms_encryption(key.clone().unwrap_or_default())
                .with_bucket_key(true);
        }
    }
    if let Some(endpoint) = endpoint {
        builder = builder
            .with_config(AmazonS3ConfigKey::S3Endpoint, endpoint.url)
            .with_virtual_hosted_style_request(endpoint.has_bucket);
    }
    if options.checksums == Checksums::Sha256 {
        // The server compares each part with it.
        builder = builder.with_checksum_algorithm(Checksum::SHA256);
    }
    let store = builder
        .with_bucket_name(bucket)
        // There are stores that do not know how to remove several objects at once.
        .with_disable_bulk_delete(true)
        .with_retry(retry(options))
        .with_client_options(client_options(options, environment, "AWS_ALLOW_HTTP"))
        .with_http_connector(Answers(Service::S3))
        .build()?;
    Ok(Arc::new(store))
}

fn gcs(bucket: &str, options: &Options, environment: &Environment) -> Built {
    let mut builder = GoogleCloudStorageBuilder::new();
    for (name, value) in &environment.variables {
        if let Ok(key) = name.to_ascii_lowercase().parse::<GoogleConfigKey>()
            && name.starts_with("GOOGLE_")
        {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(key) = &options.service_account_key {
        builder = builder.with_service_account_key(key.reveal());
    }
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_config(GoogleConfigKey::BaseUrl, endpoint);
    }
    let store = builder
        .with_bucket_name(bucket)
        .with_retry(retry(options))
        .with_client_options(client_options(options, environment, "GOOGLE_ALLOW_HTTP"))
        .with_http_connector(Answers(Service::Gcs))
        .build()?;
    Ok(Arc::new(store))
}

fn azure(container: &str, options: &Options, environment: &Environment) -> Built {
    let mut builder = MicrosoftAzureBuilder::new();
    for (name, value) in &environment.variables {
        if let Ok(key) = name.to_ascii_lowercase().parse::<AzureConfigKey>()
            && name.starts_with("AZURE_")
        {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(account) = &options.account {
        builder = builder.with_account(account);
    }
    if let Some(key) = &options.account_key {
        builder = builder.with_access_key(key.reveal());
    }
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    let store = builder
        .with_container_name(container)
        .with_retry(retry(options))
        .with_client_options(client_options(options, environment, "AZURE_ALLOW_HTTP"))
        .with_http_connector(Answers(Service::Azure))
        .build()?;
    Ok(Arc::new(store))
}

fn retry(options: &Options) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: FIRST_PAUSE,
            max_backoff: LONGEST_PAUSE,
            ..BackoffConfig::default()
        },
        max_retries: options.retry_attempts as usize,
        // Each attempt has its own time; the number of attempts is the bound.
        retry_timeout: (options.timeout.saturating_add(LONGEST_PAUSE))
            .saturating_mul(options.retry_attempts.saturating_add(1))
            .min(LONGEST_RETRY),
    }
}

fn client_options(options: &Options, environment: &Environment, variable: &str) -> ClientOptions {
    let is_allowed = environment
        .variables
        .iter()
        .any(|(name, value)| name == variable && value == "true");
    ClientOptions::new()
        .with_config(
            ClientConfigKey::UserAgent,
            concat!("hookshot/", env!("CARGO_PKG_VERSION")),
        )
        .with_allow_http(options.allow_http || is_allowed)
        .with_timeout(options.timeout)
        .with_connect_timeout(CONNECT_TIMEOUT.min(options.timeout))
}

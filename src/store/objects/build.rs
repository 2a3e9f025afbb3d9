//! Clients of object stores, made from an address, the options of a destination, and the providers' own environment.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use object_store::{
    BackoffConfig, ClientConfigKey, ClientOptions, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
};

use super::{
    Client,
    answers::{Answers, Changes},
    connection::{BAD_PROXY, Connection},
    endpoint::{self, Endpoint},
    environment::checked,
    explain::texts,
    keys::{self, Bounded, Keys, Source, Words},
    patience::{LONGEST_REST, Patience},
    tls,
};
use crate::{
    error::{Failure, Kind},
    store::{
        Address, Environment, Options,
        address::Service,
        network::{CONNECT_TIMEOUT, FIRST_PAUSE},
        options::{Checksums, Encryption},
        proxy::{self, Proxies, Proxy, Server},
    },
    work::panics::caught,
};

/// The longest time for which one request is retried: its signature expires soon after (S3: 15 minutes).
const LONGEST_RETRY: Duration = Duration::from_secs(14 * 60);

/// Makes a client of the bucket that `address` names. Also returns its kind of store, the prefix of its keys, and the
/// counter of its changes.
pub fn client(
    address: &Address,
    options: &Options,
    environment: &Environment,
) -> Result<(Arc<dyn Client>, Service, String, Changes)> {
    let Address::Bucket {
        service,
        bucket,
        prefix,
    } = address
    else {
        bail!("{address} is no bucket");
    };
    let (options, environment) = &settings(address, *service, options, environment)?;
    let endpoint = endpoint_of(*service, bucket, options, environment)?;
    let changes = Changes::default();
    // The builders print secrets, so only the message is ever shown.
    let built = caught(|| -> Result<Built> {
        let way = Way {
            changes: changes.clone(),
            options: tls::trust(
                client_options(*service, options, environment),
                *service,
                options,
                environment,
            )?,
            proxies: proxies(*service, endpoint.as_ref(), options, environment)?,
        };
        Ok(match service {
            Service::S3 => s3(bucket, options, environment, endpoint, way),
            Service::Gcs => gcs(bucket, options, environment, way),
            Service::Azure => azure(bucket, options, environment, way),
        })
    });
    let client = built.with_context(|| format!("{address} cannot be used"))??;
    let client = client.map_err(|error| unusable(address, &error))?;
    Ok((client, *service, prefix.clone(), changes))
}

/// Returns the failure of a client that cannot be made.
fn unusable(address: &Address, error: &object_store::Error) -> Failure {
    let text = texts(error);
    let shown = error.to_string();
    let (what, hint) = [
        (
            "No CA certificates were loaded",
            "this machine trusts no authority",
            "install the package ca-certificates, or name a file by the destination's `ca_file`",
        ),
        (
            "Missing SecretAccessKey",
            "there is a key without its secret",
            "set the destination's `secret_access_key`, or AWS_SECRET_ACCESS_KEY",
        ),
        (
            "Missing AccessKeyId",
            "there is the secret of a key, and no key",
            "set the destination's `access_key_id`, or AWS_ACCESS_KEY_ID",
        ),
        (
            "Account must be specified",
            "there is no storage account",
            "set the destination's `account`, or AZURE_STORAGE_ACCOUNT_NAME or AZURE_STORAGE_CONNECTION_STRING",
        ),
        (
            "`external_account`",
            "its key is federated (`external_account`), which hookshot does not do",
            "use the key of a service account",
        ),
        (
            "`impersonated_service_account`",
            "its key takes on another account (`impersonated_service_account`), which hookshot does not do",
            "use the key of a service account",
        ),
    ]
    .into_iter()
    .find(|(sign, ..)| text.contains(sign))
    .map_or_else(
        || {
            // "Generic S3 error: ".
            let words = shown.strip_prefix("Generic ").and_then(|rest| rest.split_once(": "));
            let words = words.map_or(shown.as_str(), |(_, words)| words);
            (words, "look at the destination's options and at the environment")
        },
        |(_, what, hint)| (what, hint),
    );
    Failure::new(Kind::Usage, format!("{address} cannot be used: {what}")).hint(hint)
}

/// Checks all that is configured for a bucket, as `client` does, even if some of it is missing here.
pub fn look_over(address: &Address, options: &Options, environment: &Environment) -> Result<()> {
    if let Address::Bucket {
        service, bucket, ..
    } = address
    {
        let (options, environment) = settings(address, *service, options, environment)?;
        let endpoint = endpoint_of(*service, bucket, &options, &environment)?;
        proxies(*service, endpoint.as_ref(), &options, &environment)?;
        tls::look_over(&options)?;
    }
    Ok(())
}

/// Returns the endpoint of requests for an S3 bucket. Refuses an endpoint of any service that names the bucket again.
fn endpoint_of(
    service: Service,
    bucket: &str,
    options: &Options,
    environment: &Environment,
) -> Result<Option<Endpoint>> {
    let named = options.endpoint.as_deref();
    match service {
        Service::S3 => return endpoint::of_bucket(bucket, options, environment),
        Service::Gcs => endpoint::require_without_bucket(bucket, named, None)?,
        Service::Azure => {
            let named = named.or_else(|| environment.get("AZURE_STORAGE_ENDPOINT"));
            let account = options.account.as_deref();
            let account = account.or_else(|| environment.get("AZURE_STORAGE_ACCOUNT_NAME"));
            endpoint::require_without_bucket(bucket, named, account)?;
        }
    }
    Ok(None)
}

/// Returns the checked options and environment, with the values from the provider's files.
fn settings(
    address: &Address,
    service: Service,
    options: &Options,
    environment: &Environment,
) -> Result<(Options, Environment)> {
    let (options, environment) = checked(address, service, options, environment)?;
    let environment = match service {
        Service::S3 => keys::profile::applied(&options, &environment)?,
        Service::Gcs => environment,
        Service::Azure => keys::azure::applied(&options, &environment)?,
    };
    // The values from the files must have the same forms.
    Ok(checked(address, service, &options, &environment)?)
}

/// The connection settings of a client: trust, time-outs and proxies.
struct Way {
    options: ClientOptions,
    proxies: Proxies,
    changes: Changes,
}

/// Reads the proxies. Refuses an invalid proxy if requests to the store would use it.
fn proxies(
    service: Service,
    endpoint: Option<&Endpoint>,
    options: &Options,
    environment: &Environment,
) -> Result<Proxies> {
    if let Some(url) = &options.proxy
        && url.reveal() != proxy::NONE
        && let Err(fault) = Proxy::parse(url.reveal(), "`proxy`")
    {
        let message = format!("the destination's `proxy` cannot be used: {fault}");
        return Err(Failure::new(Kind::Usage, message).into());
    }
    let proxies = Proxies::new(options.proxy.as_ref(), environment);
    let server = server_of(service, endpoint, options, environment);
    if let Err(fault) = proxies.of(&server) {
        let message = format!("{} cannot be reached: {fault}", server.words());
        return Err(Failure::new(Kind::Usage, message).hint(BAD_PROXY).into());
    }
    Ok(proxies)
}

/// Returns the server of the requests, as far as it is known before the first one.
fn server_of(
    service: Service,
    endpoint: Option<&Endpoint>,
    options: &Options,
    environment: &Environment,
) -> Server {
    let url = endpoint.map(|endpoint| endpoint.url.as_str());
    let url = url.or(options.endpoint.as_deref());
    let url = match service {
        Service::Azure => url.or_else(|| environment.get("AZURE_STORAGE_ENDPOINT")),
        Service::S3 | Service::Gcs => url,
    };
    if let Some(server) = url.and_then(Server::of_url) {
        return server;
    }
    let host = match service {
        Service::S3 => {
            let region = options.region.as_deref();
            let region = region
                .or_else(|| environment.get("AWS_REGION"))
                .or_else(|| environment.get("AWS_DEFAULT_REGION"));
            format!("s3.{}.amazonaws.com", region.unwrap_or("us-east-1"))
        }
        Service::Gcs => "storage.googleapis.com".to_owned(),
        Service::Azure => {
            let account = options.account.as_deref();
            let account = account.or_else(|| environment.get("AZURE_STORAGE_ACCOUNT_NAME"));
            format!("{}.blob.core.windows.net", account.unwrap_or("account"))
        }
    };
    Server {
        is_tls: true,
        host,
        port: None,
    }
}

type Built = Result<Arc<dyn Client>, object_store::Error>;

fn s3(
    bucket: &str,
    options: &Options,
    environment: &Environment,
    endpoint: Option<Endpoint>,
    way: Way,
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
        // The server compares each part with this checksum.
        builder = builder.with_checksum_algorithm(Checksum::SHA256);
    }
    let is_static = [
        AmazonS3ConfigKey::AccessKeyId,
        AmazonS3ConfigKey::SecretAccessKey,
    ]
    .iter()
    .any(|key| builder.get_config_value(key).is_some());
    let mut connection = Connection::new(way.proxies.clone(), None);
    if !is_static {
        let region = builder.get_config_value(&AmazonS3ConfigKey::Region);
        let region = region.as_deref().unwrap_or("us-east-1");
        let source = Source::new(environment, region, &way.options, &connection)?;
        let keys = Arc::new(Keys::new(source));
        builder = builder.with_credentials(keys::provider(&keys));
        connection = Connection::new(way.proxies, Some(keys));
    }
    let store = builder
        .with_bucket_name(bucket)
        // Some stores cannot remove several objects in one request.
        .with_disable_bulk_delete(true)
        .with_retry(retry(options))
        .with_client_options(way.options)
        .with_http_connector(Answers::new(
            Service::S3,
            connection,
            way.changes,
            Patience::new(options),
        ))
        .build()?;
    Ok(Arc::new(store))
}

/// Returns the options for a cloud's metadata service: asked directly, without TLS, and retried once if it does not
/// answer.
fn metadata(way: &Way) -> (ClientOptions, RetryConfig) {
    let one_request = Duration::from_millis(1500);
    let options = way.options.clone().with_allow_http(true);
    let retry = RetryConfig {
        max_retries: 1,
        retry_timeout: keys::PATIENCE,
        ..RetryConfig::default()
    };
    (options.with_timeout(one_request), retry)
}

fn gcs(bucket: &str, options: &Options, environment: &Environment, way: Way) -> Built {
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
    builder = builder.with_bucket_name(bucket);
    let has_key = [
        GoogleConfigKey::ServiceAccount,
        GoogleConfigKey::ServiceAccountKey,
        GoogleConfigKey::ApplicationCredentials,
    ]
    .iter()
    .any(|key| builder.get_config_value(key).is_some());
    // The places in which object_store looks by itself.
    let by_gcloud = environment.get("HOME").is_some_and(|home| {
        let file = ".config/gcloud/application_default_credentials.json";
        std::path::Path::new(home).join(file).exists()
    });
    let skips = builder.get_config_value(&GoogleConfigKey::SkipSignature);
    if skips.as_deref() != Some("true") {
        let (asks, words) = if has_key || by_gcloud {
            let words = Words {
                what: "Google gives no token for the key",
                hint: "look at the key, at this machine's clock, and at the way to oauth2.googleapis.com",
                patience: keys::SIGN_IN,
                metadata: None,
            };
            let connection = Connection::new(way.proxies.clone(), None);
            let asks = builder.clone().with_retry(retry(options));
            let asks = asks.with_client_options(way.options.clone());
            (asks.with_http_connector(connection), words)
        } else {
            let words = Words {
                what: "there is no key for the store: looked in `service_account_key`, GOOGLE_SERVICE_ACCOUNT, GOOGLE_SERVICE_ACCOUNT_KEY, \
                       GOOGLE_APPLICATION_CREDENTIALS, gcloud's credentials, and Google's metadata",
                hint: "set the destination's `service_account_key`, or GOOGLE_APPLICATION_CREDENTIALS",
                patience: keys::PATIENCE,
                metadata: Some("Google's"),
            };
            let (options, retry) = metadata(&way);
            let asks = builder.clone().with_retry(retry);
            let asks = asks.with_client_options(options);
            (asks.with_http_connector(Connection::direct()), words)
        };
        let inner = asks.build()?.credentials().clone();
        builder = builder.with_credentials(Arc::new(Bounded::new(inner, words)));
    }
    let store = builder
        .with_retry(retry(options))
        .with_client_options(way.options)
        .with_http_connector(Answers::new(
            Service::Gcs,
            Connection::new(way.proxies, None),
            way.changes,
            Patience::new(options),
        ))
        .build()?;
    Ok(Arc::new(store))
}

fn azure(container: &str, options: &Options, environment: &Environment, way: Way) -> Built {
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
    if let Some(endpoint) = environment.get("IDENTITY_ENDPOINT") {
        builder = builder.with_msi_endpoint(endpoint);
    }
    builder = builder.with_container_name(container);
    let has_one = |keys: &[AzureConfigKey]| {
        let mut keys = keys.iter();
        keys.any(|key| builder.get_config_value(key).is_some())
    };
    let is_true = |key| builder.get_config_value(&key).as_deref() == Some("true");
    let is_plain = has_one(&[
        AzureConfigKey::AccessKey,
        AzureConfigKey::SasKey,
        AzureConfigKey::Token,
        AzureConfigKey::CredentialType,
    ]) || is_true(AzureConfigKey::UseEmulator)
        || is_true(AzureConfigKey::UseAzureCli)
        || is_true(AzureConfigKey::SkipSignature);
    let signs_in = has_one(&[
        AzureConfigKey::ClientSecret,
        AzureConfigKey::FederatedTokenFile,
    ]);
    if !is_plain {
        let (asks, words) = if signs_in {
            let words = Words {
                what: "Azure's sign-in gives no token",
                hint: "look at AZURE_TENANT_ID, AZURE_CLIENT_ID, and AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE, and at AZURE_AUTHORITY_HOST",
                patience: keys::SIGN_IN,
                metadata: None,
            };
            let connection = Connection::new(way.proxies.clone(), None);
            let asks = builder.clone().with_retry(retry(options));
            let asks = asks.with_client_options(way.options.clone());
            (asks.with_http_connector(connection), words)
        } else {
            let words = Words {
                what: "there is no key for the store: looked in `account_key`, AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_KEY, \
                       AZURE_STORAGE_CONNECTION_STRING, AZURE_CLIENT_SECRET, AZURE_FEDERATED_TOKEN_FILE, and Azure's metadata",
                hint: "set the destination's `account_key`, or AZURE_STORAGE_CONNECTION_STRING",
                patience: keys::PATIENCE,
                metadata: Some("Azure's"),
            };
            let (options, retry) = metadata(&way);
            let asks = builder.clone().with_retry(retry);
            let asks = asks.with_client_options(options);
            (asks.with_http_connector(Connection::direct()), words)
        };
        let inner = asks.build()?.credentials().clone();
        builder = builder.with_credentials(Arc::new(Bounded::new(inner, words)));
    }
    let store = builder
        .with_retry(retry(options))
        .with_client_options(way.options)
        .with_http_connector(Answers::new(
            Service::Azure,
            Connection::new(way.proxies, None),
            way.changes,
            Patience::new(options),
        ))
        .build()?;
    Ok(Arc::new(store))
}

fn retry(options: &Options) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            // `Patience` waits for the rest of each pause.
            init_backoff: FIRST_PAUSE,
            max_backoff: FIRST_PAUSE,
            ..BackoffConfig::default()
        },
        max_retries: options.retry_attempts as usize,
        // Each attempt has its own time limit; the number of attempts is the bound.
        retry_timeout: (options.timeout.saturating_add(LONGEST_REST))
            .saturating_mul(options.retry_attempts.saturating_add(1))
            .min(LONGEST_RETRY),
    }
}

fn client_options(service: Service, options: &Options, environment: &Environment) -> ClientOptions {
    let variable = match service {
        Service::S3 => "AWS_ALLOW_HTTP",
        Service::Gcs => "GOOGLE_ALLOW_HTTP",
        Service::Azure => "AZURE_ALLOW_HTTP",
    };
    let is_allowed = environment.get(variable) == Some("true");
    ClientOptions::new()
        .with_config(
            ClientConfigKey::UserAgent,
            concat!("hookshot/", env!("CARGO_PKG_VERSION")),
        )
        .with_allow_http(options.allow_http || is_allowed)
        .with_timeout(options.timeout)
        .with_connect_timeout(CONNECT_TIMEOUT.min(options.timeout))
}

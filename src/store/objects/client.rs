//! Clients of object stores, made from an address, the options of a destination, and the providers' own environment.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use object_store::{ClientConfigKey, ClientOptions};

use super::{
    answers::Changes,
    bucket::Client,
    connection::BAD_PROXY,
    endpoint::Endpoint,
    provider::{Link, ObjectProvider},
    text::texts,
    tls,
    uploads::Uploads,
    variables::checked,
};
use crate::{
    error::{Failure, Kind},
    store::{
        address::{BucketAddress, Provider},
        environment::Environment,
        failures::mismatched,
        network::CONNECT_TIMEOUT,
        options::{BucketOptions, Transfer},
        proxy::{self, Proxies, Proxy, Server},
    },
    work::panics::caught,
};

/// A client of one bucket, and what is known of it before the first request.
pub struct Opened {
    /// The client.
    pub client: Arc<dyn Client>,
    /// The kind of store.
    pub kind: Provider,
    /// The prefix of the keys, without slashes at its ends.
    pub prefix: String,
    /// The counter of the changes that the store makes.
    pub changes: Changes,
    /// The properties of the objects.
    pub uploads: Uploads,
}

/// Makes a client of the bucket that `address` names.
pub fn client<P: ObjectProvider>(
    address: &BucketAddress,
    own: &P,
    transfer: &Transfer,
    environment: &Environment,
) -> Result<Opened> {
    require_kind::<P>(address)?;
    let BucketAddress { bucket, prefix, .. } = address;
    let (own, environment) = &settings(address, own, environment)?;
    let endpoint = own.endpoint(bucket, environment)?;
    let changes = Changes::default();
    // The builders print secrets, so only the message is ever shown.
    let built = caught(|| -> Result<_> {
        let variables = P::VARIABLES;
        let allows_http = environment.get(&variables.allow_http()) == Some("true");
        let options = client_options(own.bucket(), allows_http, transfer);
        let link = Link {
            transfer,
            options: tls::trust(options, own.bucket(), variables.authorities, environment)?,
            proxies: proxies(own, endpoint.as_ref(), environment)?,
            changes: changes.clone(),
        };
        Ok(own.client(bucket, endpoint, environment, link))
    });
    let client = built.with_context(|| format!("{address} cannot be used"))??;
    let client = client.map_err(|error| unusable(address, &error))?;
    Ok(Opened {
        client,
        kind: P::KIND,
        prefix: prefix.clone(),
        changes,
        uploads: own.uploads(),
    })
}

/// Checks all that is configured for a bucket, as `client` does, even if some of it is missing here.
pub fn look_over<P: ObjectProvider>(
    address: &BucketAddress,
    own: &P,
    environment: &Environment,
) -> Result<()> {
    require_kind::<P>(address)?;
    let bucket = &address.bucket;
    let (own, environment) = settings(address, own, environment)?;
    let endpoint = own.endpoint(bucket, &environment)?;
    proxies(&own, endpoint.as_ref(), &environment)?;
    tls::look_over(own.bucket())
}

/// Refuses the options of another provider.
fn require_kind<P: ObjectProvider>(address: &BucketAddress) -> Result<(), Failure> {
    match address.provider == P::KIND {
        true => Ok(()),
        false => Err(mismatched(address)),
    }
}

/// Returns the failure of a client that cannot be made.
fn unusable(address: &BucketAddress, error: &object_store::Error) -> Failure {
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
            "no storage account is named",
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

/// Returns the checked options and environment, with the values from the provider's files.
fn settings<P: ObjectProvider>(
    address: &BucketAddress,
    own: &P,
    environment: &Environment,
) -> Result<(P, Environment)> {
    let (own, environment) = checked(address, own, environment)?;
    let environment = own.completed(&environment)?;
    // The values from the files must have the same forms.
    Ok(checked(address, &own, &environment)?)
}

/// Reads the proxies. Refuses an invalid proxy if requests to the store would use it.
fn proxies<P: ObjectProvider>(
    own: &P,
    endpoint: Option<&Endpoint>,
    environment: &Environment,
) -> Result<Proxies> {
    let proxy = own.bucket().proxy.as_ref();
    if let Some(url) = proxy
        && url.reveal() != proxy::NONE
        && let Err(fault) = Proxy::parse(url.reveal(), "`proxy`")
    {
        let message = format!("the destination's `proxy` cannot be used: {fault}");
        return Err(Failure::new(Kind::Usage, message).into());
    }
    let proxies = Proxies::new(proxy, environment);
    let server = server_of(own, endpoint, environment);
    if let Err(fault) = proxies.of(&server) {
        let message = format!("{} cannot be reached: {fault}", server.words());
        return Err(Failure::new(Kind::Usage, message).hint(BAD_PROXY).into());
    }
    Ok(proxies)
}

/// Returns the server of the requests, as far as it is known before the first one.
fn server_of<P: ObjectProvider>(
    own: &P,
    endpoint: Option<&Endpoint>,
    environment: &Environment,
) -> Server {
    let url = endpoint.map(|endpoint| endpoint.url.as_str());
    let url = url.or_else(|| own.url(environment));
    url.and_then(Server::of_url).unwrap_or_else(|| Server {
        is_tls: true,
        host: own.host(environment),
        port: None,
    })
}

fn client_options(bucket: &BucketOptions, allows_http: bool, transfer: &Transfer) -> ClientOptions {
    ClientOptions::new()
        .with_config(
            ClientConfigKey::UserAgent,
            concat!("hookshot/", env!("CARGO_PKG_VERSION")),
        )
        .with_allow_http(bucket.allow_http || allows_http)
        .with_timeout(transfer.timeout)
        .with_connect_timeout(CONNECT_TIMEOUT.min(transfer.timeout))
}

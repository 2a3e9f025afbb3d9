//! The contract of providers: what each kind of object store does in its own way, and what their clients share.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use object_store::{BackoffConfig, ClientOptions, RetryConfig, client::HttpConnector};

use super::{
    answers::{Answers, Changes},
    bucket::Client,
    connection::Connection,
    endpoint::Endpoint,
    forms::OptionFaults,
    keys::limits::PATIENCE,
    patience::{LONGEST_REST, Patience},
    uploads::Uploads,
};
use crate::store::{
    address::Provider,
    environment::Environment,
    network::FIRST_PAUSE,
    options::{BucketOptions, Transfer},
    proxy::Proxies,
    shape::Shape,
};

/// The longest time for which one request is retried: its signature expires soon after (S3: 15 minutes).
const LONGEST_RETRY: Duration = Duration::from_secs(14 * 60);

/// The variables of a provider's own tools.
pub struct Variables {
    /// The beginning of their names.
    pub begins: &'static str,
    /// Those that are read, with the forms of their values.
    pub known: &'static [(&'static str, Shape)],
    /// Those that are never read. With them a name could be given twice, or tags could be silently omitted. The bucket
    /// is the one in the URL.
    pub unread: &'static [&'static str],
    /// Those that name a server; `endpoint` replaces them.
    pub endpoints: &'static [&'static str],
    /// Those that name or contain a key; a key of the destination replaces them.
    pub keys: &'static [&'static str],
    /// Those that the library reads by itself, as they are; a key of the destination replaces them, too.
    pub direct: &'static [&'static str],
    /// Those that name a file which is read completely, beside those that end in `_FILE`.
    pub files: &'static [&'static str],
    /// The one that names a file of authorities.
    pub authorities: Option<&'static str>,
}

impl Variables {
    /// Returns the variable that permits connections without TLS.
    pub fn allow_http(&self) -> String {
        format!("{}ALLOW_HTTP", self.begins)
    }
}

/// A kind of object store, with the options of one destination.
pub trait ObjectProvider: Sized {
    /// The kind.
    const KIND: Provider;
    /// The variables of its tools.
    const VARIABLES: Variables;

    /// Returns the options of every object store.
    fn bucket(&self) -> &BucketOptions;

    /// Returns the options in the form in which they are used; `faults` collects what is wrong with them.
    fn checked(&self, faults: &mut OptionFaults) -> Self;

    /// Returns true if the options have a key of their own.
    fn has_key(&self) -> bool;

    /// Returns true for a variable that an option of its own replaces.
    fn replaces(&self, variable: &str) -> bool;

    /// Returns the environment with the values of the files and strings that the provider's own tools read.
    fn completed(&self, environment: &Environment) -> Result<Environment>;

    /// Returns the endpoint of requests for `bucket`, if it is not the provider's own. Refuses one that names the bucket
    /// again.
    fn endpoint(&self, bucket: &str, environment: &Environment) -> Result<Option<Endpoint>>;

    /// Returns the URL of the server, if options or environment name one.
    fn url<'a>(&'a self, environment: &'a Environment) -> Option<&'a str>;

    /// Returns the host of the provider's own server.
    fn host(&self, environment: &Environment) -> String;

    /// Returns the properties of the objects.
    fn uploads(&self) -> Uploads;

    /// Makes a client.
    fn client(
        &self,
        bucket: &str,
        endpoint: Option<Endpoint>,
        environment: &Environment,
        link: Link<'_>,
    ) -> ClientResult;
}

/// The result of making a client.
pub type ClientResult = Result<Arc<dyn Client>, object_store::Error>;

/// The way to a store: trust, time limits, retries and proxies.
pub struct Link<'a> {
    /// The options of every store.
    pub transfer: &'a Transfer,
    /// The options of the HTTP client.
    pub options: ClientOptions,
    /// The proxies on the way.
    pub proxies: Proxies,
    /// The counter of the changes that the store makes.
    pub changes: Changes,
}

impl Link<'_> {
    /// Returns the connections to the store, or to its provider's sign-in.
    pub fn connection(&self) -> Connection {
        Connection::new(self.proxies.clone())
    }

    /// Returns the checks of the answers that come over `connection`.
    pub fn answers(&self, kind: Provider, connection: impl HttpConnector) -> Answers {
        let patience = Patience::new(self.transfer);
        Answers::new(kind, connection, self.changes.clone(), patience)
    }

    /// Returns the rules by which requests are retried.
    pub fn retry(&self) -> RetryConfig {
        let (timeout, attempts) = (self.transfer.timeout, self.transfer.retry_attempts);
        RetryConfig {
            backoff: BackoffConfig {
                // `Patience` waits for the rest of each pause.
                init_backoff: FIRST_PAUSE,
                max_backoff: FIRST_PAUSE,
                ..BackoffConfig::default()
            },
            max_retries: attempts as usize,
            // Each attempt has its own time limit; the number of attempts is the bound.
            retry_timeout: (timeout.saturating_add(LONGEST_REST))
                .saturating_mul(attempts.saturating_add(1))
                .min(LONGEST_RETRY),
        }
    }

    /// Returns the options for a cloud's metadata service: asked directly, without TLS, and retried once if it does not
    /// answer.
    pub fn metadata(&self) -> (ClientOptions, RetryConfig) {
        let one_request = Duration::from_millis(1500);
        let options = self.options.clone().with_allow_http(true);
        let retry = RetryConfig {
            max_retries: 1,
            retry_timeout: PATIENCE,
            ..RetryConfig::default()
        };
        (options.with_timeout(one_request), retry)
    }
}

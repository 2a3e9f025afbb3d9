//! Clients of Azure Blob Storage.

use std::sync::Arc;

use anyhow::Result;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};

use super::{
    connection::Connection,
    endpoint::{self, Endpoint},
    forms::OptionFaults,
    keys::{
        self,
        bounded::{Bounded, Words},
        limits::{PATIENCE, SIGN_IN},
    },
    provider::{ClientResult, Link, ObjectProvider, Variables},
    uploads::Uploads,
};
use crate::store::{
    address::Provider,
    environment::Environment,
    options::{AzureOptions, BucketOptions},
    shape::Shape::{self, Flag, Key, Name, Text, Url, UrlWithQuery},
};

/// The variables of Azure, two of which the library reads by itself.
const KNOWN: [(&str, Shape); 41] = [
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

/// The variables that name or contain a key.
const KEYS: [&str; 12] = [
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

impl ObjectProvider for AzureOptions {
    const KIND: Provider = Provider::Azure;
    const VARIABLES: Variables = Variables {
        begins: "AZURE_",
        known: &KNOWN,
        unread: &["AZURE_DISABLE_TAGGING", "AZURE_CONTAINER_NAME"],
        endpoints: &["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"],
        keys: &KEYS,
        direct: &["IDENTITY_HEADER", "AZURITE_BLOB_STORAGE_URL"],
        files: &[],
        authorities: None,
    };

    fn bucket(&self) -> &BucketOptions {
        &self.bucket
    }

    fn checked(&self, faults: &mut OptionFaults) -> AzureOptions {
        let endpoint = faults.text("endpoint", Url, &self.bucket.endpoint);
        let storage_class = faults.text("storage_class", Name, &self.bucket.storage_class);
        let account = faults.text("account", Name, &self.account);
        let account_key = faults.secret("account_key", Key, &self.account_key);
        faults.tags(&self.tags);
        AzureOptions {
            bucket: BucketOptions {
                endpoint,
                storage_class,
                ..self.bucket.clone()
            },
            account,
            account_key,
            tags: self.tags.clone(),
        }
    }

    fn has_key(&self) -> bool {
        self.account_key.is_some()
    }

    fn replaces(&self, variable: &str) -> bool {
        self.account.is_some() && variable == "AZURE_STORAGE_ACCOUNT_NAME"
    }

    fn completed(&self, environment: &Environment) -> Result<Environment> {
        keys::azure::applied(self, environment)
    }

    fn endpoint(&self, bucket: &str, environment: &Environment) -> Result<Option<Endpoint>> {
        let (url, account) = (self.url(environment), self.account(environment));
        endpoint::require_without_bucket(bucket, url, account)?;
        Ok(None)
    }

    fn url<'a>(&'a self, environment: &'a Environment) -> Option<&'a str> {
        let url = self.bucket.endpoint.as_deref();
        url.or_else(|| environment.get("AZURE_STORAGE_ENDPOINT"))
    }

    fn host(&self, environment: &Environment) -> String {
        let account = self.account(environment).unwrap_or("account");
        format!("{account}.blob.core.windows.net")
    }

    fn uploads(&self) -> Uploads {
        Uploads {
            // In parts, its client accepts no attributes; then all archives go without.
            conditional_writes: true,
            ..Uploads::default()
        }
    }

    fn client(
        &self,
        bucket: &str,
        _: Option<Endpoint>,
        environment: &Environment,
        link: Link<'_>,
    ) -> ClientResult {
        let mut builder = MicrosoftAzureBuilder::new();
        for (name, value) in &environment.variables {
            if let Ok(key) = name.to_ascii_lowercase().parse::<AzureConfigKey>()
                && name.starts_with("AZURE_")
            {
                builder = builder.with_config(key, value);
            }
        }
        if let Some(account) = &self.account {
            builder = builder.with_account(account);
        }
        if let Some(key) = &self.account_key {
            builder = builder.with_access_key(key.reveal());
        }
        if let Some(endpoint) = &self.bucket.endpoint {
            builder = builder.with_endpoint(endpoint.clone());
        }
        if let Some(endpoint) = environment.get("IDENTITY_ENDPOINT") {
            builder = builder.with_msi_endpoint(endpoint);
        }
        builder = builder.with_container_name(bucket);
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
                    hint: "look at AZURE_TENANT_ID, AZURE_CLIENT_ID, and AZURE_CLIENT_SECRET or \
                        AZURE_FEDERATED_TOKEN_FILE, and at AZURE_AUTHORITY_HOST",
                    patience: SIGN_IN,
                    metadata: None,
                };
                let asks = builder.clone().with_retry(link.retry());
                let asks = asks.with_client_options(link.options.clone());
                (asks.with_http_connector(link.connection()), words)
            } else {
                let words = Words {
                    what: "no key for the store was found: looked in `account_key`, AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_KEY, \
                           AZURE_STORAGE_CONNECTION_STRING, AZURE_CLIENT_SECRET, AZURE_FEDERATED_TOKEN_FILE, and Azure's metadata",
                    hint: "set the destination's `account_key`, or AZURE_STORAGE_CONNECTION_STRING",
                    patience: PATIENCE,
                    metadata: Some("Azure's"),
                };
                let (options, retry) = link.metadata();
                let asks = builder.clone().with_retry(retry);
                let asks = asks.with_client_options(options);
                (asks.with_http_connector(Connection::direct()), words)
            };
            let inner = asks.build()?.credentials().clone();
            builder = builder.with_credentials(Arc::new(Bounded::new(
                inner,
                words,
                environment.absent.clone(),
            )));
        }
        let answers = link.answers(Provider::Azure, link.connection());
        let store = builder
            .with_retry(link.retry())
            .with_client_options(link.options)
            .with_http_connector(answers)
            .build()?;
        Ok(Arc::new(store))
    }
}

impl AzureOptions {
    fn account<'a>(&'a self, environment: &'a Environment) -> Option<&'a str> {
        let account = self.account.as_deref();
        account.or_else(|| environment.get("AZURE_STORAGE_ACCOUNT_NAME"))
    }
}

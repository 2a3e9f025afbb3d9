//! Clients of Google Cloud Storage.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};

use super::{
    connection::Connection,
    endpoint::{self, Endpoint},
    forms::OptionFaults,
    keys::{
        bounded::{Bounded, Words},
        limits::{PATIENCE, SIGN_IN},
    },
    provider::{ClientResult, Link, ObjectProvider, Variables},
    uploads::{Uploads, archive_attributes},
};
use crate::store::{
    address::Provider,
    environment::Environment,
    options::{BucketOptions, GcsOptions},
    shape::Shape::{self, Flag, Host, Key, Lines, Name, Text, Url},
};

/// The variables of Google, three of which the library reads by itself.
const KNOWN: [(&str, Shape); 11] = [
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

/// The variables that name or contain a key.
const KEYS: [&str; 5] = [
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_BEARER_TOKEN",
];

impl ObjectProvider for GcsOptions {
    const KIND: Provider = Provider::Gcs;
    const VARIABLES: Variables = Variables {
        begins: "GOOGLE_",
        known: &KNOWN,
        unread: &["GOOGLE_BUCKET"],
        endpoints: &["GOOGLE_BASE_URL"],
        keys: &KEYS,
        direct: &["GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP"],
        files: &[
            "GOOGLE_SERVICE_ACCOUNT",
            "GOOGLE_SERVICE_ACCOUNT_PATH",
            "GOOGLE_APPLICATION_CREDENTIALS",
        ],
        authorities: None,
    };

    fn bucket(&self) -> &BucketOptions {
        &self.bucket
    }

    fn checked(&self, faults: &mut OptionFaults) -> GcsOptions {
        let endpoint = faults.text("endpoint", Url, &self.bucket.endpoint);
        let storage_class = faults.text("storage_class", Name, &self.bucket.storage_class);
        let key = &self.service_account_key;
        GcsOptions {
            bucket: BucketOptions {
                endpoint,
                storage_class,
                ..self.bucket.clone()
            },
            service_account_key: faults.secret("service_account_key", Lines, key),
        }
    }

    fn has_key(&self) -> bool {
        self.service_account_key.is_some()
    }

    fn replaces(&self, _: &str) -> bool {
        false
    }

    fn completed(&self, environment: &Environment) -> Result<Environment> {
        Ok(environment.clone())
    }

    fn endpoint(&self, bucket: &str, _: &Environment) -> Result<Option<Endpoint>> {
        endpoint::require_without_bucket(bucket, self.bucket.endpoint.as_deref(), None)?;
        Ok(None)
    }

    fn url<'a>(&'a self, _: &'a Environment) -> Option<&'a str> {
        self.bucket.endpoint.as_deref()
    }

    fn host(&self, _: &Environment) -> String {
        "storage.googleapis.com".to_owned()
    }

    fn uploads(&self) -> Uploads {
        Uploads {
            attributes: archive_attributes(&self.bucket),
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
        let mut builder = GoogleCloudStorageBuilder::new();
        for (name, value) in &environment.variables {
            if let Ok(key) = name.to_ascii_lowercase().parse::<GoogleConfigKey>()
                && name.starts_with("GOOGLE_")
            {
                builder = builder.with_config(key, value);
            }
        }
        if let Some(key) = &self.service_account_key {
            builder = builder.with_service_account_key(key.reveal());
        }
        if let Some(endpoint) = &self.bucket.endpoint {
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
            Path::new(home).join(file).exists()
        });
        let skips = builder.get_config_value(&GoogleConfigKey::SkipSignature);
        if skips.as_deref() != Some("true") {
            let (asks, words) = if has_key || by_gcloud {
                let words = Words {
                    what: "Google gives no token for the key",
                    hint: "look at the key, at this machine's clock, and at the way to oauth2.googleapis.com",
                    patience: SIGN_IN,
                    metadata: None,
                };
                let asks = builder.clone().with_retry(link.retry());
                let asks = asks.with_client_options(link.options.clone());
                (asks.with_http_connector(link.connection()), words)
            } else {
                let words = Words {
                    what: "no key for the store was found: looked in `service_account_key`, GOOGLE_SERVICE_ACCOUNT, \
                           GOOGLE_SERVICE_ACCOUNT_KEY, GOOGLE_APPLICATION_CREDENTIALS, gcloud's credentials, and Google's metadata",
                    hint: "set the destination's `service_account_key`, or GOOGLE_APPLICATION_CREDENTIALS",
                    patience: PATIENCE,
                    metadata: Some("Google's"),
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
        let answers = link.answers(Provider::Gcs, link.connection());
        let store = builder
            .with_retry(link.retry())
            .with_client_options(link.options)
            .with_http_connector(answers)
            .build()?;
        Ok(Arc::new(store))
    }
}

//! Clients of S3, and of what speaks its protocol.

use std::sync::Arc;

use anyhow::Result;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum};

use super::{
    endpoint::{self, Endpoint},
    forms::OptionFaults,
    keys::{
        aws::{self, AwsKeys},
        machine::KeySource,
        profile,
        renewal::Renewing,
    },
    provider::{ClientResult, Link, ObjectProvider, Variables},
    uploads::{Uploads, archive_attributes},
};
use crate::store::{
    address::Provider,
    environment::Environment,
    options::{BucketOptions, Checksums, Encryption, S3Options},
    shape::Shape::{self, Flag, Key, Lines, Name, Text, Url, UrlPath, UrlWithQuery},
};

/// The variables of S3 (AWS SDKs and Tools Reference Guide, "Environment variables"), and those of object_store.
const KNOWN: [(&str, Shape); 32] = [
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

/// The variables that name or contain a key.
const KEYS: [&str; 4] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_TOKEN",
];

impl ObjectProvider for S3Options {
    const KIND: Provider = Provider::S3;
    const VARIABLES: Variables = Variables {
        begins: "AWS_",
        known: &KNOWN,
        unread: &[
            "AWS_CONDITIONAL_PUT",
            "AWS_COPY_IF_NOT_EXISTS",
            "AWS_CHECKSUM_ALGORITHM",
            "AWS_DISABLE_TAGGING",
            "AWS_BUCKET",
            "AWS_BUCKET_NAME",
        ],
        endpoints: &["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"],
        keys: &KEYS,
        direct: &[],
        files: &[],
        authorities: Some("AWS_CA_BUNDLE"),
    };

    fn bucket(&self) -> &BucketOptions {
        &self.bucket
    }

    fn checked(&self, faults: &mut OptionFaults) -> S3Options {
        let endpoint = faults.text("endpoint", Url, &self.bucket.endpoint);
        let region = faults.text("region", Name, &self.region);
        let storage_class = faults.text("storage_class", Name, &self.bucket.storage_class);
        let sse = match &self.sse {
            Some(Encryption::Kms(key)) => {
                Some(Encryption::Kms(faults.text("sse_kms_key_id", Key, key)))
            }
            sse => sse.clone(),
        };
        let access_key_id = faults.secret("access_key_id", Key, &self.access_key_id);
        let secret_access_key = faults.secret("secret_access_key", Key, &self.secret_access_key);
        let session_token = faults.secret("session_token", Key, &self.session_token);
        faults.tags(&self.tags);
        S3Options {
            bucket: BucketOptions {
                endpoint,
                storage_class,
                ..self.bucket.clone()
            },
            region,
            sse,
            access_key_id,
            secret_access_key,
            session_token,
            ..self.clone()
        }
    }

    fn has_key(&self) -> bool {
        self.access_key_id.is_some() && self.secret_access_key.is_some()
    }

    fn replaces(&self, variable: &str) -> bool {
        self.region.is_some() && matches!(variable, "AWS_REGION" | "AWS_DEFAULT_REGION")
    }

    fn completed(&self, environment: &Environment) -> Result<Environment> {
        profile::applied(self, environment)
    }

    fn endpoint(&self, bucket: &str, environment: &Environment) -> Result<Option<Endpoint>> {
        let endpoint = self.bucket.endpoint.as_deref();
        endpoint::of_bucket(bucket, endpoint, self.path_style, environment)
    }

    fn url<'a>(&'a self, _: &'a Environment) -> Option<&'a str> {
        self.bucket.endpoint.as_deref()
    }

    fn host(&self, environment: &Environment) -> String {
        let region = self.region.as_deref();
        let region = region
            .or_else(|| environment.get("AWS_REGION"))
            .or_else(|| environment.get("AWS_DEFAULT_REGION"));
        format!("s3.{}.amazonaws.com", region.unwrap_or("us-east-1"))
    }

    fn uploads(&self) -> Uploads {
        let mut uploads = Uploads {
            attributes: archive_attributes(&self.bucket),
            read_back: self.checksums == Checksums::None,
            conditional_writes: self.conditional_writes,
            ..Uploads::default()
        };
        for (key, value) in &self.tags {
            uploads.tags.push(key, value);
        }
        uploads
    }

    fn client(
        &self,
        bucket: &str,
        endpoint: Option<Endpoint>,
        environment: &Environment,
        link: Link<'_>,
    ) -> ClientResult {
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
        builder = text(builder, AmazonS3ConfigKey::Endpoint, &self.bucket.endpoint);
        builder = text(builder, AmazonS3ConfigKey::Region, &self.region);
        for (key, secret) in [
            (AmazonS3ConfigKey::AccessKeyId, &self.access_key_id),
            (AmazonS3ConfigKey::SecretAccessKey, &self.secret_access_key),
            (AmazonS3ConfigKey::Token, &self.session_token),
        ] {
            if let Some(secret) = secret {
                builder = builder.with_config(key, secret.reveal());
            }
        }
        if let Some(path_style) = self.path_style {
            builder = builder.with_virtual_hosted_style_request(!path_style);
        }
        match &self.sse {
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
        if self.checksums == Checksums::Sha256 {
            // The server compares each part with this checksum.
            builder = builder.with_checksum_algorithm(Checksum::SHA256);
        }
        let is_static = [
            AmazonS3ConfigKey::AccessKeyId,
            AmazonS3ConfigKey::SecretAccessKey,
        ]
        .iter()
        .any(|key| builder.get_config_value(key).is_some());
        let connection = link.connection();
        let answers = if is_static {
            link.answers(Provider::S3, connection)
        } else {
            let region = builder.get_config_value(&AmazonS3ConfigKey::Region);
            let region = region.as_deref().unwrap_or("us-east-1");
            let source = KeySource::new(environment, region, &link.options, &connection)?;
            let keys = Arc::new(AwsKeys::new(source, environment.absent.clone()));
            builder = builder.with_credentials(aws::provider(&keys));
            link.answers(Provider::S3, Renewing::new(connection, keys))
        };
        let store = builder
            .with_bucket_name(bucket)
            // Some stores cannot remove several objects in one request.
            .with_disable_bulk_delete(true)
            .with_retry(link.retry())
            .with_client_options(link.options)
            .with_http_connector(answers)
            .build()?;
        Ok(Arc::new(store))
    }
}

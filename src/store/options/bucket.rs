//! The options that all object stores have.

use std::path::PathBuf;

use crate::store::secret::{Resolve, Secret};

/// The options of every object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketOptions<S = Secret> {
    /// The server, if it is not the provider's own.
    pub endpoint: Option<String>,
    /// The class of storage that archives go to.
    pub storage_class: Option<String>,
    /// The certificates of authorities to trust beside the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// True if connections to the server may be without TLS.
    pub allow_http: bool,
    /// The proxy in place of those of the environment; its URL may hold a password.
    pub proxy: Option<S>,
}

impl<S> Default for BucketOptions<S> {
    fn default() -> BucketOptions<S> {
        BucketOptions {
            endpoint: None,
            storage_class: None,
            ca_file: None,
            allow_http: false,
            proxy: None,
        }
    }
}

impl<S> BucketOptions<S> {
    pub(super) fn resolve<T, E>(
        self,
        resolve: Resolve<'_, S, T, E>,
    ) -> Result<BucketOptions<T>, E> {
        Ok(BucketOptions {
            endpoint: self.endpoint,
            storage_class: self.storage_class,
            ca_file: self.ca_file,
            allow_http: self.allow_http,
            proxy: resolve(self.proxy)?,
        })
    }
}

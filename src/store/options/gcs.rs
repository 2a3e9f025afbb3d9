//! The options of Google Cloud Storage.

use super::bucket::BucketOptions;
use crate::store::secret::{Resolve, Secret};

/// The options of Google Cloud Storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcsOptions<S = Secret> {
    /// The options of every object store.
    pub bucket: BucketOptions<S>,
    /// The key of the service account, JSON.
    pub service_account_key: Option<S>,
}

impl<S> Default for GcsOptions<S> {
    fn default() -> GcsOptions<S> {
        GcsOptions {
            bucket: BucketOptions::default(),
            service_account_key: None,
        }
    }
}

impl<S> GcsOptions<S> {
    pub(super) fn resolve<T, E>(self, resolve: Resolve<'_, S, T, E>) -> Result<GcsOptions<T>, E> {
        Ok(GcsOptions {
            service_account_key: resolve(self.service_account_key)?,
            bucket: self.bucket.resolve(resolve)?,
        })
    }
}

//! The options of Azure Blob Storage.

use std::collections::BTreeMap;

use super::bucket::BucketOptions;
use crate::store::secret::{Resolve, Secret};

/// The options of Azure Blob Storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureOptions<S = Secret> {
    /// The options of every object store.
    pub bucket: BucketOptions<S>,
    /// The key of the account.
    pub account_key: Option<S>,
    /// The storage account.
    pub account: Option<String>,
    /// Tags of the objects.
    pub tags: BTreeMap<String, String>,
}

impl<S> Default for AzureOptions<S> {
    fn default() -> AzureOptions<S> {
        AzureOptions {
            bucket: BucketOptions::default(),
            account_key: None,
            account: None,
            tags: BTreeMap::new(),
        }
    }
}

impl<S> AzureOptions<S> {
    pub(super) fn resolve<T, E>(self, resolve: Resolve<'_, S, T, E>) -> Result<AzureOptions<T>, E> {
        Ok(AzureOptions {
            account_key: resolve(self.account_key)?,
            bucket: self.bucket.resolve(resolve)?,
            account: self.account,
            tags: self.tags,
        })
    }
}

//! The keys of Amazon's services, which are replaced before they expire.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use object_store::{
    CredentialProvider,
    aws::{AwsCredential, AwsCredentialProvider},
};
use tokio::{sync::Mutex, time::timeout};
use tracing::warn;

use super::{answer::FreshKey, limits::LONG_PATIENCE, machine::KeySource};
use crate::store::{environment::AbsentServices, objects::fault::RequestFault};

/// The time before the expiry of a key at which a new one is fetched (object_store uses the same).
const BEFORE_THE_END: Duration = Duration::from_secs(5 * 60);

/// The pause between two attempts to replace a key that is still good.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(10);

/// The renewable keys of Amazon's services. A key is requested when it is needed, kept, and replaced before it expires,
/// or when the store says that it expired.
pub struct AwsKeys {
    source: KeySource,
    absent: AbsentServices,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    key: Option<Key>,
    /// The first fault: no service is asked twice for a key that it does not have.
    fault: Option<RequestFault>,
}

struct Key {
    credential: Arc<AwsCredential>,
    /// The time at which to fetch the next one.
    renew: Instant,
}

impl AwsKeys {
    /// Takes keys from `source`, unless its service is one of `absent`; asks nothing yet.
    pub fn new(source: KeySource, absent: AbsentServices) -> AwsKeys {
        AwsKeys {
            source,
            absent,
            held: Mutex::default(),
        }
    }

    /// Returns a key to replace one that the store says expired; `None` if the service has no other.
    pub async fn another(
        &self,
        id: &str,
        token: Option<&str>,
    ) -> Result<Option<Arc<AwsCredential>>, RequestFault> {
        let is_old = |key: &AwsCredential| key.key_id == id && key.token.as_deref() == token;
        let mut held = self.held.lock().await;
        if let Some(key) = &held.key {
            // Another request has replaced it already.
            if !is_old(&key.credential) {
                return Ok(Some(key.credential.clone()));
            }
        }
        let fresh = self.fetch(LONG_PATIENCE).await?;
        let key = held.key.insert(Key::new(fresh)).credential.clone();
        Ok(Some(key).filter(|key| !is_old(key)))
    }

    async fn key(&self) -> Result<Arc<AwsCredential>, RequestFault> {
        let mut held = self.held.lock().await;
        if let Some(fault) = &held.fault {
            return Err(fault.clone());
        }
        match &mut held.key {
            Some(key) if Instant::now() < key.renew => Ok(key.credential.clone()),
            Some(key) => {
                match self.fetch(LONG_PATIENCE).await {
                    Ok(fresh) => *key = Key::new(fresh),
                    Err(fault) => {
                        // The old key may be good for minutes; the store reports when it is not.
                        warn!(reason = %fault, "No new key for the store yet; the old one stays in use");
                        key.renew = Instant::now() + BETWEEN_ATTEMPTS;
                    }
                }
                Ok(key.credential.clone())
            }
            None => {
                let fetched = match self.absent.find(self.source.metadata()) {
                    Some((what, hint)) => Err(RequestFault::standing(what, hint)),
                    None => self.fetch(self.source.patience()).await,
                };
                match fetched {
                    Ok(fresh) => Ok(held.key.insert(Key::new(fresh)).credential.clone()),
                    Err(fault) => {
                        let service = self.source.metadata();
                        self.absent.remember(service, &fault.what, &fault.hint);
                        held.fault = Some(fault.clone());
                        Err(fault)
                    }
                }
            }
        }
    }

    async fn fetch(&self, patience: Duration) -> Result<FreshKey, RequestFault> {
        match timeout(patience, self.source.fetch()).await {
            Ok(fetched) => fetched,
            Err(_) => Err(self.source.fault(&format!("no answer within {patience:?}"))),
        }
    }
}

impl Key {
    fn new(fresh: FreshKey) -> Key {
        let left = fresh.left;
        let early = BEFORE_THE_END.min(left / 2);
        Key {
            credential: Arc::new(fresh.credential),
            renew: Instant::now() + left.saturating_sub(early).max(Duration::from_secs(1)),
        }
    }
}

impl fmt::Debug for AwsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwsKeys")
    }
}

impl CredentialProvider for AwsKeys {
    type Credential = AwsCredential;

    fn get_credential<'a, 'b>(&'a self) -> BoxFuture<'b, object_store::Result<Arc<AwsCredential>>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move { self.key().await.map_err(Into::into) })
    }
}

/// Returns the key provider for an [`object_store`] builder.
pub fn provider(keys: &Arc<AwsKeys>) -> AwsCredentialProvider {
    Arc::clone(keys) as _
}

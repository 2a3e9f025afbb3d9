//! Keys of stores that are not in the configuration: their sources, and the services that issue new ones.

pub mod azure;
mod machine;
pub mod profile;

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

use self::machine::Fresh;
pub use self::machine::Source;
use super::fault::Fault;

/// The time after which a machine's metadata service counts as absent: a machine that has keys answers in milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(4);
/// The time that a service named by the environment may take for the first key, and any service for a new key.
const LONG_PATIENCE: Duration = Duration::from_secs(20);
/// The time before the expiry of a key at which a new one is fetched (object_store uses the same).
const BEFORE_THE_END: Duration = Duration::from_secs(5 * 60);
/// The time that a sign-in at a provider may take.
pub const SIGN_IN: Duration = Duration::from_secs(60);
/// The time for which the other destinations of a run do not ask a metadata service that had no key.
const ABSENT_FOR: Duration = Duration::from_secs(60);
/// The metadata services of this machine that had no key, each with the time and the fault: a run with several
/// destinations waits for them once.
static ABSENT: std::sync::Mutex<Vec<(String, Instant, Fault)>> = std::sync::Mutex::new(Vec::new());

/// The pause between two attempts to replace a key that is still good.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(10);

/// The renewable keys of Amazon's services. A key is requested when it is needed, kept, and replaced before it expires,
/// or when the store says that it expired.
pub struct Keys {
    source: Source,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    key: Option<Key>,
    /// The first fault: no service is asked twice for a key that it does not have.
    fault: Option<Fault>,
}

struct Key {
    credential: Arc<AwsCredential>,
    /// The time at which to fetch the next one.
    renew: Instant,
}

impl Keys {
    /// Takes keys from `source`; asks nothing yet.
    pub fn new(source: Source) -> Keys {
        Keys {
            source,
            held: Mutex::default(),
        }
    }

    /// Returns a key to replace one that the store says expired; `None` if the service has no other.
    pub async fn another(
        &self,
        id: &str,
        token: Option<&str>,
    ) -> Result<Option<Arc<AwsCredential>>, Fault> {
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

    async fn key(&self) -> Result<Arc<AwsCredential>, Fault> {
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
                        warn!(reason = %fault, "There is no new key for the store yet; the old one goes on being used");
                        key.renew = Instant::now() + BETWEEN_ATTEMPTS;
                    }
                }
                Ok(key.credential.clone())
            }
            None => {
                let fetched = match absent(self.source.metadata()) {
                    Some(fault) => Err(fault),
                    None => self.fetch(self.source.patience()).await,
                };
                match fetched {
                    Ok(fresh) => Ok(held.key.insert(Key::new(fresh)).credential.clone()),
                    Err(fault) => {
                        remember(self.source.metadata(), &fault);
                        held.fault = Some(fault.clone());
                        Err(fault)
                    }
                }
            }
        }
    }

    async fn fetch(&self, patience: Duration) -> Result<Fresh, Fault> {
        match timeout(patience, self.source.fetch()).await {
            Ok(fetched) => fetched,
            Err(_) => Err(self.source.fault(&format!("no answer within {patience:?}"))),
        }
    }
}

impl Key {
    fn new(fresh: Fresh) -> Key {
        let left = fresh.left;
        let early = BEFORE_THE_END.min(left / 2);
        Key {
            credential: Arc::new(fresh.credential),
            renew: Instant::now() + left.saturating_sub(early).max(Duration::from_secs(1)),
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

impl CredentialProvider for Keys {
    type Credential = AwsCredential;

    fn get_credential<'a, 'b>(&'a self) -> BoxFuture<'b, object_store::Result<Arc<AwsCredential>>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move { self.key().await.map_err(generic) })
    }
}

/// Returns the fault of a metadata service, given by its name, that was asked a moment ago.
fn absent(service: Option<&str>) -> Option<Fault> {
    let known = ABSENT.lock().ok()?;
    let (_, _, fault) = (known.iter().rev())
        .find(|(name, asked, _)| Some(&**name) == service && asked.elapsed() < ABSENT_FOR)?;
    Some(fault.clone())
}

fn remember(service: Option<&str>, fault: &Fault) {
    if let (Some(service), Ok(mut known)) = (service, ABSENT.lock()) {
        known.retain(|(name, ..)| name != service);
        known.push((service.to_owned(), Instant::now(), fault.clone()));
    }
}

/// Returns the key provider for an [`object_store`] builder.
pub fn provider(keys: &Arc<Keys>) -> AwsCredentialProvider {
    Arc::clone(keys) as _
}

/// A source of keys from a provider of object_store, with a time limit and hookshot's own messages.
pub struct Bounded<C> {
    inner: Arc<dyn CredentialProvider<Credential = C>>,
    words: Words,
    held: Mutex<(Option<Arc<C>>, Option<Fault>)>,
}

/// The message of a missing key, and the time after which a key counts as missing.
#[derive(Clone, Copy)]
pub struct Words {
    /// The failure.
    pub what: &'static str,
    /// The advice to the user.
    pub hint: &'static str,
    /// The time that the first key may take.
    pub patience: Duration,
    /// The metadata service that is asked, if one is.
    pub metadata: Option<&'static str>,
}

impl<C> Bounded<C> {
    /// Takes keys from `inner`.
    pub fn new(inner: Arc<dyn CredentialProvider<Credential = C>>, words: Words) -> Bounded<C> {
        Bounded {
            inner,
            words,
            held: Mutex::new((None, None)),
        }
    }
}

/// Returns the reason why a provider's sign-in refused a key; else the first cause.
fn said(error: &object_store::Error) -> String {
    let text = super::explain::texts(error);
    let described = text
        .split_once("\"error_description\":")
        .and_then(|(_, rest)| {
            let rest = rest.trim_start().strip_prefix('"')?;
            let end = rest.find(['"', '\\'])?;
            Some(super::explain::quoted(&rest[..end]))
        });
    described.unwrap_or_else(|| super::explain::cause_of(error))
}

impl<C> fmt::Debug for Bounded<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bounded")
    }
}

impl<C: fmt::Debug + Send + Sync + 'static> CredentialProvider for Bounded<C> {
    type Credential = C;

    fn get_credential<'a, 'b>(&'a self) -> BoxFuture<'b, object_store::Result<Arc<C>>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let mut held = self.held.lock().await;
            let words = self.words;
            if let Some(fault) = held.1.clone().or_else(|| absent(words.metadata)) {
                return Err(generic(fault));
            }
            let patience = match held.0 {
                Some(_) => LONG_PATIENCE.max(words.patience),
                None => words.patience,
            };
            let why = match timeout(patience, self.inner.get_credential()).await {
                Ok(Ok(key)) => {
                    held.0 = Some(Arc::clone(&key));
                    return Ok(key);
                }
                Ok(Err(error)) => said(&error),
                Err(_) => format!("no answer within {patience:?}"),
            };
            if let Some(key) = &held.0 {
                warn!(reason = %why, "There is no new key for the store yet; the old one goes on being used");
                return Ok(Arc::clone(key));
            }
            let fault = Fault::standing(format!("{} ({why})", words.what), words.hint);
            remember(words.metadata, &fault);
            held.1 = Some(fault.clone());
            Err(generic(fault))
        })
    }
}

fn generic(fault: Fault) -> object_store::Error {
    object_store::Error::Generic {
        store: "key",
        source: Box::new(fault),
    }
}

//! Keys from object_store's own sources, with time limits and hookshot's messages.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use object_store::CredentialProvider;
use tokio::{sync::Mutex, time::timeout};
use tracing::warn;

use super::limits::LONG_PATIENCE;
use crate::store::{
    environment::AbsentServices,
    objects::{
        fault::RequestFault,
        text::{cause_of, quoted, texts},
    },
};

/// A source of keys from a provider of object_store, with a time limit and hookshot's own messages.
pub struct Bounded<C> {
    inner: Arc<dyn CredentialProvider<Credential = C>>,
    words: Words,
    absent: AbsentServices,
    held: Mutex<(Option<Arc<C>>, Option<RequestFault>)>,
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
    /// Takes keys from `inner`, unless the service of `words` is one of `absent`.
    pub fn new(
        inner: Arc<dyn CredentialProvider<Credential = C>>,
        words: Words,
        absent: AbsentServices,
    ) -> Bounded<C> {
        Bounded {
            inner,
            words,
            absent,
            held: Mutex::new((None, None)),
        }
    }
}

/// Returns the reason why a provider's sign-in refused a key; else the first cause.
fn said(error: &object_store::Error) -> String {
    let text = texts(error);
    let described = text
        .split_once("\"error_description\":")
        .and_then(|(_, rest)| {
            let rest = rest.trim_start().strip_prefix('"')?;
            let end = rest.find(['"', '\\'])?;
            Some(quoted(&rest[..end]))
        });
    described.unwrap_or_else(|| cause_of(error))
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
            let absent = || {
                let (what, hint) = self.absent.find(words.metadata)?;
                Some(RequestFault::standing(what, hint))
            };
            if let Some(fault) = held.1.clone().or_else(absent) {
                return Err(fault.into());
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
                warn!(reason = %why, "No new key for the store yet; the old one stays in use");
                return Ok(Arc::clone(key));
            }
            let fault = RequestFault::standing(format!("{} ({why})", words.what), words.hint);
            let service = words.metadata;
            self.absent.remember(service, &fault.what, &fault.hint);
            held.1 = Some(fault.clone());
            Err(fault.into())
        })
    }
}

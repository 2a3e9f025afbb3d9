//! The requests to one bucket, and what is known of its server.

use std::{
    borrow::Cow,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result};
use object_store::{
    Error, MultipartId, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
    PutPayload,
    list::{PaginatedListOptions, PaginatedListStore},
    multipart::MultipartStore,
    path::Path,
};

use super::{
    answers::Changes,
    explain::{explain, foreign},
    judge::{is_conflict, is_hopeless, is_lost, is_refused, is_silent, is_stale},
    listing::Page,
    uploads::Uploads,
};
use crate::{
    error::{Caught, Failure, Kind},
    store::{
        address::Provider, failures::taken, marker::Marker, names::fit, network::Network,
        options::Transfer,
    },
};

/// A name that no object has: hookshot makes none like it.
const NOTHING: &str = ".hookshot-nothing-has-this-name";

/// The objects that a listing has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Those directly below the prefix, and the names of folders.
    Here,
    /// Those in all folders below, too.
    Below,
}

/// A client with all capabilities: object_store has a trait for each.
pub trait Client: ObjectStore + MultipartStore + PaginatedListStore {}

impl<T: ObjectStore + MultipartStore + PaginatedListStore> Client for T {}

/// A bucket that was opened: its client, and what is known of its server.
pub(super) struct BucketClient {
    pub(super) client: Arc<dyn Client>,
    pub(super) network: Arc<Network>,
    pub(super) provider: Provider,
    pub(super) shown: String,
    /// The prefix of the keys: empty, or with a slash at its end.
    pub(super) prefix: String,
    pub(super) changes: Changes,
    pub(super) transfer: Transfer,
    pub(super) uploads: Uploads,
    /// True once a listing succeeded, or was refused in a store's words: the server is an object store.
    pub(super) has_listed: Arc<AtomicBool>,
    /// True once the server said that some object does not exist.
    pub(super) is_honest: Arc<AtomicBool>,
    /// False if the configuration says so, or once the store refused a condition and accepted the same request without
    /// it.
    pub(super) knows_conditions: Arc<AtomicBool>,
}

impl BucketClient {
    /// Returns the same bucket, with keys that begin with `folder` below the prefix. What one of them learns of the
    /// server, the others know.
    pub(super) fn below(&self, folder: &str) -> BucketClient {
        BucketClient {
            client: self.client.clone(),
            network: self.network.clone(),
            provider: self.provider,
            shown: format!("{}/{folder}", self.shown.trim_end_matches('/')),
            prefix: format!("{}{folder}/", self.prefix),
            changes: self.changes.clone(),
            transfer: self.transfer.clone(),
            uploads: self.uploads.clone(),
            has_listed: self.has_listed.clone(),
            is_honest: self.is_honest.clone(),
            knows_conditions: self.knows_conditions.clone(),
        }
    }

    pub(super) fn key(&self, name: &str) -> Path {
        let key = format!("{}{name}", self.prefix);
        // The key as the listing shows it; a text that is not a valid key is encoded.
        Path::parse(&key).unwrap_or_else(|_| Path::from(key))
    }

    pub(super) fn name<'a>(&self, depth: Depth, key: &'a str) -> Option<&'a str> {
        let name = key.strip_prefix(&self.prefix)?;
        let is_far = depth == Depth::Here && name.contains('/');
        (!name.is_empty() && !is_far).then_some(name)
    }

    /// Explains an error; an interruption stays one.
    pub(super) fn explained(&self, doing: &str, error: anyhow::Error) -> anyhow::Error {
        match error.downcast_ref() {
            Some(error) => explain(error, doing, self.transfer.timeout).into(),
            None if error.is::<Caught>() => error.context(doing.to_owned()),
            None => error,
        }
    }

    /// Returns the metadata of an object if it exists.
    pub(super) fn head(&self, name: &str) -> Result<Option<ObjectMeta>> {
        match self.network.wait(self.client.head(&self.key(name))) {
            Ok(meta) => {
                self.require_honest()?;
                Ok(Some(meta))
            }
            Err(error) if is_missing(&error) => {
                // Only an object store can be trusted when it says that an object does not exist.
                self.require_store()?;
                Ok(None)
            }
            Err(error) => Err(self.with_its_reason(error)),
        }
    }

    /// Finds the reason of a refusal without one: the refusal of a listing contains it.
    pub(super) fn with_its_reason(&self, error: anyhow::Error) -> anyhow::Error {
        if !error.downcast_ref().is_some_and(is_silent) {
            return error;
        }
        match self.page(Depth::Here, None, Some(1)) {
            Err(reason) if reason.downcast_ref::<Error>().is_some() => reason,
            Err(reason) if matches!(Failure::of(&reason).kind, Kind::Interrupted(_)) => reason,
            _ => error,
        }
    }

    /// Fails if the server is not an object store or would refuse everything: it is better to know before anything is
    /// sent. That a key may not list is not a reason to fail.
    pub(super) fn require_store(&self) -> Result<()> {
        if self.has_listed.load(Ordering::Relaxed) {
            return Ok(());
        }
        match self.page(Depth::Here, None, Some(1)) {
            Err(error) if error.downcast_ref().is_none_or(is_hopeless) => {
                let doing = format!("cannot list {}", self.shown);
                Err(self.explained(&doing, error))
            }
            Err(error) if error.downcast_ref().is_some_and(is_refused) => {
                // It would say the same again.
                self.has_listed.store(true, Ordering::Relaxed);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Fails if the store says that everything exists, even a name that no object has.
    fn require_honest(&self) -> Result<()> {
        if self.is_honest.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.require_store()?;
        let nothing = self.key(NOTHING);
        if self.network.wait(self.client.head(&nothing)).is_ok() {
            let doing = format!("cannot look into {}", self.shown);
            return Err(foreign(&doing, "a yes to a name that nothing has").into());
        }
        self.is_honest.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Returns one page of the objects below the prefix; `most` limits its number of objects.
    pub(super) fn page(
        &self,
        depth: Depth,
        token: Option<String>,
        most: Option<usize>,
    ) -> Result<Arc<Page>> {
        let prefix = Some(self.prefix.as_str()).filter(|prefix| !prefix.is_empty());
        let ask = || {
            let options = PaginatedListOptions {
                delimiter: (depth == Depth::Here).then_some(Cow::Borrowed("/")),
                page_token: token.clone(),
                max_keys: most,
                ..PaginatedListOptions::default()
            };
            self.client.list_paginated(prefix, options)
        };
        let found = self.network.wait(fresh(ask))?;
        self.has_listed.store(true, Ordering::Relaxed);
        let page = found.result.extensions.get::<Arc<Page>>().cloned();
        page.context("a listing is looked at before object_store sees it")
    }

    /// Returns the metadata of an object if it exists, or why the store does not tell it.
    pub(super) fn metadata(&self, name: &str) -> Result<Option<ObjectMeta>> {
        let doing = || format!("cannot look at {name} in {}", self.shown);
        self.head(name)
            .map_err(|error| self.explained(&doing(), error))
    }

    /// Fails if a name is not valid, or is taken.
    pub(super) fn require_free(&self, name: &str) -> Result<()> {
        fit(name)?;
        self.require_store()?;
        match self.metadata(name)? {
            None => Ok(()),
            Some(_) => Err(taken(&self.shown, name).into()),
        }
    }

    pub(super) fn remove(&self, name: &str) -> Result<()> {
        let key = self.key(name);
        match self.network.wait(fresh(|| self.client.delete(&key))) {
            Err(error) if !is_missing(&error) => {
                let doing = format!("cannot remove {name} from {}", self.shown);
                Err(self.explained(&doing, error))
            }
            _ => Ok(()),
        }
    }

    /// Removes one of hookshot's own objects; returns true if it is gone. During cleanup no error is reported.
    pub(super) fn clear_away(&self, name: &str) -> bool {
        let removed = self.network.clean(self.client.delete(&self.key(name)));
        removed.is_ok() || removed.is_err_and(|error| is_missing(&error))
    }

    /// Ends an upload in parts; returns true if nothing is left of it.
    pub(super) fn end_parts(&self, name: &str, id: &MultipartId) -> bool {
        let key = self.key(name);
        let ended = self.network.clean(self.client.abort_multipart(&key, id));
        ended.is_ok() || ended.is_err_and(|error| is_missing(&error))
    }

    pub(super) fn put_marker(&self, name: &str, marker: &Marker) -> Result<()> {
        let bytes = serde_json::to_vec(marker)?;
        let bytes = PutPayload::from(bytes);
        let key = self.key(name);
        let put = || {
            let options = PutOptions::from(PutMode::Overwrite);
            self.client.put_opts(&key, bytes.clone(), options)
        };
        self.again(put)?;
        Ok(())
    }

    /// Retries a repeatable request if no answer came, or if the store was busy with the same name. object_store itself
    /// does not retry requests that create something.
    pub(super) fn again<T, W: Future<Output = Result<T, Error>>>(
        &self,
        work: impl Fn() -> W,
    ) -> Result<T> {
        let mut attempts = 0;
        loop {
            match self.network.wait(fresh(&work)) {
                Err(error)
                    if attempts < self.transfer.retry_attempts
                        && error
                            .downcast_ref()
                            .is_some_and(|said| is_lost(said) || is_conflict(said)) =>
                {
                    self.network.pause(attempts)?;
                    attempts += 1;
                }
                result => return result,
            }
        }
    }
}

/// Retries once, with a new signature, if the first one was too old when it arrived: the part was slow, or the machine
/// busy.
pub(super) async fn fresh<T, W: Future<Output = Result<T, Error>>>(
    work: impl Fn() -> W,
) -> Result<T, Error> {
    match work().await {
        Err(error) if is_stale(&error) => work().await,
        result => result,
    }
}

pub(super) fn is_missing(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Error::NotFound { .. }))
}

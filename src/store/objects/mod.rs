//! Archives in object stores: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage.
//!
//! The only module that knows object_store. Requests are retried with backoff where that makes sense (429, 5xx, broken
//! connections, time-outs), and never where it does not (403, 404).

mod build;
mod explain;
mod once;
mod parts;
mod reading;
mod upload;

use std::{borrow::Cow, future::Future, sync::Arc};

use anyhow::Result;
use object_store::{
    Error, MultipartId, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
    list::{PaginatedListOptions, PaginatedListStore},
    multipart::MultipartStore,
    path::Path,
};

use self::{
    explain::{explain, is_lost, is_refused},
    reading::Object,
    upload::ObjectUpload,
};
pub use super::network::Check;
use super::{
    Address, Environment, Maker, OWN, Options, Store, Stored, Upload,
    address::Service,
    fit,
    marker::{Marker, UPLOAD, is_alive},
    missing,
    network::Network,
    options::MIN_CHUNK_BYTES,
    plain, taken,
};
use crate::{
    archive::ReadAt,
    error::{Failure, Kind},
};

/// The most that is read of a marker.
const MAX_MARKER_BYTES: u64 = 64 << 10;

/// A client that can do all of it: object_store keeps them apart.
trait Client: ObjectStore + MultipartStore + PaginatedListStore {}
impl<T: ObjectStore + MultipartStore + PaginatedListStore> Client for T {}

/// A bucket, or the part of it below a prefix.
pub struct Objects {
    inner: Arc<Inner>,
}

struct Inner {
    client: Arc<dyn Client>,
    network: Network,
    service: Service,
    shown: String,
    /// What keys start with: empty, or with a slash at its end.
    prefix: String,
    options: Options,
}

impl Objects {
    /// Opens a bucket; nothing is asked of it yet.
    pub fn open(
        address: &Address,
        options: &Options,
        environment: &Environment,
        check: Check,
    ) -> Result<Objects> {
        let (client, service, prefix) = build::client(address, options, environment)?;
        // Other characters would stand encoded in the keys, and other programs would not find them.
        if Path::from(prefix.as_str()).as_ref() != prefix {
            let message = format!("{prefix:?} cannot be what keys start with");
            return Err(Failure::new(Kind::Usage, message)
                .hint("use letters, digits, `.`, `_`, `-` and single slashes")
                .into());
        }
        Ok(Objects {
            inner: Arc::new(Inner {
                client,
                network: Network::new(check)?,
                service,
                shown: address.to_string(),
                prefix: if prefix.is_empty() {
                    prefix
                } else {
                    format!("{prefix}/")
                },
                options: options.clone(),
            }),
        })
    }
}

impl Inner {
    fn key(&self, name: &str) -> Path {
        Path::from(format!("{}{name}", self.prefix))
    }

    fn name<'a>(&self, key: &'a Path) -> Option<&'a str> {
        let name = key.as_ref().strip_prefix(&self.prefix)?;
        (!name.is_empty() && !name.contains('/')).then_some(name)
    }

    /// Waits for `work`; what the store says against it is a few words behind `doing`.
    fn ask<T>(&self, doing: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T> {
        let result = self.network.wait(work);
        result.map_err(|error| self.explained(doing, error))
    }

    /// An interruption stays what it is.
    fn explained(&self, doing: &str, error: anyhow::Error) -> anyhow::Error {
        match error.downcast_ref() {
            Some(error) => explain(error, doing, self.options.timeout).into(),
            None => error,
        }
    }

    /// What is there under a name, as the store says it, or its error.
    fn head(&self, name: &str) -> Result<Option<ObjectMeta>> {
        match self.network.wait(self.client.head(&self.key(name))) {
            Ok(meta) => Ok(Some(meta)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn look(&self, name: &str) -> Result<Option<ObjectMeta>> {
        let doing = || format!("cannot look at {name} in {}", self.shown);
        self.head(name)
            .map_err(|error| self.explained(&doing(), error))
    }

    /// Fails where a name does not fit, or is taken.
    fn require_free(&self, name: &str) -> Result<()> {
        fit(name)?;
        match self.look(name)? {
            None => Ok(()),
            Some(_) => Err(taken(&self.shown, name).into()),
        }
    }

    fn remove(&self, name: &str) -> Result<()> {
        match self.network.wait(self.client.delete(&self.key(name))) {
            Err(error) if !is_missing(&error) => {
                let doing = format!("cannot remove {name} from {}", self.shown);
                Err(self.explained(&doing, error))
            }
            _ => Ok(()),
        }
    }

    /// Removes what is hookshot's own, and says whether it is gone; while cleaning up nobody listens.
    fn clear_away(&self, name: &str) -> bool {
        let removed = self.network.clean(self.client.delete(&self.key(name)));
        removed.is_ok() || removed.is_err_and(|error| is_missing(&error))
    }

    /// Ends an upload in parts, and says whether nothing is left of it.
    fn end_parts(&self, name: &str, id: &MultipartId) -> bool {
        let key = self.key(name);
        let ended = self.network.clean(self.client.abort_multipart(&key, id));
        ended.is_ok() || ended.is_err_and(|error| is_missing(&error))
    }

    fn put_marker(&self, name: &str, marker: &Marker) -> Result<()> {
        let bytes = serde_json::to_vec(marker)?;
        let options = PutOptions::from(PutMode::Overwrite);
        let key = self.key(name);
        self.network
            .wait(self.client.put_opts(&key, bytes.into(), options))?;
        Ok(())
    }

    /// Does what may be done twice again where no answer came: object_store itself does not do that with requests that
    /// make something.
    fn again<T, W: Future<Output = Result<T, Error>>>(&self, work: impl Fn() -> W) -> Result<T> {
        let mut attempts = 0;
        loop {
            match self.network.wait(work()) {
                Err(error)
                    if attempts < self.options.retry_attempts
                        && error.downcast_ref().is_some_and(is_lost) =>
                {
                    self.network.pause(attempts)?;
                    attempts += 1;
                }
                result => return result,
            }
        }
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Error::NotFound { .. }))
}

impl Store for Objects {
    fn shown(&self) -> String {
        self.inner.shown.clone()
    }

    fn list(&self, take: &mut dyn FnMut(Stored) -> Result<()>) -> Result<()> {
        self.each(|stored| {
            if stored.name.starts_with(OWN) {
                Ok(())
            } else {
                take(stored)
            }
        })
    }

    fn find(&self, name: &str) -> Result<Option<Stored>> {
        plain(name)?;
        let found = self.inner.look(name)?;
        Ok(found.and_then(|meta| stored(&self.inner, &meta)))
    }

    fn open(&self, name: &str) -> Result<Box<dyn ReadAt + Send + Sync>> {
        plain(name)?;
        let meta = self.inner.look(name)?;
        let meta = meta.ok_or_else(|| missing(&self.inner.shown, name))?;
        Ok(Box::new(Object {
            inner: self.inner.clone(),
            if_match: meta.e_tag.clone(),
            meta,
        }))
    }

    fn create(&self, name: &str, most_bytes: u64, maker: &Maker) -> Result<Box<dyn Upload>> {
        self.inner.require_free(name)?;
        let upload = ObjectUpload::new(self.inner.clone(), name, most_bytes, maker);
        Ok(Box::new(upload))
    }

    fn part_bytes(&self) -> Option<usize> {
        Some(MIN_CHUNK_BYTES)
    }

    fn create_in_parts(&self, name: &str, maker: &Maker) -> Result<Box<dyn Upload>> {
        self.inner.require_free(name)?;
        let upload = ObjectUpload::in_smallest_parts(self.inner.clone(), name, maker);
        Ok(Box::new(upload))
    }

    fn remove(&self, name: &str) -> Result<()> {
        plain(name)?;
        self.inner.remove(name)
    }

    fn sweep(&self, maker: &Maker) -> Result<Vec<String>> {
        let mut markers = Vec::new();
        self.each(|stored| {
            if stored.name.starts_with(UPLOAD) && stored.size_bytes <= MAX_MARKER_BYTES {
                markers.push(stored.name);
            }
            Ok(())
        })?;
        let (mut swept, mut failed) = (Vec::new(), None);
        for name in markers {
            match self.sweep_one(&name, maker) {
                Ok(archive) => swept.extend(archive),
                // One that cannot be swept keeps nobody from the others.
                Err(error) if Failure::of(&error).kind == Kind::Failed => {
                    failed.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        failed.map_or(Ok(swept), Err)
    }
}

impl Objects {
    /// Everything right below the prefix.
    fn each(&self, mut take: impl FnMut(Stored) -> Result<()>) -> Result<()> {
        let inner = &self.inner;
        let prefix = Some(inner.prefix.as_str()).filter(|prefix| !prefix.is_empty());
        let mut page_token = None;
        loop {
            let options = PaginatedListOptions {
                delimiter: Some(Cow::Borrowed("/")),
                page_token,
                ..PaginatedListOptions::default()
            };
            let doing = format!("cannot list {}", inner.shown);
            let page = inner.ask(&doing, inner.client.list_paginated(prefix, options))?;
            let found = page.result.objects.iter();
            for stored in found.filter_map(|meta| stored(inner, meta)) {
                take(stored)?;
            }
            page_token = page.page_token;
            if page_token.is_none() {
                return Ok(());
            }
        }
    }

    /// Removes what a marker speaks of, and the marker, where its maker is gone; returns the name of the archive.
    fn sweep_one(&self, name: &str, maker: &Maker) -> Result<Option<String>> {
        let Some(marker) = self.marker(name)? else {
            return Ok(None);
        };
        if !marker.maker.is_gone(maker, is_alive) || !super::is_name(&marker.name) {
            return Ok(None);
        }
        self.end(&marker)?;
        self.inner.remove(name)?;
        Ok(Some(marker.name))
    }

    /// Reads a marker; what is none is left alone.
    fn marker(&self, name: &str) -> Result<Option<Marker>> {
        let key = self.inner.key(name);
        let read = async { self.inner.client.get(&key).await?.bytes().await };
        match self.inner.network.wait(read) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => {
                let doing = format!("cannot read {name} in {}", self.inner.shown);
                Err(self.inner.explained(&doing, error))
            }
        }
    }

    /// Ends the upload that a marker speaks of. One that was completed has no parts any more: then the archive is whole.
    fn end(&self, marker: &Marker) -> Result<()> {
        let inner = &self.inner;
        let key = inner.key(&marker.name);
        let ended = inner.client.abort_multipart(&key, &marker.upload);
        let error = match inner.network.wait(ended) {
            Err(error) if !is_missing(&error) => error,
            _ => return Ok(()),
        };
        // There are stores that refuse to end what has ended.
        if error.downcast_ref().is_some_and(is_refused) && inner.look(&marker.name)?.is_some() {
            return Ok(());
        }
        let (name, place) = (&marker.name, &inner.shown);
        let doing = format!("cannot end the unfinished upload of {name} to {place}");
        Err(inner.explained(&doing, error))
    }
}

fn stored(inner: &Inner, meta: &ObjectMeta) -> Option<Stored> {
    Some(Stored {
        name: inner.name(&meta.location)?.to_owned(),
        size_bytes: meta.size,
        modified: Some(meta.last_modified),
    })
}

//! Archives in object stores: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage.
//!
//! The only module that knows object_store. Requests are retried with backoff if that makes sense (429, 5xx, broken
//! connections, time-outs), and never if it does not (403, 404, 501). Answers that are not of the protocol are refused
//! (`answers`, `listing`).

mod answers;
mod azure;
mod bucket;
mod client;
mod codes;
mod connection;
mod endpoint;
mod explain;
mod fault;
mod forms;
mod gcs;
mod judge;
mod keys;
mod listing;
mod once;
mod parts;
mod patience;
mod provider;
mod reading;
mod s3;
mod signature;
mod single_delete;
mod text;
mod tls;
mod upload;
mod uploads;
mod variables;

use std::{
    collections::{BTreeSet, HashSet},
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Result;
use chrono::DateTime;
use object_store::{ObjectMeta, ObjectStoreExt as _, path::Path};

pub use self::client::look_over;
use self::{
    bucket::{BucketClient, Depth, is_missing},
    client::{Opened, client},
    explain::foreign,
    judge::is_refused,
    provider::ObjectProvider,
    reading::OpenObject,
    upload::ObjectUpload,
};
use super::{
    address::BucketAddress,
    contract::{Sent, Store, Stored, Upload, length_of},
    environment::Environment,
    failures::missing,
    listed::{MOST_FOLDERS, require_end},
    marker::{Maker, Marker, UPLOAD},
    names::{OWN, fit, is_name, plain},
    network::Network,
    options::{MIN_CHUNK_BYTES, StopCheck, Transfer},
};
use crate::{
    error::{Failure, Kind},
    model::archive_name::Ending,
    work::ReadAt,
};

/// The largest marker that is read, in bytes.
const MAX_MARKER_BYTES: u64 = 64 << 10;

/// The most empty pages in a row that a listing may have.
const MOST_EMPTY_PAGES: usize = 10_000;

/// A bucket, or the part of it below a prefix.
pub struct Objects {
    inner: Arc<BucketClient>,
    /// The folders that the last listing found.
    folders: Mutex<BTreeSet<String>>,
}

impl Objects {
    /// Opens a bucket; sends no request yet.
    pub fn open<P: ObjectProvider>(
        address: &BucketAddress,
        own: &P,
        transfer: &Transfer,
        environment: &Environment,
        check: StopCheck,
    ) -> Result<Objects> {
        let opened = client(address, own, transfer, environment)?;
        let prefix = opened.prefix.as_str();
        // Other characters would be encoded in the keys, and other programs would not find them.
        if Path::from(prefix).as_ref() != prefix {
            let message = format!("{prefix:?} cannot be what keys start with");
            return Err(Failure::new(Kind::Usage, message)
                .hint("use letters, digits, `.`, `_`, `-` and single slashes")
                .into());
        }
        Objects::of(opened, address, transfer, check)
    }

    fn of(
        opened: Opened,
        address: &BucketAddress,
        transfer: &Transfer,
        check: StopCheck,
    ) -> Result<Objects> {
        let mut prefix = opened.prefix;
        if !prefix.is_empty() {
            prefix.push('/');
        }
        Ok(Objects {
            inner: Arc::new(BucketClient {
                client: opened.client,
                network: Arc::new(Network::new(check)?),
                provider: opened.kind,
                shown: address.to_string(),
                prefix,
                changes: opened.changes,
                transfer: transfer.clone(),
                has_listed: Arc::default(),
                is_honest: Arc::default(),
                knows_conditions: Arc::new(AtomicBool::new(opened.uploads.conditional_writes)),
                uploads: opened.uploads,
            }),
            folders: Mutex::default(),
        })
    }
}

impl Store for Objects {
    fn shown(&self) -> String {
        self.inner.shown.clone()
    }

    fn list(&self, take: &mut dyn FnMut(Stored) -> Result<()>) -> Result<()> {
        self.each(Depth::Here, |stored| {
            if stored.name.starts_with(OWN) {
                Ok(())
            } else {
                take(stored)
            }
        })
    }

    fn list_below(&self, take: &mut dyn FnMut(Stored) -> Result<()>) -> Result<bool> {
        self.each(Depth::Below, |stored| {
            let name = stored.name.rsplit('/').next();
            match name.is_some_and(|name| name.starts_with(OWN)) {
                true => Ok(()),
                false => take(stored),
            }
        })?;
        Ok(true)
    }

    fn folders(&self) -> Vec<String> {
        let folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        folders.iter().cloned().collect()
    }

    fn find(&self, name: &str) -> Result<Option<Stored>> {
        plain(name)?;
        let found = self.inner.metadata(name)?;
        Ok(found.map(|meta| Stored {
            name: name.to_owned(),
            size_bytes: meta.size,
            modified: Some(meta.last_modified),
            etag: tag(name, meta.e_tag.as_deref()),
        }))
    }

    fn open(&self, name: &str) -> Result<Box<dyn ReadAt + Send + Sync>> {
        plain(name)?;
        let meta = self.inner.metadata(name)?;
        let meta = meta.ok_or_else(|| missing(&self.inner.shown, name))?;
        Ok(Box::new(OpenObject {
            inner: self.inner.clone(),
            // A weak tag, which proxies make, never matches (RFC 9110, 8.8.3.2).
            if_match: meta.e_tag.clone().filter(|tag| !tag.starts_with("W/")),
            meta,
            is_unseen: false,
        }))
    }

    fn read(&self, name: &str, most_bytes: u64) -> Result<Vec<u8>> {
        plain(name)?;
        let content = self.inner.content(name, most_bytes)?;
        content.ok_or_else(|| missing(&self.inner.shown, name).into())
    }

    fn create(&self, name: &str, most_bytes: u64, maker: &Maker) -> Result<Box<dyn Upload>> {
        self.inner.require_free(name)?;
        let upload = ObjectUpload::new(self.inner.clone(), name, most_bytes, maker);
        Ok(Box::new(upload))
    }

    fn send(&self, name: &str, content: &[&[u8]], maker: &Maker) -> Result<Sent> {
        fit(name)?;
        self.inner.require_store()?;
        let most_bytes = length_of(content);
        let upload = ObjectUpload::new(self.inner.clone(), name, most_bytes, maker);
        upload.send_all(content)
    }

    fn open_known(&self, name: &str, size_bytes: u64) -> Result<Box<dyn ReadAt + Send + Sync>> {
        plain(name)?;
        Ok(Box::new(OpenObject {
            meta: ObjectMeta {
                location: self.inner.key(name),
                last_modified: DateTime::UNIX_EPOCH,
                size: size_bytes,
                e_tag: None,
                version: None,
            },
            inner: self.inner.clone(),
            if_match: None,
            is_unseen: true,
        }))
    }

    fn knows_conditions(&self) -> bool {
        self.inner.knows_conditions.load(Ordering::Relaxed)
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

    fn clear_away(&self, name: &str) -> Result<()> {
        plain(name)?;
        match self.inner.clear_away(name) {
            true => Ok(()),
            false => self.inner.remove(name),
        }
    }

    fn sweep(&self, maker: &Maker) -> Result<Vec<String>> {
        let mut markers = Vec::new();
        self.each(Depth::Here, |stored| {
            if stored.name.starts_with(UPLOAD) && stored.size_bytes <= MAX_MARKER_BYTES {
                markers.push(stored.name);
            }
            Ok(())
        })?;
        let (mut swept, mut failed) = (Vec::new(), None);
        for name in markers {
            match self.sweep_marker(&name, maker) {
                Ok(archive) => swept.extend(archive),
                // One that cannot be removed must not block the others.
                Err(error) if Failure::of(&error).kind.is_failed() => {
                    failed.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        failed.map_or(Ok(swept), Err)
    }

    fn below(&self, name: &str) -> Result<Box<dyn Store>> {
        fit(name)?;
        Ok(Box::new(Objects {
            inner: Arc::new(self.inner.below(name)),
            folders: Mutex::default(),
        }))
    }
}

/// Returns the tag of a sealed archive. Weak tags, which proxies make, tell nothing about the bytes.
fn tag(name: &str, written: Option<&str>) -> Option<Box<str>> {
    let written = written.filter(|_| Ending::of_file(name) == Some(Ending::Sealed))?;
    let tag = written.trim().trim_matches('"');
    (!tag.is_empty() && !tag.starts_with("W/")).then(|| tag.into())
}

impl Objects {
    /// Passes on every object directly below the prefix. A listing that repeats itself or never ends is an error; a
    /// long one ends if the process must stop.
    fn each(&self, depth: Depth, mut take: impl FnMut(Stored) -> Result<()>) -> Result<()> {
        let inner = &self.inner;
        let doing = format!("cannot list {}", inner.shown);
        let hashes = RandomState::new();
        let (mut tokens, mut pages) = (HashSet::new(), HashSet::new());
        let (mut empty, mut token) = (0, None);
        let (mut folders, mut count) = (BTreeSet::new(), 0);
        loop {
            (inner.network.check())()?;
            let page = inner.page(depth, token, None);
            let page = page.map_err(|error| inner.explained(&doing, error))?;
            count += page.objects.len() + page.folders.len();
            require_end(count, &doing, "`endpoint`")?;
            for object in &page.objects {
                if let Some(name) = inner.name(depth, &object.key) {
                    take(Stored {
                        name: name.to_owned(),
                        size_bytes: object.size_bytes,
                        modified: object.modified,
                        etag: tag(name, object.etag.as_deref()),
                    })?;
                }
            }
            for folder in &page.folders {
                let name = folder.strip_prefix(&inner.prefix);
                let name = name.and_then(|name| name.strip_suffix('/'));
                if let Some(name) = name.filter(|name| !name.is_empty())
                    && folders.len() < MOST_FOLDERS
                {
                    folders.insert(name.to_owned());
                }
            }
            let Some(next) = &page.next else {
                let known = self.folders.lock();
                *known.unwrap_or_else(PoisonError::into_inner) = folders;
                return Ok(());
            };
            let content = (&page.objects, &page.folders);
            let is_empty = page.objects.is_empty() && page.folders.is_empty();
            empty = if is_empty { empty + 1 } else { 0 };
            let is_new = tokens.insert(hashes.hash_one(next))
                && (is_empty || pages.insert(hashes.hash_one(content)));
            if !is_new || empty > MOST_EMPTY_PAGES {
                let what = "a listing that goes round in circles";
                return Err(foreign(&doing, what).into());
            }
            token = Some(next.clone());
        }
    }

    /// Removes the upload of a marker, and the marker itself, if its maker is gone. Returns the name of the archive.
    fn sweep_marker(&self, name: &str, maker: &Maker) -> Result<Option<String>> {
        let Some(marker) = self.marker(name)? else {
            return Ok(None);
        };
        if !marker.maker.is_gone(maker) || !is_name(&marker.name) {
            return Ok(None);
        }
        self.end(&marker)?;
        self.inner.remove(name)?;
        Ok(Some(marker.name))
    }

    /// Reads a marker; a file that is not one is left alone.
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

    /// Ends the upload of a marker. A completed upload has no parts any more: then the archive is whole.
    fn end(&self, marker: &Marker) -> Result<()> {
        let inner = &self.inner;
        let key = inner.key(&marker.name);
        let ended = inner.client.abort_multipart(&key, &marker.upload);
        let error = match inner.network.wait(ended) {
            Err(error) if !is_missing(&error) => error,
            _ => return Ok(()),
        };
        // Some stores refuse to end an upload that has ended.
        if error.downcast_ref().is_some_and(is_refused) && inner.metadata(&marker.name)?.is_some() {
            return Ok(());
        }
        let (name, place) = (&marker.name, &inner.shown);
        let doing = format!("cannot end the unfinished upload of {name} to {place}");
        Err(inner.explained(&doing, error))
    }
}

#[cfg(test)]
mod tests;

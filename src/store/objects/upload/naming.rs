//! The end of an upload: the object gets its name, which must be free, and the store proves that it holds it.

use std::sync::{Arc, atomic::Ordering};

use anyhow::{Context as _, Result};
use md5::{Digest as _, Md5};
use object_store::{Error, ObjectMeta, PutMode, PutOptions, PutPayload, multipart::PartId};

use super::{Named, ObjectUpload};
use crate::{
    model::digest::Digest,
    store::{
        contract::Proof,
        failures::taken,
        objects::{
            bucket::fresh,
            judge::{is_conflict, is_lost, is_refused, is_unknown},
            reading::OpenObject,
        },
        proof::{is_same, unproven},
    },
};

impl ObjectUpload {
    /// Uploads a small object under its name; returns its MD5 sum.
    pub(super) fn put(&mut self, digest: &Digest) -> Result<String> {
        self.pace
            .wait(self.chunk.len(), self.inner.network.check())?;
        let payload = PutPayload::from(std::mem::take(&mut self.chunk));
        self.sent = payload.content_length() as u64;
        let checksum = payload
            .iter()
            .fold(Md5::new(), |md5, piece| md5.chain_update(piece));
        let checksum = hex::encode(checksum.finalize());
        let before = self.inner.changes.count();
        let mut attempts = 0;
        let mut is_conditional = self.inner.knows_conditions.load(Ordering::Relaxed);
        loop {
            if !is_conditional && attempts == 0 && self.inner.head(&self.name)?.is_some() {
                return Err(taken(&self.inner.shown, &self.name).into());
            }
            let put = || {
                let uploads = &self.inner.uploads;
                let options = PutOptions {
                    mode: match is_conditional {
                        true => PutMode::Create,
                        false => PutMode::Overwrite,
                    },
                    attributes: uploads.attributes_of(&self.name),
                    tags: uploads.tags.clone(),
                    ..PutOptions::default()
                };
                self.inner
                    .client
                    .put_opts(&self.key, payload.clone(), options)
            };
            let result = self.inner.network.wait(fresh(put));
            self.named = Named::Perhaps;
            let error = match result {
                Ok(answer) => {
                    let tag = answer.e_tag.as_deref();
                    self.acknowledged = tag.map(|tag| tag.trim_matches('"').to_owned());
                    break;
                }
                Err(error) => error,
            };
            let Some(said) = error.downcast_ref::<Error>() else {
                return Err(error);
            };
            if is_taken(said) {
                self.named = Named::No;
                let found = self.inner.head(&self.name)?;
                if found.is_none() && is_conflict(said) && self.may_try(attempts)? {
                    attempts += 1;
                    continue;
                }
                if found.is_none() && matches!(said, Error::AlreadyExists { .. }) {
                    // The store reports a conflict, but not about this name.
                    return Err(error);
                }
                // An earlier attempt may have succeeded without an answer.
                if self.may_be_ours(before) && self.is_ours(&checksum, digest)? {
                    break;
                }
                return Err(taken(&self.inner.shown, &self.name).into());
            }
            if is_unknown(said) && is_conditional {
                // The store knows no conditions, so check the name instead.
                self.named = Named::No;
                (is_conditional, attempts) = (false, 0);
                continue;
            }
            if is_refused(said) {
                if attempts == 0 {
                    self.named = Named::No;
                }
                return Err(error);
            }
            if !is_lost(said) || !self.may_try(attempts)? {
                return Err(error);
            }
            attempts += 1;
        }
        if !is_conditional {
            let known = &self.inner.knows_conditions;
            known.store(false, Ordering::Relaxed);
        }
        self.named = Named::Yes;
        Ok(checksum)
    }

    /// Waits before another attempt; returns false if `attempts` has reached the limit.
    fn may_try(&self, attempts: u32) -> Result<bool> {
        let may = attempts < self.inner.transfer.retry_attempts;
        if may {
            self.inner.network.pause(attempts)?;
        }
        Ok(may)
    }

    /// Returns true if an attempt since `before` may have succeeded. Otherwise a taken name is another upload's, even
    /// if it holds the same bytes.
    fn may_be_ours(&self, before: u64) -> bool {
        self.inner.changes.count() != before
    }

    /// Returns true if the object of this name is the one that was sent.
    fn is_ours(&self, checksum: &str, digest: &Digest) -> Result<bool> {
        match self.inner.head(&self.name)? {
            Some(meta) if meta.size == self.sent => {
                Ok(tells(&meta, checksum) || self.reads_back(meta, digest)?)
            }
            _ => Ok(false),
        }
    }

    /// Makes one object of the parts; returns the ETag that S3 gives it.
    pub(super) fn complete(&mut self, digest: &Digest) -> Result<String> {
        if !self.chunk.is_empty() {
            self.send()?;
        }
        let parts = self.parts.as_mut().context("an upload in parts")?;
        parts.settle(&self.inner, 0)?;
        // Checked right before the end, because the last parts may have taken minutes.
        if self.inner.head(&self.name)?.is_some() {
            return Err(taken(&self.inner.shown, &self.name).into());
        }
        let done: Option<Vec<PartId>> = parts.done.drain(..).collect();
        let done = done.context("a part was not sent")?;
        let checksum = Md5::digest(parts.digests.concat());
        let checksum = format!("{}-{}", hex::encode(checksum), done.len());
        self.named = Named::Perhaps;
        let id = parts.id.clone();
        let before = self.inner.changes.count();
        let mut attempts = 0;
        loop {
            let complete = || {
                let client = &self.inner.client;
                client.complete_multipart(&self.key, &id, done.clone())
            };
            let Err(error) = self.inner.network.wait(fresh(complete)) else {
                break;
            };
            let Some(said) = error.downcast_ref::<Error>() else {
                return Err(error);
            };
            let found = self.inner.head(&self.name)?;
            if found.is_none() && is_conflict(said) && self.may_try(attempts)? {
                attempts += 1;
                continue;
            }
            if is_taken(said) && (found.is_some() || !is_conflict(said)) {
                // Another upload has the name, unless an earlier attempt succeeded without an answer.
                self.named = Named::No;
                if !self.may_be_ours(before) || !self.is_ours(&checksum, digest)? {
                    return Err(taken(&self.inner.shown, &self.name).into());
                }
                break;
            }
            // The answer may be lost. A second attempt then finds no upload, or is refused.
            if found.is_none_or(|meta| meta.size != self.sent) {
                return Err(error);
            }
            break;
        }
        self.named = Named::Yes;
        Ok(checksum)
    }

    /// Asks the store for the object, and verifies it.
    pub(super) fn prove(&self, checksum: &str, digest: &Digest) -> Result<Proof> {
        let refuse = |why: &str| unproven(&self.inner.shown, &self.name, why);
        let meta = self.inner.metadata(&self.name)?;
        let meta = meta.ok_or_else(|| refuse("it is not there"))?;
        if meta.size != self.sent {
            let why = format!("it has {} bytes of {}", meta.size, self.sent);
            return Err(refuse(&why).into());
        }
        // For encrypted objects, and on Azure, the tag is not an MD5 sum, and proves nothing.
        if tells(&meta, checksum) && !self.reads_all_back() {
            return Ok(Proof::Checksum);
        }
        if self.reads_back(meta, digest)? {
            return Ok(Proof::ReadBack);
        }
        Err(refuse("what was read back is not what was sent").into())
    }

    /// Returns true if the object is read back even if the store tells a checksum.
    pub(super) fn reads_all_back(&self) -> bool {
        self.inner.transfer.read_back || self.inner.uploads.read_back
    }

    fn reads_back(&self, meta: ObjectMeta, digest: &Digest) -> Result<bool> {
        let object = OpenObject {
            inner: self.inner.clone(),
            meta,
            // The digest reveals a replacement; a wrong tag must not prevent the read.
            if_match: None,
            is_unseen: false,
        };
        is_same(Arc::new(object), digest)
    }
}

/// Returns true if the store says that the name is taken.
fn is_taken(error: &Error) -> bool {
    matches!(
        error,
        Error::AlreadyExists { .. } | Error::Precondition { .. }
    )
}

/// Returns true if the store's tag is this MD5 sum.
fn tells(meta: &ObjectMeta, checksum: &str) -> bool {
    let told = meta.e_tag.as_deref().map(|tag| tag.trim_matches('"'));
    told == Some(checksum)
}

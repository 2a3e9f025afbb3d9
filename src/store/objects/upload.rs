//! The upload of one object: in one request if it is small, else in parts, several of them at the same time.
//!
//! Memory: `parallel_uploads` + 1 parts. Until the last part arrived and the upload is completed, no store shows an
//! object under the name. A marker beside the archives keeps the upload's id from before the first part until the
//! object is proven. With it, a later run can remove the leftovers of a kill.
//!
//! Not promised: that two uploads to one name at the same moment are told apart if they go in parts and the store is
//! not S3, or does not know its condition ([`once`](super::once)); then hookshot only checks the name right before it
//! completes an upload. Nor that Azure frees the blocks of an upload that ended early before the week after which it
//! does so itself. Nor that nothing remains of a kill between the start of an upload and its marker: it has no part
//! yet, and stores show it only in a list of uploads.

use std::{
    io::{self, Write},
    sync::{Arc, atomic::Ordering},
};

use anyhow::{Context as _, Result};
use md5::{Digest as _, Md5};
use object_store::{
    Error, ObjectMeta, ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    multipart::PartId, path::Path,
};
use tokio::task::JoinSet;

use super::{
    bucket::{BucketClient, fresh, is_missing},
    judge::{is_conflict, is_lost, is_refused, is_unknown},
    parts::Parts,
    reading::OpenObject,
    uploads::Uploads,
};
use crate::{
    model::digest::Digest,
    store::{
        contract::{Proof, Upload},
        failures::taken,
        marker::{Maker, Marker, own_name},
        network::Pace,
        options::{MAX_CHUNK_BYTES, MIN_CHUNK_BYTES},
        proof::{io_error, is_same, not_proven, unproven},
    },
};

/// The most parts from which stores make one object (S3: 10,000), less some.
const MAX_PARTS: u64 = 9_000;

/// The upload of one object.
pub struct ObjectUpload {
    inner: Arc<BucketClient>,
    name: String,
    key: Path,
    maker: Maker,
    most_bytes: u64,
    chunk_bytes: usize,
    chunk: Vec<u8>,
    pace: Pace,
    sent: u64,
    parts: Option<Parts>,
    named: Named,
}

/// The state of the object's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// No object of this upload has it.
    No,
    /// The request was sent, and the store has not answered.
    Perhaps,
    /// The store says so.
    Yes,
    /// The object is proven, and stays.
    Proven,
}

/// The result of the removal of an archive that must not stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Withdrawn {
    NotThere,
    Removed,
    /// Unknown.
    Perhaps,
}

impl ObjectUpload {
    pub(super) fn new(
        inner: Arc<BucketClient>,
        name: &str,
        most_bytes: u64,
        maker: &Maker,
    ) -> ObjectUpload {
        let fitting = usize::try_from(most_bytes.div_ceil(MAX_PARTS)).unwrap_or(usize::MAX);
        let chunk_bytes = inner.transfer.chunk_bytes.max(fitting);
        ObjectUpload {
            name: name.to_owned(),
            key: inner.key(name),
            maker: maker.clone(),
            most_bytes,
            chunk_bytes: chunk_bytes.clamp(MIN_CHUNK_BYTES, MAX_CHUNK_BYTES),
            chunk: Vec::new(),
            pace: Pace::new(inner.transfer.bandwidth_limit),
            sent: 0,
            parts: None,
            named: Named::No,
            inner,
        }
    }

    /// Begins an upload that goes in parts as soon as it is larger than one of the smallest size.
    pub(super) fn in_smallest_parts(
        inner: Arc<BucketClient>,
        name: &str,
        maker: &Maker,
    ) -> ObjectUpload {
        let most_bytes = 2 * MIN_CHUNK_BYTES as u64;
        let mut upload = ObjectUpload::new(inner, name, most_bytes, maker);
        upload.chunk_bytes = MIN_CHUNK_BYTES;
        upload
    }

    /// Adds to an error the action that failed, in a few words.
    fn sending<T>(&self, result: Result<T>) -> Result<T> {
        let doing = || format!("cannot send {} to {}", self.name, self.inner.shown);
        result.map_err(|error| self.inner.explained(&doing(), error))
    }

    /// Begins an upload in parts, and writes its marker.
    fn begin(&self) -> Result<Parts> {
        let make = || {
            let Uploads {
                attributes, tags, ..
            } = self.inner.uploads.clone();
            let options = PutMultipartOptions {
                attributes,
                tags,
                ..PutMultipartOptions::default()
            };
            self.inner.client.create_multipart_opts(&self.key, options)
        };
        let id = self.inner.again(make)?;
        let name = own_name(&[&self.maker.run], &self.name);
        let marker = Marker {
            maker: self.maker.clone(),
            name: self.name.clone(),
            upload: id.clone(),
        };
        if let Err(error) = self.inner.put_marker(&name, &marker) {
            // Without a marker no later run would find the upload. The marker may exist in spite of the error.
            if self.inner.end_parts(&self.name, &id) {
                self.inner.clear_away(&name);
            }
            return Err(error);
        }
        Ok(Parts {
            id,
            marker: name,
            at_work: JoinSet::new(),
            done: Vec::new(),
            digests: Vec::new(),
        })
    }

    /// Sends the chunk as the next part, after waiting for a free slot.
    fn send(&mut self) -> Result<()> {
        self.pace
            .wait(self.chunk.len(), self.inner.network.check())?;
        let mut parts = match self.parts.take() {
            Some(parts) => parts,
            None => self.begin()?,
        };
        let room = parts.settle(&self.inner, self.inner.transfer.parallel_uploads.max(1) - 1);
        let parts = self.parts.insert(parts);
        room?;
        let chunk = std::mem::take(&mut self.chunk);
        parts.digests.push(Md5::digest(&chunk).into());
        let number = parts.done.len();
        parts.done.push(None);
        self.sent += chunk.len() as u64;
        let (client, key, id) = (
            self.inner.client.clone(),
            self.key.clone(),
            parts.id.clone(),
        );
        let work = async move {
            let payload = PutPayload::from(chunk);
            let put = || client.put_part(&key, &id, number, payload.clone());
            (number, fresh(put).await)
        };
        parts.at_work.spawn_on(work, self.inner.network.handle());
        Ok(())
    }

    /// Uploads a small object under its name; returns its MD5 sum.
    fn put(&mut self, digest: &Digest) -> Result<String> {
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
                let Uploads {
                    attributes, tags, ..
                } = self.inner.uploads.clone();
                let options = PutOptions {
                    mode: match is_conditional {
                        true => PutMode::Create,
                        false => PutMode::Overwrite,
                    },
                    attributes,
                    tags,
                    ..PutOptions::default()
                };
                self.inner
                    .client
                    .put_opts(&self.key, payload.clone(), options)
            };
            let result = self.inner.network.wait(fresh(put));
            self.named = Named::Perhaps;
            let Err(error) = result else { break };
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
    fn complete(&mut self, digest: &Digest) -> Result<String> {
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
    fn prove(&self, checksum: &str, digest: &Digest) -> Result<Proof> {
        let refuse = |why: &str| unproven(&self.inner.shown, &self.name, why);
        let meta = self.inner.look(&self.name)?;
        let meta = meta.ok_or_else(|| refuse("it is not there"))?;
        if meta.size != self.sent {
            let why = format!("it has {} bytes of {}", meta.size, self.sent);
            return Err(refuse(&why).into());
        }
        // For encrypted objects, and on Azure, the tag is not an MD5 sum, and proves nothing.
        let reads_back = self.inner.transfer.read_back || self.inner.uploads.read_back;
        if tells(&meta, checksum) && !reads_back {
            return Ok(Proof::Checksum);
        }
        if self.reads_back(meta, digest)? {
            return Ok(Proof::ReadBack);
        }
        Err(refuse("what was read back is not what was sent").into())
    }

    fn reads_back(&self, meta: ObjectMeta, digest: &Digest) -> Result<bool> {
        let object = OpenObject {
            inner: self.inner.clone(),
            meta,
            // The digest reveals a replacement; a wrong tag must not prevent the read.
            if_match: None,
        };
        is_same(Arc::new(object), digest)
    }

    /// Removes the named object.
    fn withdraw(&self) -> Withdrawn {
        match self.inner.network.clean(self.inner.client.head(&self.key)) {
            // The name was free just before. So the object is ours if the store said so, or if it has the same length.
            Ok(meta) if self.named == Named::Yes || meta.size == self.sent => {
                match self.inner.clear_away(&self.name) {
                    true => Withdrawn::Removed,
                    false => Withdrawn::Perhaps,
                }
            }
            Ok(_) => Withdrawn::NotThere,
            Err(error) if is_missing(&error) => Withdrawn::NotThere,
            Err(_) => Withdrawn::Perhaps,
        }
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

impl Write for ObjectUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == self.chunk_bytes {
            let sent = self.send();
            self.sending(sent).map_err(io_error)?;
        }
        if self.chunk.capacity() == 0 {
            // Reserves the final size, so that the chunk is never copied to grow; unused bytes take no memory.
            let most = usize::try_from(self.most_bytes).unwrap_or(usize::MAX);
            self.chunk.reserve_exact(most.min(self.chunk_bytes));
        }
        let taken = bytes.len().min(self.chunk_bytes - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for ObjectUpload {
    fn finish(mut self: Box<Self>, digest: &Digest) -> Result<Proof> {
        let checksum = if self.parts.is_some() {
            self.complete(digest)
        } else {
            self.put(digest)
        };
        let checksum = self.sending(checksum)?;
        let proof = self
            .prove(&checksum, digest)
            .map_err(|error| not_proven(&self.inner.shown, &self.name, &error))?;
        self.named = Named::Proven;
        Ok(proof)
    }

    fn abandon(mut self: Box<Self>) -> Result<()> {
        let Some(mut parts) = self.parts.take() else {
            return Ok(());
        };
        let sent = parts.settle(&self.inner, 0);
        // If that fails, the marker stays: a later run removes the parts.
        parts.end_for_good(&self.inner, &self.name)?;
        self.inner.clear_away(&parts.marker);
        self.sending(sent)
    }
}

impl Drop for ObjectUpload {
    fn drop(&mut self) {
        let parts = self.parts.take();
        if self.named == Named::Proven {
            if let Some(parts) = parts {
                self.inner.clear_away(&parts.marker);
            }
            return;
        }
        let parts = parts.map(|mut parts| (parts.end(&self.inner, &self.name), parts.marker));
        // Only now, when no unanswered request can take effect any more.
        let withdrawn = match self.named {
            Named::No => Withdrawn::NotThere,
            _ => self.withdraw(),
        };
        let Some((is_ended, marker)) = parts else {
            return;
        };
        // If that failed, the marker stays: a later run removes the leftovers. A completed archive has no parts left.
        match withdrawn {
            Withdrawn::Removed => drop(self.inner.clear_away(&marker)),
            Withdrawn::NotThere if is_ended => drop(self.inner.clear_away(&marker)),
            Withdrawn::NotThere | Withdrawn::Perhaps => {}
        }
    }
}

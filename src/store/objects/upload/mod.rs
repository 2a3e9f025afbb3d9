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

mod naming;

use std::{
    io::{self, Write},
    sync::Arc,
};

use anyhow::Result;
use md5::{Digest as _, Md5};
use object_store::{ObjectStoreExt as _, PutMultipartOptions, PutPayload, path::Path};
use tokio::task::JoinSet;

use super::{
    bucket::{BucketClient, fresh, is_missing},
    parts::Parts,
    uploads::Uploads,
};
use crate::{
    model::digest::{Digest, Hashing},
    store::{
        contract::{Proof, Sent, Upload},
        marker::{Maker, Marker, own_name},
        network::Pace,
        options::{MAX_CHUNK_BYTES, MIN_CHUNK_BYTES},
        proof::{io_error, not_proven},
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
    /// The checksum in the answer to a request that had all of it.
    acknowledged: Option<String>,
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
            acknowledged: None,
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

    /// Sends all of an object. If it fits into one request, the checksum in the answer is enough; else the object is
    /// proven.
    pub(super) fn send_all(mut self, content: &[&[u8]]) -> Result<Sent> {
        let mut hashing = Hashing::new(io::sink());
        for piece in content {
            hashing.write_all(piece)?;
            self.write_all(piece)?;
        }
        let (digest, _) = hashing.finish();
        if self.parts.is_some() {
            return Box::new(self).finish(&digest).map(Sent::Proven);
        }
        let put = self.put(&digest);
        let checksum = self.sending(put)?;
        let is_told = self.acknowledged.as_deref() == Some(checksum.as_str());
        if is_told && !self.reads_all_back() {
            self.named = Named::Proven;
            return Ok(Sent::Acknowledged);
        }
        self.proven(&checksum, &digest).map(Sent::Proven)
    }

    /// Ends an upload whose object has its name, after the store proved that it holds it.
    fn proven(&mut self, checksum: &str, digest: &Digest) -> Result<Proof> {
        let proof = self
            .prove(checksum, digest)
            .map_err(|error| not_proven(&self.inner.shown, &self.name, &error))?;
        self.named = Named::Proven;
        Ok(proof)
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
        self.proven(&checksum, digest)
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

//! The contract of stores: what every store of archives does, whatever it is made of.

use std::io::Write;

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{failures::too_large, marker::Maker, proof::unproven};
use crate::{
    error::{Failure, Kind},
    model::digest::{Digest, Hashing},
    work::ReadAt,
};

/// One object, as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name, without the address of the store.
    pub name: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The time at which the store says that it was written.
    pub modified: Option<DateTime<Utc>>,
    /// The tag of its content (RFC 9110, 8.8.3) without quotation marks, if it is sealed and the store tells one.
    pub etag: Option<Box<str>>,
}

/// The evidence that a store holds an upload. The names in JSON are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// The store computed a checksum of its own, and it equals that of the upload.
    Checksum,
    /// All of it was read back.
    ReadBack,
}

impl Proof {
    /// Returns its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Proof::Checksum => "checksum",
            Proof::ReadBack => "read-back",
        }
    }
}

/// The end of an upload that was sent at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The store proved that it holds the object.
    Proven(Proof),
    /// The answer of the store has a checksum of its own, and it equals that of the upload. That the object is there has
    /// to be seen: in a listing, or by [`require_arrived`].
    Acknowledged,
}

/// A store of archives. Errors: [`Kind::NotFound`] for a missing object; else the error that the store reports.
pub trait Store: Send + Sync {
    /// Returns its address, for messages; nothing in it is secret.
    fn shown(&self) -> String;

    /// Lists the objects, page by page, in any order. Omits hookshot's own names and objects in folders below.
    fn list(&self, take: &mut dyn FnMut(Stored) -> Result<()>) -> Result<()>;

    /// Returns the names of folders directly below, as far as the last [`list`](Store::list) found them. Their content
    /// is not listed.
    fn folders(&self) -> Vec<String> {
        Vec::new()
    }

    /// Lists the objects in all folders below as well, by their paths, if the store can do that in few requests. Returns
    /// false if it cannot; then nothing was listed.
    fn list_below(&self, _take: &mut dyn FnMut(Stored) -> Result<()>) -> Result<bool> {
        Ok(false)
    }

    /// Returns the object of this name, if it exists.
    fn find(&self, name: &str) -> Result<Option<Stored>>;

    /// Opens the object of this name, to read any part of it. A later replacement is never mixed in.
    fn open(&self, name: &str) -> Result<Box<dyn ReadAt + Send + Sync>>;

    /// Reads all of the object of this name, in one request if the store can do that. Fails with [`Kind::Refused`] if it
    /// has more than `most_bytes`.
    fn read(&self, name: &str, most_bytes: u64) -> Result<Vec<u8>> {
        let reading = || format!("cannot read {name} in {}", self.shown());
        let file = self.open(name)?;
        let length = file.length().with_context(reading)?;
        if length > most_bytes {
            return Err(too_large(&self.shown(), name, most_bytes).into());
        }
        let mut bytes = vec![0; usize::try_from(length).with_context(reading)?];
        file.read_exact_at(&mut bytes, 0).with_context(reading)?;
        Ok(bytes)
    }

    /// Begins an upload of at most `most_bytes`. It has no name before [`Upload::finish`]; the name must be free.
    fn create(&self, name: &str, most_bytes: u64, maker: &Maker) -> Result<Box<dyn Upload>>;

    /// Uploads a small object, in one request if the store can do that. The name must be free.
    fn send(&self, name: &str, content: &[&[u8]], maker: &Maker) -> Result<Sent> {
        let mut upload = Hashing::new(self.create(name, length_of(content), maker)?);
        for piece in content {
            upload.write_all(piece)?;
        }
        let (digest, _, upload) = upload.into_parts();
        upload.finish(&digest).map(Sent::Proven)
    }

    /// Opens an object whose content never changes, and whose size is known, without a request if the store can do that.
    /// If it is missing, reading it fails.
    fn open_known(&self, name: &str, _size_bytes: u64) -> Result<Box<dyn ReadAt + Send + Sync>> {
        self.open(name)
    }

    /// Returns true unless the store cannot create a name on the condition that it is free. Without that condition,
    /// hookshot checks the name right before it writes.
    fn knows_conditions(&self) -> bool {
        true
    }

    /// Returns the size of the smallest part in bytes, if large uploads go in parts.
    fn part_bytes(&self) -> Option<usize> {
        None
    }

    /// Begins an upload as [`create`](Store::create) does, in parts of the smallest size if the store has parts.
    fn create_in_parts(&self, name: &str, maker: &Maker) -> Result<Box<dyn Upload>> {
        self.create(name, u64::MAX, maker)
    }

    /// Returns the free space in bytes, if the store tells it.
    fn room(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Removes the object of this name; a missing one is not an error.
    fn remove(&self, name: &str) -> Result<()>;

    /// Removes an object that is of no use once its maker has ended: an interruption does not end this work.
    fn clear_away(&self, name: &str) -> Result<()> {
        self.remove(name)
    }

    /// Removes the leftovers of uploads whose makers are gone, and returns their names.
    fn sweep(&self, maker: &Maker) -> Result<Vec<String>>;

    /// Returns the folder called `name` below it as a store of its own, over the same connection. The first upload to it
    /// creates it.
    fn below(&self, name: &str) -> Result<Box<dyn Store>>;
}

/// An unfinished upload. If it is dropped without [`finish`](Upload::finish), nothing of it stays.
pub trait Upload: Write + Send {
    /// Gives it its name, and returns after the store proved that it holds all written bytes; `digest` is their
    /// SHA-256. After an error no object has the name, unless the store does not let hookshot remove it.
    fn finish(self: Box<Self>, digest: &Digest) -> Result<Proof>;

    /// Gives it up as a drop does; fails if something of it may stay.
    fn abandon(self: Box<Self>) -> Result<()> {
        drop(self);
        Ok(())
    }
}

/// Fails with [`Kind::Unproven`] unless a store shows the object of this name and size.
pub fn require_arrived(store: &dyn Store, name: &str, size_bytes: u64) -> Result<()> {
    let why = match store.find(name)? {
        Some(found) if found.size_bytes == size_bytes => return Ok(()),
        Some(found) => format!("it has {} bytes of {size_bytes}", found.size_bytes),
        None => "it is not there".to_owned(),
    };
    Err(unproven(&store.shown(), name, &why).into())
}

/// Returns the length of pieces in bytes.
pub(super) fn length_of(content: &[&[u8]]) -> u64 {
    content.iter().map(|piece| piece.len() as u64).sum()
}

/// Fails with [`Kind::Space`] if a store tells that it does not have room for `bytes` more.
///
/// Not promised: that the room still exists a moment later.
pub fn require_room(store: &dyn Store, bytes: u64) -> Result<()> {
    match store.room()? {
        Some(free) if free < bytes => {
            let place = store.shown();
            let message = format!(
                "{place} has no room for the archive: {bytes} bytes are needed, {free} are free"
            );
            Err(Failure::new(Kind::Space, message)
                .hint("free some space there, or prune; nothing was sent")
                .into())
        }
        _ => Ok(()),
    }
}

//! The contract of stores: what every store of archives does, whatever it is made of.

use std::io::Write;

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::marker::Maker;
use crate::{
    error::{Failure, Kind},
    model::digest::Digest,
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

    /// Returns the object of this name, if it exists.
    fn find(&self, name: &str) -> Result<Option<Stored>>;

    /// Opens the object of this name, to read any part of it. A later replacement is never mixed in.
    fn open(&self, name: &str) -> Result<Box<dyn ReadAt + Send + Sync>>;

    /// Begins an upload of at most `most_bytes`. It has no name before [`Upload::finish`]; the name must be free.
    fn create(&self, name: &str, most_bytes: u64, maker: &Maker) -> Result<Box<dyn Upload>>;

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

    /// Removes the leftovers of uploads whose makers are gone, and returns their names.
    fn sweep(&self, maker: &Maker) -> Result<Vec<String>>;
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

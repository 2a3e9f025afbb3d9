//! Stores that hold archives: folders, object stores, SSH servers; by name, created once, verified on arrival.
//!
//! A [`Store`] holds archives side by side under plain names. An upload gets its final name only after all of it
//! arrived and is proven. Names that begin with [`OWN`] are hookshot's own: unfinished uploads and their leftovers.

pub mod address;
pub mod folder;
#[cfg(feature = "_network")]
mod listed;
mod marker;
mod misread;
#[cfg(feature = "_network")]
mod network;
#[cfg(feature = "_objects")]
pub mod objects;
pub mod options;
mod pages;
#[cfg_attr(
    not(feature = "_network"),
    expect(dead_code, reason = "folders use one part")
)]
mod proof;
pub mod proxy;
#[cfg(feature = "sftp")]
pub mod sftp;
pub mod shape;

use std::io::Write;

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Serialize;

#[cfg(feature = "_network")]
use self::proof::{io_error, is_same, not_proven};
pub use self::{
    address::Address,
    marker::Maker,
    misread::Word,
    options::{Check, Environment, Options, Secret, SecretName},
    pages::Pages,
};
use self::{address::Service, proof::unproven};
use crate::{
    error::{Failure, Kind},
    model::digest::Digest,
    work::ReadAt,
};

/// The beginning of the names that hookshot makes for itself beside the archives.
pub const OWN: &str = ".hookshot-";

/// Opens the store that `address` names; sends no request to an object store or a server yet. `check` can end a wait
/// for the network. Not for callers inside an async runtime.
pub fn open(
    address: &Address,
    options: &Options,
    environment: &Environment,
    check: Check,
) -> Result<Box<dyn Store>> {
    require_built(address)?;
    Ok(match address {
        Address::Folder(path) => Box::new(folder::Folder::new(path)),
        #[cfg(feature = "_objects")]
        Address::Bucket { .. } => Box::new(objects::Objects::open(
            address,
            options,
            environment,
            check,
        )?),
        #[cfg(feature = "sftp")]
        Address::Sftp { .. } => Box::new(sftp::Sftp::open(
            address,
            options,
            &environment.starter,
            check,
        )?),
        #[cfg(not(all(feature = "_objects", feature = "sftp")))]
        _ => {
            let _ = (options, environment, check);
            anyhow::bail!("{address} is refused above");
        }
    })
}

/// Refuses a store that this program was built without.
fn require_built(address: &Address) -> Result<(), Failure> {
    let (feature, is_built) = match address {
        Address::Folder(_) => return Ok(()),
        Address::Bucket { service, .. } => match service {
            Service::S3 => ("s3", cfg!(feature = "s3")),
            Service::Gcs => ("gcs", cfg!(feature = "gcs")),
            Service::Azure => ("azure", cfg!(feature = "azure")),
        },
        Address::Sftp { .. } => ("sftp", cfg!(feature = "sftp")),
    };
    match is_built {
        true => Ok(()),
        false => Err(Failure::without(
            feature,
            &format!("{address} cannot be used"),
        )),
    }
}

/// Checks all that `options` and `environment` say of a store, as [`open`] does, even if some of it is missing here.
pub fn look_over(address: &Address, options: &Options, environment: &Environment) -> Result<()> {
    require_built(address)?;
    match address {
        #[cfg(feature = "_objects")]
        Address::Bucket { .. } => objects::look_over(address, options, environment),
        _ => {
            let _ = (options, environment);
            Ok(())
        }
    }
}

/// One object, as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name, without the address of the store.
    pub name: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The time at which the store says that it was written.
    pub modified: Option<DateTime<Utc>>,
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
                "there is no room for the archive in {place}: {bytes} bytes are needed, {free} are free"
            );
            Err(Failure::new(Kind::Space, message)
                .hint("free some space there, or prune; nothing was sent")
                .into())
        }
        _ => Ok(()),
    }
}

/// The end of the message of a name that is taken.
const TAKEN: &str = " already; archives are never overwritten";

/// Returns true if a failure says that the name is taken.
pub(crate) fn is_taken(failure: &Failure) -> bool {
    failure.message.ends_with(TAKEN)
}

/// The words of a message about an archive in cold storage.
const FROZEN: &str = "it lies in cold storage, and cannot be read before it is thawed";

/// Returns true if a failure is about an archive in cold storage: it exists, but cannot be read now.
pub(crate) fn is_cold(failure: &Failure) -> bool {
    failure.message.contains(FROZEN)
}

/// Returns the failure of a name that is taken.
pub(crate) fn taken(place: &str, name: &str) -> Failure {
    let message = format!("{place} has {name}{TAKEN}");
    Failure::new(Kind::Failed, message).hint("give the archive another name, or another `prefix`")
}

/// Returns the failure of a missing object.
fn missing(place: &str, name: &str) -> Failure {
    Failure::new(Kind::NotFound, format!("there is no {name} in {place}"))
        .hint("`hookshot list` shows what is there")
}

/// Returns true if a name may be that of an object: one part of a path, in characters that every store takes as they
/// are.
pub fn is_name(name: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+' | b'=');
    (1..=255).contains(&name.len()) && name.bytes().all(is_plain) && !name.starts_with('.')
}

fn fit(name: &str) -> Result<(), Failure> {
    if is_name(name) {
        return Ok(());
    }
    let message = format!("{name:?} cannot be the name of an archive in a store");
    Err(Failure::new(Kind::Usage, message)
        .hint("use letters, digits, `.`, `_` and `-`, and no dot first"))
}

/// Refuses a name that is empty, hookshot's own, or leads elsewhere. Other programs may have stored objects under any
/// other name.
fn plain(name: &str) -> Result<(), Failure> {
    let is_part = !name.is_empty() && !name.contains('/') && !matches!(name, "." | "..");
    if is_part && !name.chars().any(char::is_control) && !name.starts_with(OWN) {
        return Ok(());
    }
    let message = format!("{name:?} is not the name of an archive");
    Err(Failure::new(Kind::Usage, message).hint("`hookshot list` shows what is there"))
}

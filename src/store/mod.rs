//! Where archives are kept: folders, object stores, SSH servers; by name, created once, proven on arrival.
//!
//! A [`Store`] holds archives side by side under plain names. What is being written has no final name before all of it is
//! there and proven. Names that begin with [`OWN`] are hookshot's own: uploads at work and what they leave.

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

/// What names start with that hookshot makes for itself beside the archives.
pub const OWN: &str = ".hookshot-";

/// Opens the place that `address` names; an object store or a server is not asked anything yet. `check` ends what waits
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
        Address::Sftp { .. } => Box::new(sftp::Sftp::open(address, options, check)?),
        #[cfg(not(all(feature = "_objects", feature = "sftp")))]
        _ => {
            let _ = (options, environment, check);
            anyhow::bail!("{address} is refused above");
        }
    })
}

/// Refuses a place that this program was built without.
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

/// Looks at everything that `options` and `environment` say of a place, as [`open`] does, where not all of it is at hand.
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
    /// Its name, without the place.
    pub name: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// When the store says that it was written.
    pub modified: Option<DateTime<Utc>>,
}

/// How it is known that a store holds what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The store computed a checksum of its own, and it is that of what was sent.
    Checksum,
    /// All of it was read back.
    ReadBack,
}

impl Proof {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Proof::Checksum => "checksum",
            Proof::ReadBack => "read-back",
        }
    }
}

/// A place that keeps archives. Errors: [`Kind::NotFound`] for what is not there; else what the place says.
pub trait Store: Send + Sync {
    /// Where it is, for messages; nothing in it is secret.
    fn shown(&self) -> String;

    /// Gives what is there, page by page, in any order; hookshot's own names and what lies deeper stay out.
    fn list(&self, take: &mut dyn FnMut(Stored) -> Result<()>) -> Result<()>;

    /// Returns the names of folders right below, as far as the last [`list`](Store::list) met some: their content is not
    /// listed.
    fn folders(&self) -> Vec<String> {
        Vec::new()
    }

    /// What is there under a name.
    fn find(&self, name: &str) -> Result<Option<Stored>>;

    /// Opens what is there under a name, to read any part of it. What replaces it meanwhile is never mixed in.
    fn open(&self, name: &str) -> Result<Box<dyn ReadAt + Send + Sync>>;

    /// Begins something new of at most `most_bytes`. It has no name before [`Upload::finish`]; the name must be free.
    fn create(&self, name: &str, most_bytes: u64, maker: &Maker) -> Result<Box<dyn Upload>>;

    /// Returns true unless the store refuses to create a name on the condition that it is free: then the name is looked at
    /// right before it is written.
    fn knows_conditions(&self) -> bool {
        true
    }

    /// How many bytes the smallest part has, where what is large goes in parts.
    fn part_bytes(&self) -> Option<usize> {
        None
    }

    /// Begins something new as [`create`](Store::create) does, in parts of the smallest size where there are any.
    fn create_in_parts(&self, name: &str, maker: &Maker) -> Result<Box<dyn Upload>> {
        self.create(name, u64::MAX, maker)
    }

    /// Returns the number of bytes that there is room for, if the place tells it.
    fn room(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Removes what is there under a name; that nothing is there is fine.
    fn remove(&self, name: &str) -> Result<()>;

    /// Removes what uploads left whose makers are gone, and names it.
    fn sweep(&self, maker: &Maker) -> Result<Vec<String>>;
}

/// Something that is being written. Dropped without [`finish`](Upload::finish), nothing of it stays.
pub trait Upload: Write + Send {
    /// Gives it its name, and returns when the store has proven that it holds all that was written: `digest` is the
    /// SHA-256 of that. On an error nothing is there under the name, unless the store does not let us remove it.
    fn finish(self: Box<Self>, digest: &Digest) -> Result<Proof>;

    /// Gives it up as a drop does, and says so where something of it may stay.
    fn abandon(self: Box<Self>) -> Result<()> {
        drop(self);
        Ok(())
    }
}

/// Fails with [`Kind::Space`] if a place tells that it has no room for `bytes` more.
///
/// Not promised: that the room is still there a moment later.
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

/// Returns true if a failure is that of a name that is taken.
pub(crate) fn is_taken(failure: &Failure) -> bool {
    failure.message.ends_with(TAKEN)
}

/// The words of the message of an archive whose bytes a store keeps frozen.
const FROZEN: &str = "it lies in cold storage, and cannot be read before it is thawed";

/// Returns true if a failure is that of an archive in cold storage: it is there, and not to be read now.
pub(crate) fn is_cold(failure: &Failure) -> bool {
    failure.message.contains(FROZEN)
}

/// The failure of a name that is taken.
pub(crate) fn taken(place: &str, name: &str) -> Failure {
    let message = format!("{place} has {name}{TAKEN}");
    Failure::new(Kind::Failed, message).hint("give the archive another name, or another `prefix`")
}

/// The failure of a name that is not there.
fn missing(place: &str, name: &str) -> Failure {
    Failure::new(Kind::NotFound, format!("there is no {name} in {place}"))
        .hint("`hookshot list` shows what is there")
}

/// Whether a name may be that of an object: one part of a path, in characters that every store takes as they are.
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

/// Refuses what names something elsewhere, or nothing; what others have put there may have any other name.
fn plain(name: &str) -> Result<(), Failure> {
    let is_part = !name.is_empty() && !name.contains('/') && !matches!(name, "." | "..");
    if is_part && !name.chars().any(char::is_control) && !name.starts_with(OWN) {
        return Ok(());
    }
    let message = format!("{name:?} is not the name of an archive");
    Err(Failure::new(Kind::Usage, message).hint("`hookshot list` shows what is there"))
}

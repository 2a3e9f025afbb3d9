//! Stores that hold archives: folders, object stores, SSH servers; by name, created once, verified on arrival.
//!
//! A [`Store`] holds archives side by side under plain names. An upload gets its final name only after all of it
//! arrived and is proven. Names that begin with [`OWN`] are hookshot's own: unfinished uploads, their leftovers, and
//! notes ([`is_note`]), which stay.

pub mod address;
#[cfg(any(feature = "_objects", feature = "notify"))]
pub(crate) mod authorities;
mod contract;
#[cfg(any(feature = "_objects", feature = "notify"))]
pub(crate) mod distrust;
mod environment;
mod failures;
pub mod folder;
#[cfg(feature = "_network")]
mod listed;
mod marker;
mod names;
#[cfg(feature = "_network")]
mod network;
pub mod note;
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
#[cfg(any(feature = "_objects", feature = "notify"))]
mod rest;
mod secret;
#[cfg(feature = "sftp")]
pub mod sftp;
pub mod shape;
#[cfg(any(feature = "_objects", feature = "notify"))]
mod small_file;
#[cfg(any(feature = "_objects", feature = "notify"))]
mod text;
#[cfg(feature = "notify")]
pub mod web;

use anyhow::Result;

use self::failures::mismatched;
pub(crate) use self::failures::{is_cold, is_taken, taken};
#[cfg(feature = "_objects")]
use self::objects::Objects;
pub use self::{
    address::{Address, Word},
    contract::{Proof, Sent, Store, Stored, Upload, require_arrived, require_room},
    environment::Environment,
    marker::Maker,
    names::{OWN, is_name, is_note},
    options::{Options, OwnOptions, StopCheck, Transfer},
    pages::Pages,
    secret::Secret,
};
use crate::error::Failure;

/// Opens the store that `address` names; sends no request to an object store or a server yet. `check` can end a wait
/// for the network. Not for callers inside an async runtime.
pub fn open(
    address: &Address,
    options: &Options,
    environment: &Environment,
    check: StopCheck,
) -> Result<Box<dyn Store>> {
    require_built(address)?;
    let transfer = &options.transfer;
    Ok(match (address.place(), &options.own) {
        (Address::Folder(path), OwnOptions::None) => Box::new(folder::FolderStore::new(path)),
        #[cfg(feature = "_objects")]
        (Address::Bucket(bucket), OwnOptions::S3(own)) => {
            Box::new(Objects::open(bucket, own, transfer, environment, check)?)
        }
        #[cfg(feature = "_objects")]
        (Address::Bucket(bucket), OwnOptions::Gcs(own)) => {
            Box::new(Objects::open(bucket, own, transfer, environment, check)?)
        }
        #[cfg(feature = "_objects")]
        (Address::Bucket(bucket), OwnOptions::Azure(own)) => {
            Box::new(Objects::open(bucket, own, transfer, environment, check)?)
        }
        #[cfg(feature = "sftp")]
        (Address::Sftp(server), OwnOptions::Sftp(own)) => {
            let starter = &environment.starter;
            Box::new(sftp::Sftp::open(server, own, transfer, starter, check)?)
        }
        _ => {
            let _ = (transfer, environment, check);
            return Err(mismatched(address).into());
        }
    })
}

/// Refuses a store that this program was built without.
fn require_built(address: &Address) -> Result<(), Failure> {
    match address.feature() {
        Some((feature, false)) => Err(Failure::without(
            feature,
            &format!("{address} cannot be used"),
        )),
        _ => Ok(()),
    }
}

/// Checks all that `options` and `environment` say of a store, as [`open`] does, even if some of it is missing here.
pub fn look_over(address: &Address, options: &Options, environment: &Environment) -> Result<()> {
    require_built(address)?;
    match (address.place(), &options.own) {
        #[cfg(feature = "_objects")]
        (Address::Bucket(bucket), OwnOptions::S3(own)) => {
            objects::look_over(bucket, own, environment)
        }
        #[cfg(feature = "_objects")]
        (Address::Bucket(bucket), OwnOptions::Gcs(own)) => {
            objects::look_over(bucket, own, environment)
        }
        #[cfg(feature = "_objects")]
        (Address::Bucket(bucket), OwnOptions::Azure(own)) => {
            objects::look_over(bucket, own, environment)
        }
        _ => {
            let _ = environment;
            Ok(())
        }
    }
}

//! A change of a repository's configuration, which is one file under a fixed name.
//!
//! A store gives a name once, so the file is removed before the new one is written. The old one is kept beside it until
//! then: after a kill between these steps, [`complete_renewal`] puts it back.

use std::{io::Write as _, sync::Arc};

use anyhow::{Context as _, Result};

use super::{
    backend::StoreBackend,
    key_file::require_key,
    locks::{LOCKS, Locks, Right},
    places::CONFIG,
};
use crate::{
    error::{Failure, Kind},
    model::digest::Digest,
    store::{Maker, Secret, Store},
};

/// The name of the file that holds the old configuration meanwhile.
pub const BEFORE: &str = "config.before";
/// The largest configuration, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Keeps a copy of the configuration beside it. A killed renewal may have left one.
pub fn begin_renewal(store: &dyn Store, maker: &Maker) -> Result<()> {
    store.remove(BEFORE)?;
    copy(store, CONFIG, BEFORE, maker)
}

/// Puts the old configuration back if a renewal was killed before there was a new one. The key is found without it, so
/// this is done under the exclusive lock: another renewal may be at work.
pub fn complete_renewal(store: &Arc<dyn Store>, password: &Secret, maker: &Maker) -> Result<()> {
    let is_half_done =
        || anyhow::Ok(store.find(CONFIG)?.is_none() && store.find(BEFORE)?.is_some());
    if !is_half_done()? {
        return Ok(());
    }
    let backend = StoreBackend::new(store.clone(), maker.clone());
    let (key, _) = require_key(&backend, &store.shown(), password)?;
    let locks = Locks::new(backend.places().folder(LOCKS)?, &key, maker.clone())?;
    let lock = locks.take(Right::Exclusive)?;
    if is_half_done()? {
        copy(&**store, BEFORE, CONFIG, maker)?;
    }
    drop(lock);
    Ok(())
}

/// Returns the failure of a store that has no configuration of a repository.
pub fn missing(store: &dyn Store) -> Result<Failure> {
    let shown = store.shown();
    Ok(match store.find(BEFORE)? {
        None => {
            let message = format!("{shown} has no repository");
            Failure::new(Kind::NotFound, message)
                .hint("`hookshot repo init` makes one; look at the URL")
        }
        Some(_) => {
            let message = format!("a `repo upgrade` of {shown} did not end");
            Failure::new(Kind::NotFound, message)
                .hint("run `hookshot repo upgrade` again: nothing is lost")
        }
    })
}

fn copy(store: &dyn Store, from: &str, to: &str, maker: &Maker) -> Result<()> {
    let copying = || format!("cannot copy {from} to {to} in {}", store.shown());
    let file = store.open(from)?;
    let length = file.length().with_context(copying)?.min(MAX_BYTES);
    let mut bytes = vec![0; usize::try_from(length)?];
    file.read_exact_at(&mut bytes, 0).with_context(copying)?;
    let mut upload = store.create(to, length, maker)?;
    upload.write_all(&bytes).with_context(copying)?;
    upload.finish(&Digest::of(&bytes)).map(drop)
}

//! Reading any part of one object, as it was when it was opened, or all of it at once.

use std::{io, sync::Arc};

use anyhow::{Result, anyhow};
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore as _};

use super::{
    bucket::{BucketClient, fresh, is_missing},
    explain::replaced,
};
use crate::{
    store::{
        failures::{missing, too_large},
        proof::io_error,
    },
    work::ReadAt,
};

impl BucketClient {
    /// Returns all bytes of an object, `None` if it does not exist. Fails if it has more than `most_bytes`.
    pub(super) fn content(&self, name: &str, most_bytes: u64) -> Result<Option<Vec<u8>>> {
        let key = self.key(name);
        let read = fresh(|| async {
            let found = self.client.get_opts(&key, GetOptions::default()).await?;
            match found.meta.size <= most_bytes {
                true => Ok(Some(found.bytes().await?)),
                false => Ok(None),
            }
        });
        match self.network.wait(read) {
            Ok(Some(content)) => Ok(Some(content.into())),
            Ok(None) => Err(too_large(&self.shown, name, most_bytes).into()),
            Err(error) if is_missing(&error) => {
                // Only an object store can be trusted when it says that an object does not exist.
                self.require_store()?;
                Ok(None)
            }
            Err(error) => {
                let doing = format!("cannot read {name} in {}", self.shown);
                Err(self.explained(&doing, self.with_its_reason(error)))
            }
        }
    }
}

/// One object as it was when it was opened.
pub struct OpenObject {
    pub(super) inner: Arc<BucketClient>,
    pub(super) meta: ObjectMeta,
    /// The tag that excludes a later replacement; `None` if a digest reveals it anyway.
    pub(super) if_match: Option<String>,
    /// True if no request showed yet that it is there.
    pub(super) is_unseen: bool,
}

impl OpenObject {
    /// Returns the failure of a request for a part of it.
    fn reason(&self, doing: &str, error: anyhow::Error) -> anyhow::Error {
        if !self.is_unseen || !is_missing(&error) {
            return self.inner.explained(doing, error);
        }
        // Only an object store can be trusted when it says that an object does not exist.
        if let Err(error) = self.inner.require_store() {
            return error;
        }
        let name = self.meta.location.filename().unwrap_or_default();
        missing(&self.inner.shown, name).into()
    }
}

impl ReadAt for OpenObject {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset
            .checked_add(buffer.len() as u64)
            .filter(|end| *end <= self.meta.size)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        if buffer.is_empty() {
            return Ok(());
        }
        let read = fresh(|| async {
            let options = GetOptions {
                range: Some(GetRange::Bounded(offset..end)),
                if_match: self.if_match.clone(),
                ..GetOptions::default()
            };
            let found = self.inner.client.get_opts(&self.meta.location, options);
            let found = found.await?;
            let (tag, size) = (found.meta.e_tag.clone(), found.meta.size);
            Ok((tag, size, found.bytes().await?))
        });
        let doing = format!(
            "cannot read {} in {}",
            self.meta.location.filename().unwrap_or_default(),
            self.inner.shown
        );
        let read = self.inner.network.wait(read);
        let (tag, size, bytes) = read.map_err(|error| io_error(self.reason(&doing, error)))?;
        // Some stores ignore the condition.
        let is_other = self.if_match.is_some() && tag.is_some() && tag != self.if_match;
        if is_other || size != self.meta.size {
            return Err(replaced(&doing).into());
        }
        if bytes.len() != buffer.len() {
            let message = anyhow!(
                "{doing}: the store gave {} bytes of {}",
                bytes.len(),
                buffer.len()
            );
            return Err(io_error(message));
        }
        buffer.copy_from_slice(&bytes);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.meta.size)
    }
}

//! Reading any part of one object, as it was when it was opened.

use std::{io, sync::Arc};

use anyhow::anyhow;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore as _};

use super::{
    bucket::{BucketClient, fresh},
    explain::replaced,
};
use crate::{store::proof::io_error, work::ReadAt};

/// One object as it was when it was opened.
pub struct OpenObject {
    pub(super) inner: Arc<BucketClient>,
    pub(super) meta: ObjectMeta,
    /// The tag that excludes a later replacement; `None` if a digest reveals it anyway.
    pub(super) if_match: Option<String>,
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
        let (tag, size, bytes) = self.inner.ask(&doing, read).map_err(io_error)?;
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

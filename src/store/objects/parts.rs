//! The parts of an upload: being sent, arrived, and given up.

use std::time::Duration;

use anyhow::{Result, anyhow};
use object_store::{Error, MultipartId, PutPayload, multipart::PartId};
use tokio::task::JoinSet;

use super::bucket::{BucketClient, is_missing};
use crate::store::{address::Provider, network::lost};

/// The time that unfinished parts have to arrive when an upload is given up.
const GRACE: Duration = Duration::from_secs(2);

/// An upload in parts.
pub(super) struct Parts {
    pub id: MultipartId,
    pub marker: String,
    pub at_work: JoinSet<(usize, Result<PartId, Error>)>,
    pub done: Vec<Option<PartId>>,
    pub digests: Vec<[u8; 16]>,
}

impl Parts {
    /// Waits until at most this many parts are being sent. Also checks the parts that ended before: a store that
    /// refuses gets no more.
    pub fn settle(&mut self, inner: &BucketClient, most: usize) -> Result<()> {
        loop {
            let next = if self.at_work.len() > most {
                let next = async { anyhow::Ok(self.at_work.join_next().await) };
                inner.network.wait(next)?
            } else {
                self.at_work.try_join_next()
            };
            match next {
                None => return Ok(()),
                Some(Ok((number, part))) => self.done[number] = Some(part?),
                Some(Err(error)) => return Err(lost("sending a part", error)),
            }
        }
    }

    /// Gives the parts up; returns true if nothing is left of them.
    pub fn end(&mut self, inner: &BucketClient, name: &str) -> bool {
        self.stop(inner);
        inner.end_parts(name, &self.id)
    }

    /// Waits a little for the unfinished parts, then cancels the rest.
    fn stop(&mut self, inner: &BucketClient) {
        let stopped = async {
            // A store may keep parts that it received before, even after the upload has ended, as S3's documentation
            // says (AbortMultipartUpload). A cancelled request leaves no part.
            let settled = async { while self.at_work.join_next().await.is_some() {} };
            drop(tokio::time::timeout(GRACE, settled).await);
            self.at_work.shutdown().await;
            anyhow::Ok(())
        };
        drop(inner.network.clean(stopped));
    }

    /// Makes the store end the upload, and checks that it did: an ended upload accepts no more parts. Azure has no
    /// uploads: it frees blocks that no object refers to.
    pub fn end_for_good(&mut self, inner: &BucketClient, name: &str) -> Result<()> {
        self.stop(inner);
        let doing = format!("cannot end an upload in parts to {}", inner.shown);
        let key = inner.key(name);
        let ended = inner.client.abort_multipart(&key, &self.id);
        match inner.network.clean(ended) {
            Err(error) if !is_missing(&error) => return Err(inner.explained(&doing, error)),
            _ => {}
        }
        if inner.provider == Provider::Azure {
            return Ok(());
        }
        let late = PutPayload::from_static(b"a part that comes too late");
        let put = inner.client.put_part(&key, &self.id, self.done.len(), late);
        if inner.network.clean(put).is_ok() {
            inner.end_parts(name, &self.id);
            return Err(anyhow!("{doing}: it takes parts all the same"));
        }
        Ok(())
    }
}

//! The parts of an upload: on their way, arrived, and given up.

use std::time::Duration;

use anyhow::{Result, anyhow};
use object_store::{Error, MultipartId, PutPayload, multipart::PartId};
use tokio::task::JoinSet;

use super::{Inner, is_missing};
use crate::store::{address::Service, network::lost};

/// How long parts that are on their way may take to arrive when an upload is given up.
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
    /// Waits until no more than so many parts are on their way. What has ended before that is looked at as well: a store that
    /// refuses is not sent more.
    pub fn settle(&mut self, inner: &Inner, most: usize) -> Result<()> {
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

    /// Gives the parts up, and says whether nothing is left of them.
    pub fn end(&mut self, inner: &Inner, name: &str) -> bool {
        self.stop(inner);
        inner.end_parts(name, &self.id)
    }

    /// Waits a little for what is on its way, and cuts off the rest.
    fn stop(&mut self, inner: &Inner) {
        let stopped = async {
            // What the store has received already, it may still keep when the upload has ended: S3 says so
            // (AbortMultipartUpload). What is cut off is no part.
            let settled = async { while self.at_work.join_next().await.is_some() {} };
            drop(tokio::time::timeout(GRACE, settled).await);
            self.at_work.shutdown().await;
            anyhow::Ok(())
        };
        drop(inner.network.clean(stopped));
    }

    /// Has the store end the upload, and looks whether it has: one that is over takes no more parts. Azure knows no uploads:
    /// it frees blocks that nobody names.
    pub fn end_for_good(&mut self, inner: &Inner, name: &str) -> Result<()> {
        self.stop(inner);
        let doing = format!("cannot end an upload in parts to {}", inner.shown);
        let key = inner.key(name);
        let ended = inner.client.abort_multipart(&key, &self.id);
        match inner.network.clean(ended) {
            Err(error) if !is_missing(&error) => return Err(inner.explained(&doing, error)),
            _ => {}
        }
        if inner.service == Service::Azure {
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

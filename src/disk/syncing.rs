//! A sync that runs in a thread of its own, beside other work.

use std::{
    sync::Arc,
    thread::{Builder, JoinHandle},
};

use anyhow::{Result, anyhow};

use super::tree::beneath::Top;

/// A sync of a file system that is under way. When it is dropped, it is waited for, and its result is lost.
#[must_use]
pub struct Syncing(Option<JoinHandle<Result<()>>>);

impl Syncing {
    /// Begins to make everything on the file system of `top` durable that was written until now.
    pub fn begin(top: Top) -> Result<Syncing> {
        let top = Arc::new(top);
        let same = Arc::clone(&top);
        match Builder::new().spawn(move || same.sync()) {
            Ok(thread) => Ok(Syncing(Some(thread))),
            // If no thread can start, the caller syncs.
            Err(_) => top.sync().map(|()| Syncing(None)),
        }
    }

    /// Waits until it is durable.
    pub fn finish(mut self) -> Result<()> {
        let Some(thread) = self.0.take() else {
            return Ok(());
        };
        thread
            .join()
            .unwrap_or_else(|_| Err(anyhow!("a thread failed; this is a defect of hookshot")))
    }
}

impl Drop for Syncing {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            drop(thread.join());
        }
    }
}

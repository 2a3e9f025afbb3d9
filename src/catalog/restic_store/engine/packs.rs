//! The packs that were read last: what lies side by side in one is read at once.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use rustic_core::Id;

use crate::{
    error::{Failure, Kind},
    work::ReadAt,
};

/// The most packs that stay open.
const OPEN_PACKS: usize = 8;
/// The bytes that are read of a pack at a time. Neighbours in it are small, and are read one after the other.
const BLOCK_BYTES: u64 = 512 << 10;
/// The most blocks that are held.
const BLOCKS: usize = 32;

/// A pack that is open for reading.
pub type OpenPack = Arc<dyn ReadAt + Send + Sync>;

/// The packs that were read last, and blocks of them.
#[derive(Default)]
pub struct ReadPacks {
    open: Mutex<VecDeque<(Id, OpenPack)>>,
    /// The blocks, each with its offset.
    blocks: Mutex<VecDeque<(Id, u64, Bytes)>>,
}

impl ReadPacks {
    /// Reads a part of a pack, given by its offset and its length, or all of it. Opens it by `open`, unless it is
    /// open. Messages call the store `place`.
    ///
    /// Errors: those of `open`; [`Kind::Refused`] if the pack ends before.
    pub fn read(
        &self,
        id: &Id,
        part: Option<(u64, u64)>,
        place: &str,
        open: impl Fn() -> Result<OpenPack>,
    ) -> Result<Bytes> {
        let named = format!("the pack {id} in {place}");
        let (offset, length) = match part {
            Some(part) => part,
            None => (0, self.opened(id, &open)?.length()?),
        };
        // An index may tell any length.
        let likely = length.min(BLOCK_BYTES);
        let mut read = Vec::with_capacity(usize::try_from(likely)?);
        let end = offset + length;
        let mut at = offset;
        while at < end {
            let start = at / BLOCK_BYTES * BLOCK_BYTES;
            let block = self.block(id, start, &named, &open)?;
            let from = usize::try_from(at - start)?;
            let to = block.len().min(usize::try_from(end - start)?);
            if from >= to {
                let message = format!("{named} ends at byte {at}");
                return Err(Failure::new(Kind::Refused, message).into());
            }
            read.extend_from_slice(&block[from..to]);
            at = start + to as u64;
        }
        Ok(read.into())
    }

    fn opened(&self, id: &Id, open: impl Fn() -> Result<OpenPack>) -> Result<OpenPack> {
        let locked = || self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, pack)) = locked().iter().find(|(open, _)| open == id) {
            return Ok(pack.clone());
        }
        let pack = open()?;
        let mut packs = locked();
        packs.push_front((*id, pack.clone()));
        packs.truncate(OPEN_PACKS);
        Ok(pack)
    }

    /// Returns the block of a pack that begins at `start`. Messages call the pack `named`.
    fn block(
        &self,
        id: &Id,
        start: u64,
        named: &str,
        open: impl Fn() -> Result<OpenPack>,
    ) -> Result<Bytes> {
        let locked = || self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let held = locked()
            .iter()
            .find(|(pack, at, _)| pack == id && *at == start)
            .cloned();
        if let Some((_, _, block)) = held {
            return Ok(block);
        }
        let pack = self.opened(id, open)?;
        let reading = || format!("cannot read {named}");
        let left = pack.length().with_context(reading)?.saturating_sub(start);
        let mut bytes = vec![0; usize::try_from(left.min(BLOCK_BYTES))?];
        pack.read_exact_at(&mut bytes, start)
            .with_context(reading)?;
        let block = Bytes::from(bytes);
        let mut blocks = locked();
        blocks.push_front((*id, start, block.clone()));
        blocks.truncate(BLOCKS);
        Ok(block)
    }
}

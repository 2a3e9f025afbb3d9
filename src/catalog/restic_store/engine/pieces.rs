//! The pieces of a repository: the nodes of folders, and parts of files, each where the index says.
//!
//! They are read here and not by the engine, which unpacks all of a piece before it looks at its length: what only the
//! owner of a key can write may be hostile, and some kilobytes of zstd unpack to gigabytes.

use std::{
    io::{self, Read},
    sync::Arc,
    vec,
};

use bytes::Bytes;
use rustic_core::{
    BlobId, DataId, ErrorKind, FileType, IndexedFullStatus, ReadBackend as _, Repository,
    RusticError, RusticResult, TreeId,
    repofile::{BlobType, MasterKey, Tree},
};

use super::{backend::StoreBackend, sealing::Sealing, trouble::REQUEST_FAILED};
use crate::error::{Failure, Kind};

/// The most bytes of a piece of a file. Those of restic have at most 8 MiB.
const MAX_PART_BYTES: u64 = 64 << 20;
/// The most bytes of the nodes of a folder, which are one piece: those of a million files.
const MAX_FOLDER_BYTES: u64 = 512 << 20;
/// The bytes that sealing adds: a nonce and a code.
const SEAL_BYTES: u64 = 32;

/// Returns the most bytes of a piece.
pub fn most_bytes(kind: BlobType) -> u64 {
    match kind {
        BlobType::Tree => MAX_FOLDER_BYTES,
        BlobType::Data => MAX_PART_BYTES,
    }
}

/// A repository with its index, in memory.
pub struct Indexed {
    repository: Repository<IndexedFullStatus>,
    files: Arc<StoreBackend>,
    sealing: Sealing,
}

impl Indexed {
    /// Returns the pieces in `files`, which `key` opens, by the index of `repository`.
    pub fn new(
        repository: Repository<IndexedFullStatus>,
        files: Arc<StoreBackend>,
        key: &MasterKey,
    ) -> anyhow::Result<Indexed> {
        let sealing = Sealing::by(key)?;
        Ok(Indexed {
            repository,
            files,
            sealing,
        })
    }

    /// Fails if the index lacks a part of a file.
    pub fn require(&self, id: &DataId) -> RusticResult<()> {
        self.repository.get_index_entry(id).map(drop)
    }

    /// Returns a piece. Its digest is not compared.
    pub fn piece(&self, id: BlobId, kind: BlobType) -> RusticResult<Bytes> {
        let entry = match kind {
            BlobType::Tree => self.repository.get_index_entry(&TreeId::from(id))?,
            BlobType::Data => self.repository.get_index_entry(&DataId::from(id))?,
        };
        let (place, most) = (entry.location, most_bytes(kind));
        let unpacked = place.uncompressed_length.map(|length| length.get());
        let refused = |what: &str| refused(format!("the piece {id} in {} {what}", entry.pack));
        if u64::from(place.length) > most + SEAL_BYTES || unpacked.map(u64::from) > Some(most) {
            return Err(refused("is larger than any real one"));
        }
        let (offset, length) = (place.offset, place.length);
        let sealed =
            (self.files).read_partial(FileType::Pack, &entry.pack, true, offset, length)?;
        let text = self.sealing.unseal(&sealed);
        let text = text.ok_or_else(|| refused("is damaged"))?;
        let Some(length) = unpacked else {
            return Ok(text.into());
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        match zstd::bulk::decompress(&text, length) {
            Ok(text) if text.len() == length => Ok(text.into()),
            _ => Err(refused("does not unpack to the length that the index says")),
        }
    }

    /// Returns the nodes of a folder. Their digest is not compared.
    pub fn tree(&self, id: TreeId) -> RusticResult<Tree> {
        let text = self.piece(id.into(), BlobType::Tree)?;
        serde_json::from_slice(&text).map_err(|_| refused(format!("the folder {id} is damaged")))
    }
}

/// Returns the error of a damaged or hostile piece.
fn refused(message: String) -> Box<RusticError> {
    let failure = Failure::new(Kind::Refused, message)
        .hint("`hookshot repo check` names what is damaged; `restic check` does the same");
    RusticError::with_source(ErrorKind::Backend, REQUEST_FAILED, failure)
}

/// The pieces of files, with or without a comparison of their digests.
pub trait Pieces {
    /// Returns the piece called `id`.
    fn part(&self, id: DataId) -> Result<Bytes, Failure>;
}

/// The content of a file, piece by piece.
pub struct FileContent<P> {
    pieces: Arc<P>,
    left: vec::IntoIter<DataId>,
    piece: Bytes,
}

impl<P> FileContent<P> {
    /// Returns the content of these pieces.
    pub fn new(pieces: Arc<P>, content: Vec<DataId>) -> FileContent<P> {
        FileContent {
            pieces,
            left: content.into_iter(),
            piece: Bytes::new(),
        }
    }
}

impl<P: Pieces> Read for FileContent<P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !buffer.is_empty() {
            let Some(id) = self.left.next() else {
                return Ok(0);
            };
            self.piece = self.pieces.part(id)?;
        }
        let count = buffer.len().min(self.piece.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

//! The files of a repository for the engine, with bounds. Whatever the engine unpacks is unpacked here before, to nothing:
//! some kilobytes of zstd may unpack to gigabytes, and the engine looks at the length afterwards.

use std::{
    collections::HashMap,
    io::{self, Read as _},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use rustic_core::{
    BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend,
    repofile::{BlobType, MasterKey},
};

use super::{
    backend::StoreBackend,
    pieces::most_bytes,
    sealing::Sealing,
    trouble::{REQUEST_FAILED, Trouble, failure_of},
};
use crate::error::{Failure, Kind};

/// The most bytes of an index: restic and the engine begin another one after 50,000 pieces.
const MAX_INDEX_BYTES: u64 = 64 << 20;
/// The most bytes of a record, and of the description of a repository.
const MAX_RECORD_BYTES: u64 = 16 << 20;

/// The first byte of a text that is packed (restic's design document, "Unpacked Data Format").
const PACKED: u8 = 2;

/// The places of compressed pieces: for each pack the offset and the length of each, and its kind.
pub type PiecePlaces = HashMap<Id, Vec<(u32, u32, BlobType)>>;

/// The files of a repository.
pub struct Bounded {
    files: Arc<StoreBackend>,
    /// `None` for a key of another length, which the engine refuses.
    sealing: Option<Sealing>,
    /// The places of the pieces that the engine reads; none if it reads no packs.
    places: OnceLock<PiecePlaces>,
    /// The first failure that tells nothing of the content of the store: it could not be read.
    unread: Trouble,
}

impl Bounded {
    /// Returns the files of `files`, which `key` opens.
    pub fn new(files: Arc<StoreBackend>, key: &MasterKey) -> Bounded {
        Bounded {
            files,
            sealing: Sealing::by(key).ok(),
            places: OnceLock::new(),
            unread: Trouble::default(),
        }
    }

    /// Bounds the pieces at `places` from now on.
    pub fn bound(&self, mut places: PiecePlaces) {
        let each = places.values_mut();
        each.for_each(|pieces| pieces.sort_unstable_by_key(|(offset, _, _)| *offset));
        // The first ones stay.
        let _ = self.places.set(places);
    }

    /// Returns the first failure to read that is not damage.
    pub fn unread(&self) -> Option<Failure> {
        self.unread.check().err()
    }

    fn known<T>(&self, result: RusticResult<T>) -> RusticResult<T> {
        if let Err(error) = &result {
            let failure = failure_of(error, "");
            if !matches!(failure.kind, Kind::Refused | Kind::NotFound) {
                self.unread.keep(&failure);
            }
        }
        result
    }

    /// Returns a sealed text; `None` if it is damaged, of which the engine says more.
    fn text(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.sealing.as_ref()?.unseal(sealed)
    }

    /// Fails if a piece among the bytes of a pack from `offset` on unpacks to more than any real one.
    fn require_pieces(&self, pack: &Id, offset: u32, read: &[u8]) -> RusticResult<()> {
        let places = self.places.get().and_then(|places| places.get(pack));
        let places = places.map(Vec::as_slice).unwrap_or_default();
        let first = places.partition_point(|(at, _, _)| *at < offset);
        for (at, length, kind) in &places[first..] {
            let begin = (at - offset) as usize;
            let Some(sealed) = read.get(begin..begin.saturating_add(*length as usize)) else {
                break;
            };
            let text = self.text(sealed);
            if text.is_some_and(|text| !unpacks_within(&text, most_bytes(*kind))) {
                return Err(too_large(format!("a piece of the pack {pack}")));
            }
        }
        Ok(())
    }
}

/// Returns the error of a text that unpacks to too much.
fn too_large(what: String) -> Box<RusticError> {
    let message = format!("{what} unpacks to more than any real one");
    let failure = Failure::new(Kind::Refused, message);
    RusticError::with_source(ErrorKind::Backend, REQUEST_FAILED, failure)
}

/// Returns true unless a text is zstd of more than `most` bytes.
fn unpacks_within(text: &[u8], most: u64) -> bool {
    let unpacked = zstd::stream::read::Decoder::with_buffer(text)
        .and_then(|decoder| io::copy(&mut decoder.take(most + 1), &mut io::sink()));
    // If it breaks off before, it is not larger.
    unpacked.map_or(true, |bytes| bytes <= most)
}

impl ReadBackend for Bounded {
    fn location(&self) -> String {
        self.files.location()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        self.known(self.files.list_with_size(kind))
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        let content = self.known(self.files.read_full(kind, id))?;
        let most = match kind {
            FileType::Index => MAX_INDEX_BYTES,
            FileType::Config | FileType::Snapshot => MAX_RECORD_BYTES,
            // They are not packed, or their pieces are.
            FileType::Key | FileType::Pack => return Ok(content),
        };
        let text = self.text(&content);
        let packed = text.as_ref().and_then(|text| match text.split_first() {
            Some((&PACKED, packed)) => Some(packed),
            _ => None,
        });
        match packed.is_none_or(|packed| unpacks_within(packed, most)) {
            true => Ok(content),
            false => Err(too_large(format!("the {kind} {id}"))),
        }
    }

    fn read_partial(
        &self,
        kind: FileType,
        id: &Id,
        cacheable: bool,
        offset: u32,
        length: u32,
    ) -> RusticResult<Bytes> {
        let read = self.files.read_partial(kind, id, cacheable, offset, length);
        let read = self.known(read)?;
        if kind == FileType::Pack {
            self.require_pieces(id, offset, &read)?;
        }
        Ok(read)
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        self.files.warmup_path(kind, id)
    }
}

impl WriteBackend for Bounded {
    fn write_bytes(
        &self,
        kind: FileType,
        id: &Id,
        cacheable: bool,
        content: BytesList,
    ) -> RusticResult<()> {
        self.files.write_bytes(kind, id, cacheable, content)
    }

    fn remove(&self, kind: FileType, id: &Id, cacheable: bool) -> RusticResult<()> {
        self.files.remove(kind, id, cacheable)
    }
}

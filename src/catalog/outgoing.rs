//! One upload of an archive: as it is, or sealed on its way.
//!
//! ```text
//! archive --> Sealing --> Outlet --> Upload, the SHA-256 of the sealed bytes
//!                            +-----> a thread that decrypts them --> must be the archive
//! ```

use std::{
    io::{self, Write},
    mem,
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result};

use super::pipe::{AHEAD, Pipe, joined};
use crate::{
    crypt::{Keyring, Recipients, Sealing, header::Form},
    error::{Failure, Kind},
    model::{
        digest::{Digest, Hashing, HashingReader},
        limits::BUFFER_BYTES,
    },
    store::{Proof, Upload},
};

/// An upload that has not begun to get bytes, and the recipients for whom these are sealed.
pub struct Outgoing {
    /// The upload.
    pub upload: Box<dyn Upload>,
    /// The recipients; `None` if the archive goes as it is.
    pub seal: Option<Recipients>,
}

/// The file that a destination holds at the end of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// The proof that it holds it.
    pub proof: Proof,
    /// SHA-256 of the file there.
    pub digest: Digest,
    /// The size of the file there in bytes.
    pub size_bytes: u64,
}

impl Outgoing {
    /// Begins to write.
    pub(super) fn begin(self) -> Result<OpenUpload> {
        Ok(match self.seal {
            None => OpenUpload::Plain(Hashing::new(self.upload)),
            Some(recipients) => OpenUpload::Sealed(SealedUpload::begin(self.upload, &recipients)?),
        })
    }
}

/// An upload that takes the bytes of an archive.
pub(super) enum OpenUpload {
    Plain(Hashing<Box<dyn Upload>>),
    Sealed(SealedUpload),
}

impl OpenUpload {
    /// Writes the next bytes of the archive.
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            OpenUpload::Plain(upload) => upload.write_all(bytes),
            OpenUpload::Sealed(upload) => upload.sealing.write_all(bytes),
        }
    }

    /// Gives the upload its name. `digest` is that of the archive; the sealed bytes must decrypt to it.
    pub(super) fn finish(self, digest: &Digest) -> Result<Delivered> {
        let (sealed, size_bytes, upload) = match self {
            OpenUpload::Plain(upload) => {
                let (_, size_bytes, upload) = upload.into_parts();
                (*digest, size_bytes, upload)
            }
            OpenUpload::Sealed(upload) => upload.end(digest)?,
        };
        let proof = upload.finish(&sealed)?;
        Ok(Delivered {
            proof,
            digest: sealed,
            size_bytes,
        })
    }
}

/// An upload whose bytes are sealed, and decrypted again to prove that.
pub(super) struct SealedUpload {
    sealing: Sealing<Outlet>,
    check: JoinHandle<Result<Digest>>,
}

impl SealedUpload {
    fn begin(upload: Box<dyn Upload>, recipients: &Recipients) -> Result<SealedUpload> {
        let (pieces, taken) = sync_channel(AHEAD);
        let outlet = Outlet {
            upload: Hashing::new(upload),
            piece: Vec::with_capacity(BUFFER_BYTES),
            pieces,
        };
        // The header is shorter than a few pieces: it waits until the thread takes them.
        let (sealing, ring) = recipients.seal(outlet)?;
        let thread = thread::Builder::new().name("decrypt".to_owned());
        let check = thread.spawn(move || content_of(&ring, Pipe::new(taken)));
        let check = check.context("cannot start a thread")?;
        Ok(SealedUpload { sealing, check })
    }

    /// Writes the end; returns digest and size of the sealed bytes, and the upload.
    fn end(self, digest: &Digest) -> Result<(Digest, u64, Box<dyn Upload>)> {
        let mut outlet = self.sealing.finish()?;
        outlet.pass()?;
        let Outlet { upload, pieces, .. } = outlet;
        drop(pieces);
        if joined(self.check)? != *digest {
            return Err(undecryptable("it decrypts to something else").into());
        }
        Ok(upload.into_parts())
    }
}

/// Decrypts what was sealed a moment before, and returns the digest of its content.
fn content_of(ring: &Keyring, pieces: Pipe) -> Result<Digest> {
    let read = || -> Result<Digest> {
        let opened = ring.open("the sealed archive", Form::Binary, pieces)?;
        let mut reader = HashingReader::new(opened);
        io::copy(&mut reader, &mut io::sink())?;
        Ok(reader.finish().0)
    };
    read().map_err(|error| undecryptable(&Failure::of(&error).message).into())
}

/// Returns the failure of an archive that this run sealed, and that it cannot open again.
pub fn undecryptable(why: &str) -> Failure {
    let message = format!("the archive was sealed, and does not open again: {why}");
    Failure::new(Kind::Unproven, message).hint(
        "this machine's memory may fail; export again, and test the memory if this happens twice",
    )
}

/// Sends sealed bytes to the upload, and to the thread that decrypts them. What waits when this is dropped goes nowhere.
struct Outlet {
    upload: Hashing<Box<dyn Upload>>,
    piece: Vec<u8>,
    pieces: SyncSender<Arc<Vec<u8>>>,
}

impl Outlet {
    fn pass(&mut self) -> io::Result<()> {
        let next = Vec::with_capacity(BUFFER_BYTES);
        let piece = Arc::new(mem::replace(&mut self.piece, next));
        self.upload.write_all(&piece)?;
        // A thread that ended has the reason.
        drop(self.pieces.send(piece));
        Ok(())
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= BUFFER_BYTES {
            self.pass()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypt::{PublicKey, generate};

    /// Decrypts sealed bytes in pieces, as the thread of an upload does.
    fn opened(ring: Keyring, sealed: &[u8]) -> Result<Digest> {
        let (pieces, taken) = sync_channel(AHEAD);
        let check = thread::spawn(move || content_of(&ring, Pipe::new(taken)));
        for piece in sealed.chunks(10_000) {
            // A thread that ended has the reason.
            drop(pieces.send(Arc::new(piece.to_vec())));
        }
        drop(pieces);
        joined(check)
    }

    #[test]
    fn a_bit_that_flips_after_encryption_is_found_before_the_upload_ends() {
        let key = PublicKey::parse(&generate().public).expect("a key");
        let recipients = Recipients::keys(vec![key]).expect("recipients");
        let content: Vec<u8> = (0..150_000_u32).map(|n| (n % 251) as u8).collect();
        let seal = || {
            let (mut sealing, ring) = recipients.seal(Vec::new()).expect("a header");
            sealing.write_all(&content).expect("sealed");
            (sealing.finish().expect("an end"), ring)
        };
        let (sealed, ring) = seal();
        let digest = opened(ring, &sealed).expect("opened");
        assert_eq!(digest, Digest::of(&content));
        for place in [0, 1, 2, 3] {
            for bit in [0, 7] {
                // The sizes of headers differ.
                let (mut sealed, ring) = seal();
                let at = [100, 70_000, sealed.len() / 2, sealed.len() - 1][place];
                sealed[at] ^= 1 << bit;
                let error = opened(ring, &sealed).expect_err("damaged");
                let failure = Failure::of(&error);
                assert_eq!(failure.kind, Kind::Unproven, "byte {at}: {failure:?}");
                assert!(failure.message.contains("does not open again"));
            }
        }
    }
}

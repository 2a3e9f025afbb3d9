//! An upload of one archive to all its destinations: each byte goes once to each of them, and once to the verifying
//! reader.
//!
//! ```text
//!               +-> archive::read        -> Verified ---+
//! Shipment -----+-> Upload (a thread)                   +-> Proven::deliver: each upload gets its name
//!  (Write)      +-> Upload (a thread)                ---+
//! ```
//!
//! No destination gives the archive its name before all of it is verified: by a reader, or by the digest of an archive that
//! was verified before. An upload may seal the archive on its way ([`Outgoing`]). If a destination fails, the others
//! continue. Memory: a few pieces for each destination, beside the buffers of the upload itself.

use std::{
    io::{self, Write},
    mem,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result, anyhow};

use super::{
    opening::opened_stream,
    outgoing::{Delivered, Outgoing},
    pipe::{AHEAD, Pipe, joined},
};
use crate::context::Context;
use crate::{
    archive::{
        Fault, Verified,
        fault::refusal,
        reader::{Discard, read},
    },
    error::Failure,
    model::{
        digest::{Digest, Hashing},
        limits::BUFFER_BYTES,
    },
};

/// An archive that is being written. If it is dropped before delivery, no destination keeps any of it.
#[must_use = "nothing arrives before it is proven and delivered"]
pub struct Shipment {
    verification: Verification,
    uploads: Vec<UploadThread>,
    hashing: Hashing<io::Sink>,
    piece: Vec<u8>,
}

/// An archive that was written to its end and verified. Only [`Shipment::prove`] makes one.
#[must_use = "nothing arrives before it is delivered"]
pub struct Proven {
    verified: Option<Verified>,
    digest: Digest,
    size_bytes: u64,
    uploads: Vec<UploadThread>,
}

/// The result of an upload at one destination.
#[derive(Debug)]
pub struct Arrival {
    /// The destination, for messages.
    pub place: String,
    /// The file that it holds, or the reason why it has none.
    pub result: Result<Delivered>,
}

impl Shipment {
    /// Begins to send the archive called `shown` to every destination that has an upload. A destination without one has
    /// already failed. If all have failed, so does this.
    pub fn begin(
        context: &Context,
        shown: &str,
        uploads: impl IntoIterator<Item = (String, Result<Outgoing>)>,
    ) -> Result<Shipment> {
        Shipment::verified_by(
            Verification::ByReader(Verifier::open(context, shown)?),
            uploads,
        )
    }

    /// Begins to send an archive that was verified before, and whose digest is therefore known. If its bytes are others
    /// now, `otherwise` is the failure.
    pub fn of_known(
        digest: Digest,
        otherwise: Failure,
        uploads: impl IntoIterator<Item = (String, Result<Outgoing>)>,
    ) -> Result<Shipment> {
        Shipment::verified_by(Verification::ByDigest(digest, otherwise), uploads)
    }

    /// Begins to send a sealed archive that no key opens: only its arrival is proven.
    pub fn unopened(
        uploads: impl IntoIterator<Item = (String, Result<Outgoing>)>,
    ) -> Result<Shipment> {
        Shipment::verified_by(Verification::Outside, uploads)
    }

    fn verified_by(
        verification: Verification,
        uploads: impl IntoIterator<Item = (String, Result<Outgoing>)>,
    ) -> Result<Shipment> {
        let uploads = uploads
            .into_iter()
            .map(|(place, upload)| UploadThread::begin(place, upload))
            .collect();
        let shipment = Shipment {
            verification,
            uploads,
            hashing: Hashing::new(io::sink()),
            piece: Vec::with_capacity(BUFFER_BYTES),
        };
        shipment.require_destination()?;
        Ok(shipment)
    }

    /// Ends the archive, and waits until it is verified. A bad archive is an error, and no destination keeps any of it.
    pub fn prove(mut self) -> Result<Proven> {
        self.pass()?;
        let (digest, size_bytes) = self.hashing.finish();
        let verified = match &mut self.verification {
            Verification::ByReader(verifier) => Some(verifier.close()?),
            Verification::ByDigest(known, _) if *known == digest => None,
            Verification::Outside => None,
            Verification::ByDigest(_, otherwise) => return Err(otherwise.clone().into()),
        };
        Ok(Proven {
            verified,
            digest,
            size_bytes,
            uploads: self.uploads,
        })
    }

    /// Passes the piece to the reader and to every upload.
    fn pass(&mut self) -> Result<()> {
        if !self.piece.is_empty() {
            let piece = mem::replace(&mut self.piece, Vec::with_capacity(BUFFER_BYTES));
            let piece = Arc::new(piece);
            self.hashing.write_all(&piece)?;
            if let Verification::ByReader(verifier) = &mut self.verification {
                verifier.give(&piece, self.hashing.size())?;
            }
            for upload in &mut self.uploads {
                upload.give(UploadStep::Piece(piece.clone()));
            }
        }
        self.require_destination()
    }

    /// Fails if no destination is left.
    fn require_destination(&self) -> Result<()> {
        let failures = self.uploads.iter().map(|upload| upload.failure.as_ref());
        let failures: Option<Vec<Failure>> = failures.map(|error| error.map(Failure::of)).collect();
        let Some((first, others)) = failures.as_deref().and_then(<[_]>::split_first) else {
            return Ok(());
        };
        if others.is_empty() {
            return Err(first.clone().into());
        }
        let places = self.uploads.iter().map(|upload| upload.place.as_str());
        let messages = failures.iter().flatten().map(|failure| &failure.message);
        let faults = places.zip(messages);
        let faults = faults.map(|(place, message)| format!("{place}: {message}"));
        let message = format!(
            "no destination takes the archive: {}",
            first.message.as_str()
        );
        Err(Failure {
            message,
            ..first.clone()
        }
        .faults(faults.collect())
        .into())
    }
}

impl Write for Shipment {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() == BUFFER_BYTES {
            self.flush()?;
        }
        let taken = bytes.len().min(BUFFER_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass().map_err(|error| Failure::of(&error).into())
    }
}

impl Proven {
    /// Returns the result of the verification; `None` if the digest was known before, or if no key opens the archive.
    pub fn verified(&self) -> Option<&Verified> {
        self.verified.as_ref()
    }

    /// Returns the SHA-256 of the whole file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns its size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Gives the archive its name at all destinations at the same time. Returns the results in the order in which the
    /// destinations were named.
    pub fn deliver(mut self) -> Vec<Arrival> {
        for upload in &mut self.uploads {
            upload.give(UploadStep::Finish(self.digest));
        }
        self.uploads.into_iter().map(UploadThread::arrive).collect()
    }
}

/// One destination: a thread with its upload.
struct UploadThread {
    place: String,
    steps: Option<SyncSender<UploadStep>>,
    work: Option<JoinHandle<Result<Delivered>>>,
    failure: Option<anyhow::Error>,
}

enum UploadStep {
    Piece(Arc<Vec<u8>>),
    Finish(Digest),
}

impl UploadThread {
    fn begin(place: String, upload: Result<Outgoing>) -> UploadThread {
        let begun = upload.and_then(|upload| {
            let (steps, taken) = sync_channel(AHEAD);
            let thread = thread::Builder::new().name("upload".to_owned());
            let work = thread.spawn(move || carry(upload, taken));
            Ok((steps, work.context("cannot start a thread")?))
        });
        match begun {
            Ok((steps, work)) => UploadThread {
                place,
                steps: Some(steps),
                work: Some(work),
                failure: None,
            },
            Err(error) => UploadThread {
                place,
                steps: None,
                work: None,
                failure: Some(error),
            },
        }
    }

    /// Gives a step to the thread. A thread that failed gets no more steps; its error is kept.
    fn give(&mut self, step: UploadStep) {
        let is_lost = match &self.steps {
            Some(steps) => steps.send(step).is_err(),
            None => return,
        };
        if is_lost {
            self.failure = self.end().and_then(Result::err);
        }
    }

    /// Waits for the end of the thread.
    fn end(&mut self) -> Option<Result<Delivered>> {
        self.steps = None;
        Some(joined(self.work.take()?))
    }

    fn arrive(mut self) -> Arrival {
        let result = match (self.failure.take(), self.end()) {
            (Some(error), _) => Err(error),
            (None, Some(result)) => result,
            (None, None) => Err(given_up()),
        };
        Arrival {
            place: mem::take(&mut self.place),
            result,
        }
    }
}

impl Drop for UploadThread {
    fn drop(&mut self) {
        // When this returns, the uploaded bytes are gone.
        drop(self.end());
    }
}

fn carry(outgoing: Outgoing, steps: Receiver<UploadStep>) -> Result<Delivered> {
    let mut upload = outgoing.begin()?;
    for step in steps {
        match step {
            UploadStep::Piece(piece) => upload.write_all(&piece)?,
            UploadStep::Finish(digest) => return upload.finish(&digest),
        }
    }
    Err(given_up())
}

fn given_up() -> anyhow::Error {
    anyhow!("it was cancelled before its end")
}

/// The check that an archive is good.
enum Verification {
    /// A reader finds no fault in it.
    ByReader(Verifier),
    /// The archive must have this digest, which is that of a good archive; else it has this failure.
    ByDigest(Digest, Failure),
    /// None: what the archive holds is not seen.
    Outside,
}

/// A thread that reads and verifies the archive as any reader would.
struct Verifier {
    shown: String,
    pieces: Option<SyncSender<Arc<Vec<u8>>>>,
    work: Option<JoinHandle<Result<Verified>>>,
    refused: Option<Failure>,
}

impl Verifier {
    fn open(context: &Context, shown: &str) -> Result<Verifier> {
        let (pieces, taken) = sync_channel(AHEAD);
        let (name, scratch, threads) = (shown.to_owned(), context.scratch.clone(), context.threads);
        let keys = context.keys.clone();
        let thread = thread::Builder::new().name("verifier".to_owned());
        let work = thread.spawn(move || {
            let input = opened_stream(&keys, &name, Pipe::new(taken), scratch.into())?;
            read(&name, input, threads, &mut Discard)
        });
        Ok(Verifier {
            shown: shown.to_owned(),
            pieces: Some(pieces),
            work: Some(work.context("cannot start a thread")?),
            refused: None,
        })
    }

    /// Gives the reader a piece that ends at byte `end`; fails if the reader refused the archive.
    fn give(&mut self, piece: &Arc<Vec<u8>>, end: u64) -> Result<()> {
        let is_open = |pieces: &SyncSender<_>| pieces.send(piece.clone()).is_ok();
        if self.pieces.as_ref().is_some_and(is_open) {
            return Ok(());
        }
        self.close()?;
        // The reader is satisfied, but there are more bytes.
        let offset = end - piece.len() as u64;
        let failure = refusal(&self.shown, &[Fault::TrailingBytes { offset }]);
        self.refused = Some(failure.clone());
        Err(failure.into())
    }

    /// Waits for the reader's verdict on all pieces. After a refusal, every call returns the same failure.
    fn close(&mut self) -> Result<Verified> {
        if let Some(failure) = &self.refused {
            return Err(failure.clone().into());
        }
        self.pieces = None;
        let read = match self.work.take() {
            Some(work) => joined(work),
            None => Err(anyhow!("{} was read already", self.shown)),
        };
        read.inspect_err(|error| self.refused = Some(Failure::of(error)))
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.pieces = None;
        if let Some(work) = self.work.take() {
            drop(work.join());
        }
    }
}

#[cfg(test)]
mod tests;

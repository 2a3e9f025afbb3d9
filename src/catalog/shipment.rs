//! An archive on its way to its destinations: each byte goes once to each of them, and through the border.
//!
//! ```text
//!               +-> archive::read        -> Verified ---+
//! Shipment -----+-> Upload (a thread)                   +-> Proven::deliver: each upload gets its name
//!  (Write)      +-> Upload (a thread)                ---+
//! ```
//!
//! No destination gives the archive its name before all of it is proven good: by the border, or by the digest of an archive
//! that the border has found good before. A destination that fails is left behind, the others go on. Memory: a few pieces for each of them, beside what an upload holds itself.

use std::{
    io::{self, Read, Write},
    mem,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result, anyhow};

use crate::context::Context;
use crate::{
    archive::{
        Fault, Input, Verified,
        fault::refusal,
        reader::{Discard, read},
    },
    error::{Failure, Kind},
    model::{
        digest::{Digest, Hashing},
        limits::BUFFER_BYTES,
    },
    store::{Proof, Upload},
};

/// How many pieces of [`BUFFER_BYTES`] wait for each reader and each upload.
const AHEAD: usize = 4;

/// An archive that is being written. Dropped before it is delivered, nothing of it stays anywhere.
#[must_use = "nothing arrives before it is proven and delivered"]
pub struct Shipment {
    guard: Guard,
    legs: Vec<Leg>,
    hashing: Hashing<io::Sink>,
    piece: Vec<u8>,
}

/// An archive that was written to its end and found good. Only [`Shipment::prove`] makes one.
#[must_use = "nothing arrives before it is delivered"]
pub struct Proven {
    verified: Option<Verified>,
    digest: Digest,
    size_bytes: u64,
    legs: Vec<Leg>,
}

/// What became of an archive at one destination.
#[derive(Debug)]
pub struct Arrival {
    /// The destination, for messages.
    pub place: String,
    /// How it proved that it holds the archive, or why it does not.
    pub result: Result<Proof>,
}

impl Shipment {
    /// Begins to send the archive called `shown` to every destination for which there is an upload. A destination without
    /// one has failed already; where all have, so has this.
    pub fn begin(
        context: &Context,
        shown: &str,
        uploads: impl IntoIterator<Item = (String, Result<Box<dyn Upload>>)>,
    ) -> Result<Shipment> {
        Shipment::guarded(Guard::Border(Border::open(context, shown)?), uploads)
    }

    /// The same for an archive that was found good before, and whose digest is therefore known.
    pub fn of_known(
        digest: Digest,
        uploads: impl IntoIterator<Item = (String, Result<Box<dyn Upload>>)>,
    ) -> Result<Shipment> {
        Shipment::guarded(Guard::Known(digest), uploads)
    }

    fn guarded(
        guard: Guard,
        uploads: impl IntoIterator<Item = (String, Result<Box<dyn Upload>>)>,
    ) -> Result<Shipment> {
        let legs = uploads
            .into_iter()
            .map(|(place, upload)| Leg::begin(place, upload))
            .collect();
        let shipment = Shipment {
            guard,
            legs,
            hashing: Hashing::new(io::sink()),
            piece: Vec::with_capacity(BUFFER_BYTES),
        };
        shipment.look()?;
        Ok(shipment)
    }

    /// Ends the archive, and waits until it has been found good. An archive that is not good is an error, and no
    /// destination keeps any of it.
    pub fn prove(mut self) -> Result<Proven> {
        self.pass()?;
        let (digest, size_bytes) = self.hashing.finish();
        let verified = match &mut self.guard {
            Guard::Border(border) => Some(border.close()?),
            Guard::Known(known) if *known == digest => None,
            Guard::Known(_) => {
                let message = "it has other bytes than when it was found good";
                return Err(Failure::new(Kind::Unproven, message).into());
            }
        };
        Ok(Proven {
            verified,
            digest,
            size_bytes,
            legs: self.legs,
        })
    }

    /// Hands the piece on.
    fn pass(&mut self) -> Result<()> {
        if !self.piece.is_empty() {
            let piece = mem::replace(&mut self.piece, Vec::with_capacity(BUFFER_BYTES));
            let piece = Arc::new(piece);
            self.hashing.write_all(&piece)?;
            if let Guard::Border(border) = &mut self.guard {
                border.give(&piece, self.hashing.size())?;
            }
            for leg in &mut self.legs {
                leg.give(Step::Piece(piece.clone()));
            }
        }
        self.look()
    }

    /// Fails where no destination is left.
    fn look(&self) -> Result<()> {
        let failures = self.legs.iter().map(|leg| leg.failure.as_ref());
        let failures: Option<Vec<Failure>> = failures.map(|error| error.map(Failure::of)).collect();
        let Some((first, others)) = failures.as_deref().and_then(<[_]>::split_first) else {
            return Ok(());
        };
        if others.is_empty() {
            return Err(first.clone().into());
        }
        let places = self.legs.iter().map(|leg| leg.place.as_str());
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
    /// What was found at the border, where it was there.
    pub fn verified(&self) -> Option<&Verified> {
        self.verified.as_ref()
    }

    /// SHA-256 of the whole file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its size.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Gives the archive its name at every destination, at all of them at once; what became of it, in the order in which
    /// they were named.
    pub fn deliver(mut self) -> Vec<Arrival> {
        for leg in &mut self.legs {
            leg.give(Step::Finish(self.digest));
        }
        self.legs.into_iter().map(Leg::arrive).collect()
    }
}

/// One destination: a thread with its upload.
struct Leg {
    place: String,
    steps: Option<SyncSender<Step>>,
    work: Option<JoinHandle<Result<Proof>>>,
    failure: Option<anyhow::Error>,
}

enum Step {
    Piece(Arc<Vec<u8>>),
    Finish(Digest),
}

impl Leg {
    fn begin(place: String, upload: Result<Box<dyn Upload>>) -> Leg {
        let begun = upload.and_then(|upload| {
            let (steps, taken) = sync_channel(AHEAD);
            let thread = thread::Builder::new().name("upload".to_owned());
            let work = thread.spawn(move || carry(upload, taken));
            Ok((steps, work.context("cannot start a thread")?))
        });
        match begun {
            Ok((steps, work)) => Leg {
                place,
                steps: Some(steps),
                work: Some(work),
                failure: None,
            },
            Err(error) => Leg {
                place,
                steps: None,
                work: None,
                failure: Some(error),
            },
        }
    }

    /// Hands a step to the thread; one that has failed is left behind with its error.
    fn give(&mut self, step: Step) {
        let is_lost = match &self.steps {
            Some(steps) => steps.send(step).is_err(),
            None => return,
        };
        if is_lost {
            self.failure = self.end().and_then(Result::err);
        }
    }

    /// Waits for the end of the thread.
    fn end(&mut self) -> Option<Result<Proof>> {
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

impl Drop for Leg {
    fn drop(&mut self) {
        // What was sent is gone when this returns.
        drop(self.end());
    }
}

fn carry(mut upload: Box<dyn Upload>, steps: Receiver<Step>) -> Result<Proof> {
    for step in steps {
        match step {
            Step::Piece(piece) => upload.write_all(&piece)?,
            Step::Finish(digest) => return upload.finish(&digest),
        }
    }
    Err(given_up())
}

fn given_up() -> anyhow::Error {
    anyhow!("it was given up before its end")
}

fn joined<T>(work: JoinHandle<Result<T>>) -> Result<T> {
    work.join()
        .unwrap_or_else(|_| Err(anyhow!("a thread failed; this is a defect of hookshot")))
}

/// Who finds an archive good.
enum Guard {
    Border(Border),
    /// It has the digest of one that is.
    Known(Digest),
}

/// The border: a thread that reads the archive as any reader would.
struct Border {
    shown: String,
    pieces: Option<SyncSender<Arc<Vec<u8>>>>,
    work: Option<JoinHandle<Result<Verified>>>,
    refused: Option<Failure>,
}

impl Border {
    fn open(context: &Context, shown: &str) -> Result<Border> {
        let (pieces, taken) = sync_channel(AHEAD);
        let (name, scratch, threads) = (shown.to_owned(), context.scratch.clone(), context.threads);
        let thread = thread::Builder::new().name("border".to_owned());
        let work = thread.spawn(move || {
            let stream = Pipe {
                pieces: taken,
                piece: Arc::default(),
                used: 0,
            };
            let input = Input::Stream(Box::new(stream), scratch);
            read(&name, input, threads, &mut Discard)
        });
        Ok(Border {
            shown: shown.to_owned(),
            pieces: Some(pieces),
            work: Some(work.context("cannot start a thread")?),
            refused: None,
        })
    }

    /// Gives a piece that ends at byte `end`, and fails where the archive has been refused.
    fn give(&mut self, piece: &Arc<Vec<u8>>, end: u64) -> Result<()> {
        let is_open = |pieces: &SyncSender<_>| pieces.send(piece.clone()).is_ok();
        if self.pieces.as_ref().is_some_and(is_open) {
            return Ok(());
        }
        self.close()?;
        // The reader is content, and there is more.
        let offset = end - piece.len() as u64;
        let failure = refusal(&self.shown, &[Fault::TrailingBytes { offset }]);
        self.refused = Some(failure.clone());
        Err(failure.into())
    }

    /// Waits for what the reader says of all that it was given; a refusal is said again whenever somebody asks.
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

impl Drop for Border {
    fn drop(&mut self) {
        self.pieces = None;
        if let Some(work) = self.work.take() {
            drop(work.join());
        }
    }
}

/// The pieces of a shipment as a reader; they end where nobody gives any more.
struct Pipe {
    pieces: Receiver<Arc<Vec<u8>>>,
    piece: Arc<Vec<u8>>,
    used: usize,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.used == self.piece.len() {
            match self.pieces.recv() {
                Ok(piece) => (self.piece, self.used) = (piece, 0),
                Err(_) => return Ok(0),
            }
        }
        let count = (&self.piece[self.used..]).read(buffer)?;
        self.used += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;

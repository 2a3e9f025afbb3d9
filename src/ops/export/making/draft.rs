//! An archive in a draft on this machine: written, sealed if its place asks for that, and proven by reading it back.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Seek as _, Write},
};

use anyhow::{Context as _, Result};

use super::{Making, is_refusal, other_manifest};
use crate::{
    archive::{
        Input,
        reader::{Discard, read},
    },
    catalog::{
        counted::Counted,
        measured::{Measured, Shared},
        outgoing::undecryptable,
    },
    crypt::{Keyring, Recipients, header::Form},
    disk::publish::Draft,
    error::{Failure, Kind},
    model::limits::BUFFER_BYTES,
    ops::export::place::LocalPlace,
    work::events::ExportEvent,
};

/// An archive that is good in a draft.
pub struct ProvenDraft {
    pub draft: Draft,
    pub content: ProvenContent,
    pub reused_bytes: u64,
}

/// The content of that draft, also once it is published.
pub struct ProvenContent {
    file: File,
    seal: Option<Recipients>,
    /// Opens the file, if it is sealed.
    ring: Option<Keyring>,
    /// The file.
    pub stored: Measured,
    /// The archive: what is in the file if that is sealed, else the same.
    pub archive: Measured,
}

impl ProvenContent {
    /// Returns the archive, from its first byte on.
    pub fn open(&self) -> Result<Box<dyn Read + '_>> {
        (&self.file).rewind()?;
        Ok(match &self.ring {
            None => Box::new(&self.file),
            Some(ring) => Box::new(ring.open("the archive", Form::Binary, &self.file)?),
        })
    }

    /// Returns true if the file as it is can lie at a place that seals for `seal`.
    fn fits(&self, seal: Option<&Recipients>) -> bool {
        match (&self.seal, seal) {
            (None, None) => true,
            (Some(own), Some(other)) => own.are_same(other),
            _ => false,
        }
    }
}

impl Making<'_> {
    /// Makes the archive in a draft at `place` and proves it there.
    pub fn draft(&self, place: &LocalPlace) -> Result<ProvenDraft> {
        let mut draft = place.draft(self.context)?;
        let shown = place.shown();
        let seal = place.seal.as_ref();
        let writing = || format!("cannot write {shown}");
        let earlier = self.earlier.as_ref();
        let (mut reused_bytes, mut ring) =
            sealed(draft.file(), seal, |out| self.pack(out, earlier)).with_context(writing)?;
        let mut proof = self.prove(&shown, draft.file(), ring.as_ref());
        if reused_bytes > 0 && proof.as_ref().is_err_and(is_refusal) {
            self.context.tell(ExportEvent::ReusedDamaged);
            draft.file().rewind()?;
            draft.file().set_len(0)?;
            (reused_bytes, ring) =
                sealed(draft.file(), seal, |out| self.pack(out, None)).with_context(writing)?;
            proof = self.prove(&shown, draft.file(), ring.as_ref());
        }
        let (stored, archive) =
            proof.map_err(|error| reason(draft.file(), ring.as_ref(), error))?;
        Ok(ProvenDraft {
            content: ProvenContent {
                file: draft.file().try_clone().with_context(writing)?,
                seal: place.seal.clone(),
                ring,
                stored,
                archive,
            },
            draft,
            reused_bytes,
        })
    }

    /// Makes a draft at `place` of the archive in `content`, and reads it back.
    pub fn duplicate(
        &self,
        content: &ProvenContent,
        place: &LocalPlace,
    ) -> Result<(Draft, Measured)> {
        let context = self.context;
        let writing = || format!("cannot write {}", place.shown());
        let mut draft = place.draft(context)?;
        let (ring, expected) = if content.fits(place.seal.as_ref()) {
            (&content.file).rewind()?;
            context.begin("writing", Some(content.stored.size_bytes));
            let mut file = context.watch(&content.file);
            io::copy(&mut file, draft.file()).with_context(writing)?;
            (None, content.stored)
        } else {
            context.begin("writing", Some(content.archive.size_bytes));
            let mut archive = context.watch(content.open()?);
            let copy = |out: &mut dyn Write| Ok(io::copy(&mut archive, out)?);
            let (_, ring) =
                sealed(draft.file(), place.seal.as_ref(), copy).with_context(writing)?;
            (ring, content.archive)
        };
        let length = draft.file().metadata()?.len();
        draft.file().rewind()?;
        context.begin("reading back", Some(length));
        let stored = Shared::new(context.watch(draft.file().try_clone()?));
        let found = match &ring {
            None => Measured::of(stored.clone()),
            Some(ring) => ring
                .open(&place.shown(), Form::Binary, stored.clone())
                .and_then(Measured::of),
        };
        let found = found.map_err(|error| reason(draft.file(), ring.as_ref(), error));
        if found.with_context(writing)? != expected {
            let message = "what was read back is not what was written";
            return Err(Failure::new(Kind::Unproven, message).into());
        }
        Ok((draft, stored.measured()?))
    }

    /// Reads the archive back, as any reader would, and compares it with what was meant. Returns what is known of the
    /// file, and of the archive in it.
    fn prove(
        &self,
        shown: &str,
        file: &mut File,
        ring: Option<&Keyring>,
    ) -> Result<(Measured, Measured)> {
        let context = self.context;
        file.rewind()?;
        context.begin("reading back", Some(file.metadata()?.len()));
        let stored = Shared::new(context.watch(file.try_clone()?));
        let verify = |stream: Box<dyn Read>| -> Result<()> {
            let input = Input::Stream(stream, context.scratch_folders());
            let mut sink = Discard;
            let mut sink = Counted::new(&mut sink, &context.events);
            let verified = read(shown, input, context.threads, &mut sink)?;
            match verified.manifest() == self.manifest {
                true => Ok(()),
                false => Err(other_manifest().into()),
            }
        };
        let Some(ring) = ring else {
            verify(Box::new(stored.clone()))?;
            let stored = stored.measured()?;
            return Ok((stored, stored));
        };
        let opened = ring.open(shown, Form::Binary, stored.clone())?;
        let archive = Shared::new(opened);
        verify(Box::new(archive.clone()))?;
        let archive = archive.measured()?;
        Ok((stored.measured()?, archive))
    }
}

/// Writes to a file what `write` writes, sealed for `recipients` if there are any. Returns the keys that open the file.
fn sealed<T>(
    file: &mut File,
    recipients: Option<&Recipients>,
    write: impl FnOnce(&mut dyn Write) -> Result<T>,
) -> Result<(T, Option<Keyring>)> {
    let Some(recipients) = recipients else {
        return Ok((write(file)?, None));
    };
    let file = BufWriter::with_capacity(BUFFER_BYTES, file);
    let (mut sealing, ring) = recipients.seal(file)?;
    let written = write(&mut sealing)?;
    let file = sealing.finish()?.into_inner();
    file.map_err(io::IntoInnerError::into_error)?;
    Ok((written, Some(ring)))
}

/// Returns the failure of a sealed archive that does not open again: not its content is to blame, but memory or disk.
/// Returns another error as it is.
fn reason(file: &mut File, ring: Option<&Keyring>, error: anyhow::Error) -> anyhow::Error {
    let is_of_the_seal = matches!(Failure::of(&error).kind, Kind::Refused | Kind::Key);
    let Some(ring) = ring.filter(|_| is_of_the_seal) else {
        return error;
    };
    let opened = file
        .rewind()
        .map_err(anyhow::Error::from)
        .and_then(|()| ring.open("the archive", Form::Binary, file))
        .and_then(Measured::of);
    match opened {
        Ok(_) => error,
        Err(error) => undecryptable(&Failure::of(&error).message).into(),
    }
}

//! Making the archive: compressed, proven by reading it back, and brought to where it belongs.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Read, Seek as _, Write},
    ops::RangeInclusive,
    rc::Rc,
};

use anyhow::{Context as _, Result};

use super::{
    packing::Packing,
    place::LocalPlace,
    report::{OutputReport, failed, failed_by, is_full},
};
use crate::{
    archive::{
        Input,
        reader::{Discard, read},
        reuse::Earlier,
        writer::{self, Level},
    },
    catalog::{
        counted::Counted,
        output::UploadSlot,
        shipment::{self, Shipment},
    },
    context::Context,
    disk::publish::Draft,
    error::{Failure, Kind},
    model::{
        archive_name::ArchiveName,
        digest::{Digest, HashingReader},
        entry_name::EntryName,
        limits::BUFFER_BYTES,
        manifest::Manifest,
        written::ShownPath,
    },
    source::{
        staged::StagedContent,
        tree::{ContentChanged, StagedListing},
    },
    store::{Proof, is_taken},
    work::events::ExportEvent,
};

/// Everything that an archive is made of.
pub struct Making<'a> {
    pub context: &'a Context,
    pub name: &'a ArchiveName,
    pub manifest: &'a Manifest,
    pub level: Level,
    pub contents: &'a BTreeMap<EntryName, StagedContent>,
    pub listings: &'a BTreeMap<EntryName, StagedListing>,
    pub earlier: Option<Earlier>,
}

/// An archive that was made and is good.
pub struct Made {
    pub digest: Digest,
    pub size_bytes: u64,
    pub reused_bytes: u64,
    pub outputs: Vec<OutputReport>,
}

/// An archive that is good in a draft.
struct Proven {
    draft: Draft,
    /// The draft's content, also once it is published.
    content: File,
    digest: Digest,
    size_bytes: u64,
    reused_bytes: u64,
}

impl Making<'_> {
    /// Makes the archive and brings it to every destination. A failed destination does not stop the others; if none is
    /// left, the failure of the last one is returned.
    pub fn make(&self, here: Vec<LocalPlace>, away: Vec<UploadSlot>) -> Result<Made> {
        let mut missed = Vec::new();
        let mut here = here.into_iter();
        while let Some(first) = here.next() {
            let shown = first.shown();
            match self.draft(&first) {
                Ok(draft) => {
                    let mut made = self.bring(draft, first, here, &away)?;
                    made.outputs.extend(missed);
                    return Ok(made);
                }
                Err(error) if ContentChanged::of(&error).is_some() => return Err(error),
                Err(error) if is_interruption(&error) || is_refusal(&error) => {
                    return Err(unlike(&error).into());
                }
                Err(error) if here.len() == 0 && away.is_empty() => return Err(error),
                Err(error) => missed.push(failed_by(shown, &error)),
            }
        }
        let mut made = self.away(&away)?;
        made.outputs.extend(missed);
        Ok(made)
    }

    /// Makes the archive in a draft at `place` and proves it there.
    fn draft(&self, place: &LocalPlace) -> Result<Proven> {
        let mut draft = place.draft(self.context)?;
        let shown = place.shown();
        let writing = || format!("cannot write {shown}");
        let mut reused_bytes = self
            .pack(draft.file(), self.earlier.as_ref())
            .with_context(writing)?;
        let mut proof = self.prove(&shown, draft.file());
        if reused_bytes > 0 && proof.as_ref().is_err_and(is_refusal) {
            self.context.tell(ExportEvent::ReusedDamaged);
            draft.file().rewind()?;
            draft.file().set_len(0)?;
            reused_bytes = self.pack(draft.file(), None).with_context(writing)?;
            proof = self.prove(&shown, draft.file());
        }
        let (digest, size_bytes) = proof?;
        Ok(Proven {
            content: draft.file().try_clone().with_context(writing)?,
            draft,
            digest,
            size_bytes,
            reused_bytes,
        })
    }

    /// Brings an archive that is good in a draft of `first` to all the places.
    fn bring(
        &self,
        proven: Proven,
        first: LocalPlace,
        others: impl ExactSizeIterator<Item = LocalPlace>,
        away: &[UploadSlot],
    ) -> Result<Made> {
        let (context, name) = (self.context, self.name);
        let Proven {
            draft,
            content,
            digest,
            size_bytes,
            reused_bytes,
        } = proven;
        let is_only = others.len() == 0 && away.is_empty();
        let shown = first.shown();
        let published = first.publish(context, draft, name);
        let mut outputs = match published {
            Err(error) if is_only => return Err(error),
            published => vec![reported(shown, published)?],
        };
        for place in others {
            let shown = place.shown();
            let published = self.duplicate(&content, &digest, &place);
            let published = published.and_then(|draft| place.publish(context, draft, name));
            outputs.push(reported(shown, published)?);
        }
        if !away.is_empty() {
            context.begin("sending", Some(size_bytes));
            let send = |away: &[UploadSlot]| {
                (&content).rewind()?;
                let mut sending = self.begin(away, size_bytes..=size_bytes, Some(digest))?;
                io::copy(&mut context.watch(&content), &mut sending)?;
                arrived(sending.prove()?)
            };
            let mut arrivals = send(away);
            if let Ok(arrivals) = &mut arrivals {
                renamed(context, away, arrivals, send)?;
            }
            outputs.extend(match arrivals {
                // The archive is good here; the other destinations do not have it.
                Err(error) if !is_interruption(&error) => {
                    let failure = Failure::of(&error);
                    let failed = |slot: &UploadSlot| OutputReport {
                        hint: failure.hint.clone(),
                        ..failed(slot.shown(name), failure.message.clone())
                    };
                    away.iter().map(failed).collect()
                }
                arrivals => arrivals?,
            });
        }
        Ok(Made {
            digest,
            size_bytes,
            reused_bytes,
            outputs,
        })
    }

    /// A draft at `place` of what is in `content`, read back.
    fn duplicate(&self, mut content: &File, digest: &Digest, place: &LocalPlace) -> Result<Draft> {
        let context = self.context;
        let writing = || format!("cannot write {}", place.shown());
        let mut draft = place.draft(context)?;
        content.rewind()?;
        context.begin("writing", Some(content.metadata()?.len()));
        io::copy(&mut context.watch(content), draft.file()).with_context(writing)?;
        draft.file().rewind()?;
        context.begin("reading back", Some(content.metadata()?.len()));
        let (found, _) = Digest::of_reader(context.watch(draft.file())).with_context(writing)?;
        if found != *digest {
            let message = "what was read back is not what was written";
            return Err(Failure::new(Kind::Unproven, message).into());
        }
        Ok(draft)
    }

    /// Makes the archive while it is sent, and reads it while it passes; what does not read back as it was meant has no
    /// name anywhere.
    fn away(&self, away: &[UploadSlot]) -> Result<Made> {
        let mut made = self.made_away(away)?;
        let again = |away: &[UploadSlot]| self.made_away(away).map(|made| made.outputs);
        renamed(self.context, away, &mut made.outputs, again)?;
        Ok(made)
    }

    fn made_away(&self, away: &[UploadSlot]) -> Result<Made> {
        match self.send(away, self.earlier.as_ref()) {
            Err(error) if self.earlier.is_some() && is_refusal(&error) => {
                self.context.tell(ExportEvent::ReusedDamaged);
                self.send(away, None)
            }
            result => result,
        }
        .map_err(|error| match is_refusal(&error) {
            true => unlike(&error).into(),
            false => error,
        })
    }

    fn send(&self, away: &[UploadSlot], earlier: Option<&Earlier>) -> Result<Made> {
        let most_bytes = writer::most_bytes(self.manifest);
        let least_bytes = most_bytes / MOST_COMPRESSED;
        let mut sending = self.begin(away, least_bytes..=most_bytes, None)?;
        let reused_bytes = self.pack(&mut sending, earlier)?;
        let proven = sending.prove()?;
        let verified = proven.verified();
        if verified.is_none_or(|verified| verified.manifest() != self.manifest) {
            return Err(other_manifest().into());
        }
        Ok(Made {
            digest: proven.digest(),
            size_bytes: proven.size_bytes(),
            reused_bytes,
            outputs: arrived(proven)?,
        })
    }

    /// Begins to send to each of `away`, an archive that is `known` to be good or one that is found good on its way;
    /// fails where none takes it.
    fn begin(
        &self,
        away: &[UploadSlot],
        bytes: RangeInclusive<u64>,
        known: Option<Digest>,
    ) -> Result<Sending> {
        let mut uploads = Vec::new();
        for slot in away {
            match slot.begin(self.context, self.name, bytes.clone()) {
                (_, Err(error)) if is_interruption(&error) => return Err(error),
                begun => uploads.push(begun),
            }
        }
        let shipment = match known {
            Some(digest) => Shipment::of_known(digest, uploads),
            None => Shipment::begin(self.context, "the archive on its way", uploads),
        };
        Ok(Sending(shipment.map_err(|error| of_destinations(&error))?))
    }

    /// Writes the archive to `out`; returns the number of bytes of content that were reused from `earlier`.
    fn pack(&self, out: &mut impl Write, earlier: Option<&Earlier>) -> Result<u64> {
        let context = self.context;
        context.begin("compressing", Some(self.manifest.total_bytes()));
        let out = BufWriter::with_capacity(BUFFER_BYTES, out);
        let (manifest, threads) = (self.manifest, context.threads);
        // They are asked for in order.
        let mut contents = self.contents.iter().peekable();
        let open = |entry: &EntryName| {
            let mut listings = self.listings.values();
            if let Some(listing) = listings.find(|listing| listing.directory().listing == *entry) {
                return Ok(context.watch(Box::new(listing.text()) as Box<dyn Read>));
            }
            let next = contents.next_if(|(name, _)| *name == entry);
            let content = next.map(|(_, content)| content);
            let content = content.or_else(|| self.contents.get(entry));
            let content = content.context("an entry without a source")?;
            Ok(context.watch(content.open()?))
        };
        let listed = Packing {
            context,
            listings: self.listings,
        };
        let written =
            writer::write_with(out, manifest, self.level, threads, earlier, open, &listed)?;
        Ok(written.reused_bytes)
    }

    /// Reads the archive back, as any reader would, and compares it with what was meant.
    fn prove(&self, shown: &str, file: &mut File) -> Result<(Digest, u64)> {
        let context = self.context;
        file.rewind()?;
        context.begin("reading back", Some(file.metadata()?.len()));
        let reader = HashingReader::new(context.watch(file.try_clone()?));
        let hashing = Rc::new(RefCell::new(reader));
        let verified = read(
            shown,
            Input::Stream(Box::new(Shared(hashing.clone())), context.scratch_folders()),
            context.threads,
            &mut Counted::new(&mut Discard, &context.events),
        )?;
        if verified.manifest() != self.manifest {
            return Err(other_manifest().into());
        }
        let hashing = Rc::into_inner(hashing).context("the archive is still being read")?;
        Ok(hashing.into_inner().finish())
    }
}

/// A shipment whose failures are those of destinations.
struct Sending(Shipment);

impl Sending {
    fn prove(self) -> Result<shipment::Proven> {
        Ok(self.0.prove().map_err(|error| of_destinations(&error))?)
    }
}

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .write(bytes)
            .map_err(|error| of_destinations(&error.into()).into())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0
            .flush()
            .map_err(|error| of_destinations(&error.into()).into())
    }
}

/// Returns the failure of a shipment: an interruption, an archive that is not good, or else its destinations.
fn of_destinations(error: &anyhow::Error) -> Failure {
    let failure = Failure::of(error);
    match failure.kind {
        Kind::Interrupted(_) | Kind::Refused | Kind::Space => failure,
        _ => Failure {
            kind: Kind::Unproven,
            ..failure
        },
    }
}

/// The most that DEFLATE makes of a byte (RFC 1951: 258 bytes in two bits).
const MOST_COMPRESSED: u64 = 1032;
/// The most times that an archive is sent again because another one got its name first.
const MOST_OUTRUN: usize = 20;

/// Sends the archive once more, under the next name that is free, to each of `away` where another archive of the same
/// second got its name between the first look and the end. `arrivals` says what became of each, in the same order.
fn renamed(
    context: &Context,
    away: &[UploadSlot],
    arrivals: &mut [OutputReport],
    send: impl Fn(&[UploadSlot]) -> Result<Vec<OutputReport>>,
) -> Result<()> {
    for (slot, arrival) in away.iter().zip(arrivals) {
        for _ in 0..MOST_OUTRUN {
            if !arrival.outrun || slot.name.is_some() {
                break;
            }
            context.tell(ExportEvent::NameTaken {
                archive: arrival.archive.clone(),
            });
            match send(std::slice::from_ref(slot)) {
                Ok(mut sent) => {
                    if let Some(sent) = sent.pop() {
                        *arrival = sent;
                    }
                }
                Err(error) if is_interruption(&error) => return Err(error),
                Err(error) if is_taken(&Failure::of(&error)) => {}
                Err(error) => *arrival = failed_by(arrival.archive.clone(), &error),
            }
        }
    }
    Ok(())
}

/// Gives the archive its names; what became of it, for the report.
fn arrived(proven: shipment::Proven) -> Result<Vec<OutputReport>> {
    let mut reports = Vec::new();
    for arrival in proven.deliver() {
        let archive = arrival.place;
        reports.push(match arrival.result {
            Ok(proof) => OutputReport {
                archive,
                archive_escaped: None,
                good: true,
                proof: Some(proof),
                error: None,
                hint: None,
                outrun: false,
                is_full: false,
            },
            Err(error) if is_interruption(&error) => return Err(error),
            Err(error) => OutputReport {
                outrun: is_taken(&Failure::of(&error)),
                is_full: is_full(&error),
                ..failed_by(archive, &error)
            },
        });
    }
    Ok(reports)
}

/// Reports the archive at a destination of this machine. Only an interruption is an error.
fn reported(shown: String, published: Result<ShownPath>) -> Result<OutputReport> {
    match published {
        Ok(archive) => Ok(OutputReport {
            archive: archive.text,
            archive_escaped: archive.escaped,
            good: true,
            proof: Some(Proof::ReadBack),
            error: None,
            hint: None,
            outrun: false,
            is_full: false,
        }),
        Err(error) if is_interruption(&error) => Err(error),
        Err(error) => Ok(OutputReport {
            is_full: is_full(&error),
            ..failed_by(shown, &error)
        }),
    }
}

fn is_interruption(error: &anyhow::Error) -> bool {
    matches!(Failure::of(error).kind, Kind::Interrupted(_))
}

fn other_manifest() -> Failure {
    Failure::new(
        Kind::Failed,
        "the archive that was just written has another manifest when it is read back",
    )
}

fn is_refusal(error: &anyhow::Error) -> bool {
    Failure::of(error).kind == Kind::Refused
}

/// Returns the failure if the archive does not hold what was read at first.
fn unlike(error: &anyhow::Error) -> Failure {
    let found = Failure::of(error);
    if found.kind != Kind::Refused {
        return found;
    }
    let message = "the archive that was just written does not hold what its manifest says: a file changed while it was \
        exported, or this machine's memory or disk fails";
    Failure::new(Kind::Failed, message)
        .hint("export again when no process writes to the files; nothing was written")
        .faults(found.faults)
}

struct Shared<R>(Rc<RefCell<R>>);

impl<R: Read> Read for Shared<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

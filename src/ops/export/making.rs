//! Making the archive: compressed, proven by reading it back, and brought to where it belongs.

mod away;
mod draft;
mod here;

use std::{
    collections::BTreeMap,
    io::{BufWriter, Read, Write},
};

use anyhow::{Context as _, Result};

use super::{
    packing::Packing,
    place::LocalPlace,
    report::{OutputReport, failed_by},
};
use crate::{
    archive::{
        reuse::Earlier,
        writer::{self, Level},
    },
    catalog::output::UploadSlot,
    context::Context,
    error::{Failure, Kind},
    model::{
        archive_name::ArchiveName, entry_name::EntryName, limits::BUFFER_BYTES, manifest::Manifest,
    },
    source::{
        staged::StagedContent,
        tree::{ContentChanged, StagedListing},
    },
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
    pub reused_bytes: u64,
    pub outputs: Vec<OutputReport>,
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

    /// Writes the archive to `out`; returns the number of bytes of content that were reused from `earlier`.
    fn pack(&self, out: &mut dyn Write, earlier: Option<&Earlier>) -> Result<u64> {
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

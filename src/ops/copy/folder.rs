//! The copy of a folder in which an archive was unpacked: it becomes an archive file again.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::{
    report::{CopiedArchive, CopyReport, SkippedArchive},
    request::CopyRequest,
    sweep::sweep,
    words::{location, odd_name, target},
};
use crate::{
    archive::{
        Verified,
        reader::Discard,
        tree,
        writer::{self, Level},
    },
    catalog::{
        destination::{Destination, located},
        filter::one_archive,
        folder_tree::FolderTree,
        input::ArchiveInput,
        output::{UploadSlot, ending},
        shipment::{Proven, Shipment},
    },
    config::Settings,
    context::Context,
    crypt::Recipients,
    disk::tree::beneath::Top,
    error::{Failure, Kind},
    model::{
        archive_name::{ArchiveName, Ending},
        known_archive::KnownContent,
        written::escaped,
    },
    work::events::CatalogEvent,
};

/// The most that DEFLATE makes of a byte (RFC 1951: 258 bytes in two bits).
const MOST_COMPRESSED: u64 = 1032;

/// Copies the archive that was unpacked at `path`: it is verified there, packed, and read back while it is sent.
pub fn copy_folder(
    context: &Context,
    settings: &Settings,
    request: &CopyRequest,
    path: &Path,
) -> Result<CopyReport> {
    let from = path.display().to_string();
    if !request.filter.is_everything() {
        return Err(one_archive(&from).into());
    }
    let to = target(context, settings, &request.to)?;
    to.require_enabled()?;
    let seal = to.recipients(context, settings)?;
    sweep(context, &to)?;
    let input = ArchiveInput::Folder(path.to_owned());
    let verified = input.read(context, "verifying", &mut Discard)?;
    let copy = name_of(request.name.as_deref(), &verified, seal.as_ref())?;
    let mut report = CopyReport {
        copied: Vec::new(),
        skipped: Vec::new(),
        failed: Vec::new(),
        failure: None,
    };
    if let Some(skipped) = held(context, &to, &copy, &verified)? {
        report.skipped.push(skipped);
        return Ok(report);
    }
    let level = settings.schema.level;
    let proven = ship(context, (path, &verified), level, (&to, &copy, seal))?;
    let content = KnownContent::of(verified.manifest());
    context.begin("proving", None);
    for arrival in proven.deliver() {
        let delivered = arrival.result?;
        let (proof, size_bytes) = (delivered.proof, delivered.size_bytes);
        let place = location(&to, &copy);
        context.tell(CatalogEvent::Copied {
            archive: copy.clone(),
            to: place.clone(),
            size_bytes,
            proof: proof.name(),
        });
        let sha256 = delivered.digest.to_string();
        let repository = &to.repository;
        repository.note_proven(context, &copy, (sha256.clone(), size_bytes), &content);
        report.copied.push(CopiedArchive {
            name: copy.clone(),
            from: from.clone(),
            from_escaped: escaped(path),
            to: place,
            to_escaped: located(to.path_escaped().as_deref(), &copy),
            size_bytes,
            sha256,
            proof,
            proven: None,
        });
    }
    if ArchiveName::of_file(&copy).is_none() {
        let archive = copy;
        context.tell(CatalogEvent::NameTellsNoTime { archive });
    }
    Ok(report)
}

/// Packs the archive while it is sent, and reads it on its way.
fn ship(
    context: &Context,
    (path, verified): (&Path, &Verified),
    level: Level,
    (to, copy, seal): (&Destination, &str, Option<Recipients>),
) -> Result<Proven> {
    let from = path.display().to_string();
    let manifest = verified.manifest();
    let most_bytes = writer::most_bytes(manifest);
    context.begin("copying", Some(manifest.total_bytes()));
    let slot = UploadSlot {
        repository: to.repository.clone(),
        name: None,
        seal,
    };
    let upload = slot.put(context, copy, most_bytes / MOST_COMPRESSED..=most_bytes);
    let mut shipment = Shipment::begin(context, &from, [(to.shown(), upload)])?;
    let reading = || format!("cannot read {from}");
    let top = Top::open(path).with_context(reading)?;
    let mut tree = FolderTree::new(context, &top);
    tree::pack(&mut tree, verified, level, context.threads, &mut shipment)?;
    let proven = shipment.prove()?;
    context.stop.check()?;
    let is_same = |packed: &Verified| packed.manifest() == manifest;
    if !proven.verified().is_some_and(is_same) {
        let message = format!("{from} changed while it was copied");
        return Err(Failure::new(Kind::Failed, message)
            .hint("copy it again when no process writes to it")
            .into());
    }
    Ok(proven)
}

/// Returns what is skipped if the destination holds the archive already, by its name and manifest.
fn held(
    context: &Context,
    to: &Destination,
    copy: &str,
    verified: &Verified,
) -> Result<Option<SkippedArchive>> {
    let stored = match to.repository.find(copy) {
        // A folder that is not there yet is made when something is written to it.
        Err(error) if Failure::of(&error).kind == Kind::NotFound => None,
        stored => stored?,
    };
    let Some(stored) = stored else {
        return Ok(None);
    };
    let there = to.repository.manifest(copy)?;
    Ok((there.as_ref() == Some(verified.manifest())).then(|| {
        context.tell(CatalogEvent::AlreadyHeld {
            archive: copy.to_owned(),
            destination: to.shown(),
        });
        SkippedArchive {
            name: copy.to_owned(),
            to: location(to, copy),
            to_escaped: located(to.path_escaped().as_deref(), copy),
            size_bytes: stored.size_bytes,
        }
    }))
}

/// Returns the name of the archive file: the one that was asked for, else that of the root folder.
fn name_of(
    asked: Option<&str>,
    verified: &Verified,
    seal: Option<&Recipients>,
) -> Result<String, Failure> {
    let ending = ending(seal);
    let default = || format!("{}{}", verified.root(), ending.text());
    let name = asked.map_or_else(default, str::to_owned);
    match Ending::of_file(&name) == Some(ending) {
        true => Ok(name),
        false => Err(odd_name(&name)),
    }
}

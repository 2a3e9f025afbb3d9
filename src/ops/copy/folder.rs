//! The copy of a folder in which an archive was unpacked: it becomes an archive file again.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::{
    held::{Held, StateId},
    report::{CopiedArchive, CopyReport, KnownBy, SkippedArchive},
    request::CopyRequest,
    sweep::sweep,
};
use crate::{
    archive::{Verified, reader::Discard, tree},
    catalog::{
        destination::{Destination, located},
        filter::one_archive,
        folder_tree::FolderTree,
        input::ArchiveInput,
        output::ending,
    },
    config::Settings,
    context::Context,
    crypt::Recipients,
    disk::tree::beneath::Top,
    error::Failure,
    model::{
        archive_name::{ArchiveName, Ending},
        written::escaped,
    },
    ops::{
        copy_words::{location, odd_name, target},
        packed::{Packed, There, there},
    },
    work::events::CatalogEvent,
};

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
    let mut report = CopyReport::new(context);
    if let Some((name, size_bytes)) = held(context, &to, &copy, &verified)? {
        report.skipped.push(SkippedArchive {
            to: location(&to, &name),
            to_escaped: located(to.path_escaped().as_deref(), &name),
            name,
            size_bytes,
            known_by: KnownBy::Manifest,
        });
        return Ok(report);
    }
    let level = settings.schema.level;
    let packed = Packed {
        from: &from,
        manifest: verified.manifest(),
        to: &to,
        name: &copy,
        seal,
    };
    let delivered = packed.send(context, |out| {
        let top = Top::open(path).with_context(|| format!("cannot read {from}"))?;
        let mut tree = FolderTree::new(context, &top);
        tree::pack(&mut tree, &verified, level, context.threads, out).map(drop)
    })?;
    report.copied.push(CopiedArchive {
        name: copy.clone(),
        from: from.clone(),
        from_escaped: escaped(path),
        to: location(&to, &copy),
        to_escaped: located(to.path_escaped().as_deref(), &copy),
        size_bytes: delivered.size_bytes,
        sha256: delivered.digest.to_string(),
        proof: delivered.proof,
        proven: None,
    });
    if ArchiveName::of_file(&copy).is_none() {
        let archive = copy;
        context.tell(CatalogEvent::NameTellsNoTime { archive });
    }
    Ok(report)
}

/// Returns name and size of the archive there that is the same: of the name `copy`, or in a repository of any name.
fn held(
    context: &Context,
    to: &Destination,
    copy: &str,
    verified: &Verified,
) -> Result<Option<(String, u64)>> {
    if to.repository.vault().is_some() {
        let mut held = Held::all(to)?;
        let name = held.find(context, to, StateId::of(verified.manifest()))?;
        return Ok(name.map(|name| {
            context.tell(CatalogEvent::StateHeld {
                archive: name.clone(),
                destination: to.shown(),
            });
            let size_bytes = held.size(&name).unwrap_or_default();
            (name, size_bytes)
        }));
    }
    Ok(match there(context, to, copy, verified.manifest())? {
        There::Same(size_bytes) => Some((copy.to_owned(), size_bytes)),
        There::Nothing | There::Another => None,
    })
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

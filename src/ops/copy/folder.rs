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
    archive::{Verified, reader::Discard, tree},
    catalog::{
        destination::located, filter::one_archive, folder_tree::FolderTree, input::ArchiveInput,
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
    ops::packed::{Packed, There, there},
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
    let mut report = CopyReport {
        copied: Vec::new(),
        skipped: Vec::new(),
        failed: Vec::new(),
        failure: None,
    };
    if let There::Same(size_bytes) = there(context, &to, &copy, verified.manifest())? {
        report.skipped.push(SkippedArchive {
            to: location(&to, &copy),
            to_escaped: located(to.path_escaped().as_deref(), &copy),
            name: copy,
            size_bytes,
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

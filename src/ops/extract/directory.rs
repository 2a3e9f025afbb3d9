//! A directory out of an archive: built as an import builds it, and as whole.

use std::path::Path;

use anyhow::{Context as _, Result};
use tracing::warn;

use super::{Context, Extracted, refuse_existing};
use crate::{
    disk::{
        staging::Staging,
        survey,
        tree::{Privilege, Restoring, StagedFile, Taking, publish, restore},
    },
    model::{
        entry_name::EntryName,
        manifest::Manifest,
        tree::{files_of, relative_of},
    },
};

/// Bytes of the files of a directory.
pub fn total_bytes(name: &EntryName, manifest: &Manifest) -> u64 {
    let sizes = files_of(name, &manifest.files).map(|(_, _, record)| record.size);
    sizes.fold(0, u64::saturating_add)
}

/// Builds the directory called `name` below `folder`, of files that were proven and lie in `staging`.
///
/// Modes, times, attributes and the links that stay inside are those of the archive; what could not be had is warned of.
/// Everything belongs to who runs it.
pub fn extract(
    context: &Context,
    name: &EntryName,
    manifest: &Manifest,
    staging: &Staging,
    folder: &Path,
) -> Result<Extracted> {
    let target = folder.join(name.as_str());
    let tree = manifest.trees.get(name);
    let tree = tree.context("a directory that the archive does not have")?;
    let mut files = Vec::new();
    for (key, entry, record) in files_of(name, &manifest.files) {
        files.push(StagedFile {
            name: relative_of(key, record, name).map_err(anyhow::Error::msg)?,
            staged: staging.place(entry),
            record,
        });
    }
    context.begin("building the directory", None);
    let place = staging.sibling();
    let warnings = restore(&Restoring {
        tree,
        files: &files,
        place: &place,
        target: &survey::in_real_folder(&target),
        taking: Taking::Move,
        privilege: Privilege::Ours,
    })?;
    publish(&place, &target).map_err(|error| refuse_existing(error, &target))?;
    for warning in warnings {
        warn!("{name}: {warning}");
    }
    Ok(Extracted {
        entry: name.as_str().to_owned(),
        path: Some(target.display().to_string()),
        size_bytes: total_bytes(name, manifest),
    })
}

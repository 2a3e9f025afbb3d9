//! The files of an archive's directory, in staging.

use anyhow::{Error, Result};

use crate::{
    disk::{staging::Staging, tree::StagedFile},
    model::{
        entry_name::EntryName,
        manifest::Manifest,
        tree::{files_of, relative_of},
    },
};

/// Returns the staged files of the directory called `name`, each with its path in that directory.
pub fn staged_files<'a>(
    name: &'a EntryName,
    manifest: &'a Manifest,
    staging: &Staging,
) -> Result<Vec<StagedFile<'a>>> {
    let files = files_of(name, &manifest.files);
    files
        .map(|(key, entry, record)| {
            Ok(StagedFile {
                name: relative_of(key, record, name).map_err(Error::msg)?,
                staged: staging.place(entry),
                record,
            })
        })
        .collect()
}

//! The files and folders that an import replaces.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Result;

use super::selection::Selection;
use crate::{
    config::Settings,
    disk::{survey, transaction::backup_path},
    error::{Failure, Kind},
    model::entry_name::EntryName,
};

/// The files that entries replace on this machine, links resolved.
pub struct Targets {
    /// By the entry's name.
    pub paths: BTreeMap<EntryName, PathBuf>,
}

impl Targets {
    /// Finds them, and refuses places that would get in each other's way.
    pub fn find(settings: &Settings, selection: &Selection) -> Result<Targets> {
        let mut paths = BTreeMap::new();
        for source in &settings.sources {
            if let Some(path) = source.path().filter(|_| selection.has(&source.name)) {
                let resolved = match source.is_directory() {
                    true => survey::resolve_folder(path)?,
                    false => survey::resolve(path)?,
                };
                paths.insert(source.name.clone(), resolved);
            }
        }
        for (name, path) in &paths {
            let clash = paths.iter().find(|(other, place)| {
                *other != name && (*place == path || **place == backup_path(path))
            });
            if let Some((other, _)) = clash {
                let failure = Failure::new(
                    Kind::Usage,
                    format!(
                        "{name} and {other} cannot both be kept at {}",
                        path.display()
                    ),
                );
                return Err(failure
                    .hint(
                        "give each entry a place of its own: --config, --services, --secrets and \
                    --data-dir, or [[backup.sources]]",
                    )
                    .into());
            }
        }
        Ok(Targets { paths })
    }
}

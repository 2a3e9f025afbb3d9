//! The size of the state that the configuration names, as far as it can be told without running anything.

use std::{fs, path::PathBuf};

use anyhow::Result;

use crate::{config::Settings, context::Context, model::chunks::Chunks};

/// Returns the bytes of the files of all sources; `None` if not one of them can be read. Counting ends at the size from
/// which a state is large. Patterns that leave files out are not applied.
pub fn state_size(context: &Context, settings: &Settings) -> Result<Option<u64>> {
    let sources = settings.sources.iter().filter(|source| source.enabled);
    let found = sources.filter_map(|source| source.path());
    // A source may be a link; what is below it is not followed.
    let mut paths: Vec<PathBuf> = found
        .map(|path| path.canonicalize().unwrap_or_else(|_| path.to_owned()))
        .collect();
    let mut bytes: Option<u64> = None;
    while let Some(path) = paths.pop() {
        context.stop.check()?;
        let Ok(metadata) = path.symlink_metadata() else {
            continue;
        };
        let sum = bytes.get_or_insert(0);
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            paths.extend(entries.map(|entry| entry.path()));
        } else if metadata.is_file() {
            *sum = sum.saturating_add(metadata.len());
        }
        if *sum >= Chunks::LARGE_STATE {
            break;
        }
    }
    Ok(bytes)
}

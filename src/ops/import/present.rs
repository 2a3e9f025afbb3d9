//! The question whether the state is on this machine already, for an import that is to begin only if it is not.

use std::path::Path;

use anyhow::Result;

use crate::{
    config::{
        Settings,
        sources::{Presence, Source},
    },
    error::{Failure, Kind},
};

/// Returns true if the state is here, and false if nothing of it is.
///
/// Databases tell: the state is here if every one of them is. A service without databases is told by its directories,
/// of which an empty one counts as missing, and one without these by its files. Optional and disabled sources, the
/// configuration and patterns do not count.
///
/// Fails with [`Kind::Blocked`] if some of it is here and some is not: an import would replace what the service wrote.
pub fn is_present(settings: &Settings) -> Result<bool> {
    let counts = |source: &&Source| {
        let is_matched = settings.globs.iter().any(|glob| {
            let path = glob.path_of(&source.name);
            path.as_deref() == source.path()
        });
        source.enabled
            && source.presence == Presence::Required
            && source.path().is_some()
            && !source.kind.is_own_configuration()
            && !is_matched
    };
    let all: Vec<&Source> = settings.sources.iter().filter(counts).collect();
    let are = |is_kind: fn(&Source) -> bool| -> Vec<&Source> {
        let of_kind = all.iter().copied();
        of_kind.filter(|source| is_kind(source)).collect()
    };
    let databases = are(|source| source.kind.engine().is_some());
    let directories = are(Source::is_directory);
    let telling = [databases, directories, all.clone()];
    let telling = telling.into_iter().find(|some| !some.is_empty());
    let (here, gone): (Vec<&Source>, Vec<&Source>) = telling
        .unwrap_or_default()
        .into_iter()
        .partition(|source| source.path().is_some_and(is_there));
    match (here.first(), gone.first()) {
        (Some(_), None) => Ok(true),
        (None, _) => Ok(false),
        (Some(present), Some(absent)) => {
            let message = format!(
                "a part of the state is here: {} is, and {} is not",
                present.name, absent.name
            );
            Err(Failure::new(Kind::Blocked, message)
                .hint("look at what is missing; `hookshot import` without --if-missing replaces all of it")
                .into())
        }
    }
}

/// Returns true if something is at a path. An empty folder, as a new volume is, does not count.
fn is_there(path: &Path) -> bool {
    match path.read_dir() {
        Ok(mut entries) => entries.any(|entry| {
            let name = entry.map(|entry| entry.file_name()).unwrap_or_default();
            name != "lost+found"
        }),
        Err(_) => path.symlink_metadata().is_ok(),
    }
}

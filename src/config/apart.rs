//! Sources that must lie apart: their names among the entries, and their directories on the disk.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::sources::Source;
use crate::{
    disk::{exists, real},
    error::{Failure, Kind},
};

/// Refuses two entries of one name, and one below another.
pub(super) fn names_lie_apart(sources: &[Source]) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    for source in sources {
        if !names.insert(source.name.as_str()) {
            return Err(clash(&source.name, &source.name));
        }
    }
    for source in sources {
        let name = source.name.as_str();
        let above = name.match_indices('/').map(|(at, _)| &name[..at]);
        if let Some(outer) = above.into_iter().find(|above| names.contains(above)) {
            return Err(clash(&outer, &source.name));
        }
    }
    Ok(())
}

fn clash(one: &impl std::fmt::Display, other: &impl std::fmt::Display) -> Failure {
    let message = format!("the sources {one} and {other} cannot both have their names");
    Failure::new(Kind::Usage, message)
        .hint("a pattern matches two files that would be one entry: give the patterns other names")
}

/// Returns the path of `other` below the directory, as the configuration writes it or as it really is.
pub(super) fn below(directory: &Source, other: &Source) -> Option<PathBuf> {
    let (top, path) = (directory.path()?, other.path()?);
    let rest = path.strip_prefix(top).ok();
    let rest = rest.map(Path::to_owned).or_else(|| {
        let rest = path.strip_prefix(real(top)).ok()?;
        Some(rest.to_owned())
    });
    rest.filter(|rest| !rest.as_os_str().is_empty())
}

/// The meaning of a source in another directory that gets all links back, if it is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// A link may have led there.
    MayBeLinks,
    /// No link leads there.
    AreFolders,
}

/// Refuses a directory in which hookshot would keep its journal, and one that lies in another.
pub(super) fn directories_lie_apart(config: &Path, sources: &[Source], gone: Gone) -> Result<()> {
    let directories = sources.iter().filter(|source| source.is_directory());
    let directories = directories.filter_map(|source| Some((source, real(source.path()?))));
    let directories: Vec<(&Source, PathBuf)> = directories.collect();
    for (source, path) in &directories {
        let name = &source.name;
        let inner = directories.iter().find(|(other, inside)| {
            let may_be_link = gone == Gone::MayBeLinks && source.kind.restores_all_links();
            other.name != *name && inside.starts_with(path) && (exists(inside) || !may_be_link)
        });
        let (message, hint) = if real(config).starts_with(path) {
            let message = format!(
                "{} lies in the directory {name}: an import could not replace it as one",
                config.display()
            );
            (
                message,
                "give the configuration a folder of its own".to_owned(),
            )
        } else if let Some((other, inside)) = inner {
            let message = format!("the directory {} lies in the directory {name}", other.name);
            let hint = match exists(inside) {
                true => format!("name the outer directory {name} alone"),
                false => format!(
                    "if {} was a link to another folder, make it again, or set `links = \"all\"` for {name}; else name \
                    the outer directory alone",
                    inside.display()
                ),
            };
            (message, hint)
        } else {
            continue;
        };
        return Err(Failure::new(Kind::Usage, message).hint(hint).into());
    }
    Ok(())
}

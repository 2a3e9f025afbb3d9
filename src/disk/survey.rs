//! The present state of the machine: targets with their digest, mode and owner.

use std::{
    fs::File,
    io::{self, Read},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{dangling, exists, in_real_folder, open_regular, tree::beneath::xattrs};
use crate::{
    error::{Failure, Kind},
    model::{digest::Digest, plan::Present, rules::Rules},
};

/// Returns the file that an import replaces for the configured path: links are followed, so that a link stays a link.
pub fn resolve(path: &Path) -> Result<PathBuf> {
    let metadata = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(in_real_folder(path)),
        result => result.with_context(|| format!("cannot look at {}", path.display()))?,
    };
    let resolved = if metadata.is_symlink() {
        path.canonicalize().map_err(|error| {
            dangling(path).unwrap_or_else(|| {
                let message = format!("cannot follow the link {}: {error}", path.display());
                Failure::new(Kind::Usage, message).hint("let the link lead to a file, or remove it")
            })
        })?
    } else {
        in_real_folder(path)
    };
    if !resolved
        .metadata()
        .with_context(|| format!("cannot look at {}", resolved.display()))?
        .is_file()
    {
        let message = format!("{} is not a regular file", resolved.display());
        return Err(Failure::new(Kind::Usage, message)
            .hint("nothing but a regular file is replaced: move it away, or name another place")
            .into());
    }
    Ok(resolved)
}

/// Returns the folder that an import replaces for the configured path: a link is followed, so that it stays one.
pub fn resolve_folder(path: &Path) -> Result<PathBuf> {
    let resolved = match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !exists(path) => {
            return Ok(in_real_folder(path));
        }
        Err(error) => {
            let failure = dangling(path).map(anyhow::Error::from);
            let looking = || format!("cannot look at {}", path.display());
            return Err(failure.unwrap_or_else(|| anyhow::Error::new(error).context(looking())));
        }
        result => result.with_context(|| format!("cannot look at {}", path.display()))?,
    };
    if !resolved.is_dir() {
        let message = format!("{} is not a folder", resolved.display());
        return Err(Failure::new(Kind::Usage, message)
            .hint("a source of the kind `directory` is a folder; for one file there is `file`")
            .into());
    }
    Ok(resolved)
}

/// Computes a digest over the listing of the folder (or the file, or the link) at `path`, as far as `rules` keep it and
/// without hookshot's own files; `None` if there is none.
pub fn listing(path: &Path, rules: &Rules) -> Result<Option<String>> {
    let digest = match path.symlink_metadata() {
        Err(_) => return Ok(None),
        Ok(metadata) if metadata.is_dir() => super::tree::listing(path, rules)?,
        Ok(_) => super::tree::listing_of_one(path)?,
    };
    Ok(Some(digest.to_string()))
}

/// Returns the same digest, and that over everything at `path`; `None` if there is nothing.
pub fn listing_and_whole(path: &Path, rules: &Rules) -> Result<Option<(String, String)>> {
    let (kept, whole) = match path.symlink_metadata() {
        Err(_) => return Ok(None),
        Ok(metadata) if metadata.is_dir() => super::tree::listing_and_whole(path, rules)?,
        Ok(_) => {
            let digest = super::tree::listing_of_one(path)?;
            (digest, digest)
        }
    };
    Ok(Some((kept.to_string(), whole.to_string())))
}

/// Describes the file at `path`, if there is one. `watch` sees every byte that is read.
pub fn present(path: &Path, watch: impl FnOnce(File) -> Box<dyn Read>) -> Result<Option<Present>> {
    let file = match open_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let metadata = file
        .metadata()
        .with_context(|| format!("cannot look at {}", path.display()))?;
    let xattrs = xattrs(file.as_fd())
        .with_context(|| format!("cannot read the attributes of {}", path.display()))?;
    let (digest, _) = Digest::of_reader(watch(file))
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Some(Present {
        digest,
        mode: metadata.mode() & 0o7777,
        owner: (metadata.uid(), metadata.gid()),
        xattrs,
    }))
}

/// The marks that tell if a file is still the one that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    place: (u64, u64),
    size: u64,
    changed: (i64, i64),
}

/// Takes the stamp of the file at `path`; `None` if there is none.
pub fn stamp(path: &Path) -> Result<Option<Stamp>> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => {
            let metadata = result.with_context(|| format!("cannot look at {}", path.display()))?;
            Ok(Some(Stamp {
                place: (metadata.dev(), metadata.ino()),
                size: metadata.len(),
                changed: (metadata.mtime(), metadata.mtime_nsec()),
            }))
        }
    }
}

/// Returns true if two places, or the nearest folders above them that exist, are on one file system.
pub fn share_file_system(one: &Path, other: &Path) -> bool {
    let device = |path: &Path| {
        let metadata = path
            .ancestors()
            .find_map(|ancestor| ancestor.metadata().ok());
        metadata.map(|metadata| metadata.dev())
    };
    device(one) == device(other)
}

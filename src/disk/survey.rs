//! What is on the machine now: targets with their digest, mode and owner.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::model::{digest::Digest, plan::Present};

/// The file that an import replaces for the configured path: links are followed, so that a link stays a link.
pub fn resolve(path: &Path) -> Result<PathBuf> {
    let metadata = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path.to_owned()),
        result => result.with_context(|| format!("cannot look at {}", path.display()))?,
    };
    let resolved = if metadata.is_symlink() {
        path.canonicalize()
            .with_context(|| format!("cannot follow the link {}", path.display()))?
    } else {
        path.to_owned()
    };
    if !resolved
        .metadata()
        .with_context(|| format!("cannot look at {}", resolved.display()))?
        .is_file()
    {
        bail!("{} is not a regular file", resolved.display());
    }
    Ok(resolved)
}

/// The file at `path`, if there is one. `watch` sees every byte that is read.
pub fn present(path: &Path, watch: impl FnOnce(File) -> Box<dyn Read>) -> Result<Option<Present>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let metadata = file
        .metadata()
        .with_context(|| format!("cannot look at {}", path.display()))?;
    let (digest, _) = Digest::of_reader(watch(file))
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Some(Present {
        digest,
        mode: metadata.mode() & 0o7777,
        owner: (metadata.uid(), metadata.gid()),
    }))
}

/// Whether two places, or the nearest folders above them that exist, are on one file system.
pub fn share_file_system(one: &Path, other: &Path) -> bool {
    let device = |path: &Path| {
        let metadata = path
            .ancestors()
            .find_map(|ancestor| ancestor.metadata().ok());
        metadata.map(|metadata| metadata.dev())
    };
    device(one) == device(other)
}

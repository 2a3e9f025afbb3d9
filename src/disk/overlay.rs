//! Overlay file systems that refuse to rename the folders of their lower layers.

use std::{fs, io, os::unix::fs::DirBuilderExt as _, path::Path};

use anyhow::{Context as _, Result};
use rustix::{
    fs::{CWD, RenameFlags, renameat_with, statfs},
    io::Errno,
};

use super::{
    folder_of,
    mounts::{Mounts, is_same_mount},
    removal::remove_tree,
    rename_to_nothing,
};

/// `OVERLAYFS_SUPER_MAGIC` of linux/magic.h.
const OVERLAY: i128 = 0x794c_7630;

/// Returns true if the folder at `path` lies on an overlay that refuses to rename it, because it comes from a lower
/// layer (a container's image): `redirect_dir=off` in the kernel's documentation of overlayfs.
///
/// Asked by a rename that cannot succeed: over a folder of ours that is not empty. It is made in `scratch` if that is
/// on the same mount, else beside the folder.
pub fn is_fixed_by_overlay(path: &Path, scratch: &Path) -> Result<bool> {
    // The type of the field differs between architectures.
    let is_overlay = statfs(path).is_ok_and(|found| i128::from(found.f_type) == OVERLAY);
    if !is_overlay || redirects(path)? {
        return Ok(false);
    }
    let folder = match is_same_mount(path, scratch) {
        true => scratch.to_owned(),
        false => folder_of(path),
    };
    let pid = std::process::id();
    let probe = folder.join(format!(".hookshot-{pid:x}-0.probe"));
    let asked = ask(path, &probe);
    let _ = remove_tree(&probe);
    match asked {
        Err(Errno::XDEV) => Ok(true),
        Err(_) => Ok(false),
        // The folder in the way was emptied and is gone: what took its place goes back.
        Ok(()) => {
            rename_to_nothing(&probe, path)
                .with_context(|| format!("{} is now {}", path.display(), probe.display()))?;
            Ok(false)
        }
    }
}

fn ask(path: &Path, probe: &Path) -> Result<(), Errno> {
    let failed = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    fs::DirBuilder::new()
        .mode(0o700)
        .create(probe)
        .map_err(failed)?;
    fs::File::create_new(probe.join("full")).map_err(failed)?;
    renameat_with(CWD, path, CWD, probe, RenameFlags::empty())
}

/// Returns true if the overlay at `path` renames folders of its lower layers.
fn redirects(path: &Path) -> Result<bool> {
    let ours = Mounts::ours()?;
    let options = ours
        .showing(path)
        .map(|mount| mount.options.as_str())
        .unwrap_or_default();
    let said = options
        .split(',')
        .find_map(|option| option.strip_prefix("redirect_dir="));
    // If the option is missing, the module's default applies.
    Ok(match said {
        Some(said) => said == "on",
        None => fs::read_to_string("/sys/module/overlay/parameters/redirect_dir")
            .is_ok_and(|default| default.trim() == "Y"),
    })
}

//! The folder in which copies of the indexes and records of repositories lie.

use std::path::{Path, PathBuf};

use crate::{
    config::{Settings, elsewhere::tidy},
    context::{Context, Copies},
    disk::folder_of,
    store::Address,
};

/// The folder's name in one that all programs of a user share.
const NAME: &str = "hookshot";

/// Returns the folder for copies of a repository at `address`: the `written` one, else that of the service
/// (systemd.exec(5), `CacheDirectory=`), else that of the user (XDG Base Directory Specification). Without any of these,
/// and for a repository in a folder of this machine, there is none.
pub fn cache_folder(
    context: &Context,
    settings: &Settings,
    address: &Address,
    written: Option<&Path>,
) -> Option<PathBuf> {
    if context.copies == Copies::Unused || matches!(address.place(), Address::Folder(_)) {
        return None;
    }
    // A path in the configuration is relative to the configuration's folder.
    let written = written.map(|folder| tidy(&folder_of(&settings.config).join(folder)));
    let variable = |name| context.environment.get(name);
    let of_service = || {
        // Several folders are separated by colons.
        let mut folders = variable("CACHE_DIRECTORY")?.split(':');
        folders.find_map(absolute)
    };
    let of_user = || {
        let shared = variable("XDG_CACHE_HOME").and_then(absolute);
        let shared = shared.or_else(|| Some(absolute(variable("HOME")?)?.join(".cache")));
        Some(shared?.join(NAME))
    };
    written.or_else(of_service).or_else(of_user)
}

/// Returns the folder that a variable of the environment names, if it is absolute and was UTF-8.
fn absolute(folder: &str) -> Option<PathBuf> {
    let is_whole = !folder.contains(char::REPLACEMENT_CHARACTER);
    Some(PathBuf::from(folder)).filter(|folder| is_whole && folder.is_absolute())
}

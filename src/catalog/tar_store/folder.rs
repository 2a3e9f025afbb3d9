//! The archives in a folder of this machine, known by their paths, whatever their names are.

use std::{
    io::{self, Read as _},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    archive::head::{Head, kind_of, lacks_manifest},
    catalog::repository::OtherFile,
    context::Context,
    disk::open_regular,
    error::{Failure, Kind},
    model::{
        archive_name::{ArchiveName, Ending, is_archive_file},
        limits::HEAD_BYTES,
        written::escaped,
    },
    store::OWN,
};

/// The archives of a folder, and the other files in it.
pub struct FolderArchives {
    /// Every file whose name ends like an archive's, by name.
    pub archives: Vec<PathBuf>,
    /// Those that certainly are not archives.
    pub other_files: Vec<OtherFile>,
}

/// Finds the archives in a folder of this machine; at least one. A file that may be a damaged archive is among them, and
/// so is one whose name is not UTF-8.
pub fn archives_in(context: &Context, folder: &Path) -> Result<FolderArchives> {
    let reading = || format!("cannot read the folder {}", folder.display());
    let mut found = FolderArchives {
        archives: Vec::new(),
        other_files: Vec::new(),
    };
    let mut names = Vec::new();
    for entry in folder.read_dir().with_context(reading)? {
        let name = entry.with_context(reading)?.file_name();
        let bytes = name.as_bytes();
        if is_archive_file(bytes) && !bytes.starts_with(OWN.as_bytes()) {
            names.push(name);
        }
    }
    names.sort();
    for name in names {
        context.stop.check()?;
        let path = folder.join(&name);
        if path.is_dir() {
            continue;
        }
        let is_ours = name.to_str().and_then(ArchiveName::of_file).is_some();
        let foreign = match is_ours {
            true => false,
            // A file that cannot be read is reported when it is verified.
            false => open_regular(&path)
                .and_then(|file| is_foreign(&mut context.watch(file)))
                .unwrap_or(false),
        };
        if foreign {
            found.other_files.push(OtherFile {
                name: path.display().to_string(),
                name_escaped: escaped(&path),
                reason: "not an archive: it has no manifest".to_owned(),
                is_foreign: true,
                is_unread: false,
            });
        } else {
            found.archives.push(path);
        }
    }
    if found.archives.is_empty() {
        let message = format!("{} has no archive", folder.display());
        let others = match found.other_files.len() {
            0 => String::new(),
            count => format!(
                ", but {count} other files that end with {}",
                Ending::Plain.text()
            ),
        };
        return Err(Failure::new(Kind::NotFound, format!("{message}{others}"))
            .hint("name the folder that the archives are in")
            .into());
    }
    Ok(found)
}

/// Returns true if a file certainly is not an archive: it is a tar without a manifest.
fn is_foreign(file: &mut (impl io::Read + io::Seek)) -> io::Result<bool> {
    let mut head = Vec::new();
    io::Read::by_ref(file)
        .take(HEAD_BYTES as u64)
        .read_to_end(&mut head)?;
    if kind_of(&head) != Head::ManifestLater {
        return Ok(false);
    }
    file.rewind()?;
    Ok(lacks_manifest(file))
}

/// Returns the newest archive of `prefix` in a folder, by the names alone. Only archives that this user or root owns
/// count: other users with write access must not choose the archive that an export reuses.
pub fn newest_of_ours(folder: &Path, prefix: &str) -> Option<PathBuf> {
    let names = folder.read_dir().ok()?.flatten();
    let archives = names.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let parsed = ArchiveName::of_file(&name).filter(|parsed| parsed.prefix() == prefix)?;
        let metadata = entry.metadata().ok()?;
        let is_ours = metadata.uid() == 0 || metadata.uid() == nix::unistd::geteuid().as_raw();
        (metadata.is_file() && is_ours).then(|| (parsed.order(), name))
    });
    let newest = archives.max_by_key(|(order, _)| *order);
    newest.map(|(_, name)| folder.join(name))
}

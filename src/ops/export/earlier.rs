//! Earlier archives: what is reused of one, and what the manifest of the newest one tells.

use std::{io, path::Path, sync::Arc};

use anyhow::Result;

use super::{place::LocalPlace, request::Reuse};
use crate::{
    archive::{reuse::Earlier, select::select_manifest, writer::Level},
    catalog::{
        opening::opened_at,
        output::UploadSlot,
        outside::{Inside, is_closed},
        repository::ListedArchive,
        tar_store::folder::newest_of_ours,
        target::folder_around,
    },
    config::Settings,
    context::Context,
    disk::open_regular,
    error::{Failure, Kind},
    model::{
        archive_name::{ArchiveName, Ending},
        known_archive::ArchivedSources,
        manifest::Manifest,
    },
    work::{
        ReadAt,
        events::{ExportEvent, NoReuse},
    },
};

/// Returns the earlier archive whose members may be reused, if there is one: the named one, or the newest in the folder
/// of the output. A sealed one needs a key that opens it; it is said if none does.
pub fn earlier(
    place: Option<&LocalPlace>,
    context: &Context,
    reuse: &Reuse,
    level: Level,
    prefix: &str,
) -> Result<Option<Earlier>> {
    let open = |path: &Path| -> Result<Option<Earlier>> {
        let source = opened(context, path)?;
        Ok(source.and_then(|source| Earlier::open(source, &context.version, &level.name())))
    };
    let folder = match (reuse, place) {
        (Reuse::Archive(path), _) => {
            let reason = match open(path) {
                Ok(Some(earlier)) => return Ok(Some(earlier)),
                Ok(None) => NoReuse::Other,
                Err(error) => match Failure::of(&error).kind {
                    Kind::Key => NoReuse::Sealed,
                    Kind::Refused => NoReuse::Other,
                    _ => return Err(error),
                },
            };
            let archive = path.clone();
            context.tell(ExportEvent::NothingReusable { archive, reason });
            return Ok(None);
        }
        (Reuse::Nothing, _) => return Ok(None),
        (Reuse::Newest, place) => match place.and_then(LocalPlace::folder) {
            Some(folder) => folder,
            None => return Ok(None),
        },
    };
    let Some(newest) = newest_of_ours(&folder, prefix) else {
        return Ok(None);
    };
    if is_shut(context, &newest) {
        context.tell(ExportEvent::NewestSealed { archive: newest });
        return Ok(None);
    }
    match open(&newest) {
        Err(error) if Failure::of(&error).kind == Kind::Key => {
            context.tell(ExportEvent::NewestSealed { archive: newest });
            Ok(None)
        }
        found => Ok(found.ok().flatten()),
    }
}

/// Returns true if an archive is sealed by its name, and the run has no key that can be loaded: then no passphrase is
/// asked for.
fn is_shut(context: &Context, path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| is_closed(context, name).unwrap_or(true))
}

/// Opens an archive of this machine, decrypted if it is sealed; `None` if it is armored.
///
/// Errors: [`Kind::Key`] if no key opens it.
fn opened(context: &Context, path: &Path) -> Result<Option<Arc<dyn ReadAt + Send + Sync>>> {
    let file = open_regular(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let message = format!("the archive {} does not exist", path.display());
            let failure = Failure::new(Kind::NotFound, message);
            anyhow::Error::new(failure.hint("leave out --reuse, or name an archive"))
        }
        _ => anyhow::Error::new(error).context(format!("cannot read {}", path.display())),
    })?;
    opened_at(&context.keys, &path.display().to_string(), Arc::new(file))
}

/// Returns the manifest of the newest archive in the folder of the output, if it can be read without reading all of the
/// archive; without a folder, that of the named archive.
pub fn newest_manifest(
    context: &Context,
    place: Option<&LocalPlace>,
    reuse: &Reuse,
    prefix: &str,
) -> Option<Manifest> {
    let folder = place.and_then(LocalPlace::folder);
    let in_folder = folder.and_then(|folder| newest_of_ours(&folder, prefix));
    let path = match reuse {
        Reuse::Archive(path) => in_folder.or_else(|| Some(path.clone())),
        Reuse::Newest | Reuse::Nothing => in_folder,
    };
    let path = path.filter(|path| !is_shut(context, path))?;
    let source = opened(context, &path).ok()??;
    let selected = select_manifest(&*source).ok()??;
    Some(selected.manifest)
}

/// Returns the sources in the newest archive in the folder of the output, if that is sealed, and a key opens it or this
/// machine knows it.
pub fn newest_sealed(
    place: Option<&LocalPlace>,
    context: &Context,
    settings: &Settings,
) -> Option<ArchivedSources> {
    let folder = place.and_then(LocalPlace::folder)?;
    let path = newest_of_ours(&folder, &settings.schema.prefix)?;
    let name = path.file_name()?.to_str()?;
    if Ending::of_file(name) != Some(Ending::Sealed) {
        return None;
    }
    let destination = folder_around(context, settings, &path).ok()?;
    let stored = destination.repository.find(name).ok()??;
    let inside = destination.repository.inside(context, &stored);
    inside.ok()?.sources()
}

/// Returns what is known of the newest archive at another destination beside the one that was `made`, without reading all
/// of it.
pub fn archive_before(
    context: &Context,
    slot: &UploadSlot,
    prefix: &str,
    made: &Manifest,
) -> Option<Inside> {
    let is_other = |listed: &ListedArchive| {
        let name = &listed.stored.name;
        let root = ArchiveName::of_file(name).map(|name| name.root());
        slot.name.as_ref() != Some(name) && made.root != root
    };
    let newest = slot.repository.newest_listed(prefix, is_other).ok()??;
    slot.repository.inside(context, &newest).ok()
}

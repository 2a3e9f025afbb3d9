//! Warnings of an import: differences between the archive and this machine that do not block it.

use super::{selection::Selection, unpacked::Unpacked};
use crate::{
    config::{
        Settings,
        sources::{Presence, Source},
    },
    disk::exists,
    machine::kept::Fed,
    model::entry_name::EntryName,
    work::{remark::RemarkKind, remarks::Remarks},
};

/// Warns of files that match a pattern and are not in the archive: they stay.
pub(super) fn warn_of_strays(
    settings: &Settings,
    unpacked: &Unpacked<'_>,
    selection: &Selection,
    remarks: &mut Remarks,
) {
    let manifest = unpacked.verified.manifest();
    for source in settings
        .globs
        .iter()
        .flat_map(|glob| settings.matching(glob))
    {
        let name = &source.name;
        let is_there = manifest.files.contains_key(name) || manifest.has_directory(name);
        if let Some(path) = source.path().filter(|_| !is_there && selection.has(name)) {
            let message = format!(
                "{} is not in the archive, and stays as it is",
                path.display()
            );
            remarks.warning(RemarkKind::Stray, name, message);
        }
    }
}

/// Names the sources that the archive does not have, secrets that an export left out say: a service that needs one
/// which this machine does not have either is not restored.
pub(super) fn name_absent(
    settings: &Settings,
    unpacked: &Unpacked<'_>,
    selection: &Selection,
    remarks: &mut Remarks,
) {
    if settings.schema.sources.is_none() || !selection.only.is_empty() {
        return;
    }
    let manifest = unpacked.verified.manifest();
    let matching = settings.globs.iter();
    let matching = matching.flat_map(|glob| settings.matching(glob));
    let patterned: Vec<&EntryName> = matching.map(|source| &source.name).collect();
    for source in &settings.sources {
        let name = &source.name;
        let is_there = manifest.files.contains_key(name) || manifest.has_directory(name);
        let is_meant = source.presence == Presence::Required
            && !source.kind.is_own_configuration()
            && !patterned.contains(&name);
        let Some(path) = source
            .path()
            .filter(|_| is_meant && !is_there && selection.has(name))
        else {
            continue;
        };
        let shown = path.display();
        if exists(path) {
            let message = format!("{name} is not in the archive: {shown} stays as it is");
            remarks.warning(RemarkKind::Absent, name, message);
        } else {
            let message = format!(
                "{name} is not in the archive, and {shown} does not exist: put it in place by hand, or take it from another archive"
            );
            remarks.undone(RemarkKind::Absent, name, message);
        }
    }
}

/// Warns of what `--map` does not change.
pub(super) fn warn_of_maps(
    settings: &Settings,
    unpacked: &Unpacked<'_>,
    commands: &[Fed<'_>],
    remarks: &mut Remarks,
) {
    if settings.elsewhere.maps.is_empty() {
        return;
    }
    let is_put = |source: &&Source| source.kind.is_own_configuration();
    if let Some(config) = unpacked
        .sources()
        .find(is_put)
        .filter(|_| unpacked.beside.is_none())
    {
        remarks.warning(
            RemarkKind::Map,
            &config.name,
            "The archive's config.toml names the places as they were: change it before the next export or import, --map does not",
        );
    }
    for fed in commands {
        let message = format!(
            "The import command of {} runs as it is written: --map changes no path in it",
            fed.entry
        );
        remarks.warning(RemarkKind::Map, fed.entry, message);
    }
}

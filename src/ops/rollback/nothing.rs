//! The failure of a rollback that has nothing to undo.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{
    config::Settings,
    disk::transaction::{backup::Known, home::Home, names::volume_of},
    error::{Failure, Kind},
};

/// The number of backups that are named.
const MOST_NAMED: usize = 8;

/// Returns the places of the backups that are known, for messages; nothing if there are none. The children of a mount
/// point have one folder.
fn backups_in_words(known: &Known) -> Option<String> {
    let paths = known.paths();
    let folder_of_children = |path: &Path| match volume_of(path) {
        Some(_) => path.parent().map(Path::to_owned),
        None => None,
    };
    let places: BTreeSet<PathBuf> = paths
        .iter()
        .map(|path| folder_of_children(path).unwrap_or_else(|| path.clone()))
        .collect();
    let mut words: Vec<String> = places
        .iter()
        .take(MOST_NAMED)
        .map(|path| path.display().to_string())
        .collect();
    if places.len() > MOST_NAMED {
        words.push(format!("{} more", places.len() - MOST_NAMED));
    }
    (!words.is_empty()).then(|| words.join(", "))
}

/// Returns the failure that there is nothing to undo. If the last import changed nothing, it names the places of older
/// states.
pub fn nothing_to_undo(settings: &Settings, home: &Home, known: &Known) -> Failure {
    if let Ok(Some(record)) = home.record() {
        let archive = record.archive.as_deref().unwrap_or("an archive");
        let message = format!(
            "there is nothing to undo: the last {} ({}, {archive}) changed nothing",
            record.verb, record.time
        );
        let hint = match backups_in_words(known) {
            None => "import the archive that you want back".to_owned(),
            Some(places) => format!(
                "what earlier imports replaced lies in {places}: stop the service and copy back by hand what you want, or import an archive"
            ),
        };
        return Failure::new(Kind::NotFound, message).hint(hint);
    }
    if !settings.config_exists {
        let config = settings.config.display();
        let message = format!(
            "{config} does not exist, and no import that could be undone is recorded beside it"
        );
        return Failure::new(Kind::NotFound, message)
            .hint("name the --config that the import was run with");
    }
    let message = format!(
        "no import to undo: nothing was imported into the state of {}",
        settings.config.display()
    );
    Failure::new(Kind::NotFound, message).hint("is this the --config that the import was run with?")
}

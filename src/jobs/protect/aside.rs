//! The places of the state before an upgrade: what the upgrade puts there of another kind is moved aside for the rollback.

use std::path::PathBuf;

use crate::{
    config::{Settings, sources::Source},
    context::Context,
    disk::{aside::move_aside, exists, survey},
    work::events::GuardEvent,
};

/// The ending of the name of what is moved aside.
const ENDING: &str = ".failed-upgrade";

/// The places of the state.
pub struct Places(Vec<Place>);

/// The place of a source.
struct Place {
    path: PathBuf,
    is_folder: bool,
    /// The file or the folder to which the path leads.
    leads_to: PathBuf,
}

impl Places {
    /// Notes the places as they are.
    pub fn look(settings: &Settings) -> Places {
        let place = |source: &Source| {
            let (path, is_folder) = (source.path()?.to_owned(), source.is_directory());
            let leads_to = leads_to(&path, is_folder)?;
            Some(Place {
                path,
                is_folder,
                leads_to,
            })
        };
        Places(settings.sources.iter().filter_map(place).collect())
    }

    /// Moves aside what is no longer a file or a folder, as the source is, and links that lead elsewhere: an import
    /// replaces neither. What cannot be moved is left to the import, which says why it is in the way.
    pub fn clear(&self, context: &Context) {
        for place in &self.0 {
            let is_as_before =
                leads_to(&place.path, place.is_folder).as_ref() == Some(&place.leads_to);
            if is_as_before || !exists(&place.path) {
                continue;
            }
            if let Ok(to) = move_aside(&place.path, ENDING) {
                let path = place.path.clone();
                context.tell(GuardEvent::MovedAside { path, to });
            }
        }
    }
}

fn leads_to(path: &std::path::Path, is_folder: bool) -> Option<PathBuf> {
    match is_folder {
        true => survey::resolve_folder(path).ok(),
        false => survey::resolve(path).ok(),
    }
}

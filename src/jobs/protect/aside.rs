//! The places of the state before an upgrade: what the upgrade puts there of another kind is moved aside for the rollback.

use std::path::PathBuf;

use crate::{
    config::{Settings, sources::Source},
    context::Context,
    disk::{
        aside::{link_again, move_aside, move_back},
        exists, survey,
    },
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
    /// The target of the link at the path, if it is one.
    link: Option<PathBuf>,
}

/// The objects that were moved aside: where each is, and where it was.
#[derive(Default)]
pub struct Moved(Vec<(PathBuf, PathBuf)>);

impl Moved {
    /// Moves back what can be, because nothing took its place.
    pub fn back(self) {
        for (to, path) in self.0 {
            // What is in the way stays: it is the state of before, or the user's.
            let _ = move_back(&to, &path);
        }
    }
}

impl Places {
    /// Notes the places as they are.
    pub fn look(settings: &Settings) -> Places {
        let place = |source: &Source| {
            let (path, is_folder) = (source.path()?.to_owned(), source.is_directory());
            let leads_to = leads_to(&path, is_folder)?;
            Some(Place {
                link: path.read_link().ok(),
                path,
                is_folder,
                leads_to,
            })
        };
        Places(settings.sources.iter().filter_map(place).collect())
    }

    /// Moves aside what is no longer a file or a folder, as the source is, and links that lead elsewhere: an import
    /// replaces neither. A link that led to the state before leads there again, so that the import goes through it. What
    /// cannot be moved is left to the import, which says why it is in the way.
    pub fn clear(&self, context: &Context) -> Moved {
        let mut moved = Moved::default();
        for place in &self.0 {
            let is_as_before =
                leads_to(&place.path, place.is_folder).as_ref() == Some(&place.leads_to);
            if is_as_before || !exists(&place.path) {
                continue;
            }
            if let Ok(to) = move_aside(&place.path, ENDING) {
                let path = place.path.clone();
                match &place.link {
                    // It may be gone: then the import makes a new one at the path itself.
                    Some(link) if exists(&place.leads_to) => drop(link_again(link, &path)),
                    _ => moved.0.push((to.clone(), path.clone())),
                }
                context.tell(GuardEvent::MovedAside { path, to });
            }
        }
        moved
    }
}

fn leads_to(path: &std::path::Path, is_folder: bool) -> Option<PathBuf> {
    match is_folder {
        true => survey::resolve_folder(path).ok(),
        false => survey::resolve(path).ok(),
    }
}

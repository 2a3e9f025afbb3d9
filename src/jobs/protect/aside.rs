//! The places of the state before an upgrade: what the upgrade puts there of another kind is moved aside for the rollback.
//!
//! So are a file in place of the folder around the state, and a folder of the journal that cannot be trusted any more.

use std::path::{Path, PathBuf};

use crate::{
    config::{Settings, sources::Source},
    context::Context,
    disk::{
        aside::{link_again, move_aside, move_back},
        exists, folder_of,
        mounts::Mounts,
        survey,
        transaction::home::Home,
    },
    work::events::GuardEvent,
};

/// The ending of the name of what is moved aside.
const ENDING: &str = ".failed-upgrade";

/// The places of the state.
pub struct Places {
    places: Vec<Place>,
    /// The folder of the journal.
    home: Home,
    /// The folders around the state, each with the number of the mount on which it lies.
    mounts: Vec<(PathBuf, Option<u64>)>,
}

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
    fn aside(&mut self, context: &Context, path: &Path) {
        if let Ok(to) = move_aside(path, ENDING) {
            let path = path.to_owned();
            self.0.push((to.clone(), path.clone()));
            context.tell(GuardEvent::MovedAside { path, to });
        }
    }

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
        let places: Vec<Place> = settings.sources.iter().filter_map(place).collect();
        let mut folders: Vec<PathBuf> = places
            .iter()
            .map(|place| folder_of(&place.leads_to))
            .chain([folder_of(&settings.config)])
            .collect();
        folders.sort_unstable();
        folders.dedup();
        let mounts = Mounts::ours().ok();
        let mounts = folders.into_iter().map(|folder| {
            let mount = mount_of(mounts.as_ref(), &folder);
            (folder, mount)
        });
        Places {
            places,
            home: Home::beside(&settings.config),
            mounts: mounts.collect(),
        }
    }

    /// Returns a folder around the state over which something else is mounted by now: a rollback would put the state
    /// there, and not where it was.
    pub fn covered(&self) -> Option<&Path> {
        let mounts = Mounts::ours().ok()?;
        let mut folders = self.mounts.iter();
        let covered = folders.find(|(folder, before)| {
            let now = mount_of(Some(&mounts), folder);
            before.is_some() && now.is_some() && now != *before
        });
        covered.map(|(folder, _)| folder.as_path())
    }

    /// Moves aside what is no longer a file or a folder, as the source is, and links that lead elsewhere: an import
    /// replaces neither. A link that led to the state before leads there again, so that the import goes through it. What
    /// cannot be moved is left to the import, which says why it is in the way.
    pub fn clear(&self, context: &Context) -> Moved {
        let mut moved = Moved::default();
        for (folder, _) in &self.mounts {
            if exists(folder) && !folder.is_dir() {
                moved.aside(context, folder);
            }
        }
        if !self.home.is_usable() {
            moved.aside(context, self.home.folder());
        }
        for place in &self.places {
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

fn mount_of(mounts: Option<&Mounts>, folder: &Path) -> Option<u64> {
    // A folder that is gone was not mounted over.
    let folder = folder.canonicalize().ok()?;
    mounts?.showing(&folder).map(|mount| mount.id)
}

fn leads_to(path: &Path, is_folder: bool) -> Option<PathBuf> {
    match is_folder {
        true => survey::resolve_folder(path).ok(),
        false => survey::resolve(path).ok(),
    }
}

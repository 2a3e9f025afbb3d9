//! The places of the state before an upgrade: what the upgrade puts there of another kind is moved aside for the rollback.
//!
//! So are a file in place of the folder around the state, and a folder of the journal that cannot be trusted any more.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use crate::{
    config::{Settings, sources::Source},
    context::Context,
    disk::{
        aside::{link_again, move_aside, move_back, own_again},
        exists, folder_of,
        mounts::{Mount, Mounts},
        survey,
        transaction::home::Home,
    },
    error::{Failure, Kind},
    work::events::GuardEvent,
};

/// The ending of the name of what is moved aside.
const ENDING: &str = ".failed-upgrade";

/// The places of the state.
pub struct Places {
    places: Vec<Place>,
    /// The folder of the journal.
    home: Home,
    /// The owner of that folder and of the files in it.
    owner: u32,
    /// The folders around the state, each with the mount on which it lies.
    mounts: Vec<(PathBuf, Option<Mount>)>,
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
        let home = Home::beside(&settings.config);
        let owner = home.folder().symlink_metadata();
        Places {
            places,
            owner: owner.map_or(geteuid().as_raw(), |metadata| metadata.uid()),
            home,
            mounts: mounts.collect(),
        }
    }

    /// Fails if a folder around the state lies on another mount by now: a rollback would put the state there, and not
    /// where it was. A volume that was mounted again is the same.
    pub fn require_mounts(&self) -> Result<(), Failure> {
        let Ok(mounts) = Mounts::ours() else {
            return Ok(());
        };
        for (folder, before) in &self.mounts {
            let (Some(before), Some(now)) = (before, mount_of(Some(&mounts), folder)) else {
                continue;
            };
            if (&now.device, &now.root) == (&before.device, &before.root) {
                continue;
            }
            let (folder, point) = (folder.display(), now.point.display());
            let was = before.point.display();
            let (message, hint) = match now.point.starts_with(&before.point) {
                true => (
                    format!("something else is mounted at {point} by now, over {folder}"),
                    format!("umount {point}"),
                ),
                false => (
                    format!("{was} is no longer mounted, and {folder} was on it"),
                    format!("mount {was}"),
                ),
            };
            return Err(Failure::new(Kind::Blocked, message).hint(hint));
        }
        Ok(())
    }

    /// Makes the folder of the journal usable again, and moves aside what is in place of a folder around the state.
    pub fn clear_around(&self, context: &Context) -> Moved {
        let mut moved = Moved::default();
        for (folder, _) in &self.mounts {
            if exists(folder) && !folder.is_dir() {
                moved.aside(context, folder);
            }
        }
        // A change of owners or permissions around it is common.
        if !self.home.is_usable()
            && (own_again(self.home.folder(), self.owner).is_err() || !self.home.is_usable())
        {
            moved.aside(context, self.home.folder());
        }
        moved
    }

    /// Moves aside what is no longer a file or a folder, as the source is, and links that lead elsewhere: an import
    /// replaces neither. A link that led to the state before leads there again, so that the import goes through it. What
    /// cannot be moved is left to the import, which says why it is in the way.
    pub fn clear(&self, context: &Context, moved: &mut Moved) {
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
    }
}

fn mount_of(mounts: Option<&Mounts>, folder: &Path) -> Option<Mount> {
    // A folder that is gone was not mounted over.
    let folder = folder.canonicalize().ok()?;
    mounts?.showing(&folder).cloned()
}

fn leads_to(path: &Path, is_folder: bool) -> Option<PathBuf> {
    match is_folder {
        true => survey::resolve_folder(path).ok(),
        false => survey::resolve(path).ok(),
    }
}

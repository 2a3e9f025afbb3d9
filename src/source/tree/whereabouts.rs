//! The new places of files that lost their names since they were hashed.
//!
//! A folder in which names came or went is listed again, once, and watched from then on: so the time goes with the
//! number of files and of new names, whatever the size of a folder. The places lie in files without names.
//!
//! Two kinds of folders are listed again in each search, if they changed: those beyond the first 8192, and those on file
//! systems of which the kernel does not see each change (NFS, FUSE, overlayfs).

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    folders::{FolderWriter, ListedFolders, is_as_seen, look_at},
    seen::Seen,
    tape::TapeWriter,
    watch::Watch,
};
use crate::{
    disk::tree::{
        beneath::{Folders, Look, NodeKind, Top, is_gone, join, split},
        names::{Name, each_name},
        walk::{Encounter, Met, meet, walk_from},
    },
    model::{relative::RelativeName, rules::Rules, tree::Modified},
    work::pair_index::PairIndex,
};

/// The most folders of which only the files are known.
const REMEMBERED: usize = 1024;
/// The least number of places at which old ones are forgotten.
const FEW_PLACES: u64 = 2_000_000;

/// The new places of files, as far as they were looked for.
#[derive(Debug)]
pub struct Whereabouts {
    scratch: PathBuf,
    /// The folders as they were when the directory was read.
    first: ListedFolders,
    /// The same as they were when all that changed were listed last, and new ones.
    listed: ListedFolders,
    /// Those of which only the files were listed since.
    listed_alone: HashSet<Vec<u8>>,
    known: Option<KnownFolders>,
    places: Places,
    /// The number of places at which old ones are forgotten.
    most_places: u64,
    watch: Watch,
    #[cfg(test)]
    listings: usize,
}

/// The result of listing folders again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relisted {
    /// No folder has changed.
    Nothing,
    /// Folders were listed, and each file that comes into them from now on will be known.
    Surely,
    /// Folders were listed that may have changed meanwhile.
    Unsurely,
}

/// The paths of all folders in a listing, by their hashes.
#[derive(Debug)]
struct KnownFolders {
    hasher: RandomState,
    hashes: PairIndex,
    /// The last change of any of them.
    last: Option<Modified>,
}

impl KnownFolders {
    fn has(&self, path: &[u8]) -> Result<bool> {
        let numbers = self.hashes.numbers(self.hasher.hash_one(path))?;
        Ok(!numbers.is_empty())
    }

    fn add(&mut self, path: &[u8], seen: &Seen) -> Result<()> {
        self.see(seen);
        self.hashes.insert(self.hasher.hash_one(path), 0)?;
        // Look-ups come in between, and go over all that are in memory.
        self.hashes.settle()
    }

    fn see(&mut self, seen: &Seen) {
        if self.last.is_none_or(|last| seen.ctime.is_after(last)) {
            self.last = Some(seen.ctime);
        }
    }

    /// Returns the moment a second before the last change of a folder. A folder changed after that moment may have been
    /// changed again, and look the same.
    fn settled(&self) -> Modified {
        self.last.map_or(Modified::LATEST, |last| Modified {
            seconds: last.seconds.saturating_sub(1),
            ..last
        })
    }
}

/// Places of files by their inodes.
#[derive(Debug)]
struct Places {
    /// The paths of folders, and names with the place of their folder's path.
    tape: TapeWriter<'static>,
    /// The names on the tape, by inode numbers.
    names: PairIndex,
    /// The path of the last folder on the tape, and its place.
    last: Option<(Vec<u8>, u64)>,
}

impl Places {
    fn new(scratch: &Path) -> Places {
        Places {
            tape: TapeWriter::owned(scratch.to_owned()),
            names: PairIndex::new(scratch),
            last: None,
        }
    }

    fn add(&mut self, folder: &[u8], name: &[u8], inode: (u64, u64)) -> Result<()> {
        let at = match &self.last {
            Some((last, at)) if last == folder => *at,
            _ => {
                let at = self.tape.end();
                self.tape.push(folder)?;
                self.last = Some((folder.to_vec(), at));
                at
            }
        };
        self.names.insert(inode.1, self.tape.end())?;
        self.tape.push(&[&at.to_le_bytes(), name].concat())
    }

    /// Returns the paths of the files with this inode number, the last one first.
    fn paths(&self, inode: (u64, u64)) -> Result<Vec<Vec<u8>>> {
        let numbers = self.names.numbers(inode.1)?;
        let path = |at| {
            let name = self.tape.read(at)?;
            let (folder, name) = name.split_at(8.min(name.len()));
            let folder = self.tape.read(u64::from_le_bytes(folder.try_into()?))?;
            Ok(join(&folder, name))
        };
        numbers.into_iter().map(path).collect()
    }
}

impl Whereabouts {
    /// Creates empty ones of files in folders that were `listed` like this.
    pub fn new(listed: ListedFolders, scratch: &Path) -> Whereabouts {
        Whereabouts {
            scratch: scratch.to_owned(),
            first: listed.clone(),
            listed,
            listed_alone: HashSet::new(),
            known: None,
            places: Places::new(scratch),
            most_places: FEW_PLACES,
            watch: Watch::default(),
            #[cfg(test)]
            listings: 0,
        }
    }

    /// Returns the same, with a watch that sees nothing.
    #[cfg(test)]
    pub fn blind(self) -> Whereabouts {
        let watch = Watch::blind();
        Whereabouts { watch, ..self }
    }

    /// Returns how often a folder was listed.
    #[cfg(test)]
    pub fn listings(&self) -> usize {
        self.listings
    }

    /// Returns paths at which a file with this inode was, the last one first, and false if there may be more: folders
    /// came or went, or names were lost.
    pub fn paths(&mut self, top: &Top, inode: (u64, u64)) -> Result<(Vec<Vec<u8>>, bool)> {
        let places = &mut self.places;
        let mut folders = Folders::new(top);
        // If some were lost, no folder is watched any more, and all that changed are listed again.
        let are_all = self.watch.each(&mut |folder, name| {
            let path = join(folder, name);
            let looked = folders
                .parent(&path)
                .and_then(|(fd, name)| Look::at(fd, name));
            match looked {
                Ok(look) if look.what == NodeKind::File && RelativeName::new(&path).is_ok() => {
                    places.add(folder, name, look.inode)
                }
                _ => Ok(()),
            }
        })?;
        self.places.names.settle()?;
        Ok((self.places.paths(inode)?, are_all))
    }

    /// Lists the files of one folder again, unless all that came into it are known.
    pub fn list_folder(&mut self, top: &Top, rules: &Rules, folder: &[u8]) -> Result<()> {
        let mut folders = Folders::new(top);
        let now = look_at(&mut folders, top, folder);
        if now.is_ok_and(|now| self.watch.is_sure_of(folder, now.inode)) {
            return Ok(());
        }
        self.forget_if_many();
        let listed = self.list(&mut folders, top, rules, folder, None)?;
        if listed.is_some_and(|(_, is_sure)| is_sure) {
            if self.listed_alone.len() >= REMEMBERED {
                self.doubt();
            }
            self.listed_alone.insert(folder.to_vec());
        }
        self.places.names.settle()
    }

    /// Gives up what is known of folders that were listed without the folders in them.
    fn doubt(&mut self) {
        for folder in self.listed_alone.drain() {
            self.watch.doubt(&folder);
        }
    }

    /// Lists all folders again that have changed, and those that are new in them.
    pub fn list_changed(&mut self, top: &Top, rules: &Rules) -> Result<Relisted> {
        self.forget_if_many();
        self.doubt();
        let mut known = match self.known.take() {
            Some(known) => known,
            None => self.know()?,
        };
        let scratch = self.scratch.clone();
        let mut next = FolderWriter::new(&scratch);
        let settled = known.settled();
        let mut folders = Folders::new(top);
        let mut relisted = Relisted::Nothing;
        self.listed.clone().each(&mut |path, then| {
            let is_unsettled = then.ctime.is_after(settled);
            let is_known = look_at(&mut folders, top, path).is_ok_and(|now| {
                let is_same = !is_unsettled && is_as_seen(&now, &then);
                is_same || self.watch.is_sure_of(path, now.inode)
            });
            if is_known {
                return next.push(path, &then);
            }
            let new = Some((&mut known, &mut next));
            let Some((seen, is_sure)) = self.list(&mut folders, top, rules, path, new)? else {
                // One that is gone may come back.
                return next.push(path, &then);
            };
            relisted = match is_sure && relisted != Relisted::Unsurely {
                true => Relisted::Surely,
                false => Relisted::Unsurely,
            };
            known.see(&seen);
            next.push(path, &seen)
        })?;
        known.hashes.settle()?;
        self.places.names.settle()?;
        self.listed = next.finish()?;
        self.known = Some(known);
        if relisted != Relisted::Nothing {
            let most = self.places.names.count().saturating_mul(2);
            self.most_places = self.most_places.max(most);
        }
        Ok(relisted)
    }

    /// Forgets all places if they are many: most of them are old. They are found again if they are needed.
    fn forget_if_many(&mut self) {
        if self.places.names.count() > self.most_places {
            self.places = Places::new(&self.scratch);
            self.listed = self.first.clone();
            self.listed_alone.clear();
            self.known = None;
            self.watch.forget();
        }
    }

    fn know(&self) -> Result<KnownFolders> {
        let mut known = KnownFolders {
            hasher: RandomState::new(),
            hashes: PairIndex::new(&self.scratch),
            last: None,
        };
        self.listed.each(&mut |path, seen| {
            known.see(&seen);
            known.hashes.insert(known.hasher.hash_one(path), 0)
        })?;
        known.hashes.settle()?;
        Ok(known)
    }

    /// Lists the folder at a path, and the `new` ones in it with everything below them. Returns its state, and true if
    /// all that comes from now on will be known; `None` if it is gone.
    fn list(
        &mut self,
        folders: &mut Folders<'_>,
        top: &Top,
        rules: &Rules,
        path: &[u8],
        mut new: Option<(&mut KnownFolders, &mut FolderWriter<'_>)>,
    ) -> Result<Option<(Seen, bool)>> {
        let verdict = match path {
            b"" => rules.of_top(),
            path => rules.decide(path, true),
        };
        // The folder that is open may have another path by now.
        folders.close();
        // One that is gone has nothing in it.
        let Ok(fd) = folders.at(path) else {
            return Ok(None);
        };
        let reading = || format!("cannot read {}", top.shown(path));
        let look = match Look::of(fd) {
            Err(error) if is_gone(&error) => return Ok(None),
            look => look.with_context(reading)?,
        };
        let mut is_sure = self.watch.add(path, look.inode, fd);
        #[cfg(test)]
        {
            self.listings += 1;
        }
        let (places, watch) = (&mut self.places, &mut self.watch);
        let mut visit = |name: Name<'_>| {
            let relative = join(path, name.bytes);
            match meet(rules, verdict, look.inode.0, fd, &relative, name) {
                Some(Encounter::Met(Met::Leaf(leaf))) if leaf.what == NodeKind::File => {
                    places.add(path, name.bytes, leaf.inode)
                }
                Some(Encounter::Folder(verdict)) => {
                    let Some((known, next)) = new.as_mut() else {
                        return Ok(());
                    };
                    if known.has(&relative)? {
                        return Ok(());
                    }
                    walk_from(top, rules, &relative, verdict, &mut |relative, met| {
                        match met {
                            Met::Leaf(leaf) if leaf.what == NodeKind::File => {
                                let (folder, name) = split(relative);
                                places.add(folder, name, leaf.inode)?;
                            }
                            Met::Folder(look, fd) | Met::Searched(look, fd) => {
                                // Its names were read before.
                                watch.add(relative, look.inode, fd);
                                watch.doubt(relative);
                                is_sure = false;
                                let seen = Seen::of(&look);
                                known.add(relative, &seen)?;
                                next.push(relative, &seen)?;
                            }
                            _ => {}
                        }
                        Ok(())
                    })
                }
                _ => Ok(()),
            }
        };
        let mut visited = Ok(());
        let read = each_name(fd, &mut |name| {
            visited = visit(name);
            visited.is_ok()
        });
        visited?;
        match read {
            Err(error) if is_gone(&error) => {
                self.watch.doubt(path);
                return Ok(None);
            }
            read => read.with_context(reading)?,
        }
        Ok(Some((Seen::of(&look), is_sure)))
    }
}

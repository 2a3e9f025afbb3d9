//! A directory that stays open, in which files are found by what they were called, or by their inodes.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs::File,
    hash::BuildHasher as _,
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    folders::{ListedFolders, OpenListing, is_changed},
    seen::Seen,
};
use crate::{
    disk::tree::{
        beneath::{Folders, Look, NodeKind, Top, join, open_file},
        names::HELD_BYTES,
        walk::{Encounter, Met, meet, walk_from},
    },
    model::{entry_name::EntryName, relative::RelativeName, rules::Rules, tree::Modified},
};

/// A directory that stays open until its files are packed.
#[derive(Debug)]
pub struct OpenDirectory {
    pub top: Top,
    pub name: EntryName,
    pub rules: Rules,
    /// The folders in it in which files were opened last: the next ones are likely to lie there as well.
    last: Mutex<VecDeque<(Vec<u8>, Arc<OwnedFd>)>>,
    whereabouts: Mutex<Whereabouts>,
}

/// The new paths of files that lost their names since they were hashed.
#[derive(Debug, Default)]
struct Whereabouts {
    /// The folders as they were when the directory was read.
    listed: ListedFolders,
    /// The folders that were listed since.
    listed_since: HashMap<Vec<u8>, Seen>,
    /// Files in these folders.
    paths: HashMap<(u64, u64), RelativeName>,
}

/// The most folders and files that are remembered of a search; it is repeated for what else is needed.
const REMEMBERED: usize = 100_000;
/// The folders that are kept open while many files are packed: each thread that reads files is in one of two.
pub const KEPT_FOLDERS: usize = 16;
/// The most searches for a file that lost its name: it may get yet another one meanwhile.
const SEARCHES: usize = 8;

impl OpenDirectory {
    pub fn new(top: Top, name: EntryName, rules: Rules) -> OpenDirectory {
        OpenDirectory {
            top,
            name,
            rules,
            last: Mutex::default(),
            whereabouts: Mutex::default(),
        }
    }

    /// Stores the folders that were listed, so that a file can be looked for in those with new names.
    pub fn remember(&self, listed: ListedFolders) {
        *self.whereabouts() = Whereabouts {
            listed,
            ..Whereabouts::default()
        };
    }

    fn whereabouts(&self) -> MutexGuard<'_, Whereabouts> {
        self.whereabouts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the open folder at a path, and keeps it and the last ones open: at most `most`.
    pub fn folder(&self, folder: &[u8], most: usize) -> io::Result<Arc<OwnedFd>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, fd)) = last.iter().find(|(path, _)| path == folder) {
            return Ok(fd.clone());
        }
        let fd = Folders::new(&self.top).at(folder)?.try_clone_to_owned()?;
        let fd = Arc::new(fd);
        last.push_front((folder.to_owned(), fd.clone()));
        last.truncate(most);
        Ok(fd)
    }

    /// Opens the file that has this inode, whatever its name now; returns `None` if it is not found.
    pub fn find(&self, inode: (u64, u64)) -> anyhow::Result<Option<File>> {
        let mut whereabouts = self.whereabouts();
        let mut folders = Folders::new(&self.top);
        for _ in 0..SEARCHES {
            if let Some(path) = whereabouts.paths.get(&inode) {
                let opened = folders
                    .parent(path.as_bytes())
                    .and_then(|(parent, name)| open_file(parent, name));
                if let Ok(file) = opened
                    && Look::of(&file)?.inode == inode
                {
                    return Ok(Some(file));
                }
            }
            if !whereabouts.search(&self.top, &self.rules, inode)? {
                return Ok(None);
            }
        }
        Ok(None)
    }
}

impl Whereabouts {
    /// Lists the folders again that have changed, for the file with this inode; returns false if there is none.
    fn search(&mut self, top: &Top, rules: &Rules, inode: (u64, u64)) -> anyhow::Result<bool> {
        let (mut changed, mut known) = (Vec::new(), HashSet::new());
        let mut folders = Folders::new(top);
        let settled = self.settled()?;
        let mut check = |path: &[u8], then: &Seen| {
            let is_uncertain = then.ctime.is_after(settled);
            let is_room = changed.len() < REMEMBERED;
            if is_room && (is_uncertain || is_changed(&mut folders, top, path, then)) {
                changed.push(path.to_vec());
            }
        };
        self.listed.each(&mut |path, then| {
            if !self.listed_since.contains_key(path) {
                check(path, &then);
            }
            Ok(())
        })?;
        for (path, then) in &self.listed_since {
            check(path, then);
        }
        if changed.is_empty() {
            return Ok(false);
        }
        let hasher = std::hash::RandomState::new();
        self.listed.each(&mut |path, _| {
            known.insert(hasher.hash_one(path));
            Ok(())
        })?;
        known.extend(
            self.listed_since
                .keys()
                .map(|path| hasher.hash_one(path.as_slice())),
        );
        for path in changed {
            let verdict = match path.as_slice() {
                b"" => rules.of_top(),
                path => rules.decide(path, true),
            };
            // One that is gone has nothing in it.
            let Ok((mut listing, look, fd)) =
                OpenListing::open(&mut folders, &path, verdict, HELD_BYTES)
            else {
                continue;
            };
            self.listed_since.insert(path.clone(), Seen::of(&look));
            loop {
                if listing.names.is_short() {
                    listing.names.read_on(fd)?;
                }
                let Some(name) = listing.names.peek() else {
                    break;
                };
                let relative = join(&path, name.bytes);
                match meet(rules, verdict, listing.device, fd, &relative, name) {
                    Some(Encounter::Folder(verdict))
                        if !known.contains(&hasher.hash_one(relative.as_slice())) =>
                    {
                        walk_from(top, rules, &relative, verdict, &mut |relative, met| {
                            self.meet(relative, met, inode);
                            Ok(())
                        })?;
                    }
                    Some(Encounter::Met(met)) => self.meet(&relative, met, inode),
                    _ => {}
                }
                listing.names.skip();
            }
        }
        Ok(true)
    }

    /// Returns the moment a second before the last change of a folder. A folder changed after that moment may have been
    /// changed again, and look the same.
    fn settled(&self) -> anyhow::Result<Modified> {
        let mut last: Option<Modified> = None;
        let mut see = |seen: &Seen| {
            if last.is_none_or(|last| seen.ctime.is_after(last)) {
                last = Some(seen.ctime);
            }
        };
        self.listed.each(&mut |_, seen| {
            see(&seen);
            Ok(())
        })?;
        self.listed_since.values().for_each(see);
        Ok(last.map_or(Modified::LATEST, |last| Modified {
            seconds: last.seconds.saturating_sub(1),
            ..last
        }))
    }

    fn meet(&mut self, relative: &[u8], met: Met<'_>, wanted: (u64, u64)) {
        match met {
            Met::Leaf(leaf) if leaf.what == NodeKind::File => {
                if (leaf.inode == wanted || self.paths.len() < REMEMBERED)
                    && let Ok(name) = RelativeName::new(relative)
                {
                    self.paths.insert(leaf.inode, name);
                }
            }
            Met::Folder(look, _) | Met::Searched(look, _)
                if self.listed_since.len() < REMEMBERED =>
            {
                self.listed_since.insert(relative.to_vec(), Seen::of(&look));
            }
            _ => {}
        }
    }
}

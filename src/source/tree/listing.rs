//! The names in a directory: listed once, and again if a folder has changed since.
//!
//! A folder that is listed while names come and go may show a file twice, or not at all (readdir(3)); so a listing is
//! trusted only if the folder's times are the same afterwards.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::{
    disk::tree::{
        beneath::{Folders, Look, NodeKind, Top, is_gone, join, split, xattrs},
        names::{HELD_BYTES, Names},
        owners::Owners,
        walk::{Encounter, Leaf, Met, meet, walk_from},
    },
    model::{
        limits::MAX_LINK_BYTES,
        relative::RelativeName,
        rules::{Decision, Rules},
        tree::{FolderRecord, LinkRecord, Modified, Tree},
    },
};

/// A file that a listing names.
#[derive(Debug, Clone)]
pub struct FoundFile {
    /// Its path.
    pub name: RelativeName,
    /// The file system and the number in it, as the folder tells them.
    pub inode: (u64, u64),
}

/// The folders of a directory, as they were right before their names were read.
#[derive(Debug, Default)]
pub struct ListedFolders {
    folders: BTreeMap<Vec<u8>, Look>,
}

/// Folders whose names may differ from the listed ones.
#[derive(Debug, Default)]
pub struct ChangedFolders {
    /// Their paths.
    pub folders: BTreeSet<Vec<u8>>,
    /// True if it is certain for one of them at least: the others were changed so shortly before they were listed that
    /// their times would not tell.
    pub is_certain: bool,
}

impl ListedFolders {
    /// Returns the moment a second before the last change of a folder. A folder changed after that moment may have been
    /// changed again, and look the same.
    pub fn settled(&self) -> Modified {
        let times = self.folders.values().map(|look| look.ctime);
        let last = times.max_by_key(|time| (time.seconds, time.nanoseconds));
        match last {
            Some(last) => Modified {
                seconds: last.seconds.saturating_sub(1),
                ..last
            },
            None => Modified::LATEST,
        }
    }

    /// Returns the folders that changed. A folder changed after `settled` may have changed again in the same tick.
    pub fn changed(&self, top: &Top, settled: Modified) -> ChangedFolders {
        let mut folders = Folders::new(top);
        let mut changed = ChangedFolders::default();
        for (path, then) in &self.folders {
            let now = match path.as_slice() {
                b"" => Look::of(top).ok(),
                path => {
                    let look = folders.parent(path);
                    look.and_then(|(parent, name)| Look::at(parent, name)).ok()
                }
            };
            let times = |look: &Look| (look.inode, look.mtime, look.ctime);
            let is_other = now.is_none_or(|now| times(&now) != times(then));
            if is_other || then.ctime.is_after(settled) {
                changed.folders.insert(path.clone());
                changed.is_certain |= is_other;
            }
        }
        changed
    }
}

/// The findings of the listings of a directory.
#[derive(Debug, Default)]
pub struct Collected {
    /// The files of the last listing.
    pub files: Vec<FoundFile>,
    /// Folders and links.
    pub tree: Tree,
    /// The folders, to be asked again.
    pub listing: ListedFolders,
    /// Sockets, fifos and devices, and what each is.
    pub special: BTreeMap<Vec<u8>, &'static str>,
    /// Files of hookshot's own.
    pub own: BTreeSet<Vec<u8>>,
    /// Paths that cannot be inspected, with the reasons.
    pub faults: BTreeMap<Vec<u8>, String>,
    /// Folders that were searched, and in which nothing was found so far.
    searched: BTreeMap<Vec<u8>, FolderRecord>,
    /// Folders that are gone.
    gone: BTreeMap<RelativeName, FolderRecord>,
    owners: Owners,
}

impl Collected {
    /// Lists everything below `top`.
    pub fn new(top: &Top, rules: &Rules) -> Result<Collected> {
        let mut collected = Collected::default();
        collected.list(top, rules, vec![(Vec::new(), rules.of_top())])?;
        Ok(collected)
    }

    /// Lists the `changed` folders again, and everything in folders that were not listed so far; returns the files in
    /// them.
    pub fn relist(
        &mut self,
        top: &Top,
        rules: &Rules,
        changed: &ChangedFolders,
    ) -> Result<Vec<FoundFile>> {
        let is_in = |path: &[u8]| changed.folders.contains(split(path).0);
        self.tree.links.retain(|link, _| !is_in(link.as_bytes()));
        self.special.retain(|path, _| !is_in(path));
        self.faults
            .retain(|path, _| !is_in(path) && !changed.folders.contains(path));
        let mut before = Vec::new();
        for folder in &changed.folders {
            self.listing.folders.remove(folder);
            self.searched.remove(folder);
            before.extend(self.tree.folders.remove_entry(folder.as_slice()));
        }
        let ahead = changed.folders.iter().rev().map(|folder| {
            let verdict = match folder.as_slice() {
                b"" => rules.of_top(),
                folder => rules.decide(folder, true),
            };
            (folder.clone(), verdict)
        });
        self.files.clear();
        self.list(top, rules, ahead.collect())?;
        for (folder, record) in before {
            if !self.listing.folders.contains_key(folder.as_bytes()) {
                self.gone.insert(folder, record);
            }
        }
        self.tree_needs_searched();
        Ok(std::mem::take(&mut self.files))
    }

    /// Makes sure that the folders above a file that stays are known, although they are gone.
    pub fn keep_above(&mut self, file: &RelativeName) {
        for folder in file.folders() {
            if let Some((folder, record)) = self.gone.remove_entry(folder) {
                self.tree.folders.insert(folder, record);
            }
        }
    }

    /// Returns true if a file may be at `name`: nothing else is there, and nothing but folders above it.
    pub fn is_free(&self, name: &RelativeName) -> bool {
        let is_leaf = |path: &[u8]| self.tree.links.contains_key(path);
        !is_leaf(name.as_bytes())
            && !self.tree.folders.contains_key(name.as_bytes())
            && !name.folders().any(is_leaf)
    }

    fn list(&mut self, top: &Top, rules: &Rules, ahead: Vec<(Vec<u8>, Decision)>) -> Result<()> {
        let mut known: BTreeSet<Vec<u8>> = self.listing.folders.keys().cloned().collect();
        known.extend(ahead.iter().map(|(folder, _)| folder.clone()));
        for (folder, verdict) in ahead.into_iter().rev() {
            self.list_one(top, rules, &folder, verdict, &known)?;
        }
        Ok(())
    }

    /// Lists one folder, and the folders in it that are not `known`.
    fn list_one(
        &mut self,
        top: &Top,
        rules: &Rules,
        folder: &[u8],
        verdict: Decision,
        known: &BTreeSet<Vec<u8>>,
    ) -> Result<()> {
        let mut folders = Folders::new(top);
        let opened = folders.at(folder).and_then(|fd| {
            let look = Look::of(fd)?;
            Ok((fd, look, Names::read(fd, HELD_BYTES)?))
        });
        let (fd, look, mut names) = match opened {
            Ok(opened) => opened,
            Err(error) if is_gone(&error) && !folder.is_empty() => return Ok(()),
            Err(error) => {
                self.fault(folder, &error);
                return Ok(());
            }
        };
        self.meet(folder, Met::of_folder(folder, verdict, look, fd));
        loop {
            if names.is_short() {
                names.read_on(fd)?;
            }
            let Some(name) = names.peek() else {
                return Ok(());
            };
            let relative = join(folder, name.bytes);
            match meet(rules, verdict, look.inode.0, fd, &relative, name) {
                Some(Encounter::Folder(verdict)) if !known.contains(&relative) => {
                    walk_from(top, rules, &relative, verdict, &mut |relative, met| {
                        self.meet(relative, met);
                        Ok(())
                    })?;
                }
                Some(Encounter::Met(met)) => self.meet(&relative, met),
                Some(Encounter::Folder(_)) | None => {}
            }
            names.skip();
        }
    }

    fn meet(&mut self, relative: &[u8], met: Met<'_>) {
        match met {
            Met::Folder(look, fd) | Met::Searched(look, fd) => {
                self.listing.folders.insert(relative.to_vec(), look);
                let record = match folder(&look, fd, &mut self.owners) {
                    Ok(record) => record,
                    Err(error) => return self.fault(relative, &error),
                };
                if relative.is_empty() {
                    self.tree.root = record;
                } else if matches!(met, Met::Searched(..)) {
                    self.searched.insert(relative.to_vec(), record);
                } else {
                    let relative = named(relative);
                    self.found(&relative);
                    self.tree.folders.insert(relative, record);
                }
            }
            Met::Leaf(leaf) if leaf.what == NodeKind::Link => match link(&leaf, &mut self.owners) {
                Ok(record) => {
                    let relative = named(relative);
                    self.found(&relative);
                    self.tree.links.insert(relative, record);
                }
                Err(error) if is_gone(&error) => {}
                Err(error) => self.fault(relative, &error),
            },
            Met::Leaf(leaf) => {
                let name = named(relative);
                self.found(&name);
                let inode = leaf.inode;
                self.files.push(FoundFile { name, inode });
            }
            Met::Special(kind) => {
                self.special.insert(relative.to_vec(), kind);
            }
            // The old children of a mount point: known to the user that imported.
            Met::Own if relative.starts_with(b".hookshot-bak") && !relative.contains(&b'/') => {}
            Met::Own => {
                self.own.insert(relative.to_vec());
            }
            Met::Excluded => {}
            Met::Failed(reason) => drop(self.faults.insert(relative.to_vec(), reason)),
        }
    }

    fn fault(&mut self, relative: &[u8], error: &std::io::Error) {
        self.faults.insert(relative.to_vec(), error.to_string());
    }

    /// Adds the searched folders above `relative` to the tree.
    fn found(&mut self, relative: &RelativeName) {
        if self.searched.is_empty() {
            return;
        }
        for folder in relative.folders() {
            if let Some((folder, record)) = self.searched.remove_entry(folder) {
                self.tree.folders.insert(named(&folder), record);
            }
        }
    }

    /// Adds the searched folders above everything that was listed earlier to the tree as well.
    fn tree_needs_searched(&mut self) {
        if self.searched.is_empty() {
            return;
        }
        let folders = self.tree.folders.keys().cloned();
        for name in folders.collect::<Vec<_>>() {
            self.found(&name);
        }
    }
}

fn named(relative: &[u8]) -> RelativeName {
    RelativeName::new(relative).expect("a walk goes only where names are good")
}

fn folder(
    look: &Look,
    fd: std::os::fd::BorrowedFd<'_>,
    owners: &mut Owners,
) -> std::io::Result<FolderRecord> {
    Ok(FolderRecord {
        mode: Some(look.mode),
        owner: owners.describe(look.uid, look.gid),
        mtime: Some(look.mtime),
        xattrs: xattrs(fd)?,
    })
}

fn link(leaf: &Leaf<'_>, owners: &mut Owners) -> std::io::Result<LinkRecord> {
    let look = leaf.look()?;
    let target = match leaf.target() {
        // It has become something else since it was listed.
        Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
            return Err(rustix::io::Errno::NOENT.into());
        }
        read => read?,
    };
    if target.is_empty() || target.len() > MAX_LINK_BYTES {
        return Err(std::io::Error::other(
            "its target is empty, or longer than 4095 bytes",
        ));
    }
    Ok(LinkRecord {
        target,
        owner: owners.describe(look.uid, look.gid),
        mtime: Some(look.mtime),
    })
}

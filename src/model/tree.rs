//! The part of the manifest about a directory source beyond its files: folders, symbolic links, owners, attributes
//! (docs/format.md, "Directories").

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    ops::Bound,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::{
    entry_name::EntryName,
    limits::MAX_FAULTS,
    manifest::{ListedNode, ListingLine, record::FileRecord},
    nesting::{Disputed, disputed},
    relative::{RelativeName, by_component, shown},
};

pub use super::manifest::record::{FolderRecord, LinkRecord, Modified, Owner, Xattrs};

/// A directory source: everything but its files, which are entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// The top folder.
    pub root: FolderRecord,
    /// The folders below it, empty ones among them. If a folder above an entry is missing here, it is created like the
    /// top folder.
    pub folders: BTreeMap<RelativeName, FolderRecord>,
    /// The symbolic links.
    pub links: BTreeMap<RelativeName, LinkRecord>,
    /// True if the configuration of the exporting machine marks the source as secret.
    pub secret: bool,
}

/// Returns the files of the directory `tree` among `files`: the name below the directory, the entry and the record.
pub fn files_of<'a>(
    tree: &'a EntryName,
    files: &'a BTreeMap<EntryName, FileRecord>,
) -> impl Iterator<Item = (&'a str, &'a EntryName, &'a FileRecord)> {
    let below = format!("{}/", tree.as_str());
    files
        .range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded))
        .take_while(move |(name, _)| name.as_str().starts_with(&below))
        .map(move |(name, record)| (&name.as_str()[tree.as_str().len() + 1..], name, record))
}

/// Returns the path of an entry below its directory; `key` is the name of the entry without that of the directory.
pub fn relative_of(
    key: &str,
    record: &FileRecord,
    tree: &EntryName,
) -> Result<RelativeName, String> {
    RelativeName::of_key(key, record.name.as_deref(), tree)
        .map_err(|fault| format!("entry {}/{}: its path {fault}", tree, shown(key.as_bytes())))
}

impl Tree {
    /// Returns the records of the directory called `name` and of its `files`, each with its key, in the order of a
    /// listing.
    pub fn lines<'a>(
        &self,
        name: &EntryName,
        files: impl Iterator<Item = (&'a str, &'a FileRecord)>,
    ) -> Result<Vec<ListingLine>, String> {
        let mut lines = Vec::new();
        for (key, record) in files {
            let name = relative_of(key, record, name)?;
            let node = ListedNode::File(Box::new(record.clone()));
            lines.push(ListingLine { name, node });
        }
        lines.extend(self.folders.iter().map(|(name, folder)| ListingLine {
            name: name.clone(),
            node: ListedNode::Folder(folder.clone()),
        }));
        lines.extend(self.links.iter().map(|(name, link)| ListingLine {
            name: name.clone(),
            node: ListedNode::Link(link.clone()),
        }));
        lines.sort_by(|one, other| by_component(one.name.as_bytes(), other.name.as_bytes()));
        Ok(lines)
    }

    /// Returns the directory as it is restored if its source is secret: only owner and group may enter its top folder.
    /// The mode of that folder is 0700 if the archive has none.
    pub fn closed(&self) -> Tree {
        let mut closed = self.clone();
        closed.root.mode = Some(self.root.mode.map_or(0o700, |mode| mode & !0o007));
        closed
    }

    /// Returns the symbolic links that lead out of the directory if it lies at `place`.
    pub fn outside<'a>(
        &'a self,
        place: &'a Path,
    ) -> impl Iterator<Item = (&'a RelativeName, &'a LinkRecord)> {
        let links = self.links.iter();
        links.filter(move |(link, _)| !self.is_inside(link, place))
    }

    /// Returns true if a symbolic link stays inside the directory: no step of its target leads above the top, even
    /// through links of the directory itself. `place` is the destination of the directory; a target that begins with it
    /// is inside.
    pub fn is_inside(&self, link: &RelativeName, place: &Path) -> bool {
        self.way_out(link.as_bytes(), place).is_none()
    }

    /// Returns the destination of a path below the top if links lead it out of the directory at `place`.
    pub fn way_out(&self, relative: &[u8], place: &Path) -> Option<PathBuf> {
        way_out(relative, place, &mut |path| {
            self.links.get(path).map(|link| link.target.clone())
        })
    }

    /// Adds a fault for each conflict: two things of the same path, or something below a file or a link.
    pub(super) fn faults(
        &self,
        name: &EntryName,
        files: &BTreeMap<EntryName, FileRecord>,
        faults: &mut Vec<String>,
    ) {
        let mut parts: Vec<(&[u8], &str)> = Vec::new();
        for (key, _, record) in files_of(name, files) {
            match relative_of(key, record, name) {
                Err(fault) if faults.len() <= MAX_FAULTS => faults.push(fault),
                _ => {}
            }
            parts.push((record.name.as_deref().unwrap_or(key.as_bytes()), "a file"));
        }
        let folders = self.folders.keys();
        parts.extend(folders.map(|folder| (folder.as_bytes(), "a folder")));
        let links = self.links.keys();
        parts.extend(links.map(|link| (link.as_bytes(), "a link")));
        for disputed in disputed(&mut parts, |what| what != "a folder") {
            if faults.len() > MAX_FAULTS {
                return;
            }
            faults.push(match disputed {
                Disputed::Twice(path, one, other) => {
                    format!("{name}: {} is {one} and {other}", shown(path))
                }
                Disputed::Below {
                    path,
                    leaf_path,
                    leaf,
                    ..
                } => {
                    let (path, leaf_path) = (shown(path), shown(leaf_path));
                    format!("{name}: {path} lies below {leaf_path}, which is {leaf}")
                }
            });
        }
    }
}

/// Returns the destination of a path below the top of a directory if links lead it out of the directory at `place`. The
/// result is absolute and keeps the `..` of the links. `target_of` tells the target of a link of the directory.
///
/// Resolved by names alone, against the directory as it will be. A link to a missing file, or in a circle, does not lead
/// outside.
pub fn way_out(
    relative: &[u8],
    place: &Path,
    target_of: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Option<PathBuf> {
    // The kernel follows at most this many links in one path (path_resolution(7)).
    const MOST_LINKS: usize = 40;
    let components = |path: &[u8]| -> Vec<Vec<u8>> {
        let parts = path.split(|byte| *byte == b'/').rev();
        parts.map(<[u8]>::to_vec).collect()
    };
    let mut at: Vec<Vec<u8>> = Vec::new();
    // The components that remain to be resolved, the next one last.
    let mut ahead = components(relative);
    let mut links = 0;
    let outside = |from: PathBuf, ahead: &[Vec<u8>]| {
        let rest = ahead.iter().rev().filter(|part| !part.is_empty());
        rest.fold(from, |path, part| path.join(OsStr::from_bytes(part)))
    };
    while let Some(component) = ahead.pop() {
        match component.as_slice() {
            b"" | b"." => continue,
            b".." => {
                if at.pop().is_none() {
                    return Some(outside(place.join(".."), &ahead));
                }
                continue;
            }
            _ => at.push(component),
        }
        let Some(target) = target_of(&at.join(&b'/')) else {
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            return None;
        }
        let mut target = target.as_slice();
        at.pop();
        if target.first() == Some(&b'/') {
            let place = place.as_os_str().as_bytes();
            let place = place.strip_suffix(b"/").unwrap_or(place);
            match target.strip_prefix(place) {
                Some(rest) if rest.is_empty() || rest[0] == b'/' => target = rest,
                _ => return Some(outside(OsStr::from_bytes(target).into(), &ahead)),
            }
            at.clear();
        }
        ahead.append(&mut components(target));
    }
    None
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;

//! The things in a tree that do not belong to the archive: unlisted files, links that the manifest does not have, and
//! special files.

use std::{collections::BTreeMap, io};

use super::source::{ArchiveTree, TreeNode};
use crate::{
    archive::{
        listing::{Listing, ListingLines},
        tar::stream::MemberKind,
    },
    model::{
        entry_name::EntryName,
        limits::MAX_FAULTS,
        manifest::{ListedNode, ListingLine, MANIFEST_NAME, Manifest},
        relative::{ESCAPED, RelativeName, by_component, shown},
    },
};

/// The folder of git beside what it keeps: a checkout has one, and nothing of it is read.
const GIT: &[u8] = b".git";

/// Finds what does not belong to the archive: at most one more than the faults that are named. `escaped` tells how many
/// files with escaped names were found, by directory.
pub fn find(
    tree: &mut dyn ArchiveTree,
    manifest: &Manifest,
    listings: &BTreeMap<EntryName, Listing>,
    escaped: &BTreeMap<EntryName, u64>,
) -> io::Result<Vec<(String, MemberKind)>> {
    let mut search = Search {
        manifest,
        listings,
        paths: odd_paths(manifest),
        current: None,
        escaped: BTreeMap::new(),
        found: Vec::new(),
    };
    tree.walk(&mut |path, node| search.visit(path, node))?;
    let Search {
        escaped: there,
        mut found,
        ..
    } = search;
    if there
        .iter()
        .any(|(name, count)| escaped.get(name).unwrap_or(&0) != count)
    {
        tree.walk(&mut |path, node| {
            if *node == TreeNode::File && is_unlisted_escaped(listings, path)? {
                note(&mut found, path, MemberKind::File);
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// Returns the entries whose names differ from their paths, by path.
fn odd_paths(manifest: &Manifest) -> BTreeMap<&EntryName, &EntryName> {
    let files = manifest.files.iter();
    files
        .filter(|(name, record)| record.path != **name)
        .map(|(name, record)| (&record.path, name))
        .collect()
}

struct Search<'a> {
    manifest: &'a Manifest,
    listings: &'a BTreeMap<EntryName, Listing>,
    paths: BTreeMap<&'a EntryName, &'a EntryName>,
    /// The listed directory that the walk is in.
    current: Option<InDirectory>,
    /// The number of files with escaped names, by directory.
    escaped: BTreeMap<EntryName, u64>,
    found: Vec<(String, MemberKind)>,
}

/// The lines of the listing of a directory, as far as the walk came.
struct InDirectory {
    name: EntryName,
    lines: ListingLines,
    next: Option<ListingLine>,
}

impl Search<'_> {
    fn visit(&mut self, path: &[u8], node: &TreeNode) -> io::Result<()> {
        let (first, rest) = split_first(path);
        if path.is_empty()
            || first == GIT && !self.has(GIT)
            || path == MANIFEST_NAME.as_bytes() && *node == TreeNode::File
        {
            return Ok(());
        }
        let name = std::str::from_utf8(first).ok();
        let directory = name.and_then(|name| self.manifest.directories.get_key_value(name));
        let belongs = match (directory, rest) {
            (Some((directory, _)), Some(relative)) => match self.listings.get(directory) {
                Some(listing) => self.is_in_listing(&directory.clone(), listing, relative, node)?,
                // Its listing is not good: nothing can be told of its files.
                None => true,
            },
            _ => *node == TreeNode::Folder || self.is_in_manifest(name, path, rest, node),
        };
        if !belongs {
            let what = match node {
                TreeNode::Folder | TreeNode::File => MemberKind::File,
                TreeNode::Link(_) => {
                    MemberKind::Special("a symbolic link that the manifest does not have")
                }
                TreeNode::Special(what) => MemberKind::Special(what),
            };
            note(&mut self.found, path, what);
        }
        Ok(())
    }

    /// Returns true if the manifest has an entry or a directory of this name.
    fn has(&self, name: &[u8]) -> bool {
        std::str::from_utf8(name)
            .ok()
            .and_then(|name| EntryName::new(name).ok())
            .is_some_and(|name| {
                self.manifest.has_directory(&name) || self.manifest.files.contains_key(&name)
            })
    }

    fn is_in_manifest(
        &self,
        first: Option<&str>,
        path: &[u8],
        relative: Option<&[u8]>,
        node: &TreeNode,
    ) -> bool {
        let tree = first
            .and_then(|first| self.manifest.trees.get_key_value(first))
            .zip(relative);
        match node {
            TreeNode::Folder => true,
            TreeNode::Special(_) => false,
            TreeNode::Link(target) => tree.is_some_and(|((_, tree), relative)| {
                tree.links
                    .get(relative)
                    .is_some_and(|link| link.target == *target)
            }),
            TreeNode::File => {
                let text = std::str::from_utf8(path).ok();
                let name = text.and_then(|text| EntryName::new(text).ok());
                let is_entry = |name: EntryName| {
                    let key = self.paths.get(&name).copied().unwrap_or(&name);
                    self.manifest
                        .files
                        .get(key)
                        .is_some_and(|record| record.path == name)
                };
                let real = tree.and_then(|((name, _), relative)| {
                    Some(RelativeName::new(relative).ok()?.entry(name).0)
                });
                name.is_some_and(is_entry) || real.is_some_and(is_entry)
            }
        }
    }

    fn is_in_listing(
        &mut self,
        directory: &EntryName,
        listing: &Listing,
        relative: &[u8],
        node: &TreeNode,
    ) -> io::Result<bool> {
        if split_first(relative).0 == ESCAPED.as_bytes() {
            if *node == TreeNode::File {
                *self.escaped.entry(directory.clone()).or_default() += 1;
            }
            return Ok(matches!(node, TreeNode::File | TreeNode::Folder));
        }
        if self
            .current
            .as_ref()
            .is_none_or(|current| current.name != *directory)
        {
            self.current = Some(InDirectory {
                name: directory.clone(),
                lines: listing.lines(),
                next: None,
            });
        }
        let Some(current) = &mut self.current else {
            return Ok(true);
        };
        loop {
            if current.next.is_none() {
                current.next = current.lines.next().transpose().map_err(io::Error::other)?;
            }
            let Some(line) = &current.next else {
                return Ok(*node == TreeNode::Folder);
            };
            match by_component(line.name.as_bytes(), relative) {
                std::cmp::Ordering::Less => current.next = None,
                std::cmp::Ordering::Greater => return Ok(*node == TreeNode::Folder),
                std::cmp::Ordering::Equal => {
                    return Ok(match (&line.node, node) {
                        (ListedNode::Link(link), TreeNode::Link(target)) => link.target == *target,
                        (ListedNode::File(_), TreeNode::File) | (_, TreeNode::Folder) => true,
                        _ => false,
                    });
                }
            }
        }
    }
}

/// Returns true if a file lies among those with escaped names, and no listing has it.
fn is_unlisted_escaped(listings: &BTreeMap<EntryName, Listing>, path: &[u8]) -> io::Result<bool> {
    let (first, rest) = split_first(path);
    let is_escaped = rest.is_some_and(|rest| split_first(rest).0 == ESCAPED.as_bytes());
    let first = std::str::from_utf8(first).ok();
    let listing = first
        .and_then(|first| listings.get(first))
        .filter(|_| is_escaped);
    let Some(listing) = listing else {
        return Ok(false);
    };
    let name = std::str::from_utf8(path)
        .ok()
        .and_then(|path| EntryName::new(path).ok());
    match name {
        Some(name) => Ok(listing
            .search(&name, 0)
            .map_err(io::Error::other)?
            .is_none()),
        None => Ok(true),
    }
}

fn note(found: &mut Vec<(String, MemberKind)>, path: &[u8], what: MemberKind) {
    if found.len() <= MAX_FAULTS {
        found.push((shown(path), what));
    }
}

/// Returns the first component of a path, and the rest.
fn split_first(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], Some(&path[slash + 1..])),
        None => (path, None),
    }
}

//! The nodes of a state in the order in which a repository has them: that of a walk that takes the names of each folder
//! sorted, and goes into a folder right after it.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow};

use crate::model::{
    entry_name::EntryName,
    manifest::{FileRecord, ListedNode, MANIFEST_NAME, Manifest},
    relative::by_component,
    tree::{FolderRecord, LinkRecord, files_of},
};

/// A node of a state, below the folder of the state.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedNode {
    /// Its path.
    pub path: Vec<u8>,
    /// Its content and attributes.
    pub what: Planned,
}

/// The content and the attributes of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Planned {
    /// The manifest: this text.
    Manifest(Vec<u8>),
    /// A file whose content comes as the entry of this record.
    File(Box<FileRecord>),
    /// A folder.
    Folder(FolderRecord),
    /// A symbolic link.
    Link(LinkRecord),
    /// A directory whose listing comes later, with this top folder and this number of files.
    Listed(EntryName, FolderRecord, u64),
}

/// Returns the nodes of the state that `manifest` describes; `text` is its text. Folders that it does not describe are
/// among them.
pub fn plan(manifest: &Manifest, text: Vec<u8>) -> Result<Vec<PlannedNode>> {
    let node = |path: &[u8], what| PlannedNode {
        path: path.to_owned(),
        what,
    };
    let mut nodes = vec![node(MANIFEST_NAME.as_bytes(), Planned::Manifest(text))];
    for (name, record) in &manifest.files {
        let first = name.as_str().split_once('/').map(|(first, _)| first);
        if !first.is_some_and(|first| manifest.trees.contains_key(first)) {
            let what = Planned::File(Box::new(record.clone()));
            nodes.push(node(name.as_str().as_bytes(), what));
        }
    }
    for (name, tree) in &manifest.trees {
        let top = name.as_str().as_bytes();
        nodes.push(node(top, Planned::Folder(tree.root.clone())));
        let files = files_of(name, &manifest.files).map(|(key, _, record)| (key, record));
        for line in tree.lines(name, files).map_err(|fault| anyhow!(fault))? {
            let path = [top, b"/", line.name.as_bytes()].concat();
            nodes.push(node(&path, planned(line.node)));
        }
    }
    for (name, listed) in &manifest.directories {
        let what = Planned::Listed(name.clone(), listed.root.clone(), listed.files);
        nodes.push(node(name.as_str().as_bytes(), what));
    }
    let folders = missing_folders(&nodes);
    nodes.extend(folders.into_iter().map(|path| PlannedNode {
        path,
        what: Planned::Folder(FolderRecord::default()),
    }));
    nodes.sort_by(|one, other| by_component(&one.path, &other.path));
    Ok(nodes)
}

/// Returns the node of a line of a listing.
pub fn planned(node: ListedNode) -> Planned {
    match node {
        ListedNode::File(record) => Planned::File(record),
        ListedNode::Folder(record) => Planned::Folder(record),
        ListedNode::Link(record) => Planned::Link(record),
    }
}

/// Returns the folders above the nodes that are not among them.
fn missing_folders(nodes: &[PlannedNode]) -> BTreeSet<Vec<u8>> {
    let is_folder =
        |node: &&PlannedNode| matches!(node.what, Planned::Folder(_) | Planned::Listed(..));
    let known = nodes.iter().filter(is_folder).map(|node| &*node.path);
    let known: BTreeSet<&[u8]> = known.collect();
    let mut missing = BTreeSet::new();
    for node in nodes {
        let slashes = node.path.iter().enumerate();
        for (at, _) in slashes.filter(|(_, byte)| **byte == b'/') {
            let folder = &node.path[..at];
            if !known.contains(folder) {
                missing.insert(folder.to_owned());
            }
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::Digest;

    #[test]
    fn a_folder_comes_before_names_that_only_begin_like_it() {
        let names = ["a-b", "a.toml", "a/x", "a/y/z", "a0", "b/c"];
        let files = names.map(|name| {
            let name = EntryName::new(name).expect("a name");
            (name.clone(), FileRecord::new(name, Digest::of(b""), 0))
        });
        let manifest = Manifest::new(0, semver::Version::new(0, 1, 0), files.into());
        let nodes = plan(&manifest, b"{}".to_vec()).expect("a plan");
        let paths: Vec<_> = nodes
            .iter()
            .map(|node| String::from_utf8_lossy(&node.path))
            .collect();
        let expected = [
            "a",
            "a/x",
            "a/y",
            "a/y/z",
            "a-b",
            "a.toml",
            "a0",
            "b",
            "b/c",
            "manifest.json",
        ];
        assert_eq!(paths, expected);
    }
}

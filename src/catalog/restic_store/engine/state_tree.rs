//! A state of a repository as the tree of an archive.

use std::{collections::BTreeSet, io, os::unix::ffi::OsStrExt as _, sync::Arc};

use anyhow::Result;
use rustic_core::{
    TreeId,
    repofile::{Metadata, Node, NodeType},
};

use super::{
    feed::mode_of_go,
    index::Index,
    nodes::Nodes,
    pieces::{FileContent, Indexed},
};
use crate::{
    archive::tree::{ArchiveTree, TreeAttributes, TreeFile, TreeNode},
    error::Failure,
    model::manifest::MANIFEST_NAME,
};

/// The tree of a state.
pub struct StateTree {
    index: Arc<Index>,
    /// The folder of the state.
    top: String,
    nodes: Nodes,
}

impl StateTree {
    /// Returns the tree in the folder `top` of the snapshot whose root is `root`.
    ///
    /// restic has the whole path of a folder in the snapshot's record, and in its tree the path that it was given: the
    /// same, its last name, or none.
    pub fn open(index: Arc<Index>, shown: &str, top: &str, root: TreeId) -> Result<StateTree> {
        let last = top.rsplit('/').next().unwrap_or(top);
        let trees = index.clone();
        let folders = move |id| Ok(trees.read(|indexed| indexed.tree(id))?);
        let named = format!("the repository {shown}: {last}");
        let mut nodes = Nodes::below(root, named, Box::new(folders))?;
        let paths = [top.trim_matches('/'), last, ""];
        let mut found = None;
        for path in paths {
            let manifest = [path, MANIFEST_NAME].join("/");
            let manifest = manifest.trim_start_matches('/').as_bytes();
            if nodes.find(manifest)?.is_some() {
                found = Some(path);
                break;
            }
        }
        match found {
            Some("") => {}
            Some(path) => nodes.go_below(path.as_bytes())?,
            None => nodes.leave_only(None),
        }
        Ok(StateTree {
            index,
            top: last.to_owned(),
            nodes,
        })
    }
}

impl ArchiveTree for StateTree {
    fn name(&self) -> Option<String> {
        Some(self.top.clone())
    }

    fn open(&mut self, path: &[u8]) -> io::Result<Option<TreeFile>> {
        let node = self.nodes.find(path).map_err(broken)?;
        let Some(node) = node.filter(|node| node.is_file()) else {
            return Ok(None);
        };
        let content = node.content.clone().unwrap_or_default();
        let require = |indexed: &Indexed| content.iter().try_for_each(|id| indexed.require(id));
        self.index.read(require)?;
        Ok(Some(TreeFile {
            size: node.meta.size,
            attributes: attributes(&node.meta),
            content: Box::new(FileContent::new(self.index.clone(), content)),
        }))
    }

    fn walk(
        &mut self,
        visit: &mut dyn FnMut(&[u8], &TreeNode) -> io::Result<()>,
    ) -> io::Result<()> {
        let walked = (self.nodes).walk(&mut |path, node| Ok(visit(path, &tree_node(node))?));
        walked.map_err(broken)
    }
}

fn broken(error: anyhow::Error) -> io::Error {
    error
        .downcast()
        .unwrap_or_else(|error| Failure::of(&error).into())
}

fn tree_node(node: &Node) -> TreeNode {
    match &node.node_type {
        NodeType::Dir => TreeNode::Folder,
        NodeType::File => TreeNode::File,
        link @ NodeType::Symlink { .. } => {
            TreeNode::Link(link.to_link().as_os_str().as_bytes().to_owned())
        }
        NodeType::Dev { .. } | NodeType::Chardev { .. } => TreeNode::Special("a device"),
        NodeType::Fifo => TreeNode::Special("a FIFO"),
        NodeType::Socket => TreeNode::Special("a socket"),
    }
}

fn attributes(meta: &Metadata) -> TreeAttributes {
    TreeAttributes {
        mode: mode_of_go(meta.mode.unwrap_or(0o600)),
        user: meta.user.clone(),
        group: meta.group.clone(),
        uid: meta.uid.unwrap_or(0),
        gid: meta.gid.unwrap_or(0),
        mtime: meta.mtime.map_or(0, |time| time.as_second()),
    }
}

/// Returns true if the index lacks a folder or a piece of a file below the folder `root`, or if a folder cannot be read.
pub fn has_missing(indexed: &Indexed, root: TreeId) -> bool {
    let mut seen = BTreeSet::from([root]);
    let mut left = vec![root];
    while let Some(id) = left.pop() {
        let Ok(tree) = indexed.tree(id) else {
            return true;
        };
        for node in tree.nodes {
            let mut pieces = node.content.iter().flatten();
            if !pieces.all(|piece| indexed.require(piece).is_ok()) {
                return true;
            }
            left.extend(node.subtree.filter(|folder| seen.insert(*folder)));
        }
    }
    false
}

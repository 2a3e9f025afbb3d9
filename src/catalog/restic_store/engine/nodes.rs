//! The nodes of a snapshot, folder by folder. What only the owner of a key can write may be hostile: names, depths and
//! numbers have limits.

use std::os::unix::ffi::OsStrExt as _;

use anyhow::Result;
use rustic_core::{
    TreeId,
    repofile::{Node, Tree},
};

use crate::{
    error::{Failure, Kind},
    model::limits::{MAX_ENTRIES, MAX_LISTED, MAX_RELATIVE_BYTES},
};

/// The most folders that lie within each other: a path has a byte for each, and a slash.
const MAX_DEPTH: usize = MAX_RELATIVE_BYTES / 2 + 2;
/// The most nodes of a snapshot.
const MAX_NODES: u64 = 2 * (MAX_LISTED + MAX_ENTRIES as u64);

/// Reads the nodes of a folder.
pub type Folders = Box<dyn Fn(TreeId) -> Result<Tree> + Send>;

/// The nodes of a snapshot, or of a part of it.
pub struct Nodes {
    /// The snapshot, for messages.
    shown: String,
    folders: Folders,
    /// The folders down to the one that was looked at last: each with its name, and its nodes by their names. The first
    /// is the top.
    open: Vec<(Vec<u8>, Vec<Node>)>,
    /// The nodes that this walk has seen.
    visited: u64,
}

impl Nodes {
    /// Returns the nodes below the folder `root`. Messages call the snapshot `shown`.
    pub fn below(root: TreeId, shown: String, folders: Folders) -> Result<Nodes> {
        let top = sorted(folders(root)?);
        Ok(Nodes {
            shown,
            folders,
            open: vec![(Vec::new(), top)],
            visited: 0,
        })
    }

    /// Leaves out everything but `top`.
    pub fn leave_only(&mut self, top: Option<Node>) {
        self.open = vec![(Vec::new(), top.into_iter().collect())];
    }

    /// Returns the node called `path`, if there is one.
    pub fn find(&mut self, path: &[u8]) -> Result<Option<&Node>> {
        let mut names: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let Some(last) = names.pop() else {
            return Ok(None);
        };
        let open = self.open.iter().skip(1).map(|(name, _)| &**name);
        let both = open.zip(&names);
        let common = both.take_while(|(open, name)| open == *name).count();
        self.open.truncate(common + 1);
        for name in &names[common..] {
            if !self.enter(name)? {
                return Ok(None);
            }
        }
        Ok(self.node(last))
    }

    /// Makes the folder at `path` the top.
    pub fn go_below(&mut self, path: &[u8]) -> Result<()> {
        self.open.truncate(1);
        for name in path.split(|byte| *byte == b'/') {
            if !self.enter(name)? {
                self.leave_only(None);
            }
        }
        if let Some((_, top)) = self.open.pop() {
            self.open = vec![(Vec::new(), top)];
        }
        Ok(())
    }

    /// Tells `visit` of every node, each folder before what is in it.
    pub fn walk(&mut self, visit: &mut dyn FnMut(&[u8], &Node) -> Result<()>) -> Result<()> {
        self.open.truncate(1);
        self.visited = 0;
        self.walk_below(b"", visit)
    }

    /// Tells `visit` of everything below the last folder, whose path is `path`.
    fn walk_below(
        &mut self,
        path: &[u8],
        visit: &mut dyn FnMut(&[u8], &Node) -> Result<()>,
    ) -> Result<()> {
        if self.open.len() > MAX_DEPTH {
            return Err(self.hostile("its folders lie too deep"));
        }
        let nodes = self.open.last().map(|(_, nodes)| nodes.clone());
        for node in nodes.unwrap_or_default() {
            self.visited += 1;
            if self.visited > MAX_NODES {
                return Err(self.hostile("it has too many nodes"));
            }
            let name = node.name().as_bytes().to_owned();
            if !is_name(&name) {
                return Err(self.hostile("a node has a name that no file can have"));
            }
            let inside = match path {
                [] => name.clone(),
                path => [path, b"/", &name].concat(),
            };
            visit(&inside, &node)?;
            if node.is_dir() && self.enter(&name)? {
                self.walk_below(&inside, visit)?;
                self.open.pop();
            }
        }
        Ok(())
    }

    /// Goes into the folder called `name` of the last one; false if there is none.
    fn enter(&mut self, name: &[u8]) -> Result<bool> {
        let Some(node) = self.node(name).filter(|node| node.is_dir()) else {
            return Ok(false);
        };
        let nodes = match node.subtree {
            Some(id) => sorted((self.folders)(id)?),
            None => Vec::new(),
        };
        self.open.push((name.to_owned(), nodes));
        Ok(true)
    }

    /// Returns the node called `name` in the last folder.
    fn node(&self, name: &[u8]) -> Option<&Node> {
        let (_, nodes) = self.open.last()?;
        let at = nodes.binary_search_by(|node| node.name().as_bytes().cmp(name));
        nodes.get(at.ok()?)
    }

    fn hostile(&self, what: &str) -> anyhow::Error {
        Failure::new(Kind::Refused, format!("{}: {what}", self.shown)).into()
    }
}

/// Returns the nodes of a folder by their names.
fn sorted(tree: Tree) -> Vec<Node> {
    let mut nodes = tree.nodes;
    nodes.sort_by(|one, other| one.name().as_bytes().cmp(other.name().as_bytes()));
    nodes
}

/// Returns true if a file can have this name.
fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/') && !name.contains(&0)
}

//! The reading of a state as an archive: the bytes that pass are counted, and the work ends when it must.

use std::{fs::File, io, path::Path};

use anyhow::{Context as _, Result};

use super::engine::StateTree;
use crate::{
    archive::{
        Verified,
        tree::{ArchiveTree, TreeFile, TreeNode, manifest_text, pack},
        writer::Level,
    },
    context::Context,
    model::manifest::Manifest,
    work::workers::Threads,
};

/// The tree of a state whose files are watched.
pub struct WatchedTree<'a> {
    /// The tree.
    pub tree: StateTree,
    /// The facts of the run.
    pub context: &'a Context,
}

impl ArchiveTree for WatchedTree<'_> {
    fn name(&self) -> Option<String> {
        self.tree.name()
    }

    fn open(&mut self, path: &[u8]) -> io::Result<Option<TreeFile>> {
        let file = self.tree.open(path)?;
        Ok(file.map(|file| TreeFile {
            content: Box::new(self.context.watch(file.content)),
            ..file
        }))
    }

    fn walk(
        &mut self,
        visit: &mut dyn FnMut(&[u8], &TreeNode) -> io::Result<()>,
    ) -> io::Result<()> {
        self.tree.walk(visit)
    }
}

/// Returns the manifest of a tree; `None` if it has none.
pub fn manifest_of(tree: &mut dyn ArchiveTree) -> Result<Option<Manifest>> {
    let text = manifest_text(tree)?;
    Ok(text.and_then(|text| Manifest::parse(&text).ok()))
}

/// Writes the archive of a tree, which was verified, to a file without a name in `scratch`.
pub fn packed(
    tree: &mut dyn ArchiveTree,
    verified: &Verified,
    threads: Threads,
    scratch: &Path,
) -> Result<File> {
    let shown = scratch.display();
    let file = tempfile::tempfile_in(scratch)
        .with_context(|| format!("cannot make a temporary file in {shown}"))?;
    pack(tree, verified, Level::DEFAULT, threads, file)
}

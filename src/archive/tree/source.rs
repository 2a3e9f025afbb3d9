//! The trait of a tree of files that may be an archive, and what it gives.

use std::io::{self, Read};

use crate::{
    archive::tar::stream::HeaderAttributes,
    model::{limits::MAX_MANIFEST_BYTES, manifest::MANIFEST_NAME},
};

/// A tree of files that may be an archive. Paths have `/` between their components.
///
/// Not promised: that the tree stays as it is while it is read. What is passed on was hashed as it passed.
pub trait ArchiveTree {
    /// Returns the name of the tree itself, for an archive whose manifest does not name its root folder.
    fn name(&self) -> Option<String>;

    /// Opens the file at `path`; `None` if something else lies there, or nothing. No link is followed, and nothing but a
    /// regular file is opened.
    fn open(&mut self, path: &[u8]) -> io::Result<Option<TreeFile>>;

    /// Tells `visit` of everything in the tree, in the order of a walk that takes the names of each folder sorted.
    /// Something that cannot be looked at is an error.
    fn walk(&mut self, visit: &mut dyn FnMut(&[u8], &TreeNode) -> io::Result<()>)
    -> io::Result<()>;
}

/// A regular file of a tree.
pub struct TreeFile {
    /// Its size in bytes.
    pub size: u64,
    /// Its attributes, for an archive whose manifest does not have them.
    pub attributes: TreeAttributes,
    /// Its content.
    pub content: Box<dyn Read + Send>,
}

/// The attributes of a file of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeAttributes {
    /// Permission bits.
    pub mode: u32,
    /// Name of the owner.
    pub user: Option<String>,
    /// Name of the group.
    pub group: Option<String>,
    /// Number of the owner.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
    /// Time of the last change, Unix seconds.
    pub mtime: i64,
}

impl From<&TreeAttributes> for HeaderAttributes {
    fn from(attributes: &TreeAttributes) -> HeaderAttributes {
        HeaderAttributes {
            mode: Some(attributes.mode),
            user: attributes.user.clone(),
            group: attributes.group.clone(),
        }
    }
}

/// A thing that a walk over a tree meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeNode {
    /// A folder; the walk goes on below it.
    Folder,
    /// A regular file.
    File,
    /// A symbolic link, and its target.
    Link(Vec<u8>),
    /// Anything else, by its kind.
    Special(&'static str),
}

/// Reads the text of the manifest of a tree, and one byte more than it may have; `None` if there is none.
pub fn manifest_text(tree: &mut dyn ArchiveTree) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = tree.open(MANIFEST_NAME.as_bytes())? else {
        return Ok(None);
    };
    let mut text = Vec::new();
    file.content
        .take(MAX_MANIFEST_BYTES + 1)
        .read_to_end(&mut text)?;
    Ok(Some(text))
}

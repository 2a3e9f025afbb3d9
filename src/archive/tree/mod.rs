//! Archives that are trees of files: an archive that was unpacked, or the state in a repository. They pass the same checks
//! as a tar (docs/format.md, "Unpacked archives").

mod looks;
mod members;
mod packed;
mod selected;
mod source;
mod unlisted;

use anyhow::{Context as _, Result};

use self::members::TreeMembers;
pub use self::{
    looks::is_ours,
    packed::pack,
    selected::select,
    source::{ArchiveTree, TreeAttributes, TreeFile, TreeNode, manifest_text},
};
use super::{
    check::ArchiveCheck, incoming::ListingStore, scratch::ScratchFolders, sink::Sink,
    verified::Verified,
};

/// Reads the archive called `shown` out of a tree, passes its entries to `sink`, and names every fault.
pub fn read(
    shown: &str,
    tree: &mut dyn ArchiveTree,
    scratch: ScratchFolders,
    sink: &mut dyn Sink,
) -> Result<Verified> {
    let text = manifest_text(tree).with_context(|| format!("cannot read {shown}"))?;
    let members = TreeMembers::new(tree, text);
    ArchiveCheck::new(sink, None, ListingStore::new(scratch)).read_members(shown, members)
}

//! How a file begins: whether it is an archive, and whether its manifest comes first.

use std::io::Read;

use super::{
    inflate::Inflated,
    tar_stream::{TarStream, What},
};
use crate::model::manifest::MANIFEST_NAME;

/// What the first bytes of a file show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// An archive whose manifest stands before everything else: it can be proven while it streams.
    ManifestFirst,
    /// An archive whose first file is not the manifest.
    ManifestLater,
    /// No archive, or too little of it.
    Unknown,
}

/// Looks at the first bytes of a file, of which [`crate::model::limits::HEAD_BYTES`] always suffice.
pub fn look(bytes: &[u8]) -> Head {
    let mut tar = TarStream::new(Inflated::new(bytes).take(4 << 20));
    while let Ok(Some(member)) = tar.next_member() {
        match member.what {
            What::Folder => {}
            What::File if is_manifest(&member.path) => return Head::ManifestFirst,
            _ => return Head::ManifestLater,
        }
    }
    Head::Unknown
}

/// Whether a member's path is that of a manifest: directly in a root folder, whatever `./` stands before it.
pub fn is_manifest(path: &str) -> bool {
    let path = path.trim_start_matches("./");
    path.split_once('/')
        .is_some_and(|(_, inside)| inside == MANIFEST_NAME)
}

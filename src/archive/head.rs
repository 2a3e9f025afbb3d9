//! How a file begins: whether it is an archive, and whether its manifest comes first.

use std::io::Read;

use super::{
    inflate::Inflated,
    tar_stream::{TarStream, What},
    workers::Threads,
};
use crate::model::manifest::{MANIFEST_NAME, Manifest};

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
    let mut tar = TarStream::new(Inflated::new(bytes, Threads::ONE).take(4 << 20));
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

/// Whether a file is surely an archive of ours, as far as its first bytes can show: what is taken for one may be
/// replaced. The manifest comes first, and says what only a manifest says.
pub fn is_archive(bytes: &[u8]) -> bool {
    if look(bytes) != Head::ManifestFirst {
        return false;
    }
    let mut tar = TarStream::new(Inflated::new(bytes, Threads::ONE).take(4 << 20));
    while let Ok(Some(member)) = tar.next_member() {
        if member.what == What::File {
            let mut manifest = Vec::new();
            // A manifest that is longer than what we look at is judged by its beginning.
            let whole = tar.read_to_end(&mut manifest).is_ok();
            let says = |key: &[u8]| manifest.windows(key.len()).any(|window| window == key);
            return if whole {
                Manifest::parse(&manifest).is_ok()
            } else {
                says(b"\"checksum\"") && says(b"\"created_at\"")
            };
        }
    }
    false
}

//! How a file begins: whether it is an archive, and whether its manifest comes first.

use std::io::{BufReader, Read};

use super::{
    inflate::Inflated,
    tar_stream::{TarStream, What},
};
use crate::model::manifest::{MANIFEST_NAME, Manifest};
use crate::work::workers::Threads;

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

/// Reads the root folder's name and the time of the snapshot from the first bytes of an archive whose manifest stands first.
/// Nothing of that is proven.
pub fn opening(bytes: &[u8]) -> Option<(String, i64)> {
    let mut tar = TarStream::new(Inflated::new(bytes, Threads::ONE).take(4 << 20));
    loop {
        let member = tar.next_member().ok()??;
        if member.what == What::Folder {
            continue;
        }
        let path = member.path.trim_start_matches("./");
        let (root, _) = path.split_once('/').filter(|_| is_manifest(path))?;
        let mut manifest = Vec::new();
        let created = match tar.read_to_end(&mut manifest) {
            Ok(_) => Manifest::parse(&manifest).ok()?.created_at,
            // A manifest that is longer than these bytes says it before its long list.
            Err(_) => created_at(&manifest)?,
        };
        return Some((root.to_owned(), created));
    }
}

/// The time in the beginning of a manifest.
fn created_at(manifest: &[u8]) -> Option<i64> {
    const KEY: &str = "\"created_at\"";
    let text = String::from_utf8_lossy(manifest);
    let (_, rest) = text.split_once(KEY)?;
    let number = rest.trim_start().strip_prefix(':')?.trim_start();
    let end = number.find(|next: char| next != '-' && !next.is_ascii_digit())?;
    number[..end].parse().ok()
}

/// Returns true if `file` is a tar, packed or not, that can be read to its end and has no manifest: surely no archive.
pub fn lacks_manifest(file: impl Read) -> bool {
    let mut tar = TarStream::new(Inflated::new(BufReader::new(file), Threads::ONE));
    loop {
        match tar.next_member() {
            Ok(Some(member)) if member.what == What::File && is_manifest(&member.path) => {
                return false;
            }
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

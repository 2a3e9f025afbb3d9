//! The beginning of a file: it tells archives from other files, and shows if the manifest comes first.

use std::io::{self, BufReader, Read};

use anyhow::{Context as _, Result};
use memchr::memmem;

use super::{
    fault::{Fault, fault_of, refusal},
    foreign::{is_tar, met},
    gzip::inflate::Inflated,
    tar::{
        layout::{folder_header, manifest_header},
        stream::{Member, MemberKind, TarStream},
    },
};
use crate::model::{
    limits::{BUFFER_BYTES, HEAD_BYTES, MAX_MANIFEST_BYTES},
    manifest::{MANIFEST_NAME, Manifest},
    version::FormatVersion,
};
use crate::work::workers::Threads;

/// The verdict on the first bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// An archive whose manifest comes before everything else: it can be verified while it streams.
    ManifestFirst,
    /// An archive whose first file is not the manifest.
    ManifestLater,
    /// Not an archive, or too little of it.
    Unknown,
}

/// Inspects the first bytes of a file, of which [`HEAD_BYTES`] always suffice.
pub fn kind_of(bytes: &[u8]) -> Head {
    let mut tar = TarStream::new(Inflated::new(bytes, Threads::ONE).take(4 << 20));
    while let Ok(Some(member)) = tar.next_member() {
        match member.what {
            MemberKind::Folder => {}
            MemberKind::File if is_manifest(&member.path) => return Head::ManifestFirst,
            _ => return Head::ManifestLater,
        }
    }
    Head::Unknown
}

/// Returns true if the path of a member is that of a manifest: directly in a root folder, with or without `./` before
/// it.
pub fn is_manifest(path: &str) -> bool {
    let path = path.trim_start_matches("./");
    path.split_once('/')
        .is_some_and(|(_, inside)| inside == MANIFEST_NAME)
}

/// Returns true if a file is certainly a hookshot archive, as far as its first bytes can show: an export may replace
/// it. The manifest comes first and has the content of a manifest.
pub fn is_archive(bytes: &[u8]) -> bool {
    if kind_of(bytes) != Head::ManifestFirst {
        return false;
    }
    let mut tar = TarStream::new(Inflated::new(bytes, Threads::ONE).take(4 << 20));
    while let Ok(Some(member)) = tar.next_member() {
        if member.what == MemberKind::File {
            let mut manifest = Vec::new();
            // A manifest that is longer than the inspected bytes is judged by its beginning.
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

/// Returns true if another program packed the tar, and its manifest may name directories that have listings: their
/// files come in any order then. The manifest comes first.
pub fn may_be_repacked(bytes: &[u8]) -> bool {
    let mut tar = TarStream::new(Inflated::new(bytes, Threads::ONE).take(4 << 20));
    let mut root: Option<(String, i64)> = None;
    while let Ok(Some(member)) = tar.next_member() {
        let is_ours = match (member.what, &root) {
            (MemberKind::Folder, None) => is_own_folder(&member),
            (MemberKind::File, Some((root, created_at))) => {
                let header = manifest_header(root, *created_at, member.size);
                header.is_ok_and(|header| member.has_header(&header))
            }
            _ => false,
        };
        if member.what == MemberKind::File {
            if is_ours {
                return false;
            }
            let mut manifest = Vec::new();
            let is_whole = tar.read_to_end(&mut manifest).is_ok();
            // An export writes the key before the entries. Another program may write it after them.
            return memmem::find(&manifest, b"\"directories\"").is_some()
                || !is_whole && !is_of_plain_version(&manifest);
        }
        let path = member.path.trim_end_matches('/').to_owned();
        let created_at = is_ours.then(|| member.mtime()).flatten();
        root = Some((path, created_at.unwrap_or(i64::MIN)));
    }
    false
}

fn is_own_folder(member: &Member) -> bool {
    let root = member.path.trim_end_matches('/');
    let header = member.mtime().map(|mtime| folder_header(root, mtime));
    header.is_some_and(|header| header.is_ok_and(|header| member.has_header(&header)))
}

/// Reads the root folder's name and the time of the snapshot from the first bytes of an archive whose manifest comes
/// first. Neither is verified.
pub fn opening(bytes: &[u8]) -> Option<(String, i64)> {
    let mut tar = TarStream::new(Inflated::new(bytes, Threads::ONE).take(4 << 20));
    loop {
        let member = tar.next_member().ok()??;
        if member.what == MemberKind::Folder {
            continue;
        }
        let path = member.path.trim_start_matches("./");
        let (root, _) = path.split_once('/').filter(|_| is_manifest(path))?;
        let mut manifest = Vec::new();
        let created = match tar.read_to_end(&mut manifest) {
            Ok(_) => Manifest::parse(&manifest).ok()?.created_at,
            // A manifest that is longer than these bytes has the time before its long list.
            Err(_) => created_at(&manifest)?,
        };
        return Some((root.to_owned(), created));
    }
}

/// Finds the time in the beginning of a manifest.
fn created_at(manifest: &[u8]) -> Option<i64> {
    let number = value_of("\"created_at\"", manifest)?;
    let end = number.find(|next: char| next != '-' && !next.is_ascii_digit())?;
    number[..end].parse().ok()
}

/// Returns true if the beginning of a manifest states a version that has no listings.
fn is_of_plain_version(manifest: &[u8]) -> bool {
    let version = value_of("\"version\"", manifest);
    let version = version.and_then(|text| text.strip_prefix('"')?.split_once('"')?.0.parse().ok());
    version.is_some_and(|version: FormatVersion| version <= FormatVersion::PLAIN)
}

/// Returns the beginning of a manifest from the value of the first such key on.
fn value_of<'a>(key: &str, manifest: &'a [u8]) -> Option<&'a str> {
    let at = memmem::find(manifest, key.as_bytes())?;
    let chunk = manifest[at + key.len()..].utf8_chunks().next()?;
    Some(chunk.valid().trim_start().strip_prefix(':')?.trim_start())
}

/// Returns true if `file` is a tar, packed or not, that can be read to its end and has no manifest: certainly not an
/// archive.
pub fn lacks_manifest(file: impl Read) -> bool {
    let mut tar = TarStream::new(Inflated::new(BufReader::new(file), Threads::ONE));
    loop {
        match tar.next_member() {
            Ok(Some(member)) if member.what == MemberKind::File && is_manifest(&member.path) => {
                return false;
            }
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Reads the first bytes of a file, and returns the verdict on them.
pub fn read_head(reader: &mut dyn Read) -> io::Result<(Head, Vec<u8>)> {
    let mut bytes = Vec::new();
    reader.take(HEAD_BYTES as u64).read_to_end(&mut bytes)?;
    Ok((kind_of(&bytes), bytes))
}

/// Refuses a gzip of something other than a tar, by name.
pub fn refuse_other(shown: &str, head: &[u8]) -> Result<()> {
    let mut bytes = Vec::new();
    let mut inflated = Inflated::new(head, Threads::ONE).take(512);
    if inflated.read_to_end(&mut bytes).is_err() || is_tar(&bytes) {
        return Ok(());
    }
    let what = match bytes.as_slice() {
        [0x1f, 0x8b, ..] => Some(
            "it is packed with gzip twice: `gzip -dc FILE > FILE.tar.gz` takes the outer one off",
        ),
        [] => Some("it is a gzip of nothing: an empty file was packed"),
        // An empty tar begins with zeros, and has no manifest.
        [0, ..] => None,
        bytes => met(bytes).or(is_no_header(bytes)
            .then_some("it is a gzip of something that is not a tar, a single file perhaps")),
    };
    match what {
        Some(what) => Err(refusal(shown, &[Fault::NotAnArchive(what.into())]).into()),
        None => Ok(()),
    }
}

/// Returns true if no header of a tar begins like this: it is shorter, or it is printable text, which has no zeros
/// after a name.
fn is_no_header(bytes: &[u8]) -> bool {
    bytes.len() < 512 || !bytes[..512].contains(&0)
}

/// Searches for a manifest that does not come first. A fault on the way is left to the later full reading.
pub fn find_manifest(
    shown: &str,
    file: &mut dyn Read,
    threads: Threads,
) -> Result<Option<Vec<u8>>> {
    let compressed = BufReader::with_capacity(BUFFER_BYTES, file);
    let mut tar = TarStream::new(Inflated::new(compressed, threads));
    loop {
        match tar.next_member() {
            Ok(Some(member)) => {
                if member.what == MemberKind::File
                    && member.path.trim_start_matches("./") == MANIFEST_NAME
                {
                    return Err(refusal(shown, &[Fault::NoRoot]).into());
                }
                if member.what == MemberKind::File && is_manifest(&member.path) {
                    let mut bytes = Vec::new();
                    let read = tar.take(MAX_MANIFEST_BYTES + 1).read_to_end(&mut bytes);
                    return Ok(read.is_ok().then_some(bytes));
                }
            }
            Ok(None) => return Ok(None),
            Err(error) if fault_of(&error).is_some() => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
        }
    }
}

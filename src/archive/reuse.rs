//! Members of an earlier archive that a new one may reuse: compressing an unchanged block again would give the same
//! bytes.
//!
//! A block is searched at the position where the same entry had it before. It is reused if the earlier member states
//! its length and CRC-32. The earlier archive must also state that the same hookshot made it at the same level: then
//! the result is the same as that of compressing. If the earlier archive is wrong or damaged, the new one does not
//! match its manifest. So no reused block counts before the new archive is read back and every digest compared.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    sync::Arc,
};

use semver::Version;

use super::{
    gzip::{
        candidate::Candidate,
        index::{self, MemberSize},
    },
    members::{self, Members},
    tar::{
        layout::{EntryOffsets, MemberPlaces},
        stream::TarStream,
    },
};
use crate::model::{
    entry_name::EntryName,
    limits::{BUFFER_BYTES, MAX_LINE_BYTES, MEMBER_BYTES, TAR_OVERHEAD_BYTES},
    manifest::{FileRecord, LineReader, Manifest},
};

/// An archive whose members may be reused.
pub struct Earlier {
    file: Arc<File>,
    sizes: Vec<MemberSize>,
    /// The beginning of each member: in the archive, and in the inflated content.
    starts: Vec<(u64, u64)>,
    manifest: Manifest,
    /// The entries that are larger than a member.
    large: BTreeMap<EntryName, LargeEntry>,
}

/// An entry that has members of its own.
#[derive(Debug, Clone, Copy)]
struct LargeEntry {
    /// The beginning of its content, in the inflated content.
    content: u64,
    size: u64,
}

impl Earlier {
    /// Opens an earlier archive; `None` if nothing of it can be reused: it has no index, was not made by the hookshot
    /// of this `version`, or was compressed with another method.
    pub fn open(file: File, version: &Version, compression: &str) -> Option<Earlier> {
        let sizes = index::load(&file).ok()??;
        let mut members = Members::new(&file, &sizes);
        let (root, bytes) = members::manifest(&mut members).ok()??;
        let earlier = Manifest::parse(&bytes).ok()?;
        if earlier.compression.as_deref() != Some(compression)
            || earlier.hookshot_version != *version
        {
            return None;
        }
        let places = MemberPlaces::new(&root, earlier.created_at, bytes.len() as u64).ok()?;
        let large = large_entries(&earlier, places, &mut members)?;
        drop(members);
        Some(Earlier {
            file: Arc::new(file),
            starts: members::starts(&sizes),
            sizes,
            manifest: earlier,
            large,
        })
    }

    /// Returns its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns for each block of an entry, from its beginning, the member that may hold it.
    pub(super) fn blocks(
        &self,
        name: &EntryName,
        record: &FileRecord,
    ) -> VecDeque<Option<Candidate>> {
        let earlier = self.large.get(name);
        let blocks = earlier.map_or(0..0, |earlier| {
            let first = self
                .starts
                .binary_search_by_key(&earlier.content, |(_, inflated)| *inflated);
            let count = record.size.min(earlier.size) / MEMBER_BYTES as u64;
            first.map_or(0..0, |first| {
                first..self.sizes.len().min(first.saturating_add(count as usize))
            })
        });
        let candidate = |number: usize| {
            let size = self.sizes[number];
            (size.inflated as usize == MEMBER_BYTES).then(|| Candidate {
                file: self.file.clone(),
                offset: self.starts[number].0,
                size: size.packed as usize,
            })
        };
        blocks.map(candidate).collect()
    }
}

/// Finds the entries that are larger than a member, those of listed directories among them. Nothing of it is verified.
fn large_entries(
    manifest: &Manifest,
    mut places: MemberPlaces<'_>,
    members: &mut Members<'_>,
) -> Option<BTreeMap<EntryName, LargeEntry>> {
    let directories = manifest.directories.iter();
    let directories = directories.map(|(name, listed)| (&listed.listing, name));
    let directories: BTreeMap<&EntryName, &EntryName> = directories.collect();
    let mut large = BTreeMap::new();
    let mut add = |name: &EntryName, record: &FileRecord, place: EntryOffsets| {
        if record.size > MEMBER_BYTES as u64 {
            let (content, size) = (place.content, record.size);
            large.insert(name.clone(), LargeEntry { content, size });
        }
    };
    for (name, record) in &manifest.files {
        let place = places.next(record).ok()?;
        add(name, record, place);
        let Some(directory) = directories.get(name) else {
            continue;
        };
        let most = record.size.saturating_add(TAR_OVERHEAD_BYTES);
        members.seek(place.header);
        let mut tar = TarStream::new(members.take(most));
        let member = tar.next_member().ok()??;
        if member.size != record.size || !member.path.ends_with(name.as_str()) {
            return None;
        }
        let mut text = BufReader::with_capacity(BUFFER_BYTES, tar);
        let mut reader = LineReader::new((*directory).clone());
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut longest = (&mut text).take(MAX_LINE_BYTES as u64);
            if longest.read_until(b'\n', &mut line).ok()? == 0 {
                break;
            }
            let line = reader.read(line.strip_suffix(b"\n")?, 1).ok()?;
            if let Some(record) = line.file() {
                add(&record.path, record, places.next(record).ok()?);
            }
        }
    }
    Some(large)
}

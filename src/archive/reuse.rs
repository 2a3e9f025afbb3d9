//! Members of an earlier archive that a new one may reuse: compressing an unchanged block again would give the same
//! bytes.
//!
//! A block is searched at the position where the same entry had it before. It is reused if the earlier member states
//! its length and CRC-32. The earlier archive must also state that the same hookshot made it at the same level: then
//! the result is the same as that of compressing. If the earlier archive is wrong or damaged, the new one does not
//! match its manifest. So no reused block counts before the new archive is read back and every digest compared.

use std::{collections::VecDeque, fs::File, sync::Arc};

use semver::Version;

use super::{
    gzip::{
        candidate::Candidate,
        index::{self, MemberSize},
    },
    select,
    tar::layout,
};
use crate::model::{
    entry_name::EntryName,
    limits::MEMBER_BYTES,
    manifest::{FileRecord, Manifest},
};

/// An archive whose members may be reused.
pub struct Earlier {
    file: Arc<File>,
    sizes: Vec<MemberSize>,
    /// The beginning of each member: in the archive, and in the inflated content.
    starts: Vec<(u64, u64)>,
    manifest: Manifest,
    /// The beginning of the content of each entry, in the inflated content.
    contents: Vec<(EntryName, u64)>,
}

impl Earlier {
    /// Opens an earlier archive; `None` if nothing of it can be reused: it has no index, was not made by the hookshot
    /// of this `version`, or was compressed with another method.
    pub fn open(file: File, version: &Version, compression: &str) -> Option<Earlier> {
        let sizes = index::load(&file).ok()??;
        let (root, bytes) = select::manifest(&file, &sizes).ok()??;
        let earlier = Manifest::parse(&bytes).ok()?;
        if earlier.compression.as_deref() != Some(compression)
            || earlier.hookshot_version != *version
        {
            return None;
        }
        let places = layout::places(&earlier, &root, bytes.len() as u64).ok()?;
        let contents = places
            .iter()
            .map(|(name, place)| ((*name).clone(), place.content))
            .collect();
        let starts = sizes
            .iter()
            .scan((0, 0), |next, size| {
                let start = *next;
                next.0 += u64::from(size.packed);
                next.1 += u64::from(size.inflated);
                Some(start)
            })
            .collect();
        Some(Earlier {
            file: Arc::new(file),
            sizes,
            starts,
            manifest: earlier,
            contents,
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
        let blocks = self.first_member(name).map_or(0..0, |first| {
            let earlier = self
                .manifest
                .files
                .get(name)
                .map_or(0, |record| record.size);
            let count = record.size.min(earlier) / MEMBER_BYTES as u64;
            first..self.sizes.len().min(first.saturating_add(count as usize))
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

    /// Finds the member with which the content of an entry begins.
    fn first_member(&self, name: &EntryName) -> Option<usize> {
        let (_, place) = self.contents.iter().find(|(other, _)| other == name)?;
        self.starts
            .binary_search_by_key(place, |(_, inflated)| *inflated)
            .ok()
    }
}

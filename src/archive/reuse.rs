//! Members of an earlier archive that a new one may reuse: compressing a block again that has not changed would give
//! the same bytes.
//!
//! A block is looked for where the same entry had it before. It is taken over if the earlier member states its length and
//! CRC-32, and only from an archive that says that the same hookshot made it at the same level: then the result is what
//! compressing would have given. If the earlier archive lies or is damaged, the new one does not hold what its manifest
//! says: nothing that was taken over counts before the new archive is read back, every digest compared.

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

/// An archive whose members may be taken over.
pub struct Earlier {
    file: Arc<File>,
    sizes: Vec<MemberSize>,
    /// Where each member begins: in the archive, and inflated.
    starts: Vec<(u64, u64)>,
    manifest: Manifest,
    /// Where the content of each entry begins, inflated.
    contents: Vec<(EntryName, u64)>,
}

impl Earlier {
    /// Opens an earlier archive; `None` if nothing of it can be reused: it has no index, or was not made by the
    /// hookshot of this `version`, or was compressed in another way.
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

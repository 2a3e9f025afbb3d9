//! The inflated content of an archive at any place, through its index: only the members that hold it are read.

use std::io::{self, Read};

use libdeflater::Decompressor;

use super::{
    gzip::{
        index::{self, MemberSize},
        member::{PLAIN_HEADER_BYTES, Raw, stated_size, try_inflate},
    },
    tar::stream::{MemberKind, TarStream},
};
use crate::model::{
    entry_name::EntryName,
    limits::{MAX_MANIFEST_BYTES, MEMBER_BYTES, TAR_SLACK_BYTES},
    manifest::MANIFEST_NAME,
};
use crate::work::ReadAt;

/// The members of an archive, as its index lists them.
pub(super) struct MemberTable {
    pub(super) sizes: Vec<MemberSize>,
    /// The beginning of each member: in the archive, and in the inflated content.
    pub(super) starts: Vec<(u64, u64)>,
}

impl MemberTable {
    /// Reads the index; `None` if the archive has none.
    pub(super) fn load(source: &dyn ReadAt) -> io::Result<Option<MemberTable>> {
        Ok(index::load(source)?.map(MemberTable::of))
    }

    fn of(sizes: Vec<MemberSize>) -> MemberTable {
        let starts = sizes.iter().scan((0, 0), |next, size| {
            let start = *next;
            next.0 += u64::from(size.packed);
            next.1 += u64::from(size.inflated);
            Some(start)
        });
        let starts = starts.collect();
        MemberTable { sizes, starts }
    }
}

/// The inflated content of an archive from some place on, one member at a time.
pub(super) struct Members<'a> {
    source: &'a dyn ReadAt,
    table: &'a MemberTable,
    /// The number of the next member.
    next: usize,
    /// The bytes of the next member before the requested place.
    skip: usize,
    raw: Raw,
    given: usize,
    decompressor: Decompressor,
}

impl<'a> Members<'a> {
    /// Makes a reader of the content from its beginning.
    pub(super) fn new(source: &'a dyn ReadAt, table: &'a MemberTable) -> Members<'a> {
        Members {
            source,
            table,
            next: 0,
            skip: 0,
            raw: Raw::default(),
            given: 0,
            decompressor: Decompressor::new(),
        }
    }

    /// Goes to `place` in the inflated content. The member that was inflated last is not read again.
    pub(super) fn seek(&mut self, place: u64) {
        let last = self.next.checked_sub(1);
        let start = last.and_then(|last| self.table.starts.get(last));
        let within = start.and_then(|(_, start)| place.checked_sub(*start));
        let within = within.and_then(|within| usize::try_from(within).ok());
        if let Some(within) = within.filter(|within| *within < self.raw.block.len()) {
            self.given = within;
            return;
        }
        // The last member that begins at the place or before it: an empty one before it holds nothing.
        let after = self
            .table
            .starts
            .partition_point(|(_, start)| *start <= place);
        self.next = after.saturating_sub(1);
        let start = self
            .table
            .starts
            .get(self.next)
            .map_or(0, |(_, start)| *start);
        self.skip = usize::try_from(place - start).unwrap_or(usize::MAX);
        self.raw.block.clear();
        self.given = 0;
    }

    /// Reads the next member; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        let MemberTable { sizes, starts } = self.table;
        let (Some(size), Some((offset, _))) = (sizes.get(self.next), starts.get(self.next)) else {
            return Ok(false);
        };
        self.next += 1;
        let mut raw = std::mem::take(&mut self.raw);
        // The index is not verified: its values are bounded here, and compared with the member below.
        if size.packed as usize > 2 * MEMBER_BYTES || size.inflated as usize > MEMBER_BYTES {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        raw.member.resize(size.packed as usize, 0);
        self.source.read_exact_at(&mut raw.member, *offset)?;
        let stated = raw.member.get(..PLAIN_HEADER_BYTES).and_then(stated_size);
        let tried = try_inflate(&mut self.decompressor, raw);
        if !tried.is_good
            || stated != Some(size.packed as usize)
            || tried.raw.block.len() != size.inflated as usize
        {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.raw = tried.raw;
        self.given = std::mem::take(&mut self.skip);
        Ok(true)
    }
}

impl Read for Members<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given >= self.raw.block.len() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let left = &self.raw.block[self.given..];
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.given += count;
        Ok(count)
    }
}

/// Reads the root folder's name and the manifest's text, if they are the first that the tar has.
pub(super) fn manifest(members: &mut Members<'_>) -> io::Result<Option<(String, Vec<u8>)>> {
    let most = MAX_MANIFEST_BYTES + TAR_SLACK_BYTES;
    members.seek(0);
    let mut tar = TarStream::new(members.take(most));
    let folder = tar.next_member()?;
    let Some(folder) = folder.filter(|member| member.what == MemberKind::Folder) else {
        return Ok(None);
    };
    let root = folder.path.trim_end_matches('/').to_owned();
    let path = format!("{root}/{MANIFEST_NAME}");
    let file = tar.next_member()?.filter(|member| {
        member.what == MemberKind::File && member.path == path && member.size <= MAX_MANIFEST_BYTES
    });
    if file.is_none() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    tar.read_to_end(&mut bytes)?;
    Ok(EntryName::new(&root).is_ok().then_some((root, bytes)))
}

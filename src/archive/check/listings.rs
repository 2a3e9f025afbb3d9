//! The listings of an archive while it is read: each is checked, and says which files come next.

use std::collections::BTreeMap;

use super::{Abort, ArchiveCheck};
use crate::{
    archive::{
        fault::Fault,
        incoming::IncomingListing,
        listing::Listing,
        member_stream::MemberStream,
        tar::stream::{Member, MemberKind},
    },
    model::{
        entry_name::EntryName,
        manifest::{FileRecord, Manifest},
    },
};

impl ArchiveCheck<'_> {
    /// Takes the listings that are known before any member comes.
    pub(super) fn take_listings(
        &mut self,
        listings: BTreeMap<EntryName, Listing>,
    ) -> Result<(), Abort> {
        let directories = self.directories.values().cloned();
        for directory in directories {
            let Some(listing) = listings.get(&directory) else {
                self.files.refuse(directory);
                continue;
            };
            self.sink
                .listing(&directory, listing)
                .map_err(Abort::Sink)?;
            self.files
                .begin_any(&directory, listing, self.store.scratch())
                .map_err(Abort::Sink)?;
        }
        self.listings = listings;
        Ok(())
    }

    /// Takes the record of the file that comes next in the listing, if the member is that file.
    pub(super) fn next_listed(
        &mut self,
        member: &Member,
    ) -> Result<Option<Box<FileRecord>>, Abort> {
        let root = self.root.name();
        let below = root.and_then(|root| member.path.strip_prefix(root));
        match below.and_then(|below| below.strip_prefix('/')) {
            Some(inside) if member.what == MemberKind::File => {
                self.files.take_next(inside).map_err(Abort::Sink)
            }
            _ => Ok(None),
        }
    }

    /// Reads a file of a listed directory.
    pub(super) fn listed_file(
        &mut self,
        record: &FileRecord,
        member: &Member,
        tar: &mut impl MemberStream,
    ) -> Result<(), Abort> {
        if self.has_size(&record.path, record, member, tar)? {
            self.content(&record.path, record, tar, None)?;
        }
        self.files.count_one();
        Ok(())
    }

    /// Begins a listing if the entry called `name`, which has `bytes`, is one.
    pub(super) fn incoming(
        &mut self,
        name: &EntryName,
        bytes: u64,
        manifest: &Manifest,
    ) -> Result<Option<IncomingListing>, Abort> {
        let directory = self.directories.get(name);
        let directory = directory.filter(|name| !self.listings.contains_key(*name));
        let listed = directory.and_then(|name| manifest.directories.get_key_value(name));
        let incoming = listed.map(|(name, listed)| self.store.begin(name, listed, bytes));
        incoming.transpose().map_err(Abort::Sink)
    }

    /// Ends a listing; `is_good` if its bytes match the manifest.
    pub(super) fn listing(
        &mut self,
        mut incoming: IncomingListing,
        is_good: bool,
        tar: &mut impl MemberStream,
    ) -> Result<(), Abort> {
        let directory = incoming.directory().clone();
        if !is_good {
            self.files.refuse(directory);
            return Ok(());
        }
        let Some(listing) = self.store.finish(&mut incoming) else {
            self.faults.append(&mut incoming.faults());
            self.files.refuse(directory);
            return Ok(());
        };
        if self.files.has_refused(&directory) {
            // Its files were not checked against it.
            let reason = format!("listing of {directory}: it was not found when it was searched");
            self.faults.push(Fault::Listing(reason));
            return Ok(());
        }
        self.sink
            .listing(&directory, &listing)
            .map_err(Abort::Sink)?;
        tar.listing(&directory, &listing).map_err(Abort::Sink)?;
        self.files.begin(&directory, incoming.files(), &listing);
        self.listings.insert(directory, listing);
        Ok(())
    }
}

//! The members of an archive, one after the other, whatever holds them: a tar, or a tree of files.

use std::{
    io::{self, BufRead, BufReader, Read},
    rc::Rc,
};

use anyhow::Result;

use super::{
    budget::{Budget, promise},
    gzip::inflate::Inflated,
    listing::Listing,
    tar::stream::{Member, TarStream},
};
use crate::model::{entry_name::EntryName, manifest::Manifest};

/// The members of an archive in order; reading gives the content of the current one.
pub(super) trait MemberStream: BufRead {
    /// Returns the next member; `None` after the last one.
    fn next_member(&mut self) -> io::Result<Option<Member>>;

    /// Takes the manifest, which says what may come. `before` is the bytes of its text that are still to come.
    fn begin(&mut self, manifest: &Rc<Manifest>, before: u64);

    /// Takes the listing of `directory`, which is complete: its files come next.
    fn listing(&mut self, _directory: &EntryName, _listing: &Listing) -> Result<()> {
        Ok(())
    }

    /// Returns true if a member that is longer than it may be can be passed over without reading it.
    fn may_skip(&self) -> bool;

    /// Returns true if the members came out of a tar that another program had unpacked.
    fn is_plain(&self) -> bool;

    /// Returns true if an archive with this manifest ends with an index, and this one did not.
    fn lacks_index(&self, manifest: &Manifest) -> bool;
}

/// The tar of an archive file.
pub(super) type Tar<R> = TarStream<Budget<Inflated<BufReader<R>>>>;

impl<R: Read> MemberStream for Tar<R> {
    fn next_member(&mut self) -> io::Result<Option<Member>> {
        TarStream::next_member(self)
    }

    fn begin(&mut self, manifest: &Rc<Manifest>, before: u64) {
        let most = promise(manifest, before);
        self.inner_mut().allow(manifest.total_bytes(), most);
    }

    fn may_skip(&self) -> bool {
        false
    }

    fn is_plain(&self) -> bool {
        self.inner().inner().is_plain()
    }

    fn lacks_index(&self, manifest: &Manifest) -> bool {
        // Format 1.1 as written by hookshot ends with an index; the same content packed again by plain tar has none.
        let inflated = self.inner().inner();
        inflated.is_sized() && manifest.version.minor >= 1 && !inflated.has_index()
    }
}

//! A first reading of an archive that another program packed: it finds the manifest and the listings, wherever they
//! stand, so that a second one can check everything else.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Seek, Write as _},
};

use anyhow::{Context as _, Result};

use super::{
    budget::{Budget, promise},
    fault::fault_of,
    gzip::inflate::Inflated,
    head::find_manifest,
    incoming::{IncomingListing, ListingStore},
    listing::Listing,
    root::without_dots,
    tar::stream::{MemberKind, TarStream},
};
use crate::model::{
    digest::{Digest, Hashing},
    entry_name::EntryName,
    limits::{BUFFER_BYTES, MAX_MANIFEST_BYTES},
    manifest::{ListedDirectory, Manifest},
};
use crate::work::workers::Threads;

/// The parts of an archive that are found before it is read.
pub(super) struct Survey {
    /// The text of its manifest.
    pub(super) manifest: Vec<u8>,
    /// The listings that are good, by the names of their directories.
    pub(super) listings: BTreeMap<EntryName, Listing>,
}

/// Searches the archive called `shown`; `None` if it has no manifest. Faults on the way are left to the full reading.
pub(super) fn survey(
    shown: &str,
    file: &mut (impl Read + Seek),
    threads: Threads,
    store: &mut ListingStore,
) -> Result<Option<Survey>> {
    let reading = || format!("cannot read {shown}");
    file.rewind().with_context(reading)?;
    let Some(manifest) = find_manifest(shown, file, threads)? else {
        return Ok(None);
    };
    // The full reading says so.
    if manifest.len() as u64 > MAX_MANIFEST_BYTES {
        return Ok(None);
    }
    let mut survey = Survey {
        manifest,
        listings: BTreeMap::new(),
    };
    if let Ok(manifest) = Manifest::parse(&survey.manifest)
        && !manifest.directories.is_empty()
    {
        file.rewind().with_context(reading)?;
        let compressed = BufReader::with_capacity(BUFFER_BYTES, file);
        let bytes = survey.manifest.len() as u64;
        let inflated = Inflated::new(compressed, threads);
        let mut tar = TarStream::new(Budget::new(inflated, promise(&manifest, bytes)));
        match find_listings(&manifest, &mut tar, store, &mut survey.listings) {
            Err(error)
                if error
                    .downcast_ref()
                    .is_some_and(|error| fault_of(error).is_some()) => {}
            found => found.with_context(reading)?,
        }
    }
    Ok(Some(survey))
}

fn find_listings(
    manifest: &Manifest,
    tar: &mut TarStream<impl BufRead>,
    store: &mut ListingStore,
    found: &mut BTreeMap<EntryName, Listing>,
) -> Result<()> {
    let directories = manifest.directories.iter();
    let mut wanted: BTreeMap<&str, (&EntryName, &ListedDirectory)> = directories
        .map(|(name, listed)| (listed.listing.as_str(), (name, listed)))
        .collect();
    while !wanted.is_empty() {
        let Some(member) = tar.next_member()? else {
            break;
        };
        let path = without_dots(&member.path);
        let inside = path.split_once('/').map_or("", |(_, inside)| inside);
        let (Some((name, listed)), Some(record)) = (wanted.get(inside), manifest.files.get(inside))
        else {
            continue;
        };
        if member.what != MemberKind::File || member.size != record.size {
            continue;
        }
        let mut incoming = store.begin(name, listed, record.size)?;
        let digest = take(tar, &mut incoming)?;
        if incoming.is_hopeless() {
            // The full reading ends there, too.
            break;
        }
        let listing = (digest == record.checksum).then(|| store.finish(&mut incoming));
        if let Some(listing) = listing.flatten() {
            found.insert((*name).clone(), listing);
            wanted.remove(inside);
        }
    }
    Ok(())
}

fn take(tar: &mut TarStream<impl BufRead>, incoming: &mut IncomingListing) -> Result<Digest> {
    let mut hashing = Hashing::new(std::io::sink());
    loop {
        let bytes = tar.fill_buf()?;
        if bytes.is_empty() || incoming.is_hopeless() {
            return Ok(hashing.finish().0);
        }
        hashing.write_all(bytes)?;
        incoming.take(bytes)?;
        let count = bytes.len();
        tar.consume(count);
    }
}

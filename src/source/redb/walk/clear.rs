//! Clears everything in a copy except the pages of its commit.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _};

use anyhow::{Context as _, Result};
use nix::fcntl::{FallocateFlags, fallocate};

use super::super::header::HEADER_BYTES;

/// The size of the pieces in which zeros are written if no hole can be made.
const ZEROS_BYTES: u64 = 512 << 10;

/// Makes everything between the pages of a copy read as zeros: pages of commits that the copy does not hold.
pub fn clear_between(copy: &File, live: &[Range<u64>], end: u64) -> Result<()> {
    let mut from = HEADER_BYTES as u64;
    let tail = end..end;
    for range in live.iter().chain([&tail]) {
        if range.start > from {
            clear(copy, from, range.start - from).context("cannot clear a part of the copy")?;
        }
        from = from.max(range.end);
    }
    Ok(())
}

/// Makes a range read as zeros.
pub fn clear(copy: &File, offset: u64, length: u64) -> io::Result<()> {
    if length == 0 {
        return Ok(());
    }
    let (from, count) = (
        i64::try_from(offset).map_err(io::Error::other)?,
        i64::try_from(length).map_err(io::Error::other)?,
    );
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    match fallocate(copy, flags, from, count) {
        Err(nix::errno::Errno::EOPNOTSUPP | nix::errno::Errno::ENOSYS) => {
            let zeros = vec![0; ZEROS_BYTES as usize];
            let mut at = offset;
            while at < offset + length {
                let count = (offset + length - at).min(ZEROS_BYTES);
                copy.write_all_at(&zeros[..count as usize], at)?;
                at += count;
            }
            Ok(())
        }
        result => Ok(result?),
    }
}

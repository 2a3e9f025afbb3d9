//! Files of keys and certificates, which are read completely.

use std::{
    io::{self, Read as _},
    path::Path,
};

use crate::disk::open_regular;

/// The largest such file, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// Reads a file. `/dev/null` is an empty one. Fails if it is not a file or is larger than 16 MiB: a device has no end,
/// and a fifo without a writer never begins.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("/dev/null") {
        return Ok(bytes);
    }
    open_regular(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(io::Error::other("it is larger than 16 MiB")),
        false => Ok(bytes),
    }
}

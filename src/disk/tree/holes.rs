//! Content of files, and the holes in them.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    os::unix::fs::FileExt as _,
};

use rustix::{
    fs::{self as sys, FallocateFlags},
    io::Errno,
};

use crate::model::limits::BUFFER_BYTES;

/// The unit in which file systems leave out what is not stored.
const BLOCK_BYTES: usize = 4096;

/// Copies content, of about `size` bytes; blocks of zeros are left out of a sparse file.
pub(super) fn copy_file(mut from: &File, to: &File, size: u64, is_sparse: bool) -> io::Result<()> {
    // One byte more finds the end of most files with the first read.
    let whole = usize::try_from(size.saturating_add(1)).unwrap_or(BUFFER_BYTES);
    let mut buffer = vec![0; whole.clamp(BLOCK_BYTES, BUFFER_BYTES)];
    let mut at = 0;
    loop {
        let read = fill(&mut from, &mut buffer)?;
        let part = match is_sparse {
            true => BLOCK_BYTES,
            false => buffer.len(),
        };
        for block in buffer[..read].chunks(part) {
            if !is_sparse || block.iter().any(|byte| *byte != 0) {
                to.write_all_at(block, at)?;
            }
            at += block.len() as u64;
        }
        if read < buffer.len() {
            return match is_sparse {
                true => to.set_len(at),
                false => Ok(()),
            };
        }
    }
}

/// Gives back the blocks of zeros of `file`, as far as the file system can.
pub(super) fn punch(mut file: &File) -> io::Result<()> {
    file.rewind()?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut at, mut hole) = (0, 0..0);
    loop {
        let read = fill(&mut file, &mut buffer)?;
        for block in buffer[..read].chunks(BLOCK_BYTES) {
            let end = at + block.len() as u64;
            if block.iter().all(|byte| *byte == 0) {
                hole = if hole.end == at {
                    hole.start..end
                } else {
                    at..end
                };
            } else if !make_hole(file, &mut hole)? {
                return Ok(());
            }
            at = end;
        }
        if read == 0 {
            make_hole(file, &mut hole)?;
            return Ok(());
        }
    }
}

/// Makes `hole` a hole, and resets it to an empty range; false if the file system cannot make holes.
fn make_hole(file: &File, hole: &mut std::ops::Range<u64>) -> io::Result<bool> {
    let range = std::mem::take(hole);
    if range.is_empty() {
        return Ok(true);
    }
    let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match sys::fallocate(file, how, range.start, range.end - range.start) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        result => Ok(result.map(|()| true)?),
    }
}

/// Reads until `buffer` is full or nothing is left.
fn fill(from: &mut &File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

//! Locks on ranges of a file that belong to an open file (fcntl(2), "Open file description locks"): advisory, and gone
//! when the file is closed.

use std::{fs::File, io, os::fd::AsFd as _};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
};

/// Where a range begins, and its length in bytes; a length of 0 reaches to the end of any file.
pub type Range = (i64, i64);

/// Takes a reader's lock; false where somebody holds one that keeps readers out.
pub fn share(file: &File, range: Range) -> io::Result<bool> {
    set(file, libc::F_RDLCK, range)
}

/// Gives up what was taken.
pub fn release(file: &File, range: Range) -> io::Result<()> {
    set(file, libc::F_UNLCK, range).map(drop)
}

/// Whether somebody else holds a lock of any kind there: a pure query that disturbs nobody.
pub fn is_locked(file: &File, range: Range) -> io::Result<bool> {
    let mut query = flock(libc::F_WRLCK, range);
    fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut query))?;
    Ok(libc::c_int::from(query.l_type) != libc::F_UNLCK)
}

fn set(file: &File, kind: libc::c_int, range: Range) -> io::Result<bool> {
    match fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&flock(kind, range))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn flock(kind: libc::c_int, (start, length): Range) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: length,
        l_pid: 0,
    }
}

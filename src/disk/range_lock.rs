//! Locks on ranges of a file that belong to an open file (fcntl(2), "Open file description locks"): advisory, and gone
//! when the file is closed.

use std::{fs::File, io, os::fd::AsFd as _};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
};

use super::holder::Holder;

/// The start of a range and its length, in bytes; a length of 0 reaches to the end of any file.
pub type Range = (i64, i64);

/// Takes a reader's lock; false if another process holds one that keeps readers out.
pub fn share(file: &File, range: Range) -> io::Result<bool> {
    set(file, libc::F_RDLCK, range)
}

/// Takes a writer's lock; false if another process holds any. The file must be open for writing.
pub fn exclude(file: &File, range: Range) -> io::Result<bool> {
    set(file, libc::F_WRLCK, range)
}

/// Gives up what was taken.
pub fn release(file: &File, range: Range) -> io::Result<()> {
    set(file, libc::F_UNLCK, range).map(drop)
}

/// Returns true if another process holds a lock of any kind there. A pure query: it takes no lock.
pub fn is_locked(file: &File, range: Range) -> io::Result<bool> {
    Ok(locked_by(file, range)?.is_some())
}

/// Returns a process that holds a lock of any kind there, as far as the kernel names it. A pure query: it sees the
/// locks of every user and of every namespace.
pub fn locked_by(file: &File, range: Range) -> io::Result<Option<Holder>> {
    ask(file, libc::F_WRLCK, range)
}

/// Does the same for locks of writers alone.
pub fn written_by(file: &File, range: Range) -> io::Result<Option<Holder>> {
    ask(file, libc::F_RDLCK, range)
}

/// Returns a process that stands in the way of a lock of this `kind`.
fn ask(file: &File, kind: libc::c_int, range: Range) -> io::Result<Option<Holder>> {
    let mut query = flock(kind, range);
    fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut query))?;
    if libc::c_int::from(query.l_type) == libc::F_UNLCK {
        return Ok(None);
    }
    // -1 for a lock that belongs to an open file, 0 for a process of another namespace.
    let pid = u32::try_from(query.l_pid).ok().filter(|pid| *pid > 0);
    Ok(Some(pid.map_or_else(Holder::unknown, Holder::of)))
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

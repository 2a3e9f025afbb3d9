//! Standard output for archives and entries, which reacts to a signal even while the reader stalls.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd as _,
};

use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use rustix::fs::OFlags;

use crate::work::cancel::Stop;

/// The interval at which a write to a stalled reader checks for a signal, in milliseconds.
const PATIENCE_MS: u16 = 100;

/// Standard output, unbuffered. Not promised: a reaction to a signal within a write to a regular file or a terminal.
pub struct Stdout {
    inner: File,
    /// The most bytes that are written at once: a pipe with room takes this without waiting (pipe(7), `PIPE_BUF`).
    most: usize,
    stop: Stop,
}

/// Fails if standard output cannot be written, because the process was started without one (`>&-`).
///
/// Instead of it, `closed_output.c` opened /dev/null for reading, before Rust's runtime would have opened it for
/// writing.
pub fn ensure_open() -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(io::stdout())?;
    let access = flags & (OFlags::RDONLY | OFlags::WRONLY | OFlags::RDWR);
    match access == OFlags::RDONLY {
        true => Err(Errno::EBADF.into()),
        false => Ok(()),
    }
}

impl Stdout {
    /// Opens standard output. Writing fails after a signal reached `stop`.
    pub fn open(stop: &Stop) -> io::Result<Stdout> {
        ensure_open()?;
        let inner = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let is_file = inner.metadata()?.is_file();
        Ok(Stdout {
            inner,
            most: if is_file { usize::MAX } else { libc::PIPE_BUF },
            stop: stop.clone(),
        })
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.stop.check()?;
            let mut fds = [PollFd::new(self.inner.as_fd(), PollFlags::POLLOUT)];
            match poll(&mut fds, PollTimeout::from(PATIENCE_MS)) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => match self.inner.write(&bytes[..bytes.len().min(self.most)]) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return result,
                },
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! A standard input, or a terminal, whose reads end at a signal.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::AsFd as _,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::work::cancel::Stop;

/// The interval, in milliseconds, at which a read of a silent standard input checks if the process must stop.
const PATIENCE_MS: u16 = 100;

/// A standard input whose reads end at a signal.
pub struct Patient {
    inner: File,
    stop: Stop,
    /// True once the input ended: a terminal that was told of the end (Ctrl-D) would give more at the next read.
    has_ended: bool,
}

impl Patient {
    /// Returns a reader of `inner`.
    pub fn new(inner: File, stop: &Stop) -> Patient {
        Patient {
            inner,
            stop: stop.clone(),
            has_ended: false,
        }
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.has_ended {
            self.stop.check()?;
            let mut fds = [PollFd::new(self.inner.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::from(PATIENCE_MS)) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => {}
                Ok(_) => match self.inner.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => {
                        self.has_ended = matches!(result, Ok(0)) && !buffer.is_empty();
                        return result;
                    }
                },
                Err(error) => return Err(error.into()),
            }
        }
        Ok(0)
    }
}

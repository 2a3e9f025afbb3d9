//! Waiting for signals: a process that sleeps until one comes, or until its time is over.

use std::{
    io::{ErrorKind, Read as _},
    os::{fd::AsFd as _, unix::net::UnixStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

/// A sleep that signals end.
#[derive(Debug)]
pub struct Wake {
    /// Becomes readable when a signal comes.
    stream: UnixStream,
    /// Set when the configuration is to be read again.
    reload: Arc<AtomicBool>,
}

impl Wake {
    /// Makes one. A signal handler writes to the other end of `stream`.
    pub fn new(stream: UnixStream, reload: Arc<AtomicBool>) -> Result<Wake> {
        stream.set_nonblocking(true)?;
        Ok(Wake { stream, reload })
    }

    /// Returns true if the configuration is to be read again, once for each request.
    pub fn takes_reload(&self) -> bool {
        self.reload.swap(false, Ordering::Relaxed)
    }

    /// Sleeps until a signal comes, but no longer than `limit`. A signal that came since the last sleep counts.
    pub fn sleep(&mut self, limit: Duration) -> Result<()> {
        // A rest of a millisecond is not slept away too early.
        let millis = u32::try_from(limit.as_micros().div_ceil(1000)).unwrap_or(u32::MAX);
        let limit = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
        let mut streams = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
        match poll(&mut streams, limit) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut bytes = [0; 64];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_signal_that_came_before_ends_the_sleep_at_once_and_counts_once() {
        let (stream, mut writer) = UnixStream::pair().expect("a pair");
        let reload = Arc::new(AtomicBool::new(false));
        let mut wake = Wake::new(stream, reload.clone()).expect("good");
        writer.write_all(&[0; 100]).expect("written");
        reload.store(true, Ordering::Relaxed);
        // Without the signal this would take longer than the test may.
        wake.sleep(Duration::from_secs(86_400)).expect("slept");
        assert!(wake.takes_reload() && !wake.takes_reload());
        wake.sleep(Duration::from_millis(1)).expect("slept");
    }
}

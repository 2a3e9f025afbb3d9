//! Standard output and standard error.

use std::{
    io::{self, BufWriter, Write},
    os::fd::AsFd,
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use serde_json::Value;

use crate::{
    model::entry_name::{printable_json, printable_lines},
    work::stdout::ensure_open,
};

/// Writes text to standard output, and escapes what drives a terminal. A reader that closed the pipe is not an error; a
/// standard output that was never open is.
pub fn print(text: &str) -> Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    print_by(|out| out.write_all(printable_lines(text).as_bytes()))
}

/// Writes JSON to standard output in the same way.
pub fn print_json(value: &Value) -> Result<()> {
    print_by(|out| out.write_all(printable_json(&format!("{value:#}\n")).as_bytes()))
}

/// A writer that escapes what drives a terminal, in front of standard output or standard error.
pub struct Inert<W> {
    inner: W,
    escape: fn(&str) -> String,
}

impl<W: Write> Inert<W> {
    /// Returns a writer in front of `inner`. Each write must consist of whole characters.
    pub fn new(inner: W, escape: fn(&str) -> String) -> Inert<W> {
        Inert { inner, escape }
    }
}

impl<W: Write> Write for Inert<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.inner.write_all((self.escape)(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A writer that waits for room if the pipe is non-blocking (fcntl(2), `O_NONBLOCK`). Node.js makes the pipes that it
/// shares so.
struct Patient<W>(W);

impl<W: Write + AsFd> Patient<W> {
    fn wait<T>(&mut self, mut act: impl FnMut(&mut W) -> io::Result<T>) -> io::Result<T> {
        loop {
            match act(&mut self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)];
                    match poll(&mut fds, PollTimeout::NONE) {
                        Ok(_) | Err(Errno::EINTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                result => return result,
            }
        }
    }
}

impl<W: Write + AsFd> Write for Patient<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wait(|inner| inner.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wait(Write::flush)
    }
}

/// Lets `write` fill standard output, without escaping. It treats readers in the same way.
pub fn print_by(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut out = BufWriter::new(Patient(io::stdout().lock()));
    let written = ensure_open().and_then(|()| write(&mut out));
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// Writes to standard error at once. A failure to do so changes nothing.
pub fn say(text: &str) {
    let _ = Patient(io::stderr().lock()).write_all(text.as_bytes());
}

//! The words of commands: cut into lines for people, with known secrets masked.

use std::{
    io::{self, PipeReader, Read as _},
    os::fd::{AsFd as _, BorrowedFd},
};

use anyhow::Result;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use tracing::warn;

use super::masks::Masks;
use crate::model::entry_name::printable;

/// The most pieces of a command's output that are read before the work goes on; together they are more than a pipe
/// holds.
pub(super) const MOST_PIECES: usize = 256;
/// The length from which a line is shown in pieces.
pub(super) const MOST_LINE_BYTES: usize = 4096;
/// The most lines that are shown of an answer or of standard error.
pub(super) const MOST_LINES: usize = 5;
/// The most bytes of withheld output; earlier ones are dropped.
const MOST_WITHHELD_BYTES: usize = 64 << 10;

/// A cutter of output into lines.
#[derive(Default)]
pub struct LineCutter {
    rest: Vec<u8>,
}

impl LineCutter {
    /// Gives every whole line of `bytes` to `say`; the rest waits. A long line comes in pieces, none of which ends
    /// within a secret.
    pub fn add(&mut self, bytes: &[u8], masks: &Masks, say: &mut dyn FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.end(masks, say);
                continue;
            }
            // Another thread may add a secret meanwhile.
            let longest = masks.longest();
            if self.rest.len() >= MOST_LINE_BYTES + longest {
                let cut = masks.cut(&self.rest, self.rest.len() - longest);
                let after = self.rest.split_off(cut);
                self.end(masks, say);
                self.rest = after;
            }
        }
    }

    /// Gives the rest to `say`.
    pub fn end(&mut self, masks: &Masks, say: &mut dyn FnMut(&str)) {
        let line = masks.masked(&std::mem::take(&mut self.rest));
        let text = printable(String::from_utf8_lossy(&line).trim_end());
        if !text.is_empty() {
            say(&text);
        }
    }
}

/// The standard error of a command.
pub(super) struct Complaints {
    from: Option<PipeReader>,
    said: Said,
}

enum Said {
    /// Every line is logged; the last ones are kept.
    Logged {
        cutter: LineCutter,
        last: Vec<String>,
    },
    /// Everything is kept for the time at which the secrets are known.
    Withheld(Vec<u8>),
}

impl Complaints {
    /// Makes complaints of a command without a standard error of its own.
    pub fn none() -> Complaints {
        Complaints {
            from: None,
            said: Said::Withheld(Vec::new()),
        }
    }

    /// Makes complaints that are logged line by line.
    pub fn logged(from: PipeReader) -> Complaints {
        Complaints {
            from: Some(from),
            said: Said::Logged {
                cutter: LineCutter::default(),
                last: Vec::new(),
            },
        }
    }

    /// Makes complaints that are kept and not logged.
    pub fn withheld(from: PipeReader) -> Complaints {
        Complaints {
            from: Some(from),
            said: Said::Withheld(Vec::new()),
        }
    }

    /// Returns the pipe to wait for, as long as it is open.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.from.as_ref().map(|from| from.as_fd())
    }

    /// Reads the available output, without waiting for more. A command that never stops printing does not block the
    /// work.
    pub fn hear(&mut self, masks: &Masks) -> Result<()> {
        let mut buffer = [0; MOST_LINE_BYTES];
        for _ in 0..MOST_PIECES {
            let Some(from) = &mut self.from else {
                break;
            };
            if !is_ready(&[from.as_fd()], PollTimeout::ZERO)?[0] {
                break;
            }
            match from.read(&mut buffer) {
                Ok(0) => self.from = None,
                Ok(count) => self.said.add(&buffer[..count], masks),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Logs a last line that has no line break.
    pub fn end(&mut self, masks: &Masks) {
        self.said.add(b"\n", masks);
    }

    /// Returns the last lines.
    pub fn last(self, masks: &Masks) -> Vec<String> {
        match self.said {
            Said::Logged { last, .. } => last,
            Said::Withheld(bytes) => last_lines(&bytes, masks, &mut |_| {}),
        }
    }

    /// Logs what was withheld, masked, and returns the last lines.
    pub fn reveal(self, masks: &Masks) -> Vec<String> {
        match self.said {
            Said::Logged { last, .. } => last,
            Said::Withheld(bytes) => last_lines(&bytes, masks, &mut log),
        }
    }
}

impl Said {
    fn add(&mut self, bytes: &[u8], masks: &Masks) {
        match self {
            Said::Logged { cutter, last } => cutter.add(bytes, masks, &mut |line| {
                log(line);
                push(last, line);
            }),
            Said::Withheld(kept) => {
                kept.extend_from_slice(bytes);
                if kept.len() > MOST_WITHHELD_BYTES {
                    // The rest of a line that is cut may be the rest of a secret.
                    let tail = &kept[kept.len() - MOST_WITHHELD_BYTES..];
                    let line = tail.iter().position(|byte| *byte == b'\n');
                    *kept = line.map_or_else(Vec::new, |end| tail[end + 1..].to_vec());
                }
            }
        }
    }
}

fn log(line: &str) {
    warn!("A command says: {line}");
}

/// Gives every line of a text, masked as a whole, to `say`, and returns the last ones.
fn last_lines(bytes: &[u8], masks: &Masks, say: &mut dyn FnMut(&str)) -> Vec<String> {
    let (mut cutter, mut last) = (LineCutter::default(), Vec::new());
    let masked = masks.masked(bytes);
    let mut say = |line: &str| {
        say(line);
        push(&mut last, line);
    };
    cutter.add(&masked, masks, &mut say);
    cutter.end(masks, &mut say);
    last
}

fn push(last: &mut Vec<String>, line: &str) {
    if last.len() == MOST_LINES {
        last.remove(0);
    }
    last.push(line.to_owned());
}

/// Waits until one of several can be read, or is at its end; returns that state of each.
pub(super) fn is_ready(outputs: &[BorrowedFd<'_>], patience: PollTimeout) -> Result<Vec<bool>> {
    let fds = outputs
        .iter()
        .map(|output| PollFd::new(*output, PollFlags::POLLIN));
    let mut fds: Vec<PollFd<'_>> = fds.collect();
    match poll(&mut fds, patience) {
        Ok(_) => Ok(fds.iter().map(|fd| fd.any() == Some(true)).collect()),
        Err(Errno::EINTR) => Ok(vec![false; outputs.len()]),
        Err(error) => Err(error.into()),
    }
}

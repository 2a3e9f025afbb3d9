//! Asking for a passphrase on the terminal, without echo.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::{fd::AsFd, unix::fs::OpenOptionsExt as _},
    sync::Arc,
};

use nix::libc::{O_CLOEXEC, O_NOCTTY};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::screen::Screen;
use crate::{
    catalog::patient::Patient,
    crypt::{Ask, SecretString},
    error::Failure,
    work::cancel::Stop,
};

/// The terminal of this process, whatever standard input is (tty(4)).
const TERMINAL: &str = "/dev/tty";
/// The longest passphrase, in bytes; a terminal gives no longer line.
const MOST_BYTES: usize = 4096;

/// Returns the way to ask for passphrases; `None` without a terminal.
pub fn asker(screen: &Arc<Screen>, stop: &Stop) -> Option<Ask> {
    open().ok()?;
    let (screen, stop) = (screen.clone(), stop.clone());
    Some(Arc::new(move |prompt| {
        screen.clear();
        let asked = ask(prompt, &stop);
        asked.map_err(|error| Failure::of(&error.into()))
    }))
}

fn open() -> io::Result<File> {
    let flags = O_NOCTTY | O_CLOEXEC;
    let mut options = File::options();
    options
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(TERMINAL)
}

/// Asks once; `None` if the user gives nothing.
fn ask(prompt: &str, stop: &Stop) -> io::Result<Option<SecretString>> {
    let mut terminal = open()?;
    let echo = Silent::begin(terminal.try_clone()?)?;
    write!(terminal, "{prompt}: ")?;
    terminal.flush()?;
    let line = read_line(&mut Patient::new(terminal.try_clone()?, stop));
    drop(echo);
    writeln!(terminal)?;
    let line = line?;
    let text = str::from_utf8(&line).map_err(io::Error::other)?;
    let text = text.trim_end_matches(['\n', '\r']);
    Ok((!text.is_empty()).then(|| SecretString::from(text.to_owned())))
}

/// Reads a line into memory that clears itself, and that never moves.
fn read_line(terminal: &mut Patient) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(MOST_BYTES));
    let mut next = Zeroizing::new([0; 1]);
    while line.len() < MOST_BYTES && terminal.read(&mut *next)? == 1 {
        line.push(next[0]);
        if next[0] == b'\n' {
            break;
        }
    }
    Ok(line)
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silent<T: AsFd> {
    terminal: T,
    before: Termios,
}

impl<T: AsFd> Silent<T> {
    fn begin(terminal: T) -> io::Result<Silent<T>> {
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ICANON);
        tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
        Ok(Silent { terminal, before })
    }
}

impl<T: AsFd> Drop for Silent<T> {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

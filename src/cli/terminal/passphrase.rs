//! Asking for a passphrase on the terminal, without echo.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    os::{fd::AsFd, unix::fs::OpenOptionsExt as _},
    sync::Arc,
};

use nix::libc::{O_CLOEXEC, O_NOCTTY};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::screen::Screen;
use crate::{
    catalog::input::Patient,
    crypt::{Ask, SecretString},
    work::cancel::Stop,
};

/// The terminal of this process, whatever standard input is (tty(4)).
const TERMINAL: &str = "/dev/tty";

/// Returns the way to ask for passphrases; `None` without a terminal.
pub fn asker(screen: &Arc<Screen>, stop: &Stop) -> Option<Ask> {
    open()?;
    let (screen, stop) = (screen.clone(), stop.clone());
    Some(Arc::new(move |prompt| {
        screen.clear();
        ask(prompt, &stop)
    }))
}

fn open() -> Option<File> {
    let flags = O_NOCTTY | O_CLOEXEC;
    let mut options = File::options();
    options
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(TERMINAL)
        .ok()
}

/// Asks once; `None` if the user gives nothing, or if the run is cancelled.
fn ask(prompt: &str, stop: &Stop) -> Option<SecretString> {
    let mut terminal = open()?;
    let echo = Silent::begin(terminal.try_clone().ok()?)?;
    write!(terminal, "{prompt}: ").ok()?;
    terminal.flush().ok()?;
    let mut line = Zeroizing::new(String::with_capacity(1 << 10));
    let read = BufReader::new(Patient::new(terminal.try_clone().ok()?, stop)).read_line(&mut line);
    drop(echo);
    writeln!(terminal).ok()?;
    read.ok()?;
    let passphrase = line.trim_end_matches(['\n', '\r']);
    (!passphrase.is_empty()).then(|| SecretString::from(passphrase.to_owned()))
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silent<T: AsFd> {
    terminal: T,
    before: Termios,
}

impl<T: AsFd> Silent<T> {
    fn begin(terminal: T) -> Option<Silent<T>> {
        let before = tcgetattr(&terminal).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ICANON);
        tcsetattr(&terminal, OptionalActions::Flush, &silent).ok()?;
        Some(Silent { terminal, before })
    }
}

impl<T: AsFd> Drop for Silent<T> {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

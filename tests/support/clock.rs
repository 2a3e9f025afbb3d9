//! A clock of its own for a program under test, by the library of faketime(1).
//!
//! The wrapper `faketime` refuses to start if a killed run left a semaphore with its process number. The library alone goes on.

use std::{fs, path::PathBuf, process::Command};

use crate::servers::program::leave_out;

/// Returns the path of libfaketime; `None` if it is not installed.
pub fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut libraries = folders.map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    let library = libraries.find(|library| library.exists());
    library.or_else(|| leave_out("faketime"))
}

/// Starts a program's clock at a moment, as FAKETIME wants it: `-3600s` from now, `@2026-02-01 03:00:00`; without the `@` it
/// stands still.
#[track_caller]
pub fn set(command: &mut Command, moment: &str) {
    let library = library().expect("libfaketime, which tests/run installs");
    command.env("LD_PRELOAD", library).env("FAKETIME", moment);
}

/// Makes a program's clock some hours late.
#[track_caller]
pub fn set_back(command: &mut Command, hours: u32) {
    set(command, &format!("-{}s", u64::from(hours) * 3600));
}

//! The gate of a verb that works: it begins after its relay was told of its process, and never if the agent ends before.
//!
//! A relay that was told nothing tells that nothing was done. So nothing may be done before, whenever the agent is killed.

use std::{
    ffi::OsString,
    io::{self, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{ChildStdin, Command, Stdio},
};

use crate::work::session::NOT_STARTED;

/// The hidden first word of the command line of a program behind the gate.
pub const GATED_WORD: &str = "gated";
/// The word that opens the gate.
const GO: &[u8; 1] = b"\n";

/// Waits for the word on standard input, and becomes the program that the words name. Returns only if that fails, with
/// the exit code.
pub fn become_gated(words: &[OsString]) -> u8 {
    let [program, arguments @ ..] = words else {
        return 2;
    };
    if io::stdin().read_exact(&mut [0; GO.len()]).is_err() {
        let _ = writeln!(io::stderr(), "the agent ended, so the verb does not begin");
        return 1;
    }
    let mut command = Command::new(program);
    command
        .arg0("hookshot")
        .args(arguments)
        .stdin(Stdio::null());
    let error = command.exec();
    let _ = writeln!(io::stderr(), "the verb does not start: {error}");
    u8::try_from(NOT_STARTED).unwrap_or(1)
}

/// Opens the gate.
pub fn open(mut gate: ChildStdin) {
    // A verb that has ended needs no word.
    let _ = gate.write_all(GO);
}

//! restic as a referee: every version that this machine has, on a repository in a folder.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Run, finish, servers::program::find};

/// The password of every repository of the tests, if they name no other. One of 64 hexadecimal digits is stretched a third as
/// long as one that can be guessed, at each run.
pub const PASSWORD: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
/// A second password, of the same form.
pub const SECOND_PASSWORD: &str =
    "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";
/// A password that can be guessed.
pub const GUESSABLE: &str = "battery staple";

/// A restic of some version.
#[derive(Clone)]
pub struct Restic {
    program: PathBuf,
    pub version: String,
    key: Option<PathBuf>,
}

impl Restic {
    /// Returns the restics of this machine: that of its own system, and those that `tests/restics` fetched. Says what is
    /// missing; without any, a complete run fails.
    pub fn all() -> Vec<Restic> {
        let names = ["restic", "restic-trixie", "restic-forky"];
        let found = names.into_iter().filter_map(Restic::called);
        let found: Vec<Restic> = found.collect();
        require_one(!found.is_empty());
        found
    }

    /// Returns the one of this machine's system, else the oldest. Without any, that is said, and a complete run fails.
    pub fn of_the_system() -> Option<Restic> {
        let found = Restic::called("restic");
        match found {
            Some(_) => found,
            None => Restic::all().into_iter().next(),
        }
    }

    fn called(name: &str) -> Option<Restic> {
        let program = find(name);
        if program.is_none() {
            println!("left out: {name} is not installed; tests/run installs what it can");
        }
        let program = program?;
        let mut command = Command::new(&program);
        command.arg("version");
        let said = finish(command, b"").exits(0).text();
        let version = said.split(' ').nth(1).expect("a version").to_owned();
        Some(Restic {
            program,
            version,
            key: None,
        })
    }

    /// Returns the same, which opens repositories with the password in this file.
    #[must_use]
    pub fn with_key(&self, file: PathBuf) -> Restic {
        Restic {
            key: Some(file),
            ..self.clone()
        }
    }

    /// Returns a command on the repository in `folder`.
    pub fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("-r").arg(folder).arg("--no-cache");
        command.args(arguments).stdin(Stdio::null());
        for variable in ["", "_FILE", "_COMMAND"] {
            command.env_remove(format!("RESTIC_PASSWORD{variable}"));
        }
        match &self.key {
            Some(file) => command.env("RESTIC_PASSWORD_FILE", file),
            None => command.env("RESTIC_PASSWORD", PASSWORD),
        };
        command
    }

    /// Runs a command on the repository in `folder` to its end.
    pub fn run(&self, folder: &Path, arguments: &[&str]) -> Run {
        finish(self.command(folder, arguments), b"")
    }
}

fn require_one(is_there: bool) {
    let is_complete = std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_some();
    assert!(is_there || !is_complete, "restic is missing");
}

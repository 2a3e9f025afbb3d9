//! The program that ssh starts to learn a password (ssh(1), `SSH_ASKPASS`). It is this one; a variable names the file
//! that has the password.

use std::{fs, io::Write as _, path::Path};

use super::world::World;
use crate::store::sftp::ASKPASS;

/// Answers the question of ssh, and returns the exit code. Returns `None` if ssh did not start this program.
pub fn answer(world: &World) -> Option<u8> {
    let (_, place) = world.variables.iter().find(|(name, _)| name == ASKPASS)?;
    let [_, question] = world.arguments.as_slice() else {
        return None;
    };
    Some(say(&question.to_string_lossy(), Path::new(place)).unwrap_or(1))
}

/// Prints the password if ssh asks for one. Returns `None` if it cannot be read. Denies that a host is known; refuses
/// to give a passphrase or a PIN, which are other secrets.
fn say(question: &str, place: &Path) -> Option<u8> {
    let question = question.to_lowercase();
    let answer = if question.contains("yes/no") {
        "no".to_owned()
    } else if question.contains("passphrase") || question.contains("pin for") {
        return Some(1);
    } else {
        fs::read_to_string(place).ok()?
    };
    writeln!(std::io::stdout(), "{answer}").ok()?;
    Some(0)
}

//! An SSH server in place of the real one: a program called `ssh` that prints bytes, whatever it is asked.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::forge::Xorshift;

/// The program, in a folder of its own.
pub struct BabblingSsh {
    folder: PathBuf,
}

impl BabblingSsh {
    /// Puts the program into `folder`.
    pub fn new(folder: &Path) -> BabblingSsh {
        let server = BabblingSsh {
            folder: folder.to_owned(),
        };
        fs::create_dir(folder).expect("a folder");
        let ssh = folder.join("ssh");
        let script = format!("#!/bin/sh\nexec cat '{}'\n", server.words().display());
        fs::write(&ssh, script).expect("written");
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).expect("a mode");
        server
    }

    /// Has it print what the server of this number says in SFTP's packets, mostly wrong.
    pub fn become_number(&self, number: u64) {
        fs::write(self.words(), answers(number)).expect("written");
    }

    /// Returns a PATH on which it comes first.
    pub fn path(&self) -> String {
        let others = env::var("PATH").expect("a path");
        format!("{}:{others}", self.folder.display())
    }

    fn words(&self) -> PathBuf {
        self.folder.join("words")
    }
}

fn bytes(random: &mut Xorshift, most: usize) -> Vec<u8> {
    (0..random.below(most))
        .map(|_| random.next_number() as u8)
        .collect()
}

fn packet(length: Option<u32>, kind: u8, rest: &[u8]) -> Vec<u8> {
    let length = length.unwrap_or(rest.len() as u32 + 1);
    [&length.to_be_bytes()[..], &[kind], rest].concat()
}

/// The bytes that the server of this number answers with: most greet well, so that what follows is read.
fn answers(seed: u64) -> Vec<u8> {
    let mut random = Xorshift::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    if seed.is_multiple_of(10) {
        return bytes(&mut random, 400);
    }
    let mut all = packet(None, 2, &3_u32.to_be_bytes());
    for id in 0..8_u32 {
        let id = match random.below(6) {
            0 => random.next_number() as u32,
            _ => id,
        };
        // STATUS, HANDLE, DATA, NAME, ATTRS, and what there is not.
        let kind = [101, 102, 103, 104, 105, 201, 7, 255][random.below(8)];
        let mut rest = id.to_be_bytes().to_vec();
        match random.below(5) {
            // A handle, or a string that is longer than its packet.
            0 => rest.extend(packet(None, b'h', b"andle")),
            1 => rest.extend([0xff; 12]),
            // Names, or a count of them, without their attributes.
            2 => rest.extend([0, 0, 0, 1, 0, 0, 0, 1, b'a', 0, 0, 0, 1, b'a', 0, 0]),
            3 => rest.extend([0, 0, 0, 0]),
            _ => rest.extend(bytes(&mut random, 64)),
        }
        let length = match random.below(8) {
            0 => Some(u32::MAX),
            1 => Some(0),
            2 => Some(random.below(100) as u32),
            _ => None,
        };
        all.extend(packet(length, kind, &rest));
    }
    all
}

//! Servers that speak SFTP wrongly: every answer ends in an ordinary failure, or in a listing.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use support::{Machine, finish};

/// The number of servers, each with bytes of its own.
const SEEDS: u64 = 300;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.next() as u8).collect()
    }
}

fn packet(length: Option<u32>, kind: u8, rest: &[u8]) -> Vec<u8> {
    let length = length.unwrap_or(rest.len() as u32 + 1);
    [&length.to_be_bytes()[..], &[kind], rest].concat()
}

/// The answers of a server: most greet well, so that what follows is read.
fn answers(seed: u64) -> Vec<u8> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    if seed.is_multiple_of(10) {
        return random.bytes(400);
    }
    let mut all = packet(None, 2, &3_u32.to_be_bytes());
    for id in 0..8_u32 {
        let id = match random.below(6) {
            0 => random.next() as u32,
            _ => id,
        };
        // STATUS, HANDLE, DATA, NAME, ATTRS, and what there is not.
        let kind = [101, 102, 103, 104, 105, 201, 7, 255][random.below(8) as usize];
        let mut rest = id.to_be_bytes().to_vec();
        match random.below(5) {
            // A handle, or a string that is longer than its packet.
            0 => rest.extend(packet(None, b'h', b"andle")),
            1 => rest.extend([0xff; 12]),
            // Names, or a count of them, without their attributes.
            2 => rest.extend([0, 0, 0, 1, 0, 0, 0, 1, b'a', 0, 0, 0, 1, b'a', 0, 0]),
            3 => rest.extend([0, 0, 0, 0]),
            _ => rest.extend(random.bytes(64)),
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

#[test]
fn no_bytes_of_a_server_panic_or_hang() {
    let work = |first: u64| {
        let machine = Machine::new();
        let text = machine.config_text(
            "[backup.destinations.d]\nurl = \"sftp://h/x\"\nretry_attempts = 0\ntimeout = \"1s\"\n",
        );
        machine.write("etc/config.toml", text, 0o600);
        let (bin, said) = (machine.path("bin"), machine.path("said"));
        fs::create_dir(&bin).expect("a folder");
        let ssh = bin.join("ssh");
        fs::write(&ssh, format!("#!/bin/sh\nexec cat '{}'\n", said.display())).expect("written");
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).expect("a mode");
        let path = format!(
            "{}:{}",
            bin.display(),
            std::env::var("PATH").expect("a path")
        );
        for seed in (first..SEEDS).step_by(2) {
            fs::write(&said, answers(seed)).expect("written");
            let mut command = machine.command();
            command.args(["list", "@d"]).env("PATH", &path);
            let begun = Instant::now();
            let run = finish(command, b"");
            let fault = format!("seed {seed}: exit code {}: {}", run.code, run.stderr);
            assert!(matches!(run.code, 0 | 1 | 3 | 10 | 17), "{fault}");
            assert!(!run.stderr.contains("panicked"), "{fault}");
            assert!(!run.stderr.contains("a defect"), "{fault}");
            assert!(begun.elapsed() < Duration::from_secs(20), "{fault}");
        }
    };
    std::thread::scope(|scope| {
        for first in 0..2 {
            scope.spawn(move || work(first));
        }
    });
}

//! Sealed archives: exported for public keys, read with private ones, refused without.

mod armored;
mod copying;
mod flipped;
mod hints;
mod interchange;
mod keys;
mod kit;
mod known;
mod misnamed;
mod nights;
mod outside;
mod phrases;
mod reading;
mod refused;
mod rekey;
mod reuse;
mod runbook;
mod secrecy;
mod tags;
mod writing;
mod year;

use std::process::{Command, Stdio};

use hookshot::crypt::{ExposeSecret as _, KeyPair, generate};
use support::{Machine, Run, finish};

/// A machine with a key pair, whose identity file is `key.txt`.
struct Sealing {
    machine: Machine,
    pair: KeyPair,
}

impl Sealing {
    fn new() -> Sealing {
        let machine = Machine::new();
        let pair = generate();
        machine.write("key.txt", pair.secret.expose_secret(), 0o600);
        Sealing { machine, pair }
    }

    /// A machine whose configuration seals for the key; `more` stands below.
    fn configured(more: &str) -> Sealing {
        let sealing = Sealing::new();
        sealing.configure(more);
        sealing
    }

    fn configure(&self, more: &str) {
        let public = &self.pair.public;
        let section = format!("[backup.encryption]\nrecipients = [\"{public}\"]\n{more}");
        let text = self.machine.config_text(&section);
        self.machine.write("etc/config.toml", text, 0o600);
    }

    fn path(&self, name: &str) -> String {
        self.machine.path(name).display().to_string()
    }

    /// Exports to `out/NAME`, sealed for the key.
    fn export(&self, name: &str) -> String {
        let path = self.path(&format!("out/{name}"));
        let run = self
            .machine
            .run(&["export", &path, "--recipient", &self.pair.public]);
        run.exits(0);
        path
    }

    fn identity(&self) -> [String; 2] {
        ["--identity".to_owned(), self.path("key.txt")]
    }

    /// Runs a command with the identity.
    fn run(&self, arguments: &[&str]) -> Run {
        let [option, file] = self.identity();
        let arguments = arguments.iter().copied().chain([&*option, &*file]);
        self.machine.run(&arguments.collect::<Vec<_>>())
    }
}

/// Returns true if strace can be used here, else says that the test is left out. A complete run insists.
fn can_trace() -> bool {
    let works = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let works = works.is_ok_and(|status| status.success());
    assert!(
        works || std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
        "strace is missing, or may not trace"
    );
    if !works {
        println!("skipped: strace is missing, or may not trace");
    }
    works
}

/// Runs hookshot under strace(1) with these options.
fn traced(machine: &Machine, options: &[&str], arguments: &[&str]) -> Run {
    let plain = machine.command();
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq"])
        .args(options)
        .arg(plain.get_program())
        .args(plain.get_args())
        .args(arguments)
        .current_dir(plain.get_current_dir().expect("a folder"));
    for (key, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    finish(command, b"")
}

/// Runs a command in a terminal of its own, and types the answer to each text when it appears. Before the first answer,
/// `meanwhile` runs in a shell.
const TERMINAL: &str = r#"
import json, os, pty, subprocess, sys
meanwhile, answers, *command = sys.argv[1:]
answers = json.loads(answers)
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
said, seen = b"", 0
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        break
    if not piece:
        break
    said += piece
    while answers and (at := said.find(answers[0][0].encode(), seen)) >= 0:
        if meanwhile:
            subprocess.run(["sh", "-ec", meanwhile], check=True, stdout=subprocess.DEVNULL)
            meanwhile = None
        seen = at + len(answers[0][0])
        os.write(terminal, answers.pop(0)[1].encode())
sys.stdout.buffer.write(said)
sys.stdout.buffer.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// Runs hookshot in a terminal ([`TERMINAL`]).
fn typed(machine: &Machine, arguments: &[&str], meanwhile: &str, answers: &[(&str, &str)]) -> Run {
    let plain = machine.command();
    let answers = serde_json::to_string(answers).expect("JSON");
    let mut command = Command::new("python3");
    command
        .args(["-c", TERMINAL, meanwhile, &answers])
        .arg(plain.get_program())
        .args(plain.get_args())
        .args(arguments)
        .current_dir(plain.get_current_dir().expect("a folder"));
    for (key, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    finish(command, b"")
}

/// Bytes that do not shrink when they are compressed.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(bytes).collect()
}

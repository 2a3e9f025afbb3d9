//! Sealed archives: exported for public keys, read with private ones, refused without.

mod copying;
mod interchange;
mod keys;
mod kit;
mod known;
mod nights;
mod reading;
mod rekey;
mod secrecy;
mod writing;

use hookshot::crypt::{ExposeSecret as _, KeyPair, generate};
use support::Machine;

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
    fn run(&self, arguments: &[&str]) -> support::Run {
        let [option, file] = self.identity();
        let arguments = arguments.iter().copied().chain([&*option, &*file]);
        self.machine.run(&arguments.collect::<Vec<_>>())
    }
}

//! Servers that speak SFTP wrongly: every answer ends in an ordinary failure, or in a listing.

use std::time::{Duration, Instant};

use support::{Machine, finish, servers::BabblingSsh};

/// The number of servers, each with bytes of its own.
const SEEDS: u64 = 300;

#[test]
fn no_bytes_of_a_server_panic_or_hang() {
    let work = |first: u64| {
        let machine = Machine::new();
        let text = machine.config_text(
            "[backup.destinations.d]\nurl = \"sftp://h/x\"\nretry_attempts = 0\ntimeout = \"1s\"\n",
        );
        machine.write("etc/config.toml", text, 0o600);
        let server = BabblingSsh::new(&machine.path("bin"));
        for seed in (first..SEEDS).step_by(2) {
            server.become_number(seed);
            let mut command = machine.command();
            command.args(["list", "@d"]).env("PATH", server.path());
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

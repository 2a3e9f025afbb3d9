//! `hookshot demo --serve`: one command, and a shop with sixty nights of archives to click through.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{Machine, signals};

use crate::{client::Client, site::cookie};

/// The time within which the pages are there. It is 20 s on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(90);

/// The demo at work, until this value goes.
pub struct Demo {
    child: Child,
    /// Its report: its address, its user and more.
    pub report: Value,
}

impl Demo {
    pub fn start(machine: &Machine) -> Demo {
        let mut command = machine.command();
        command.args(["demo", "--serve", "--json"]);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.stdout(Stdio::piped()).spawn();
        let mut demo = Demo {
            child: child.expect("the program"),
            report: Value::Null,
        };
        let stdout = demo.child.stdout.take().expect("a pipe");
        let mut reports = serde_json::Deserializer::from_reader(stdout).into_iter();
        demo.report = reports.next().expect("a report").expect("JSON");
        demo
    }

    pub fn address(&self) -> SocketAddr {
        let url = self.report["url"].as_str().expect("a URL");
        let address = url.strip_prefix("http://").expect("a scheme");
        address.parse().expect("an address")
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_demo_shows_sixty_nights_with_one_thing_wrong_and_leaves_nothing() {
    let machine = Machine::empty();
    let begun = Instant::now();
    let mut demo = Demo::start(&machine);
    let passed = begun.elapsed();
    println!("the demo is there after {passed:?}");
    assert!(passed < PATIENCE, "{passed:?}");
    let stranger = Client::new(demo.address());
    let form = format!(
        "name={}&password={}",
        demo.report["user"].as_str().expect("a name"),
        demo.report["password"].as_str().expect("a password")
    );
    let answer = stranger.post("/login", &form).is(303);
    let user = stranger.with(format!("Cookie: {}", cookie(&answer)));
    let page = loop {
        let page = user.get("/").is(200);
        if page.text().contains("@offsite") {
            break page;
        }
        assert!(begun.elapsed() < 2 * PATIENCE, "{}", page.text());
        std::thread::sleep(Duration::from_millis(50));
    };
    let page = page.says("One thing needs work");
    assert!(page.text().contains("@local"), "{}", page.text());
    let names = |destination: &str| {
        let mut command = std::process::Command::new(support::program());
        command
            .arg("--config")
            .arg(demo.report["config"].as_str().expect("a path"));
        command.args(["list", "--json", destination]);
        let list = support::finish(command, b"").exits(0).json();
        let archives = list["archives"].as_array().expect("a list").iter();
        archives
            .map(|archive| archive["name"].as_str().expect("a name").to_owned())
            .collect::<BTreeSet<_>>()
    };
    let (local, offsite) = (names("@local"), names("@offsite"));
    // Fourteen days, then a week each.
    assert!((15..30).contains(&local.len()), "{local:?}");
    let missed: Vec<_> = local.difference(&offsite).collect();
    assert_eq!(missed.len(), 3, "{missed:?}");
    let newest: Vec<_> = local.iter().rev().take(3).rev().collect();
    assert_eq!(missed, newest);
    signals::send(Signal::SIGINT, &demo.child);
    let status = demo.child.wait().expect("an end");
    assert!(status.code().is_some(), "{status}");
    let left = fs::read_dir(machine.path("tmp")).expect("a folder");
    assert_eq!(left.count(), 0);
}

#[test]
fn the_demo_touches_no_other_service_and_no_folder_with_files() {
    let machine = Machine::new();
    let mut command = machine.command();
    command.args(["demo", "--serve"]);
    command.env("HOOKSHOT_TO", machine.path("elsewhere"));
    let run = support::finish(command, b"");
    run.exits(2).says("HOOKSHOT_TO");
    assert!(!machine.path("elsewhere").exists());
    fs::create_dir(machine.path("out/full")).expect("a folder");
    machine.write("out/full/file", "x", 0o600);
    let run = machine.run(&["demo", "--serve", "full"]);
    run.exits(2).says("not an empty folder");
    machine.run(&["demo", "--listen", "127.0.0.1:0"]).exits(2);
    let run = machine.run(&["demo", "--serve", "--listen", "0.0.0.0:0"]);
    run.exits(2).says("only this machine");
}

//! `hookshot agent`: the real program with signals, a manager, and several configurations.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::net::UnixDatagram,
    process::{Child, ChildStderr, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::sys::signal::Signal;
use support::{service::Service, signals};

use super::service;

/// An agent that runs, and what it says.
struct Agent {
    child: Child,
    lines: BufReader<ChildStderr>,
    said: String,
}

impl Agent {
    fn start(service: &Service, words: &[&str], variables: &[(&str, &str)]) -> Agent {
        let mut child = Command::new(support::program())
            .args(words)
            .envs(variables.iter().copied())
            .env("TMPDIR", service.machine.path("tmp"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let lines = BufReader::new(child.stderr.take().expect("a pipe"));
        Agent {
            child,
            lines,
            said: String::new(),
        }
    }

    /// Reads until a line has all the words.
    fn until(&mut self, words: &[&str]) -> String {
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).expect("text");
            assert!(read > 0, "{words:?} was not said: {}", self.said);
            self.said.push_str(&line);
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        signals::send(signal, &self.child);
    }

    fn ends(mut self, code: i32) -> String {
        std::io::Read::read_to_string(&mut self.lines, &mut self.said).expect("text");
        let output = self.child.wait_with_output().expect("ended");
        assert_eq!(output.status.code(), Some(code), "{}", self.said);
        self.said + &String::from_utf8_lossy(&output.stdout)
    }
}

const EVERY_SECOND: &str = "[backup.schedule]\nbackup = []\nprune = \"* * * * * *\"\n";

#[test]
fn signals_read_the_configuration_again_and_end_the_agent() {
    let service = service("shop", EVERY_SECOND);
    let config = service.config.to_str().expect("UTF-8");
    let mut agent = Agent::start(&service, &["--config", config, "agent"], &[]);
    agent.until(&["The agent follows the schedule", "jobs=1"]);
    agent.until(&["Starts", "app=shop", "job=prune"]);
    agent.until(&["Ended well", "exit_code=0"]);
    let good = fs::read_to_string(&service.config).expect("there");
    fs::write(&service.config, good.replace("* * * * * *", "at times")).expect("written");
    agent.signal(Signal::SIGHUP);
    agent.until(&["the old one stays in force", "a time of a schedule is"]);
    agent.until(&["The agent follows the schedule", "jobs=1"]);
    agent.until(&["Starts"]);
    fs::write(&service.config, format!("{good}verify = \"weekly\"\n")).expect("written");
    agent.signal(Signal::SIGHUP);
    agent.until(&["The agent follows the schedule", "jobs=2"]);
    agent.signal(Signal::SIGTERM);
    agent.until(&["The agent ends"]);
    agent.ends(0);
}

#[test]
fn a_manager_hears_that_the_agent_is_ready_lives_and_ends() {
    let service = service("shop", EVERY_SECOND);
    let path = service.machine.path("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("set");
    let config = service.config.to_str().expect("UTF-8");
    let variables = [
        ("NOTIFY_SOCKET", path.to_str().expect("UTF-8")),
        ("WATCHDOG_USEC", "3000000"),
    ];
    let agent = Agent::start(&service, &["agent", "--config", config], &variables);
    let mut heard = String::new();
    let mut until = |text: &str| {
        while !heard.contains(text) {
            let mut bytes = [0; 4096];
            let length = manager
                .recv(&mut bytes)
                .unwrap_or_else(|_| panic!("{text} was not heard: {heard}"));
            heard.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
        heard.clear();
    };
    until("READY=1");
    until("STATUS=");
    until("WATCHDOG=1");
    agent.signal(Signal::SIGHUP);
    until("RELOADING=1");
    until("READY=1");
    agent.signal(Signal::SIGINT);
    until("STOPPING=1");
    agent.ends(0);
}

#[test]
fn a_folder_of_configurations_is_followed_and_a_bad_one_is_named() {
    let (shop, wiki) = (service("shop", EVERY_SECOND), service("wiki", EVERY_SECOND));
    let folder = shop.machine.path("all");
    fs::create_dir_all(folder.join("broken")).expect("a folder");
    fs::copy(&shop.config, folder.join("shop.toml")).expect("copied");
    fs::copy(&wiki.config, folder.join("wiki.toml")).expect("copied");
    fs::write(folder.join("broken/config.toml"), "[backup]\nto = 1\n").expect("written");
    fs::write(folder.join("services.toml"), "[other]\n").expect("written");
    let words = [
        "agent",
        "--config",
        folder.to_str().expect("UTF-8"),
        "--parallel",
        "2",
    ];
    let mut agent = Agent::start(&shop, &words, &[]);
    agent.until(&["its jobs are not started", "broken/config.toml"]);
    agent.until(&[
        "The agent follows the schedule",
        "configurations=2",
        "jobs=2",
    ]);
    agent.until(&["Ended well", "app=shop"]);
    agent.until(&["Ended well", "app=wiki"]);
    agent.signal(Signal::SIGTERM);
    agent.ends(0);
}

#[test]
fn a_missing_or_empty_configuration_is_not_followed() {
    let service = service("shop", "[backup.schedule]\nenabled = false\n");
    let config = service.config.to_str().expect("UTF-8");
    Agent::start(&service, &["agent", "-c", config], &[]).ends(2);
    Agent::start(&service, &["agent", "-c", "/nowhere/config.toml"], &[]).ends(10);
    let folder = service.machine.path("out");
    Agent::start(
        &service,
        &["agent", "-c", folder.to_str().expect("UTF-8")],
        &[],
    )
    .ends(10);
}

#[test]
fn a_further_signal_kills_a_job_that_hangs() {
    let schedule = "[backup.schedule]\nbackup = \"* * * * * *\"\n";
    let service = service("shop", schedule);
    let alive = service.machine.path("alive");
    fs::write(&alive, "").expect("written");
    // The hook goes on after SIGTERM, and so hookshot waits for it. It ends with this test.
    let hook = format!(
        "trap '' TERM; echo hangs; while [ -e {} ]; do sleep 0.1; done",
        alive.display()
    );
    let text = fs::read_to_string(&service.config).expect("there");
    let hook = format!("[[backup.hooks]]\nstage = \"before\"\nrun = \"{hook}\"\n");
    fs::write(&service.config, text + &hook).expect("written");
    let config = service.config.to_str().expect("UTF-8");
    let mut agent = Agent::start(&service, &["--config", config, "agent"], &[]);
    agent.until(&["hangs"]);
    agent.signal(Signal::SIGTERM);
    agent.until(&["The agent ends as soon as its jobs have ended"]);
    agent.signal(Signal::SIGTERM);
    agent.until(&["Interrupted: the agent ends", "job=backup"]);
    agent.signal(Signal::SIGTERM);
    agent.until(&["Killed: it did not end", "job=backup"]);
    let said = agent.ends(143);
    assert!(said.contains("exit_code=137"), "{said}");
    fs::remove_file(&alive).expect("removed");
}

/// Writes a history of backups, each begun at 02:00 some days before the last one, with its result and exit code.
fn write_history(service: &Service, runs: &[(i64, &str, Option<u8>)]) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("now");
    let now = i64::try_from(since.as_secs()).expect("a number");
    let day = 24 * 3600;
    let last = (now - 2 * 3600).div_euclid(day) * day + 2 * 3600;
    let folder = service.config.parent().expect("a folder").join(".hookshot");
    fs::create_dir_all(&folder).expect("a folder");
    let mut text = String::new();
    for (days, result, exit_code) in runs {
        let time = chrono::DateTime::from_timestamp(last - days * day, 0).expect("a time");
        let run = serde_json::json!({
            "run_id": format!("{days}-{result}"), "job": "backup", "app": "shop",
            "started_at": time.format("%FT%TZ").to_string(), "result": result,
            "exit_code": exit_code, "config": service.config.to_str(),
        });
        text.push_str(&format!("{run}\n"));
    }
    fs::write(folder.join("history.jsonl"), text).expect("written");
}

#[test]
fn a_run_that_was_killed_is_made_up_for_once() {
    let schedule = "[backup.schedule]\nbackup = \"02:00\"\njitter = \"0s\"\ntimezone = \"UTC\"\n\
        prune = \"* * * * * *\"\n";
    let killed = (0, "running", None);
    let good = (1, "success", Some(0));
    for (runs, first) in [
        (vec![good, killed], "job=backup"),
        (vec![good, (0, "failure", Some(137))], "job=backup"),
        (vec![good, (0, "success", Some(0))], "job=prune"),
        // The run that made up for it was killed, too.
        (
            vec![(2, "success", Some(0)), (1, "failure", None), killed],
            "job=prune",
        ),
        (
            vec![(2, "success", Some(0)), (1, "failure", Some(137)), killed],
            "job=prune",
        ),
    ] {
        let service = service("shop", schedule);
        write_history(&service, &runs);
        let config = service.config.to_str().expect("UTF-8");
        let mut agent = Agent::start(&service, &["--config", config, "agent"], &[]);
        agent.until(&["Starts", first]);
        let starts = agent.said.matches("Starts").count();
        assert_eq!(starts, 1, "{}", agent.said);
        agent.signal(Signal::SIGTERM);
        agent.ends(0);
    }
}

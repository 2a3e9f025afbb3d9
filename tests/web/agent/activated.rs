//! The agent as its units start it: the first connection does, and the socket outlives it.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{PermissionsExt as _, chown},
        net::UnixListener,
    },
    path::Path,
    process::{Command, Stdio},
};

use nix::{sys::signal::Signal, unistd::User};
use serde_json::Value;
use support::{program, signals};

use super::{
    apart::{Agent, Apart, SERVER},
    look,
};
use crate::site::API;

/// The program that waits for a connection, and then becomes the agent.
const ACTIVATE: &str = "systemd-socket-activate";

/// Returns the value of a setting of a unit.
#[track_caller]
fn setting(unit: &str, name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd-timer");
    let text = fs::read_to_string(folder.join(unit)).expect("a unit");
    let mut lines = text.lines().filter_map(|line| line.split_once('='));
    let found = lines.find(|(found, _)| *found == name);
    found.expect("a setting").1.to_owned()
}

/// Makes the socket as `hookshot-serve-agent.socket` says.
fn listener(apart: &Apart) -> UnixListener {
    let listener = UnixListener::bind(apart.socket()).expect("a socket");
    let user = User::from_name(SERVER).expect("users").expect("a user");
    chown(apart.socket(), None, Some(user.gid.as_raw())).expect("given");
    let mode = setting("hookshot-serve-agent.socket", "SocketMode");
    let mode = u32::from_str_radix(&mode, 8).expect("a mode");
    fs::set_permissions(apart.socket(), Permissions::from_mode(mode)).expect("changed");
    listener
}

/// Waits for a connection as the service manager does, which then starts the agent as `hookshot-serve-agent.service` says.
fn activate(apart: &Apart, listener: &UnixListener) -> Agent {
    assert_eq!(
        setting("hookshot-serve-agent.service", "StandardInput"),
        "socket"
    );
    let start = setting("hookshot-serve-agent.service", "ExecStart");
    let start = start
        .replace("/usr/local/bin/hookshot", &program().display().to_string())
        .replace("/etc/hookshot/config.toml", &apart.config())
        .replace("hookshot-serve", SERVER);
    let mut command = Command::new("sh");
    // The descriptors that are passed begin with 3 (sd_listen_fds(3)). Standard output is not the socket.
    command.args([
        "-c",
        "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"",
        "sh",
        ACTIVATE,
        "--inetd",
        "sh",
        "-c",
        "exec \"$@\" >/dev/null",
        "sh",
    ]);
    command.args(start.split(' '));
    command.env("TMPDIR", apart.site.machine.path("tmp"));
    let descriptor = listener.try_clone().expect("a descriptor");
    command.stdin(Stdio::from(std::os::fd::OwnedFd::from(descriptor)));
    Agent::start(command)
}

fn is_missing() -> bool {
    let version = Command::new(ACTIVATE).arg("--version").output();
    let is_missing = version.is_err();
    let is_needed = std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_some();
    assert!(!is_missing || !is_needed, "{ACTIVATE} is missing");
    if is_missing {
        println!("without {ACTIVATE} this is not tested");
    }
    is_missing
}

#[test]
fn a_connection_starts_the_agent_and_after_its_end_the_next_one_starts_it_again() {
    let Some(apart) = Apart::new() else { return };
    if is_missing() {
        return;
    }
    let listener = listener(&apart);
    let mut agent = activate(&apart, &listener);
    // Nothing runs before anything is asked for.
    let name = |agent: &Agent| {
        let name = fs::read_to_string(format!("/proc/{}/comm", agent.child.id()));
        name.expect("a process").trim().to_owned()
    };
    assert_ne!(name(&agent), "hookshot");
    for signal in [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGTERM] {
        let said = agent.log.lock().expect("a log").clone();
        assert!(!said.contains("waits for requests"), "{said}");
        let list = apart.ask(SERVER, &look("list")).exits(0).json();
        let archives = list["archives"].as_array().map(Vec::len);
        assert_eq!(archives, Some(2), "{list}");
        agent.says("waits for requests");
        assert_eq!(name(&agent), "hookshot");
        // It serves others, too, without another start.
        apart.ask(SERVER, &look("status")).exits(0);
        signals::send(signal, &agent.child);
        let status = agent.child.wait().expect("an end");
        let is_asked_for = signal == Signal::SIGTERM;
        assert_eq!(status.code() == Some(0), is_asked_for, "{status}");
        assert!(apart.socket().exists(), "the socket is the manager's");
        agent = activate(&apart, &listener);
    }
}

#[test]
fn a_server_starts_its_agent_by_asking_and_starts_it_again() {
    let Some(apart) = Apart::new() else { return };
    if is_missing() {
        return;
    }
    let listener = listener(&apart);
    let mut agent = activate(&apart, &listener);
    let serving = apart.serve();
    let program = serving.program(&apart.token);
    let archives = serving.snapshots(&program);
    agent.says("waits for requests");
    let id = archives[0]["id"].as_str().expect("an id");
    let verify = format!("{API}/snapshots/{id}/verify");
    let verified = || {
        let run = program.send("POST", &verify, "").is(202).json();
        let path = format!("{API}/runs/{}", run["id"].as_str().expect("an id"));
        let answer = serving.until(&program, &path, |answer| {
            answer.json()["state"] != "running"
        });
        answer.json()
    };
    let run: Value = verified();
    assert_eq!(run["state"], "done", "{run:#}");
    signals::send(Signal::SIGTERM, &agent.child);
    assert_eq!(agent.child.wait().expect("an end").code(), Some(0));
    let agent = activate(&apart, &listener);
    let run = verified();
    assert_eq!(run["state"], "done", "{run:#}");
    agent.says("verify of");
}

//! Leftovers belong to a run, known by more than a host name and a number: a live upload is never ended, and what a dead
//! container left goes with the next run, although its first process has the number of every other container's.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::places::{Place, bytes};
use support::{
    Machine, Run, finish, is_root,
    servers::{Moto, Sshd},
};

/// A machine with a configuration of one big file and of the destination `store`, which is slow.
fn machine(prefix: &str, store: &str) -> Machine {
    let machine = Machine::empty();
    let mut state = 1_u32;
    let noise = bytes(12 << 20, 1).into_iter().map(|byte| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        byte ^ (state >> 24) as u8
    });
    machine.write("data/big", noise.collect::<Vec<u8>>(), 0o600);
    let text = format!(
        "[storage]\ndata_dir = \"{}\"\n[backup]\nprefix = \"{prefix}\"\n[backup.destinations.store]\n{store}\n\
         bandwidth_limit = \"4 MB\"\nchunk_size = \"5 MiB\"\n\
         [[backup.sources]]\nname = \"big\"\nkind = \"file\"\npath = \"{}\"\n",
        machine.path("data").display(),
        machine.path("data/big").display(),
    );
    machine.write("etc/config.toml", text, 0o600);
    machine
}

/// hookshot as a process of a PID namespace of its own: the first one, or one with a high number.
fn contained(machine: &Machine, is_first: bool, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-pf", "--mount-proc", "--kill-child"]);
    if !is_first {
        let many = "for i in $(seq 300); do /bin/true; done; \"$0\" \"$@\"; exit $?";
        command.args(["sh", "-c", many]);
    }
    let inner = machine.command();
    command.arg(inner.get_program()).args(inner.get_args());
    command.args(arguments);
    command.env("TMPDIR", machine.path("tmp"));
    command.current_dir(machine.path("out"));
    command
}

/// An upload that has begun.
fn uploading(machine: &Machine, is_first: bool, place: &dyn Place) -> Child {
    let mut command = contained(machine, is_first, &["export", "@store", "--json"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("unshare");
    let end = Instant::now() + Duration::from_secs(60);
    while !has_leftovers(place) {
        let ended = child.try_wait().expect("a child");
        assert!(ended.is_none(), "it ended: {ended:?}");
        assert!(Instant::now() < end, "no upload begins");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

fn has_leftovers(place: &dyn Place) -> bool {
    let mut names = place.everything().into_iter();
    names.any(|name| name.contains(".hookshot-upload-"))
}

fn group_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().expect("a number"))
}

/// Returns the names that a check of the destination removed.
fn swept(run: Run) -> Vec<String> {
    let report = run.exits(0).json();
    let swept = report["destinations"][0]["swept"].as_array();
    let names = swept.expect("a list").iter().map(|name| name.to_string());
    names.collect()
}

const CHECK: [&str; 3] = ["check", "@store", "--json"];

fn a_live_upload_is_never_ended(place: &dyn Place, store: &str) {
    let (ours, clone) = (machine("big", store), machine("other", store));
    let uploading = uploading(&ours, false, place);
    // A process that stands still lives.
    killpg(group_of(&uploading), Signal::SIGSTOP).expect("stopped");
    for (what, command) in [
        ("a clone with our name", contained(&clone, true, &CHECK)),
        ("another container of ours", contained(&ours, true, &CHECK)),
        ("the machine of both", {
            let mut command = clone.command();
            command.args(CHECK);
            command
        }),
    ] {
        assert_eq!(swept(finish(command, b"")), [""; 0], "{what}");
    }
    assert!(has_leftovers(place));
    killpg(group_of(&uploading), Signal::SIGCONT).expect("it goes on");
    let output = uploading.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!has_leftovers(place));
}

fn what_a_dead_container_left_goes_at_once(place: &dyn Place, store: &str) {
    let (ours, clone) = (machine("big", store), machine("other", store));
    for is_seen_from_outside in [false, true] {
        let mut uploading = uploading(&ours, true, place);
        uploading.kill().expect("killed");
        uploading.wait().expect("its end");
        assert!(has_leftovers(place));
        // So that the next container has another number.
        let mut between = Command::new("unshare");
        let mut between = between
            .args(["-pf", "--kill-child", "sleep", "60"])
            .spawn()
            .expect("unshare");
        let command = match is_seen_from_outside {
            false => contained(&ours, true, &CHECK),
            true => {
                let mut command = clone.command();
                command.args(CHECK);
                command
            }
        };
        let swept = swept(finish(command, b""));
        between.kill().expect("killed");
        between.wait().expect("its end");
        assert!(
            swept.len() == 1 && swept[0].starts_with("\"big-"),
            "{is_seen_from_outside}: {swept:?}"
        );
        assert!(!has_leftovers(place));
    }
}

/// Returns true if we see every container, as the machine itself does.
fn sees_everything() -> bool {
    fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.ends_with("pid:[4026531836]"))
}

#[test]
fn a_live_upload_to_a_bucket_is_not_ended_by_a_namesake() {
    let Some(store) = Moto::start().filter(|_| is_root("a PID namespace")) else {
        return;
    };
    a_live_upload_is_never_ended(&store, &store.destination());
}

#[test]
fn a_live_upload_to_a_server_is_not_ended_by_a_namesake() {
    let Some(store) = Sshd::start().filter(|_| is_root("a PID namespace")) else {
        return;
    };
    a_live_upload_is_never_ended(&store, &store.destination());
}

#[test]
fn what_a_dead_container_left_in_a_bucket_goes_with_the_next_run() {
    let Some(store) = Moto::start().filter(|_| is_root("a PID namespace")) else {
        return;
    };
    if !sees_everything() {
        println!("skipped: the tests themselves run in a container");
        return;
    }
    what_a_dead_container_left_goes_at_once(&store, &store.destination());
}

#[test]
fn what_a_dead_container_left_on_a_server_goes_with_the_next_run() {
    let Some(store) = Sshd::start().filter(|_| is_root("a PID namespace")) else {
        return;
    };
    if !sees_everything() {
        println!("skipped: the tests themselves run in a container");
        return;
    }
    what_a_dead_container_left_goes_at_once(&store, &store.destination());
}

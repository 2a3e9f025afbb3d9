//! Failed upgrades that wreck their own way back: processes that they leave, archives that they remove or replace, and
//! signals on the way.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{
    Machine, archives_in, finish, is_root, signals,
    upgraded::{QUICK, Upgraded, protected},
};

/// Configures two destinations, and returns their folders.
fn two_destinations(service: &Upgraded, further: &str) -> [PathBuf; 2] {
    let folders = ["one", "two"].map(|name| service.machine.path(name));
    let [one, two] = [folders[0].display(), folders[1].display()];
    service.configure(
        &format!(
            "to = [\"one\", \"two\"]\n{further}[backup.destinations.one]\nurl = \"{one}\"\n\
            [backup.destinations.two]\nurl = \"{two}\"\n"
        ),
        QUICK,
    );
    folders
}

fn is_alive(pid: &Path) -> bool {
    let pid = fs::read_to_string(pid).expect("a number");
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn processes_that_the_command_left_do_not_write_on() {
    let service = Upgraded::started();
    service.configure("", QUICK);
    let (data, kept) = (service.folder(), service.machine.path("kept"));
    let (data, kept_pid) = (data.display(), kept.display());
    // A child, a daemon with the state open, and a daemon that has nothing to do with it.
    let script = format!(
        "writes='exec 9>>{data}/files/one; while :; do echo more >&9; sleep 0.05; done'
        sh -c \"$writes\" >/dev/null 2>&1 &
        setsid sh -c \"$writes\" >/dev/null 2>&1 &
        setsid sh -c 'echo $$ > {kept_pid}; exec sleep 100' >/dev/null 2>&1 &
        until [ -s {kept_pid} ]; do sleep 0.05; done
        exit 7"
    );
    let report = service.json(&protected(&script), 20);
    assert_eq!(report["state"], "rolled_back", "{report}");
    assert_eq!(service.read("files/one"), "one");
    assert!(service.is_healthy() && is_alive(&kept));
    signals::send_to_written(Signal::SIGKILL, &kept);
    assert_eq!(service.read("files/one"), "one");
}

#[test]
fn another_destination_serves_if_the_first_one_lost_the_archive() {
    let service = Upgraded::started();
    let [one, two] = two_destinations(&service, "");
    for script in [
        format!("rm {}/*.tar.gz; exit 7", one.display()),
        format!(
            "for it in {}/*.tar.gz; do truncate -s 500 $it; done; exit 7",
            one.display()
        ),
    ] {
        let script = format!(
            "echo other > {}/files/one; {script}",
            service.folder().display()
        );
        let run = finish(service.command(&protected(&script)), b"").exits(20);
        run.says("@one/app-")
            .says(" does not serve a rollback: ")
            .says("the state of before is back, from @two/app-");
        assert_eq!(service.read("files/one"), "one");
    }
    assert!(!archives_in(&two).is_empty() && service.is_healthy());
}

#[test]
fn another_archive_of_the_same_name_is_not_taken_and_the_next_hookshot_says_so() {
    let service = Upgraded::started();
    let [one, _] = two_destinations(&service, "");
    let (data, hookshot) = (service.folder(), env!("CARGO_BIN_EXE_hookshot"));
    let config = service.machine.path("etc/config.toml");
    let (good, other) = (
        service.machine.path("good.tar.gz"),
        service.machine.path("x.tar.gz"),
    );
    let script = format!(
        "echo other > {data}/files/one
        cp {one}/*.tar.gz {good}
        {hookshot} --config {config} --quiet export {other} || exit 9
        for it in {one}/*.tar.gz {two}/*.tar.gz; do cat {other} > $it; done
        exit 7",
        data = data.display(),
        one = one.display(),
        two = service.machine.path("two").display(),
        good = good.display(),
        other = other.display(),
        config = config.display(),
    );
    let report = service.json(&protected(&script), 13);
    assert_eq!(report["state"], "kept", "{report}");
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains("holds another state than it did"),
        "{message}"
    );
    assert_eq!(service.read("files/one"), "other\n");
    // A service that is healthy is not on the state of before.
    service.control("start");
    for _ in 0..2 {
        service
            .run(&["validate"], 0)
            .says("could not bring the state before back")
            .says(" --force` ends that");
    }
    service.control("stop");
    let good = good.display().to_string();
    service.run(&["import", &good, "--force"], 0);
    assert_eq!(service.read("files/one"), "one");
    assert!(!service.note().exists());
    let run = service.run(&["validate"], 0);
    assert!(!run.stderr.contains("could not bring"), "{run:?}");
}

#[test]
fn no_policy_removes_the_archive_while_the_command_runs() {
    let service = Upgraded::started();
    let [one, two] = two_destinations(
        &service,
        "[backup.retention]\nkeep_last = 1\nmax_remove = \"100%\"\n",
    );
    let hookshot = format!(
        "{} --config {} --quiet",
        env!("CARGO_BIN_EXE_hookshot"),
        service.machine.path("etc/config.toml").display()
    );
    let script = format!(
        "cd /; for number in 1 2; do {hookshot} export @one @two || exit 9; done
        {hookshot} prune @one --yes && {hookshot} prune @two --yes || exit 9
        echo other > {}/files/one; exit 7",
        service.folder().display()
    );
    let report = service.json(&protected(&script), 20);
    assert_eq!(report["command"]["exit_code"], 7, "{report}");
    assert_eq!(service.read("files/one"), "one");
    let kept = report["archive"].as_str().expect("an archive");
    let kept = kept.rsplit('/').next().expect("a name");
    for folder in [one, two] {
        // That of before, and the newest one.
        assert_eq!(archives_in(&folder).len(), 2);
        assert!(folder.join(kept).exists());
    }
    let listed = service.json(&["list", "@one"], 0);
    let archives = listed["archives"].as_array().expect("archives");
    let marked = archives.iter().find(|one| one["name"] == kept);
    assert!(marked.expect("it")["mark"].is_string(), "{listed}");
}

#[test]
fn a_destination_whose_secret_is_missing_keeps_none_from_the_upgrade_and_is_said() {
    let service = Upgraded::started();
    let folder = service.machine.path("one");
    service.configure(
        &format!(
            "to = [\"one\", \"far\"]\n[backup.destinations.one]\nurl = \"{}\"\n[backup.destinations.far]\n\
            url = \"s3://bucket/x\"\nendpoint = \"http://127.0.0.1:9\"\nsecret_access_key = \"file:/nowhere/key\"\naccess_key_id = \"id\"\n",
            folder.display()
        ),
        QUICK,
    );
    let report = service.json(&protected("true"), 3);
    assert_eq!(report["state"], "kept", "{report}");
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(
        message.starts_with("far does not hold the archive: "),
        "{message}"
    );
    assert_eq!(
        service.json(&protected("exit 7"), 20)["state"],
        "rolled_back"
    );
}

#[test]
fn no_signal_ends_the_way_back() {
    let service = Upgraded::started();
    let (stopping, data) = (service.machine.path("stopping"), service.folder());
    let stop = format!(
        "touch {}; sleep 1; {}",
        stopping.display(),
        service.line("stop")
    );
    service.configure_lines(&stop, &service.line("start"), QUICK);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let script = format!("echo other > {}/files/one; exit 7", data.display());
        let mut command = service.command(&protected(&script));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let child = command.spawn().expect("started");
        while !stopping.exists() {
            std::thread::yield_now();
        }
        signals::send(signal, &child);
        let output = child.wait_with_output().expect("an end");
        assert_eq!(output.status.code(), Some(20), "{output:?}");
        assert_eq!(service.read("files/one"), "one");
        fs::remove_file(&stopping).expect("removed");
        // The signal only ends the question for its health.
        service.control("stop");
        service.control("start");
        while !service.is_healthy() {}
    }
}

#[test]
fn a_service_that_ends_after_its_stop_is_waited_for() {
    let service = Upgraded::started();
    let stop = format!("(sleep 2; {}) >/dev/null 2>&1 &", service.line("stop"));
    service.configure_lines(&stop, &service.line("start"), QUICK);
    let script = format!(
        "echo other > {}/files/one; exit 7",
        service.folder().display()
    );
    let report = service.json(&protected(&script), 20);
    assert_eq!(report["state"], "rolled_back", "{report}");
    assert_eq!(
        (
            service.read("files/one").as_str(),
            report["healthy"].as_bool()
        ),
        ("one", Some(true))
    );
    let archive = report["archive"].as_str().expect("an archive");
    service.write("files/one", "other");
    let report = service.json(&["import", archive, "--guarded"], 0);
    assert_eq!(report["applied"], true, "{report}");
    assert_eq!(service.read("files/one"), "one");
}

#[test]
fn what_became_of_the_upgrade_is_the_exit_code_even_if_it_cannot_be_printed() {
    let service = Upgraded::started();
    service.configure("", QUICK);
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("it");
    let mut command = service.command(&["--json", "protect", "--", "sh", "-c", "exit 7"]);
    command
        .stdin(Stdio::null())
        .stdout(full)
        .stderr(Stdio::piped());
    let output = command.output().expect("an end");
    assert_eq!(output.status.code(), Some(20), "{output:?}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("the state of before is back, from "),
        "{errors}"
    );
}

#[test]
fn a_mount_over_the_state_is_named() {
    if !is_root("a mount over the state") {
        return;
    }
    let machine = Machine::new();
    machine.write(
        "etc/config.toml",
        machine.config_text("[backup.import]\nhealth = \"true\"\nhealthy_for = \"0s\"\n"),
        0o644,
    );
    let before = machine.targets();
    let folder = machine.path("data").display().to_string();
    let mut command = Command::new("unshare");
    command
        .args([
            "-m",
            "--propagation",
            "private",
            env!("CARGO_BIN_EXE_hookshot"),
            "--config",
        ])
        .arg(machine.path("etc/config.toml"))
        .args(["--json", "protect", "--", "sh", "-c"])
        .arg(format!("mount -t tmpfs tmpfs {folder}; exit 7"))
        .env("TMPDIR", machine.path("tmp"));
    let run = finish(command, b"").exits(11);
    let report: Value = serde_json::from_str(&run.text()).expect("JSON");
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains("something else is mounted at "),
        "{message}"
    );
    assert_eq!(machine.targets(), before);
}

//! Secrets by `command:`: a time limit, an end on a signal, and no repetition of what the command prints.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use support::{Machine, Run};

/// A machine that keeps its archives in a store whose secret comes from a command.
fn machine(command: &str, more: &str) -> Machine {
    let machine = Machine::new();
    let section = format!(
        "[backup]\nto = [\"offsite\"]\n[backup.destinations.offsite]\nurl = \"s3://bucket/here\"\nendpoint = \"http://127.0.0.1:9\"\n\
         allow_http = true\nretry_attempts = 0\naccess_key_id = \"AK\"\nsecret_access_key = '''command:{command}'''\n{more}\n"
    );
    machine.write("etc/config.toml", machine.config_text(&section), 0o600);
    machine
}

/// A command that writes its number and that of a process that it starts, and never ends.
fn hangs(pids: &Path) -> String {
    format!(
        "sleep 600 & echo $$ $! >{0}.new; mv {0}.new {0}; wait",
        pids.display()
    )
}

fn require_gone(pids: &Path) {
    let pids = fs::read_to_string(pids).expect("numbers");
    for pid in pids.split_whitespace() {
        let stat = format!("/proc/{pid}/stat");
        wait_until(&|| fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z ")));
    }
}

fn wait_until(is_so: &dyn Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never is");
        thread::sleep(Duration::from_millis(10));
    }
}

fn shows_no_secret(run: &Run) {
    let shown = format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_command_that_hangs_is_ended_with_what_it_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let pids = folder.path().join("pids");
    for (verb, code) in [(&["list", "@offsite"][..], 2), (&["export"], 2)] {
        let said = "echo touch the token >&2; ";
        let machine = machine(&(said.to_owned() + &hangs(&pids)), "timeout = \"1s\"");
        let begun = Instant::now();
        let run = machine.run(verb).exits(code);
        assert!(begun.elapsed() < Duration::from_secs(20));
        for words in [
            "`secret_access_key` cannot be read: its command takes longer than 1 s",
            "takes longer than 1 s: touch the token",
        ] {
            assert!(run.stderr.contains(words), "{}", run.stderr);
        }
        require_gone(&pids);
    }
}

#[test]
fn a_signal_ends_a_command_with_what_it_started() {
    let folder = tempfile::tempdir().expect("a folder");
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let pids = folder.path().join(signal.as_str());
        let machine = machine(&hangs(&pids), "");
        let mut child = machine.command().arg("export").spawn().expect("it");
        wait_until(&|| pids.exists());
        let pid = i32::try_from(child.id()).expect("a number");
        kill(Pid::from_raw(pid), signal).expect("sent");
        assert_eq!(child.wait().expect("an end").code(), Some(code));
        require_gone(&pids);
    }
}

#[test]
fn no_message_repeats_what_a_command_prints() {
    let masked = "A command says: the key is ***";
    // The store does not answer.
    let machine = machine("echo the key is hunter2 >&2; echo hunter2", "");
    let run = machine.run(&["list", "@offsite"]);
    shows_no_secret(&run);
    assert!(run.stderr.contains(masked), "{}", run.stderr);
    // It prints something, and fails.
    let machine = self::machine("echo hunter2; echo the key is hunter2 >&2; exit 3", "");
    for format in ["text", "json"] {
        let run = machine
            .run(&["--log-format", format, "list", "@offsite"])
            .exits(2);
        shows_no_secret(&run);
        assert!(run.stderr.contains(masked), "{}", run.stderr);
        assert!(
            run.stderr
                .contains("failed, exit status: 3: the key is ***"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn commands_of_sources_do_not_show_the_secrets_of_destinations() {
    let machine = Machine::new();
    let path = machine.path("data/passwords");
    machine.write("data/passwords", "hunter2\n", 0o600);
    let section = format!(
        "[backup]\nprepare = \"echo prepared with hunter2 and $AWS_SECRET_ACCESS_KEY\"\n\
         [backup.destinations.offsite]\nurl = \"sftp://host/x\"\npassword = \"hunter2\"\n\
         [[backup.sources]]\nname = \"dump\"\nkind = \"command\"\nexport = \"cat {0} >&2; cat {0}\"\n",
        path.display()
    );
    machine.write("etc/config.toml", machine.config_text(&section), 0o600);
    let mut command = machine.command();
    command
        .args(["export", "a.tar.gz"])
        .env("AWS_SECRET_ACCESS_KEY", "hunter22");
    let run = support::finish(command, b"").exits(0);
    shows_no_secret(&run);
    for words in ["prepared with *** and ***", "A command says: ***"] {
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
    // Data stay as they are.
    let run = machine.run(&["extract", "a.tar.gz", "dump", "-o", "-"]);
    assert_eq!(run.stdout, b"hunter2\n", "{}", run.stderr);
}

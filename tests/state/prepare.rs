//! Commands around an export, and the order in which sources are read, through the real binary.

use support::{Machine, signals};

use std::{
    fs,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

/// A machine whose state is a folder with a document; `more` stands under `[backup]`, `source` in the folder's section.
fn machine(more: &str, source: &str) -> Machine {
    let machine = Machine::new();
    fs::create_dir(machine.path("data/docs")).expect("a folder");
    machine.write("data/docs/doc", "text\n", 0o644);
    let docs = machine.path("data/docs");
    let text = machine.config_text(&format!(
        "[backup]\n{more}\n[[backup.sources]]\nname = \"docs\"\nkind = \"directory\"\npath = \"{}\"\n{source}\n",
        docs.display()
    ));
    machine.write("etc/config.toml", text, 0o600);
    machine
}

/// A command that writes `word` into the machine's log; commands run where hookshot was started.
fn note(word: &str) -> String {
    format!("echo {word} >> ../tmp/log")
}

fn log(machine: &Machine) -> Vec<String> {
    let text = fs::read_to_string(machine.path("tmp/log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn notes(machine: &Machine) -> usize {
    let folder = fs::read_dir(machine.path("etc/.hookshot"));
    folder.map_or(0, Iterator::count)
}

/// Starts an export, and waits until the machine's log has `word`.
fn begin(machine: &Machine, word: &str) -> Child {
    let child = machine
        .command()
        .args(["export", "slow.tar.gz"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let begun = Instant::now();
    while !log(machine).iter().any(|line| line == word) {
        assert!(begun.elapsed() < Duration::from_secs(60), "never {word}");
        thread::sleep(Duration::from_millis(5));
    }
    child
}

/// A source whose export tells that it has begun, and then takes its time.
const SLOW: &str = "[[backup.sources]]\nname = \"slow\"\nkind = \"command\"\nexport = \"echo slow >> ../tmp/log; test -e ../tmp/fast || sleep 60; echo dump\"\n";

#[test]
fn what_is_prepared_before_an_export_is_cleaned_up_after_it() {
    let more = format!(
        "prepare = \"{}; echo said-aloud\"\ncleanup = \"{}\"",
        note("rest"),
        note("work")
    );
    let source = format!(
        "prepare = \"{}\"\ncleanup = \"{}; ls *.tar.gz >> ../tmp/log\"\n[[backup.sources]]\nname = \"dump\"\nkind = \"command\"\nexport = \"{}; echo dump\"\nprepare = \"{}\"\ncleanup = \"{}\"",
        note("docs-rest"),
        note("docs-work"),
        note("dump"),
        note("dump-rest"),
        note("dump-work"),
    );
    let machine = machine(&more, &source);
    machine
        .run(&["export", "a.tar.gz"])
        .exits(0)
        .says("said-aloud");
    // What is copied is cleaned up at once; a folder, when the archive is made of it.
    assert_eq!(
        log(&machine),
        [
            "rest",
            "dump-rest",
            "dump",
            "dump-work",
            "docs-rest",
            "docs-work",
            "a.tar.gz",
            "work"
        ]
    );
    assert_eq!(notes(&machine), 0);
}

#[test]
fn a_source_may_be_made_by_its_prepare_command_although_it_is_optional() {
    let machine = machine(
        "",
        "[[backup.sources]]\nname = \"made\"\nkind = \"file\"\npath = \"../tmp/made\"\noptional = true\nprepare = \"echo 1 > ../tmp/made\"\ncleanup = \"rm ../tmp/made\"",
    );
    machine.run(&["export", "a.tar.gz"]).exits(0);
    let shown = machine
        .run(&["inspect", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    assert!(shown["manifest"]["files"]["made"].is_object(), "{shown}");
    assert!(!machine.path("tmp/made").exists());
}

#[test]
fn a_prepare_command_that_fails_ends_the_export_and_its_cleanup_runs() {
    for (more, source, named) in [
        ("prepare = \"exit 7\"", "", "[backup]"),
        ("", "prepare = \"exit 7\"", "docs"),
    ] {
        let cleanup = format!("cleanup = \"{}\"", note("work"));
        let (more, source) = match more.is_empty() {
            true => (more.to_owned(), format!("{source}\n{cleanup}")),
            false => (format!("{more}\n{cleanup}"), source.to_owned()),
        };
        let machine = machine(&more, &source);
        let failed = machine.run(&["export", "a.tar.gz"]).exits(1);
        let says = format!("the prepare command of {named} failed: it ended with exit status: 7");
        failed.says(&says);
        assert!(!machine.path("out/a.tar.gz").exists());
        assert_eq!(log(&machine), ["work"]);
        assert_eq!(notes(&machine), 0);
    }
}

#[test]
fn a_cleanup_that_fails_is_said_and_tried_again_by_the_next_export() {
    let cleanup = format!("cleanup = \"{}; test -e ../tmp/mended\"", note("work"));
    let machine = machine(&cleanup, "");
    let report = machine
        .run(&["export", "a.tar.gz", "--json"])
        .exits(3)
        .json();
    assert_eq!(report["left_undone"][0]["kind"], "cleanup", "{report}");
    machine.run(&["verify", "a.tar.gz"]).exits(0);
    machine.write("tmp/mended", "", 0o600);
    machine
        .run(&["export", "b.tar.gz"])
        .exits(0)
        .says("An earlier export left a cleanup undone");
    assert_eq!(log(&machine), ["work", "work", "work"]);
    assert_eq!(notes(&machine), 0);
}

#[test]
fn a_signal_does_not_keep_the_cleanup_from_running() {
    let more = format!("cleanup = \"sleep 0.2; {}\"", note("work"));
    let source = format!("cleanup = \"{}\"\n{SLOW}", note("docs-work"));
    let machine = machine(&more, &source);
    let mut child = begin(&machine, "slow");
    signals::send(Signal::SIGTERM, &child);
    let status = child.wait().expect("ended");
    assert_eq!(status.code(), Some(143));
    // The folder was not prepared yet: commands come first.
    assert_eq!(log(&machine), ["slow", "work"]);
    assert!(!machine.path("out/slow.tar.gz").exists());
    assert_eq!(notes(&machine), 0);
}

#[test]
fn a_kill_leaves_the_cleanup_to_the_next_export() {
    let more = format!("cleanup = \"{}\"", note("work"));
    let slow = format!(
        "{SLOW}prepare = \"{}\"\ncleanup = \"{}\"",
        note("rest"),
        note("slow-work")
    );
    let machine = machine(&more, &slow);
    let mut child = begin(&machine, "slow");
    // An export that comes meanwhile does not end the rest that another one asked for.
    machine.run(&["export", "b.tar.gz"]).exits(11);
    child.kill().expect("killed");
    child.wait().expect("gone");
    assert_eq!(log(&machine), ["rest", "slow"]);
    assert_eq!(notes(&machine), 2);
    machine.write("tmp/fast", "", 0o600);
    machine.run(&["export", "b.tar.gz"]).exits(0);
    assert_eq!(
        log(&machine),
        [
            "rest",
            "slow",
            "slow-work",
            "work",
            "rest",
            "slow",
            "slow-work",
            "work"
        ]
    );
    assert_eq!(notes(&machine), 0);
}

fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// The command would end after the cleanup of the next export, and leave the service at rest.
#[test]
fn a_command_that_a_killed_export_left_is_ended_before_the_cleanup() {
    // A daemon that a prepare command starts goes on.
    let prepare = "test -e ../tmp/fast && exit 0; setsid sleep 600 & echo $! > ../tmp/daemon; (sleep 600; echo late >> ../tmp/log) & \
        echo $! > ../tmp/pid; echo rest >> ../tmp/log; wait; echo late >> ../tmp/log";
    for has_cleanup in [true, false] {
        for at in ["[backup]", "docs"] {
            let mut lines = format!("prepare = \"{prepare}\"\n");
            if has_cleanup {
                let alive = "grep -q ') [RSDT] ' /proc/$(cat ../tmp/pid)/stat 2>/dev/null && echo alive >> ../tmp/log";
                lines.push_str(&format!("cleanup = \"{alive}; {}\"", note("work")));
            }
            let machine = match at {
                "docs" => machine("", &lines),
                _ => machine(&lines, ""),
            };
            let mut child = begin(&machine, "rest");
            child.kill().expect("killed");
            child.wait().expect("gone");
            let pid = |name: &str| fs::read_to_string(machine.path(name)).expect("a number");
            let (pid, daemon) = (pid("tmp/pid"), pid("tmp/daemon"));
            assert!(is_alive(&pid), "it goes on");
            assert_eq!(notes(&machine), 1);
            machine.write("tmp/fast", "", 0o600);
            let run = machine.run(&["export", "b.tar.gz"]).exits(0);
            run.says(&format!("A command of {at} still ran"));
            assert!(!is_alive(&pid), "it goes on");
            assert!(is_alive(&daemon), "{at}: a daemon is not ours to end");
            signals::send_to_written(Signal::SIGKILL, &machine.path("tmp/daemon"));
            let expected: &[&str] = match has_cleanup {
                true => &["rest", "work", "work"],
                false => &["rest"],
            };
            assert_eq!(log(&machine), expected);
            assert_eq!(notes(&machine), 0);
        }
    }
}

#[test]
fn a_cleanup_that_a_killed_export_left_is_ended_before_the_next_one() {
    let cleanup = "test -e ../tmp/fast && { echo work >> ../tmp/log; exit 0; }; echo $$ > ../tmp/pid; echo begun >> ../tmp/log; sleep 600; \
        echo late >> ../tmp/log";
    let machine = machine(&format!("cleanup = \"{cleanup}\""), "");
    let mut child = begin(&machine, "begun");
    child.kill().expect("killed");
    child.wait().expect("gone");
    let pid = fs::read_to_string(machine.path("tmp/pid")).expect("a number");
    assert!(is_alive(&pid), "it goes on");
    machine.write("tmp/fast", "", 0o600);
    machine.run(&["export", "b.tar.gz"]).exits(0);
    assert!(!is_alive(&pid), "it goes on");
    assert_eq!(log(&machine), ["begun", "work", "work"]);
}

/// A process that a prepare command left in the background is part of the rest that it made.
#[test]
fn what_a_prepare_command_left_in_the_background_is_there_for_the_cleanup() {
    let slow = format!(
        "{SLOW}prepare = \"test -e ../tmp/fast && exit 0; sleep 600 & echo $! > ../tmp/pid\"\ncleanup = \"kill $(cat ../tmp/pid) && {} || true\"",
        note("killed")
    );
    let machine = machine("", &slow);
    let mut child = begin(&machine, "slow");
    child.kill().expect("killed");
    child.wait().expect("gone");
    let pid = fs::read_to_string(machine.path("tmp/pid")).expect("a number");
    assert!(is_alive(&pid), "it goes on");
    machine.write("tmp/fast", "", 0o600);
    machine.run(&["export", "b.tar.gz"]).exits(0);
    assert!(!is_alive(&pid), "the cleanup ended it");
    assert_eq!(log(&machine)[..2], ["slow", "killed"]);
}

#[test]
fn a_prepare_command_that_takes_too_long_is_ended_with_what_it_started() {
    let more = "prepare = \"sleep 600 & echo $! > ../tmp/pid; wait\"\nprepare_timeout = \"1s\"";
    let machine = machine(&format!("{more}\ncleanup = \"{}\"", note("work")), "");
    let failed = machine.run(&["export", "a.tar.gz"]).exits(1);
    failed.says("it takes longer than 1 s");
    assert_eq!(log(&machine), ["work"]);
    let pid = fs::read_to_string(machine.path("tmp/pid")).expect("a number");
    let state = || fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    assert!(
        !state().is_ok_and(|stat| !stat.contains(") Z ")),
        "it goes on"
    );
}

#[test]
fn times_and_patterns_of_the_whole_backup_are_checked() {
    let machine = machine("prepare_timeout = \"soon\"\nexclude = [\"a//b\"]", "");
    let refused = machine.run(&["validate", "--json"]).exits(2).json();
    let faults = refused["error"]["faults"].to_string();
    assert!(faults.contains("`prepare_timeout`"), "{refused}");
    assert!(faults.contains("a//b"), "{refused}");
}

#[test]
fn dumps_are_made_before_files_are_read_unless_they_come_after_files() {
    let dump = |order: &str| {
        format!(
            "[[backup.sources]]\nname = \"dump\"\nkind = \"command\"\n{order}export = \"echo 1 > ../data/docs/late; echo dump\""
        )
    };
    for (order, is_there) in [
        ("", true),
        ("order = \"before-files\"\n", true),
        ("order = \"after-files\"\n", false),
    ] {
        let machine = machine("", &dump(order));
        machine.run(&["export", "a.tar.gz"]).exits(0);
        let shown = machine
            .run(&["inspect", "a.tar.gz", "--json"])
            .exits(0)
            .json();
        let files = shown["manifest"]["files"].as_object().expect("files");
        assert_eq!(files.contains_key("docs/late"), is_there, "{order}");
    }
}

#[test]
fn what_no_folder_shall_hold_is_said_once_and_a_folder_may_take_it_back() {
    let machine = machine(
        "exclude = [\"*.log\", \"cache/\"]",
        "exclude = [\"!keep.log\"]",
    );
    for name in ["a.log", "keep.log", "a.txt"] {
        machine.write(&format!("data/docs/{name}"), "1", 0o644);
    }
    fs::create_dir(machine.path("data/docs/cache")).expect("a folder");
    machine.write("data/docs/cache/x", "1", 0o644);
    machine.run(&["export", "a.tar.gz"]).exits(0);
    let shown = machine
        .run(&["inspect", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    let files = shown["manifest"]["files"].as_object().expect("files");
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["config.toml", "docs/a.txt", "docs/doc", "docs/keep.log"]
    );
}

//! `protect`: an upgrade with a safety net, of a service that really runs, holds its database open and writes.

use std::{fs, os::unix::process::ExitStatusExt as _, process::Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{
    Machine, Mounted, archives_in, is_root, signals,
    upgraded::{QUICK, Upgraded, protected},
};

fn history(service: &Upgraded) -> Value {
    service.json(&["history", "--job", "protect"], 0)["runs"][0].clone()
}

#[test]
fn an_upgrade_that_succeeds_keeps_its_state_and_passes_its_streams_through() {
    let service = Upgraded::started();
    let script = format!(
        "read typed; echo said $typed; {}",
        service.upgrade("2 0.5 0 none")
    );
    let run = support::finish(service.command(&protected(&script)), b"words\n").exits(0);
    assert_eq!(run.text(), "said words\n");
    let run = run.says("The service is healthy");
    run.says("The upgrade is done; the state of before is in ");
    assert_eq!(service.schema(), 2);
    assert!(service.is_healthy() && !service.note().exists());
    assert_eq!(archives_in(&service.folder()).len(), 1);
    let record = history(&service);
    assert_eq!(
        (&record["result"], &record["exit_code"]),
        (&"success".into(), &0.into())
    );
    // With --json, standard output has the report alone.
    let report = service.json(&protected("echo said; exit 0"), 0);
    assert_eq!(
        (&report["state"], &report["healthy"]),
        (&"kept".into(), &true.into())
    );
    assert_eq!(report["command"]["exit_code"], 0);
}

#[test]
fn an_upgrade_that_fails_is_rolled_back_with_the_schema_that_it_left() {
    let service = Upgraded::started();
    service.configure("", QUICK);
    let script = format!("{}; sleep 0.5; exit 7", service.upgrade("2 0 0 upgrade"));
    let report = service.json(&protected(&script), 20);
    assert_eq!(report["state"], "rolled_back");
    assert_eq!(report["healthy"], true, "{report}");
    assert_eq!(report["command"]["exit_code"], 7);
    assert_eq!(report["rollback"]["applied"], true);
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains("ended with exit status: 7; the state of before is back, from "),
        "{message}"
    );
    assert!(
        message.ends_with(", and the service is healthy"),
        "{message}"
    );
    assert_eq!(
        (service.schema(), service.read("program").as_str()),
        (1, "1 0 0 none")
    );
    assert!(service.rows() > 0 && service.is_healthy() && !service.note().exists());
    let record = history(&service);
    assert_eq!(
        (&record["result"], &record["exit_code"]),
        (&"failure".into(), &20.into())
    );
}

#[test]
fn a_service_that_does_not_come_up_or_dies_is_rolled_back_and_one_that_comes_late_is_not() {
    for (program, times, code) in [
        ("2 0 0 never", QUICK, 20),
        ("2 0 0 upgrade", QUICK, 20),
        (
            "2 0 1 none",
            "health_timeout = \"3s\"\nhealthy_for = \"2s\"\n",
            20,
        ),
        (
            "2 2 0 none",
            "health_timeout = \"20s\"\nhealthy_for = \"0s\"\n",
            0,
        ),
    ] {
        let service = Upgraded::started();
        service.configure("", times);
        let report = service.json(&protected(&service.upgrade(program)), code);
        let (state, schema) = match code {
            0 => ("kept", 2),
            _ => ("rolled_back", 1),
        };
        assert_eq!(report["state"], state, "{program}: {report}");
        assert_eq!(report["healthy"], true, "{program}: {report}");
        assert_eq!(service.schema(), schema, "{program}");
        assert!(service.is_healthy(), "{program}");
    }
}

#[test]
fn keep_never_rolls_back() {
    let service = Upgraded::started();
    service.configure("", QUICK);
    let upgrade = service.upgrade("2 0 0 never");
    let report = service.json(&["protect", "--keep", "--", "sh", "-c", &upgrade], 19);
    assert_eq!(
        (&report["state"], &report["healthy"]),
        (&"kept".into(), &false.into())
    );
    assert_eq!(report["error"]["kind"], "not_healthy");
    assert_eq!(service.schema(), 2);
    let report = service.json(&["protect", "--keep", "--", "sh", "-c", "exit 5"], 5);
    assert_eq!(
        (&report["state"], &report["exit_code"]),
        (&"kept".into(), &5.into())
    );
    assert_eq!(report["error"], Value::Null);
    assert!(!service.note().exists());
}

#[test]
fn the_health_of_the_command_line_counts_in_place_of_the_configuration() {
    let service = Upgraded::started();
    let checks = ["protect", "--health-timeout", "1s", "--health"];
    service.run(&[&checks[..], &["exit 3", "--", "true"]].concat(), 20);
    service.run(&[&checks[..], &["true", "--", "true"]].concat(), 0);
    let url = format!("{}/none", service.url());
    let run = service.run(&[&checks[..], &[&url, "--", "true"]].concat(), 20);
    run.says("answers with status 503");
    service.run(&[&checks[..], &["http://", "--", "true"]].concat(), 2);
    assert!(service.is_healthy());
}

#[test]
fn what_would_block_the_way_back_ends_it_before_the_command() {
    let service = Upgraded::started();
    let marked = service.machine.path("ran");
    let script = format!("touch {}", marked.display());
    // The service holds its database, and nothing stops it.
    service.configure_with("", &format!("health = '{}'\n", service.url()));
    let run = service.run(&protected(&script), 11);
    run.says("a rollback would be blocked")
        .says("write `stop` and `start` under [backup.import]");
    // Archives for a key that is not here.
    service.configure(
        "\n[backup.encryption]\nrecipients = [\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"]\n",
        QUICK,
    );
    service
        .run(&protected(&script), 12)
        .says("a rollback could not open its archive");
    assert!(
        archives_in(&service.folder()).is_empty(),
        "nothing was exported"
    );
    // A command that does not exist.
    service.configure("", QUICK);
    let run = service.run(&["protect", "--", "no-such-program"], 127);
    run.says("cannot start `no-such-program`");
    service.run(&["protect", "--", "/etc/passwd"], 126);
    service.run(&["protect"], 2);
    assert!(!marked.exists() && service.is_healthy() && service.log() == ["start"]);
    assert!(!service.note().exists());
}

#[test]
fn no_room_for_the_way_back_ends_it_before_the_command() {
    if !is_root("a file system in memory") {
        return;
    }
    let machine = Machine::empty();
    fs::create_dir(machine.path("srv")).expect("a folder");
    let _mounted = Mounted::tmpfs(&machine.path("srv"), "4m");
    let config = format!(
        "[backup]\nprefix = \"x\"\nto = [\"a\"]\n[backup.destinations.a]\nurl = \"{}\"\n\
        [[backup.sources]]\nname = \"files\"\nkind = \"directory\"\npath = \"{}\"\n",
        machine.path("archives").display(),
        machine.path("srv/files").display()
    );
    machine.write("etc/config.toml", config, 0o600);
    fs::create_dir(machine.path("srv/files")).expect("a folder");
    machine.write("srv/files/large", vec![7; 2_500_000], 0o600);
    let run = machine.run(&["protect", "--", "touch", "ran"]).exits(18);
    run.says("not enough space for the unpacked archive")
        .says("nothing was run");
    assert!(!machine.path("out/ran").exists());
}

/// The leftovers of failed upgrades, each with the script that leaves them. `$D` is the folder of the service, `$C` its
/// configuration.
const WRECKS: &[(&str, &str)] = &[
    ("a broken database", "STOP; echo garbage > $D/app.db"),
    ("an empty database", "STOP; : > $D/app.db"),
    ("no database", "STOP; rm -f $D/app.db*"),
    (
        "a database that became a folder",
        "STOP; rm -f $D/app.db*; mkdir $D/app.db; touch $D/app.db/x",
    ),
    (
        "a write-ahead log",
        "kill -9 $(cat $D/pid); test -s $D/app.db-wal",
    ),
    (
        "a foreign write-ahead log",
        "STOP; echo garbage > $D/app.db-wal; echo garbage > $D/app.db-journal",
    ),
    ("a newer schema of a running service", "UPGRADE"),
    (
        "lock files and extra files",
        "touch $D/lock $D/app.db-lock $D/files/lock $D/files/new; mkdir -p $D/files/deep/er; ln -s / $D/files/root",
    ),
    ("a folder that is gone", "rm -r $D/files"),
    (
        "a folder that became a file",
        "rm -r $D/files; echo x > $D/files",
    ),
    (
        "a folder that became a link",
        "mv $D/files $D/elsewhere; ln -s $D/elsewhere $D/files",
    ),
    (
        "a file that became a link",
        "mv $D/program $D/elsewhere-program; ln -s $D/nowhere $D/program",
    ),
    (
        "files without permissions",
        "chmod 000 $D/files/one $D/app.db $D/program",
    ),
    ("running work", "touch $D/busy"),
    ("another version", "echo 9.9.9 > $D/version"),
    ("a version that is not known", "rm $D/version"),
    ("a broken configuration", "echo '[[[ garbage' > $C"),
    ("another configuration", "echo '[backup]' > $C"),
    ("no configuration", "rm $C"),
    (
        "a configuration in another encoding",
        "printf '# caf\\351\\n' >> $C",
    ),
    (
        "a file in place of the journal's folder",
        "rm -r $(dirname $C)/.hookshot; echo x > $(dirname $C)/.hookshot",
    ),
    (
        "a link in place of the journal's folder",
        "rm -r $(dirname $C)/.hookshot; ln -s /tmp $(dirname $C)/.hookshot",
    ),
    (
        "a journal's folder that others may write to",
        "chmod -R g+rwX,o+rwX $(dirname $C)",
    ),
    ("a service that is gone", "STOP; rm $D/pid"),
];

#[test]
fn a_rollback_is_never_refused_by_what_the_failed_upgrade_left() {
    let service = Upgraded::started();
    service.write("version", "1.0.0");
    let folder = service.folder().display().to_string();
    service.configure(
        &format!(
            "include_config = true\nversion_rule = \"exact\"\napp_version_command = \"cat {folder}/version\"\n"
        ),
        QUICK,
    );
    let config = service.machine.path("etc/config.toml");
    let mut text = fs::read_to_string(&config).expect("it");
    text.push_str(&format!(
        "active_command = \"test ! -e {folder}/busy || echo a job\"\n"
    ));
    fs::write(&config, &text).expect("written");
    for (what, script) in WRECKS {
        let script = script
            .replace("STOP", &service.line("stop"))
            .replace("UPGRADE", &service.upgrade("2 0 0 none"));
        let mut command = service.command(&protected(&format!("{script}; exit 1")));
        command.env("D", &folder).env("C", &config);
        let run = support::finish(command, b"");
        assert_eq!(run.code, 20, "{what}: {run:?}");
        assert_eq!(fs::read_to_string(&config).expect("it"), text, "{what}");
        assert_eq!(
            (service.schema(), service.read("files/one").as_str()),
            (1, "one"),
            "{what}"
        );
        assert!(!service.folder().join("files/new").exists(), "{what}");
        assert!(service.is_healthy(), "{what}: {run:?}");
        assert!(
            !service.note().exists() && !service.has_leftovers(),
            "{what}"
        );
        service.write("version", "1.0.0");
        let _ = fs::remove_file(service.folder().join("busy"));
    }
}

#[test]
fn a_rollback_is_not_refused_by_running_deployments_or_a_broken_state_of_hookshot_itself() {
    for script in [
        "cp active data/state.redb",
        "echo garbage > data/state.redb",
        "rm data/state.redb",
        "rm data/state.redb; mkdir data/state.redb",
        "echo '[[[' > etc/services.toml",
    ] {
        let machine = Machine::new();
        machine.write(
            "etc/config.toml",
            machine.config_text("[backup.import]\nhealth = \"true\"\nhealthy_for = \"0s\"\n"),
            0o644,
        );
        let before = machine.targets();
        let idle = machine.read("data/state.redb");
        machine.put_deployment("d9", "running");
        machine.write("active", machine.read("data/state.redb"), 0o600);
        machine.write(
            "data/state.redb",
            idle,
            before["data/state.redb"].as_ref().expect("it").0,
        );
        let folder = machine.path("").display().to_string();
        let script = format!("cd {folder}; {script}; exit 1");
        machine
            .run(&["protect", "--", "sh", "-c", &script])
            .exits(20);
        assert_eq!(machine.targets(), before, "{script}");
    }
}

#[test]
fn signals_are_those_of_the_command() {
    let service = Upgraded::started();
    service.configure("", QUICK);
    // It ends well although hookshot is asked to end.
    let ready = service.machine.path("ready");
    let script = format!(
        "trap 'echo asked; exit 0' TERM; touch {}; while true; do sleep 0.05; done",
        ready.display()
    );
    for (signal, script, code, schema) in [
        (Signal::SIGTERM, script.clone(), 0, "kept"),
        (
            Signal::SIGINT,
            script.replace("trap 'echo asked; exit 0' TERM; ", ""),
            20,
            "rolled_back",
        ),
    ] {
        let mut command = service.command(&[&["--json"], &protected(&script)[..]].concat());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn().expect("started");
        while !ready.exists() {
            std::thread::yield_now();
        }
        fs::remove_file(&ready).expect("removed");
        signals::send(signal, &child);
        let output = child.wait_with_output().expect("an end");
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(report["state"], schema, "{report}");
        assert!(service.is_healthy());
    }
    // A command that a signal ends has the exit code of a shell.
    let report = service.json(&["protect", "--keep", "--", "sh", "-c", "kill -9 $$"], 137);
    assert_eq!(
        (&report["command"]["signal"], &report["exit_code"]),
        (&9.into(), &137.into())
    );
}

/// Ctrl-C and Ctrl-Z in a terminal: the command gets them, and hookshot rolls back in peace.
#[test]
fn ctrl_c_in_a_terminal_ends_the_command_and_not_the_rollback() {
    const TERMINAL: &str = r#"
import os, pty, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
said = b""
typed = False
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        break
    if not piece:
        break
    said += piece
    if b"ready" in said and not typed:
        typed = True
        os.write(terminal, sys.argv[1].encode("latin-1").decode("unicode_escape").encode("latin-1"))
sys.stdout.buffer.write(said)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;
    for (typed, code) in [("\\x03", 20), ("\\x1c", 20)] {
        let service = Upgraded::started();
        service.configure("", QUICK);
        let hookshot = service.command(&protected(
            "stty -echo; echo x > CHANGED; echo re''ady; exec sleep 1000",
        ));
        let mut command = std::process::Command::new("python3");
        command.args(["-c", TERMINAL, typed]);
        command
            .arg(hookshot.get_program())
            .args(hookshot.get_args());
        command.current_dir(service.folder());
        let output = command.output().expect("python3");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains("the state of before is back"), "{said}");
        assert!(service.is_healthy());
    }
}

#[test]
fn hooks_and_notifications_go_around_an_upgrade() {
    let service = Upgraded::started();
    let told = service.machine.path("told");
    let says = format!(
        "run = 'echo $HOOKSHOT_OPERATION $HOOKSHOT_STAGE $HOOKSHOT_RESULT $HOOKSHOT_EXIT_CODE >> {}'\noperations = [\"protect\"]\n",
        told.display()
    );
    let hooks: String = ["before", "after", "failure", "finally"]
        .map(|stage| format!("[[backup.hooks]]\nstage = \"{stage}\"\n{says}"))
        .concat();
    let notify = format!(
        "[[backup.notify]]\nname = \"ops\"\nkind = \"command\"\nrun = 'echo \"$HOOKSHOT_TITLE\" >> {}'\n",
        told.display()
    );
    service.configure(&format!("\n{hooks}{notify}"), QUICK);
    let report = service.json(&protected("exit 1"), 20);
    assert_eq!(report["hooks"].as_array().map(Vec::len), Some(4));
    assert_eq!(report["notifications"][0]["sent"], true);
    let told = fs::read_to_string(&told).expect("told");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "protect before",
            "protect after failure 20",
            "protect failure failure 20",
            "protect finally failure 20"
        ]
    );
    assert!(
        lines[4].starts_with("Protected upgrade of app on ") && lines[4].ends_with("failed"),
        "{told}"
    );
}

#[test]
fn a_destination_of_the_configuration_holds_the_archive() {
    let service = Upgraded::started();
    let (one, two) = (service.machine.path("one"), service.machine.path("two"));
    let destinations = format!(
        "to = [\"one\", \"two\"]\n[backup.destinations.one]\nurl = \"{}\"\n[backup.destinations.two]\nurl = \"{}\"\n",
        one.display(),
        two.display()
    );
    service.configure(&destinations, QUICK);
    fs::write(&one, "no folder").expect("written");
    let report = service.json(&protected("exit 1"), 20);
    assert_eq!(report["state"], "rolled_back");
    let archive = report["archive"].as_str().expect("an archive");
    assert!(archive.starts_with("@two/app-"), "{archive}");
    assert_eq!(
        (
            &report["destinations"][0]["good"],
            &report["destinations"][1]["good"]
        ),
        (&false.into(), &true.into())
    );
    fs::write(service.machine.path("ran"), "").expect("written");
    fs::remove_dir_all(&two).expect("removed");
    fs::write(&two, "no folder").expect("written");
    let script = format!("rm {}", service.machine.path("ran").display());
    service.run(&protected(&script), 1);
    assert!(service.machine.path("ran").exists());
}

/// Kills hookshot at each border of a run, and asks the next one.
#[test]
fn the_next_hookshot_ends_a_killed_run_and_says_what_to_do() {
    let kill = "kill -9 $PPID; sleep 0.2";
    for (step, command, says) in [
        (
            "command",
            kill.to_owned(),
            "was killed while its command ran or right after it, and nothing was rolled back",
        ),
        (
            "health",
            "true".to_owned(),
            "was killed while its command ran or right after it, and nothing was rolled back",
        ),
        (
            "stop",
            "exit 1".to_owned(),
            "did not come to the end of its rollback, and had stopped the service",
        ),
        (
            "stopped",
            "exit 1".to_owned(),
            "did not come to the end of its rollback, and had stopped the service",
        ),
        (
            "start",
            "exit 1".to_owned(),
            "was killed before the health of the service was known",
        ),
        (
            "started",
            "exit 1".to_owned(),
            "was killed before the health of the service was known",
        ),
    ] {
        let service = Upgraded::started();
        let of = |name: &str, done: &str, line: String| match step {
            step if step == name => format!("{kill}; exit"),
            step if step == done => format!("{line}; {kill}"),
            _ => line,
        };
        let health = match step {
            "health" => kill.to_owned(),
            _ => service.url(),
        };
        let control = format!(
            "stop = '{}'\nstart = '{}'\nhealth = '{health}'\n{QUICK}",
            of("stop", "stopped", service.line("stop")),
            of("start", "started", service.line("start")),
        );
        service.configure_with("", &control);
        let script = format!(
            "echo changed > {}/files/one; {command}",
            service.folder().display()
        );
        let status = service
            .command(&protected(&script))
            .stderr(Stdio::null())
            .status()
            .expect("an end");
        assert_eq!(status.signal(), Some(9), "{step}");
        let is_back = ["start", "started"].contains(&step);
        let expected = if is_back { "one" } else { "changed\n" };
        assert_eq!(service.read("files/one"), expected, "{step}");
        service.control("stop");
        service.configure("", QUICK);
        let run = service.run(&["version"], 0).says(says);
        if is_back {
            run.says("start it with `");
        } else {
            // What it says brings the state of before back.
            let archive = service.folder().join(&archives_in(&service.folder())[0]);
            let archive = archive.to_str().expect("UTF-8");
            run.says(&format!("import {archive} --force"));
            service.run(&["import", archive, "--force"], 0);
            assert_eq!(service.read("files/one"), "one");
        }
        let record = history(&service);
        assert_eq!(
            (&record["result"], &record["killed"]),
            (&"running".into(), &true.into())
        );
        service.run(&["rollback", "--guarded", "--dry-run"], 0);
        service.run(&protected("true"), 20);
        assert!(!service.note().exists(), "{step}");
    }
}

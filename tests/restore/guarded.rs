//! `import --guarded` and `rollback --guarded` with a service that really runs: it holds a database open and writes.

use std::fs;

use serde_json::Value;
use support::upgraded::Upgraded;

/// A running service and an archive of it, and a state that went on since.
fn service() -> Upgraded {
    let service = Upgraded::started();
    service.export("old.tar.gz");
    service.write("files/one", "changed");
    service.forget_log();
    service
}

fn steps(report: &Value) -> Vec<(&str, bool)> {
    let steps = report["guarded"]["steps"].as_array().expect("steps");
    let step = |step: &'static str| step;
    steps
        .iter()
        .map(|one| {
            let name = match one["step"].as_str() {
                Some("stop") => step("stop"),
                Some("start") => step("start"),
                _ => step("health"),
            };
            (name, one["good"].as_bool().expect("a verdict"))
        })
        .collect()
}

#[test]
fn a_guarded_import_stops_the_service_and_starts_it_again() {
    let service = service();
    service.run(&["import", "old.tar.gz"], 11);
    let report = service.json(&["import", "old.tar.gz", "--guarded"], 0);
    assert_eq!(report["applied"], true);
    assert_eq!(report["guarded"]["state"], "new");
    assert_eq!(report["guarded"]["healthy"], true);
    assert_eq!(
        steps(&report),
        [("stop", true), ("start", true), ("health", true)]
    );
    assert_eq!(service.log(), ["stop", "start"]);
    assert_eq!(service.read("files/one"), "one");
    assert!(service.is_healthy() && !service.note().exists());
}

#[test]
fn a_dry_run_says_what_a_guarded_import_does_and_stops_nothing() {
    let service = service();
    let run = service.run(&["import", "old.tar.gz", "--guarded", "--dry-run"], 0);
    run.says("Would stop the service first")
        .says("Would start the service then")
        .says("Would ask for its health, and roll back if that is not good: http://127.0.0.1:")
        .says("files -> ");
    assert!(service.log().is_empty());
    assert_eq!(service.read("files/one"), "changed");
}

#[test]
fn everything_is_checked_before_the_service_is_stopped() {
    let service = service();
    fs::write(service.machine.path("out/bad.tar.gz"), "no archive").expect("written");
    service.run(&["import", "bad.tar.gz", "--guarded"], 13);
    service.run(&["import", "none.tar.gz", "--guarded"], 10);
    let text = service.machine.read("etc/config.toml");
    let text = String::from_utf8(text).expect("UTF-8");
    let active = format!("{text}active_command = \"echo a job\"\n");
    service.machine.write("etc/config.toml", active, 0o600);
    let report = service.json(&["import", "old.tar.gz", "--guarded"], 11);
    assert_eq!(
        report["blocked"].as_array().map(Vec::len),
        Some(1),
        "{report}"
    );
    assert_eq!(report["blocked"][0]["kind"], "active");
    let bare = text
        .replace("stop = ", "# stop = ")
        .replace("start = ", "# start = ");
    service.machine.write("etc/config.toml", bare, 0o600);
    let run = service.run(&["import", "old.tar.gz", "--guarded"], 2);
    run.says("has no `stop` and `start` under [backup.import]");
    service.run(&["rollback", "--guarded"], 2);
    assert!(service.log().is_empty());
    assert_eq!(service.read("files/one"), "changed");
}

#[test]
fn a_service_that_does_not_come_up_gets_its_old_state_back() {
    let service = service();
    // The archive's program cannot read what the service writes by now.
    service.control("stop");
    service.install("1 0 0 never");
    service.run(&["export", "never.tar.gz"], 0);
    service.install("2 0 0 none");
    service.control("start");
    service.forget_log();
    service.configure("", "health_timeout = \"2s\"\nhealthy_for = \"0s\"\n");
    let run = service.run(&["import", "never.tar.gz", "--guarded", "--json"], 20);
    let report = run.json();
    assert_eq!(report["guarded"]["state"], "old");
    assert_eq!(report["guarded"]["healthy"], true, "{report}");
    assert_eq!(report["guarded"]["undone"]["applied"], true);
    assert_eq!(report["error"]["code"], 20);
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains("was not healthy after the import")
            && message.contains("answers with status 503"),
        "{message}"
    );
    assert!(
        message.contains("the state before is back, and the service is healthy again"),
        "{message}"
    );
    assert_eq!(service.log(), ["stop", "start", "stop", "start"]);
    assert_eq!(
        (service.schema(), service.read("files/one").as_str()),
        (2, "changed")
    );
    assert_eq!(service.read("program"), "2 0 0 none");
    assert!(service.is_healthy() && !service.note().exists() && !service.has_leftovers());
}

#[test]
fn a_service_that_comes_up_late_is_waited_for_and_one_that_dies_is_not_healthy() {
    let service = service();
    service.control("stop");
    service.install("1 2 0 none");
    service.run(&["export", "late.tar.gz"], 0);
    service.install("1 0 1.5 none");
    service.run(&["export", "dying.tar.gz"], 0);
    service.install("1 0 0 none");
    service.control("start");
    let report = service.json(&["import", "late.tar.gz", "--guarded"], 0);
    assert_eq!(report["guarded"]["healthy"], true);
    service.configure("", "health_timeout = \"5s\"\nhealthy_for = \"1h\"\n");
    let run = service.run(&["import", "dying.tar.gz", "--guarded", "--dry-run"], 0);
    run.says("program");
    service.configure("", "health_timeout = \"4s\"\nhealthy_for = \"3s\"\n");
    let report = service.json(&["import", "dying.tar.gz", "--guarded"], 20);
    assert_eq!(report["guarded"]["state"], "old");
    assert_eq!(report["guarded"]["healthy"], true, "{report}");
    assert_eq!(service.read("program"), "1 2 0 none");
}

#[test]
fn a_stop_that_fails_changes_nothing_and_the_service_is_started() {
    let service = service();
    let stop = format!("{}; exit 3", service.line("stop"));
    service.configure_lines(&stop, &service.line("start"), "health_timeout = \"20s\"\n");
    let report = service.json(&["import", "old.tar.gz", "--guarded"], 1);
    assert_eq!(
        (&report["applied"], &report["guarded"]["state"]),
        (&Value::from(false), &Value::from("old"))
    );
    assert_eq!(
        steps(&report),
        [("stop", false), ("start", true), ("health", true)]
    );
    assert_eq!(service.read("files/one"), "changed");
    assert!(service.is_healthy() && !service.note().exists());
}

#[test]
fn a_start_that_fails_counts_as_not_healthy() {
    let service = service();
    let flag = service.machine.path("fails");
    fs::write(&flag, "").expect("written");
    let start = format!(
        "test ! -e {flag} || {{ rm {flag}; exit 4; }}; {}",
        service.line("start"),
        flag = flag.display()
    );
    service.configure_lines(&service.line("stop"), &start, "");
    let report = service.json(&["import", "old.tar.gz", "--guarded"], 20);
    let expected = [
        ("stop", true),
        ("start", false),
        ("stop", true),
        ("start", true),
        ("health", true),
    ];
    assert_eq!(steps(&report), expected);
    assert_eq!(service.read("files/one"), "changed");
    assert!(service.is_healthy());
}

#[test]
fn a_service_that_is_not_stopped_is_not_overwritten_and_stays_started() {
    let service = service();
    let control = format!(
        "stop = 'true'\nstart = 'true'\nhealth = '{}'\n",
        service.url()
    );
    service.configure_with("", &control);
    let report = service.json(&["import", "old.tar.gz", "--guarded"], 11);
    assert_eq!(report["blocked"][0]["kind"], "file_held");
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(
        message.ends_with("the service was started again"),
        "{message}"
    );
    assert_eq!(service.read("files/one"), "changed");
}

#[test]
fn a_guarded_rollback_goes_back_and_forth() {
    let service = service();
    service.run(&["import", "old.tar.gz", "--guarded"], 0);
    service.run(&["rollback"], 11);
    service
        .run(&["rollback", "--guarded", "--dry-run"], 0)
        .says("Would stop the service first");
    service.run(&["rollback", "--guarded"], 0);
    assert_eq!(service.read("files/one"), "changed");
    assert!(service.is_healthy());
    // The state to which it goes is not healthy any more.
    service.control("stop");
    service.install("1 0 0 never");
    service.run(&["export", "never.tar.gz"], 0);
    service.install("1 0 0 none");
    service.run(&["import", "never.tar.gz"], 0);
    service.run(&["rollback"], 0);
    service.control("start");
    service.configure("", "health_timeout = \"2s\"\nhealthy_for = \"0s\"\n");
    let report = service.json(&["rollback", "--guarded"], 20);
    assert_eq!(report["guarded"]["healthy"], true, "{report}");
    assert_eq!(service.read("program"), "1 0 0 none");
}

/// Configures a service that kills hookshot at `step`: `stop` before it does anything, `stopped` after it, `start`,
/// `started` and `health`.
fn kill_at(service: &Upgraded, step: &str) {
    let kill = "kill -9 $PPID; sleep 0.2";
    let line = |name: &str, done: &str, line: String| match step {
        step if step == name => format!("{kill}; exit"),
        step if step == done => format!("{line}; {kill}"),
        _ => line,
    };
    let health = match step {
        "health" => format!("'{kill}'"),
        _ => format!("'{}'", service.url()),
    };
    let control = format!(
        "stop = '{}'\nstart = '{}'\nhealth = {health}\nhealth_timeout = \"20s\"\nhealthy_for = \"0s\"\n",
        line("stop", "stopped", service.line("stop")),
        line("start", "started", service.line("start")),
    );
    service.configure_with("", &control);
}

#[test]
fn the_next_hookshot_says_that_a_killed_run_stopped_the_service() {
    for (step, one, is_told_stopped) in [
        ("stop", "changed", true),
        ("stopped", "changed", true),
        ("start", "one", false),
        ("started", "one", false),
        ("health", "one", false),
    ] {
        let service = service();
        kill_at(&service, step);
        let run = support::finish(service.command(&["import", "old.tar.gz", "--guarded"]), b"");
        assert_eq!(run.code, -1, "{step}: {run:?}");
        assert_eq!(service.read("files/one"), one, "{step}");
        assert!(service.note().exists(), "{step}");
        // Without a healthy service it is said again and again.
        service.control("stop");
        let without = format!(
            "stop = '{}'\nstart = '{}'\n",
            service.line("stop"),
            service.line("start")
        );
        service.configure_with("", &without);
        for _ in 0..2 {
            let run = service.run(&["export", "--overwrite", "next.tar.gz"], 0);
            let run = match is_told_stopped {
                true => run
                    .says("did not come to its end, and had stopped the service: start it with `"),
                false => run.says("was killed before the health of the service was known"),
            };
            run.says("guard.json is removed");
        }
        service.configure("", "");
        service.control("start");
        let run = support::finish(service.command(&["version"]), b"");
        // It may take a moment until the service answers.
        if service.note().exists() {
            while !service.is_healthy() {}
            service.run(&["version"], 0).says("the service is healthy");
        } else {
            run.says("the service is healthy");
        }
        assert!(!service.note().exists(), "{step}");
        let quiet = service.run(&["version"], 0);
        assert!(!quiet.stderr.contains("killed"), "{}", quiet.stderr);
    }
}

#[test]
fn a_run_that_is_killed_in_the_middle_of_the_import_is_ended_and_the_service_is_told() {
    let service = service();
    let text = service.machine.read("etc/config.toml");
    let text = String::from_utf8(text).expect("UTF-8");
    let kills = service.machine.path("kills");
    // While the entry is given to the command, every file is in place and the import is not over.
    let source = format!(
        "[[backup.sources]]\nname = \"fed\"\nkind = \"command\"\nexport = \"echo x\"\n\
        import = \"test ! -e {kills} || {{ rm {kills}; kill -9 $PPID; sleep 0.2; }}; cat > /dev/null\"\n",
        kills = kills.display()
    );
    service
        .machine
        .write("etc/config.toml", format!("{text}{source}"), 0o600);
    service.run(&["export", "fed.tar.gz"], 0);
    service.write("files/one", "changed again");
    fs::write(&kills, "").expect("written");
    let run = support::finish(service.command(&["import", "fed.tar.gz", "--guarded"]), b"");
    assert_eq!(run.code, -1, "{run:?}");
    let run = service.run(&["list", "."], 0);
    let run = run.says("An earlier import was interrupted");
    run.says("did not come to its end, and had stopped the service: start it with `");
    assert!(["changed", "changed again"].contains(&service.read("files/one").as_str()));
    // A guarded verb that ends well needs no note any more.
    service.run(&["import", "fed.tar.gz", "--guarded"], 0);
    assert!(service.is_healthy() && !service.note().exists());
}

#[test]
fn a_run_that_is_killed_on_its_way_back_is_told() {
    for (step, program) in [("stop", "1 0 0 never"), ("start", "2 0 0 none")] {
        let service = service();
        service.control("stop");
        service.install("1 0 0 never");
        service.run(&["export", "never.tar.gz"], 0);
        service.install("2 0 0 none");
        service.control("start");
        // The second time kills hookshot.
        let count = service.machine.path("count");
        let line = |how: &str| match how == step {
            true => format!(
                "{}; echo x >> {count}; test $(wc -l < {count}) -lt 2 || {{ kill -9 $PPID; sleep 0.2; }}",
                service.line(how),
                count = count.display()
            ),
            false => service.line(how),
        };
        let times = "health_timeout = \"1s\"\nhealthy_for = \"0s\"\n";
        service.configure_lines(&line("stop"), &line("start"), times);
        let run = support::finish(
            service.command(&["import", "never.tar.gz", "--guarded"]),
            b"",
        );
        assert_eq!(run.code, -1, "{step}: {run:?}");
        assert_eq!(service.read("program"), program, "{step}");
        service.control("stop");
        service.configure("", "health_timeout = \"2s\"\nhealthy_for = \"0s\"\n");
        let run = service.run(&["version"], 0);
        match step {
            "stop" => {
                run.says("did not come to the end of its rollback, and had stopped the service")
            }
            _ => run.says("was killed before the health of the service was known"),
        };
        let code = if step == "stop" { 0 } else { 20 };
        // The last one goes back and forth: what it would bring back is not healthy.
        service.run(&["rollback", "--guarded"], code);
        assert_eq!(service.read("program"), "2 0 0 none", "{step}");
        assert!(service.is_healthy() && !service.note().exists(), "{step}");
    }
}

#[test]
fn a_run_that_is_killed_before_anything_is_replaced_leaves_the_old_state() {
    let service = service();
    let armed = service.machine.path("armed");
    let stop = format!("{}; touch {}", service.line("stop"), armed.display());
    service.configure_lines(&stop, &service.line("start"), "");
    let text = fs::read_to_string(service.machine.path("etc/config.toml")).expect("it");
    let active = format!(
        "{text}active_command = 'test ! -e {} || {{ kill -9 $PPID; sleep 0.2; }}'\n",
        armed.display()
    );
    service.machine.write("etc/config.toml", active, 0o600);
    let run = support::finish(service.command(&["import", "old.tar.gz", "--guarded"]), b"");
    assert_eq!(run.code, -1, "{run:?}");
    fs::remove_file(&armed).expect("removed");
    let run = service.run(&["list", "."], 0);
    let run = run.says("An earlier import was interrupted before it changed anything");
    run.says("did not come to its end, and had stopped the service: start it with `");
    assert_eq!(service.read("files/one"), "changed");
    assert!(!service.has_leftovers());
}

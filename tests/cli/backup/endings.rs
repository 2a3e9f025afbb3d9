//! Runs that are killed, terminated or kept out, and the history of them.

use std::{fs, io::Read as _};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{archives_in, bounds, signals};

use super::Night;

#[test]
fn a_run_that_is_killed_at_any_stage_is_ended_by_the_next_one() {
    for stage in ["before", "after", "success", "finally"] {
        let night = Night::new("", &[]);
        let says = night.says("$HOOKSHOT_STAGE $HOOKSHOT_RUN_ID $HOOKSHOT_EXIT_CODE");
        night.configure("", &[(stage, "run = 'kill -9 $PPID'")]);
        let mut child = night.start_an_hour_ago();
        assert!(!child.wait().expect("ended").success(), "{stage}");
        let killed = night.history()[0]["run_id"].clone();
        let killed = killed.as_str().expect("an identity");
        let before = archives_in(&night.one);
        assert_eq!(before.len(), usize::from(stage != "before"), "{stage}");
        // As if it had been killed between two deliveries.
        let _ = before
            .first()
            .map(|name| fs::remove_file(night.two.join(name)));
        night.configure("", &[("failure", &says), ("finally", &says)]);
        let run = night.run(&["--json"], 0).says("An earlier run was killed");
        let report = run.json();
        let said = night.said();
        let own = report["run_id"].as_str().expect("an identity");
        assert_eq!(
            said,
            format!("failure {killed} 137\nfinally {killed} 137\nfinally {own} 0\n"),
            "{stage}"
        );
        assert_eq!(
            report["destinations"][1]["caught_up"],
            Value::from(before),
            "{stage}"
        );
        assert_eq!(archives_in(&night.one), archives_in(&night.two), "{stage}");
        let history = night.history();
        let results: Vec<&Value> = history.iter().map(|record| &record["result"]).collect();
        assert_eq!(
            results,
            ["running", "failure", "running", "success"],
            "{stage}"
        );
        night.run(&["--json"], 0);
        let failures = night
            .history()
            .iter()
            .filter(|record| record["result"] == "failure")
            .count();
        assert_eq!(failures, 1, "{stage}: it is ended once");
    }
}

#[test]
fn one_run_at_a_time_and_a_second_one_waits_if_it_may() {
    let night = Night::new("", &[]);
    let (ready, go) = (
        night.service.machine.path("ready"),
        night.service.machine.path("go"),
    );
    for pipe in [&ready, &go] {
        nix::unistd::mkfifo(pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    }
    let wait = format!("run = 'echo > {}; cat {}'", ready.display(), go.display());
    night.configure("", &[("before", &wait)]);
    let first = night.start(&[]);
    let _ = fs::read(&ready).expect("the hook runs");
    let run = night.run(&["--json"], 11);
    let message = run.json()["error"]["message"].to_string();
    assert!(message.contains(&first.id().to_string()), "{message}");
    night.configure("", &[]);
    let second = night.start(&["--lock-wait", "10m"]);
    fs::write(&go, "").expect("the hook ends");
    assert!(bounds::end_of(first).status.success());
    assert!(bounds::end_of(second).status.success());
    assert_eq!(night.history().len(), 4);
}

#[test]
fn a_run_that_is_terminated_runs_its_last_hooks_and_is_recorded() {
    let night = Night::new("", &[]);
    let ready = night.service.machine.path("ready");
    nix::unistd::mkfifo(&ready, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let wait = format!("run = 'echo > {}; exec sleep 1000'", ready.display());
    let says = night.says("$HOOKSHOT_STAGE $HOOKSHOT_RESULT $HOOKSHOT_EXIT_CODE");
    night.configure(
        "",
        &[("before", &wait), ("failure", &says), ("finally", &says)],
    );
    let mut child = night.start(&[]);
    let _ = fs::read(&ready).expect("the hook runs");
    signals::send(Signal::SIGTERM, &child);
    let code = child.wait().expect("ended").code();
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut stderr)
        .expect("read");
    assert_eq!(code, Some(143), "{stderr}");
    assert_eq!(night.said(), "failure failure 143\nfinally failure 143\n");
    let history = night.history();
    assert_eq!(
        (&history[1]["result"], &history[1]["exit_code"]),
        (&"failure".into(), &143.into())
    );
}

#[test]
fn a_history_that_cannot_be_kept_beside_the_configuration_lies_elsewhere() {
    let mut night = Night::new("", &[]);
    // Nothing can be made in a file.
    let home = night
        .service
        .config
        .parent()
        .expect("a folder")
        .join(".hookshot");
    fs::write(&home, "").expect("written");
    let state = night.service.machine.path("state");
    fs::create_dir(&state).expect("a folder");
    night.service.set("STATE_DIRECTORY", state.as_os_str());
    night.run(&[], 0);
    let text = fs::read_to_string(state.join("history.jsonl")).expect("a history");
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn a_history_that_cannot_be_read_or_kept_does_not_hide_another_failure() {
    let night = Night::new("", &[]);
    let home = night
        .service
        .config
        .parent()
        .expect("a folder")
        .join(".hookshot");
    fs::create_dir(&home).expect("a folder");
    // A pipe is not a history, and reading it would take for ever.
    nix::unistd::mkfifo(&home.join("history.jsonl"), nix::sys::stat::Mode::S_IRWXU)
        .expect("a pipe");
    let report = night.json(&[], 3);
    assert_eq!(report["result"], "partial");
    assert_eq!(archives_in(&night.one).len(), 1);
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(message.contains("the history is not complete"), "{message}");
    fs::remove_file(night.notes()).expect("removed");
    assert_eq!(night.json(&[], 10)["result"], "failure");
}

#[test]
fn a_run_whose_metrics_are_not_written_is_partial_everywhere() {
    let night = Night::new("prometheus_file = \"none/hookshot.prom\"", &[]);
    let report = night.json(&[], 3);
    assert_eq!(report["result"], "partial", "{report}");
    let lines = night.history();
    let results: Vec<&Value> = lines.iter().map(|line| &line["result"]).collect();
    assert_eq!(results, ["running", "success", "partial"]);
    let shown = night.service.run(&["history", "--json"], 0).json();
    let runs = shown["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 1, "{shown}");
    assert_eq!(runs[0]["exit_code"], 3);
    let error = runs[0]["error"].as_str().expect("a message");
    assert!(error.contains("hookshot.prom was not written"), "{error}");
    // With the folder there is nothing to tell.
    let folder = night.service.config.with_file_name("none");
    fs::create_dir(&folder).expect("a folder");
    assert_eq!(night.json(&[], 0)["result"], "success");
    assert_eq!(night.history().len(), 5);
    let metrics = fs::read_to_string(folder.join("hookshot.prom")).expect("metrics");
    assert!(metrics.contains("result=\"success\""), "{metrics}");
}

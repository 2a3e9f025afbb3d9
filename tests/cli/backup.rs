//! `backup`, as cron runs it: with hooks that fail, hang and kill, destinations that come and go, and real signals.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use support::{
    Run, bounds, program,
    service::{Service, write},
};

/// A service with one file and two destinations, that keeps two archives.
struct Night {
    service: Service,
    one: PathBuf,
    two: PathBuf,
}

impl Night {
    /// With these hooks, each a stage and a command, and further keys under `[backup]`.
    fn new(further: &str, hooks: &[(&str, &str)]) -> Night {
        let service = Service::with_config("shop", "");
        let (one, two) = (service.machine.path("one"), service.machine.path("two"));
        let night = Night { service, one, two };
        night.configure(further, hooks);
        write(&night.notes(), "first");
        night
    }

    fn configure(&self, further: &str, hooks: &[(&str, &str)]) {
        let mut text = format!(
            "[backup]\napp = \"shop\"\nprefix = \"shop\"\nto = [\"one\", \"two\"]\n{further}\n\
            [backup.destinations.one]\nurl = \"{}\"\n[backup.destinations.two]\nurl = \"{}\"\n\
            [backup.retention]\nkeep_last = 2\nmax_remove = \"100%\"\n\
            [[backup.sources]]\nname = \"notes\"\nkind = \"file\"\npath = \"{}\"\n",
            self.one.display(),
            self.two.display(),
            self.notes().display()
        );
        for (stage, run) in hooks {
            text.push_str(&format!("[[backup.hooks]]\nstage = \"{stage}\"\n{run}\n"));
        }
        fs::write(&self.service.config, text).expect("written");
    }

    fn notes(&self) -> PathBuf {
        self.service.folder.join("notes")
    }

    /// The file to which hooks write.
    fn said(&self) -> String {
        fs::read_to_string(self.service.machine.path("said")).unwrap_or_default()
    }

    /// A hook that appends a line of the shell to that file.
    fn says(&self, line: &str) -> String {
        let said = self.service.machine.path("said");
        format!("run = '''echo \"{line}\" >> {}'''", said.display())
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) -> Run {
        self.service.run(&[&["backup"], arguments].concat(), code)
    }

    #[track_caller]
    fn json(&self, arguments: &[&str], code: i32) -> Value {
        self.run(&[&["--json"], arguments].concat(), code).json()
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.spawn(Command::new(program()), arguments)
    }

    /// Starts a run whose clock is an hour late: so no archive has the name of another one's second.
    fn start_an_hour_ago(&self) -> Child {
        let mut command = Command::new("faketime");
        command.args(["-f", "-3600s"]).arg(program());
        self.spawn(command, &[])
    }

    fn spawn(&self, mut command: Command, arguments: &[&str]) -> Child {
        command
            .arg("--config")
            .arg(&self.service.config)
            .arg("backup")
            .args(arguments);
        command.env("TMPDIR", self.service.machine.path("tmp"));
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().expect("started")
    }

    /// The records of the history.
    fn history(&self) -> Vec<Value> {
        let folder = self.service.config.parent().expect("a folder");
        let text = fs::read_to_string(folder.join(".hookshot/history.jsonl")).expect("a history");
        let lines = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        lines.collect()
    }
}

fn archives(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".tar.gz")).collect();
    names.sort();
    names
}

/// Replaces the folder of a destination by a file, so that nothing can be written there.
fn break_down(folder: &Path) {
    let _ = fs::rename(folder, folder.with_extension("away"));
    fs::write(folder, "no folder").expect("written");
}

/// Puts the folder back, or an empty one.
fn mend_or_make(folder: &Path) {
    fs::remove_file(folder).expect("removed");
    if fs::rename(folder.with_extension("away"), folder).is_err() {
        fs::create_dir(folder).expect("a folder");
    }
}

fn mend(folder: &Path) {
    fs::remove_file(folder).expect("removed");
    fs::rename(folder.with_extension("away"), folder).expect("moved");
}

#[test]
fn a_night_delivers_everywhere_runs_its_hooks_in_order_and_is_recorded() {
    let night = Night::new("", &[]);
    let line =
        "$HOOKSHOT_STAGE $HOOKSHOT_OPERATION $HOOKSHOT_APP $HOOKSHOT_RESULT $HOOKSHOT_EXIT_CODE";
    let says = night.says(line);
    let stages = ["finally", "failure", "success", "after", "before"];
    night.configure("", &stages.map(|stage| (stage, says.as_str())));
    let report = night.json(&["--tag", "why=test"], 0);
    assert_eq!(report["result"], "success");
    let said = "before backup shop  \nafter backup shop success 0\nsuccess backup shop success 0\n\
        finally backup shop success 0\n";
    assert_eq!(night.said(), said);
    assert_eq!(report["hooks"].as_array().expect("hooks").len(), 4);
    for destination in report["destinations"].as_array().expect("destinations") {
        assert_eq!(
            (&destination["good"], &destination["proof"]),
            (&true.into(), &"read-back".into())
        );
    }
    let name = report["archive"].as_str().expect("a name");
    assert_eq!(archives(&night.one), [name]);
    assert_eq!(archives(&night.two), [name]);
    let history = night.history();
    assert_eq!(history.len(), 2);
    assert_eq!(
        (&history[0]["result"], &history[1]["result"]),
        (&"running".into(), &"success".into())
    );
    assert_eq!(history[0]["run_id"], report["run_id"]);
    assert_eq!(history[1]["size_bytes"], report["size_bytes"]);
    assert_eq!(history[1]["sha256"].as_str().map(str::len), Some(64));
    let keys = |value: &Value| {
        value
            .as_object()
            .map(|map| map.keys().cloned().collect::<Vec<_>>())
    };
    assert_eq!(
        keys(&history[0]),
        keys(&history[1]),
        "every line has every key"
    );
    let inspected = night.service.run(&["inspect", "@two", "--json"], 0).json();
    assert_eq!(inspected["manifest"]["tags"]["why"], "test");
}

#[test]
fn a_before_hook_that_fails_keeps_the_run_from_exporting() {
    let night = Night::new("", &[]);
    let says = night.says("$HOOKSHOT_STAGE $HOOKSHOT_RESULT $HOOKSHOT_EXIT_CODE $HOOKSHOT_ERROR");
    let hooks = [
        ("before", "run = \"exit 3\""),
        ("before", says.as_str()),
        ("after", &says),
        ("success", &says),
        ("failure", &says),
        ("finally", &says),
    ];
    night.configure("", &hooks);
    let run = night
        .run(&[], 1)
        .says("the before hook `exit 3` failed: it ended with exit status: 3");
    assert!(run.stderr.contains("nothing was done"), "{}", run.stderr);
    assert!(archives(&night.one).is_empty());
    let said = night.said();
    let stages: Vec<&str> = said
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(stages, ["failure", "finally"]);
    assert!(said.contains("failure failure 1 the before hook"), "{said}");
    assert_eq!(night.history()[1]["exit_code"], 1);
    // One that may fail does not.
    night.configure("", &[("before", "run = \"exit 3\"\non_error = \"ignore\"")]);
    assert_eq!(night.json(&[], 0)["hooks"][0]["exit_code"], 3);
}

#[test]
fn a_before_hook_skips_the_run_by_exit_code_75() {
    let night = Night::new("", &[]);
    let says = night.says("$HOOKSHOT_STAGE $HOOKSHOT_RESULT");
    night.configure(
        "",
        &[
            ("before", "run = \"exit 75\""),
            ("success", &says),
            ("failure", &says),
            ("finally", &says),
        ],
    );
    let report = night.json(&[], 0);
    assert_eq!(
        (&report["result"], &report["skipped"]),
        (&"skipped".into(), &"hook".into())
    );
    assert!(archives(&night.one).is_empty());
    assert_eq!(night.said(), "finally skipped\n");
}

#[test]
fn a_hook_that_fails_after_the_work_makes_the_run_partial() {
    for stage in ["after", "success", "finally"] {
        let night = Night::new("", &[(stage, "run = [\"/bin/false\"]")]);
        let report = night.json(&[], 3);
        assert_eq!(report["result"], "partial", "{stage}");
        assert_eq!(archives(&night.one).len(), 1, "{stage}");
        assert_eq!(night.history()[1]["result"], "partial", "{stage}");
    }
}

#[test]
fn a_hook_that_hangs_is_ended_and_one_that_prints_a_secret_is_masked() {
    let secret = "hunter2-of-a-hook";
    let hooks = [
        (
            "before",
            "run = \"echo $AWS_SECRET_ACCESS_KEY; sleep 1000 & echo gone >&2\"",
        ),
        ("after", "run = \"exec sleep 1000\"\ntimeout = \"1s\""),
    ];
    let mut night = Night::new("", &hooks);
    night.service.set("AWS_SECRET_ACCESS_KEY", secret);
    let run = night.run(&["-vv"], 3).says("it takes longer than 1 s");
    run.says("before hook: ***").says("before hook: gone");
    let run = night.run(&["--json"], 3);
    assert!(!run.text().contains(secret) && !run.stderr.contains(secret));
    assert_eq!(run.json()["hooks"][1]["exit_code"], Value::Null);
}

#[test]
fn a_program_without_a_shell_gets_its_words_as_they_are() {
    let night = Night::new("", &[]);
    let said = night.service.machine.path("said");
    let words = format!(
        "run = [\"/bin/sh\", \"-c\", \"printf '%s|' \\\"$@\\\" > {}\", \"sh\", \"a b\", \"$HOME;\"]",
        said.display()
    );
    night.configure("", &[("before", &words)]);
    night.run(&[], 0);
    assert_eq!(night.said(), "a b|$HOME;|");
    night.configure("", &[("before", "run = [\"no-such-program\"]")]);
    let report = night.json(&[], 1);
    assert_eq!(report["hooks"][0]["exit_code"], 127);
}

#[test]
fn a_destination_that_was_away_gets_what_it_missed_and_is_not_pruned_before() {
    let night = Night::new("", &[]);
    let first = night.json(&[], 0);
    break_down(&night.two);
    let mut missed = Vec::new();
    for _ in 0..2 {
        let report = night.json(&[], 17);
        assert_eq!(report["result"], "partial");
        assert_eq!(report["destinations"][0]["good"], true);
        assert_eq!(report["destinations"][1]["good"], false);
        assert!(report["destinations"][1]["error"].is_string(), "{report}");
        missed.push(report["archive"].clone());
    }
    assert_eq!(archives(&night.one).len(), 2, "pruned there");
    mend(&night.two);
    assert_eq!(
        archives(&night.two),
        [first["archive"].as_str().expect("a name")]
    );
    let plan = night.json(&["--dry-run"], 0);
    assert_eq!(
        plan["destinations"][1]["catch_up"],
        Value::from(missed.clone())
    );
    let report = night.json(&[], 0);
    assert_eq!(report["destinations"][1]["caught_up"], Value::from(missed));
    assert_eq!(archives(&night.one), archives(&night.two));
    let report = night.json(&[], 0);
    assert_eq!(
        report["destinations"][1]["caught_up"],
        Value::from(Vec::<Value>::new())
    );
}

#[test]
fn without_any_destination_the_run_fails_with_the_reason() {
    let night = Night::new("", &[]);
    night.run(&[], 0);
    break_down(&night.one);
    break_down(&night.two);
    let report = night.json(&[], 1);
    assert_eq!(report["result"], "failure");
    assert_eq!(
        report["error"]["code"],
        report["destinations"][0]["error"].as_str().map_or(0, |_| 1)
    );
    assert_eq!(night.history().last().expect("a line")["result"], "failure");
}

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
        let before = archives(&night.one);
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
        assert_eq!(archives(&night.one), archives(&night.two), "{stage}");
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
    kill(
        Pid::from_raw(i32::try_from(child.id()).expect("a number")),
        Signal::SIGTERM,
    )
    .expect("sent");
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
fn a_state_that_did_not_change_needs_no_archive() {
    let night = Night::new("", &[]);
    let first = night.json(&["--if-changed"], 0);
    assert_eq!(first["result"], "success");
    let name = first["archive"].as_str().expect("a name");
    let times = fs::metadata(night.notes())
        .expect("there")
        .modified()
        .expect("a time");
    // A file that is only touched is the same.
    let touched = fs::File::options()
        .write(true)
        .open(night.notes())
        .expect("open");
    touched
        .set_modified(times + std::time::Duration::from_secs(5))
        .expect("touched");
    let report = night.json(&["--if-changed"], 0);
    assert_eq!(
        (&report["result"], &report["skipped"]),
        (&"skipped".into(), &"unchanged".into())
    );
    assert_eq!(report["archive"], name);
    assert_eq!(archives(&night.one), [name]);
    for folder in [&night.one, &night.two] {
        let note = fs::read(folder.join(".hookshot-unchanged-shop")).expect("a note");
        let note: Value = serde_json::from_slice(&note).expect("JSON");
        assert_eq!(
            (&note["name"], &note["run_id"]),
            (&name.into(), &report["run_id"])
        );
        assert_eq!(note["sha256"], night.history()[1]["sha256"]);
    }
    // The note before knows the digest if the history is lost.
    fs::remove_file(
        night
            .service
            .config
            .parent()
            .expect("a folder")
            .join(".hookshot/history.jsonl"),
    )
    .expect("removed");
    night.json(&["--if-changed"], 0);
    let note = fs::read(night.one.join(".hookshot-unchanged-shop")).expect("a note");
    let note: Value = serde_json::from_slice(&note).expect("JSON");
    assert_eq!(note["sha256"].as_str().map(str::len), Some(64));
    // Another mode is another state.
    fs::set_permissions(night.notes(), fs::Permissions::from_mode(0o440)).expect("changed");
    assert_eq!(night.json(&["--if-changed"], 0)["result"], "success");
    // So is a destination that lacks the newest archive.
    let newest = night.history().last().expect("a line")["archive"].clone();
    fs::remove_file(night.two.join(newest.as_str().expect("a name"))).expect("removed");
    assert_eq!(night.json(&["--if-changed"], 0)["result"], "success");
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let night = Night::new("", &[]);
    let says = night.says("$HOOKSHOT_STAGE");
    night.configure("", &[("before", &says)]);
    for _ in 0..2 {
        night.json(&[], 0);
    }
    night.configure(
        "[backup.tags]\na = \"b\"",
        &[
            ("before", &says),
            ("finally", "run = \"true\"\nenabled = false"),
        ],
    );
    let before = (night.said(), night.history().len(), archives(&night.one));
    let plan = night.json(&["--dry-run"], 0);
    assert_eq!(plan["dry_run"], true);
    assert_eq!(plan["hooks"].as_array().expect("hooks").len(), 1);
    assert_eq!(
        plan["destinations"].as_array().expect("destinations").len(),
        2
    );
    assert_eq!(
        (night.said(), night.history().len(), archives(&night.one)),
        before
    );
    break_down(&night.two);
    let run = night
        .run(&["--dry-run"], 17)
        .says("1 of 2 destinations would fail");
    assert!(
        run.text().contains("one: would get an archive"),
        "{}",
        run.text()
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
fn wrong_usage_is_refused_before_anything_runs() {
    let night = Night::new("", &[("before", "run = \"false\"")]);
    night
        .run(&["-"], 2)
        .says("a backup does not go to standard output");
    night
        .run(&["@three"], 10)
        .says("no destination is called @three");
    assert!(night.said().is_empty());
    night.configure("to = []", &[]);
}

#[test]
fn a_destination_of_a_higher_tier_gets_an_archive_when_its_time_has_come() {
    let night = Night::new("", &[]);
    let text = fs::read_to_string(&night.service.config).expect("read");
    let every = |every: &str| {
        let two = "[backup.destinations.two]\n";
        fs::write(
            &night.service.config,
            text.replace(two, &format!("{two}every = \"{every}\"\n")),
        )
        .expect("written");
    };
    // A month of many years ahead, and of many years ago: the first archive comes at once.
    every("0 0 29 2 *");
    assert_eq!(
        night.json(&[], 0)["destinations"]
            .as_array()
            .expect("two")
            .len(),
        2
    );
    let run = night.run(&["--json"], 0).says("Its time has not come");
    assert_eq!(run.json()["destinations"].as_array().expect("one").len(), 1);
    assert_eq!(
        (archives(&night.one).len(), archives(&night.two).len()),
        (2, 1)
    );
    // A destination that is named gets one all the same.
    night.json(&["@two"], 0);
    assert_eq!(archives(&night.two).len(), 2);
    // Older than the last occasion.
    let old = "shop-20200101-000000.tar.gz";
    let newest = archives(&night.two).pop().expect("one");
    fs::rename(night.two.join(newest), night.two.join(old)).expect("moved");
    fs::remove_file(night.two.join(&archives(&night.two)[1])).expect("removed");
    every("daily");
    assert_eq!(
        night.json(&["--no-prune"], 0)["destinations"]
            .as_array()
            .expect("two")
            .len(),
        2
    );
    assert_eq!(archives(&night.two).len(), 2);
}

#[test]
fn an_after_hook_is_told_that_the_export_failed() {
    let night = Night::new("", &[]);
    let says = night.says("$HOOKSHOT_STAGE $HOOKSHOT_RESULT $HOOKSHOT_EXIT_CODE $HOOKSHOT_ERROR");
    night.configure(
        "",
        &["after", "success", "failure"].map(|stage| (stage, says.as_str())),
    );
    fs::remove_file(night.notes()).expect("removed");
    let report = night.json(&[], 10);
    assert_eq!(
        (&report["result"], &report["archive"]),
        (&"failure".into(), &Value::Null)
    );
    let said = night.said();
    assert!(
        said.starts_with("after failure 10 notes is missing"),
        "{said}"
    );
    assert!(
        said.contains("\nfailure failure 10 ") && !said.contains("success"),
        "{said}"
    );
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
    assert_eq!(archives(&night.one).len(), 1);
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(message.contains("the history is not complete"), "{message}");
    fs::remove_file(night.notes()).expect("removed");
    assert_eq!(night.json(&[], 10)["result"], "failure");
}

#[test]
fn a_run_without_a_destination_whose_time_has_come_stops_no_service() {
    let night = Night::new("", &[]);
    let says = night.says("$HOOKSHOT_STAGE $HOOKSHOT_RESULT");
    night.configure(
        "",
        &[("before", &says), ("after", &says), ("finally", &says)],
    );
    let text = fs::read_to_string(&night.service.config).expect("read");
    let every = |name: &str| format!("[backup.destinations.{name}]\nevery = \"0 0 29 2 *\"\n");
    let mut text = text;
    for name in ["one", "two"] {
        text = text.replace(&format!("[backup.destinations.{name}]\n"), &every(name));
    }
    fs::write(&night.service.config, text).expect("written");
    night.run(&[], 0);
    fs::remove_file(night.service.machine.path("said")).expect("removed");
    let report = night.json(&[], 0);
    assert_eq!(
        (&report["result"], &report["skipped"]),
        (&"skipped".into(), &"not_due".into())
    );
    assert_eq!(night.said(), "finally skipped\n");
    // An archive of a clock that was wrong does not keep the tier waiting.
    for folder in [&night.one, &night.two] {
        let archive = archives(folder).pop().expect("one");
        fs::rename(
            folder.join(archive),
            folder.join("shop-20990101-000000.tar.gz"),
        )
        .expect("moved");
    }
    assert_eq!(
        night.json(&[], 0)["destinations"]
            .as_array()
            .expect("two")
            .len(),
        2
    );
}

#[test]
fn a_destination_is_a_folder_and_is_named_once() {
    let night = Night::new("", &[]);
    let missing = night.service.machine.path("missing");
    let missing = missing.to_str().expect("UTF-8");
    for _ in 0..2 {
        night.run(&[missing], 0);
    }
    assert_eq!(archives(Path::new(missing)).len(), 2);
    night.run(&["@one/"], 0);
    night.run(&["@one/latest"], 2).says("names an archive");
    night.run(&["/srv/x.tar.gz"], 2).says("names an archive");
    night.run(&["@one", "@one"], 2).says("one is named twice");
    let one = night.one.to_str().expect("UTF-8");
    night
        .run(&["@one", one], 2)
        .says("are the same destination");
}

#[test]
fn an_archive_that_was_stored_without_a_proof_is_verified_before_it_counts() {
    let night = Night::new("", &[]);
    break_down(&night.two);
    let missed = night.json(&[], 17)["archive"].clone();
    let missed = missed.as_str().expect("a name");
    mend_or_make(&night.two);
    // The same name and size, and other bytes.
    let mut bytes = fs::read(night.one.join(missed)).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(night.two.join(missed), bytes).expect("written");
    let report = night.json(&[], 3);
    assert_eq!(
        report["destinations"][1]["caught_up"],
        Value::from(Vec::<Value>::new())
    );
    fs::remove_file(night.two.join(missed)).expect("removed");
    let report = night.json(&[], 0);
    assert_eq!(
        report["destinations"][1]["caught_up"],
        Value::from(vec![missed])
    );
}

#[test]
fn several_configurations_run_one_after_the_other_with_one_summary() {
    let night = Night::new("", &[]);
    let folder = night
        .service
        .config
        .parent()
        .and_then(Path::parent)
        .expect("a folder");
    let text = fs::read_to_string(&night.service.config).expect("read");
    // One that fails, and one of another service, beside a file of another kind.
    write(
        &folder.join("broken/config.toml"),
        &text.replace("notes", "missing"),
    );
    let other = text.replace("prefix = \"shop\"", "prefix = \"other\"");
    write(&folder.join("other.toml"), &other);
    write(&folder.join("services.toml"), "[services.x]\n");
    let report = night.json(&["--all-configs", folder.to_str().expect("UTF-8")], 10);
    let runs = report["runs"].as_array().expect("runs");
    let codes: Vec<&Value> = runs.iter().map(|run| &run["exit_code"]).collect();
    assert_eq!(codes, [10, 0, 0]);
    assert!(runs[0]["error"].is_string() && runs[1]["report"]["archive"].is_string());
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(
        message.starts_with("1 of 3 configurations failed"),
        "{message}"
    );
    assert_eq!(archives(&night.one).len(), 2);
    let empty = night.service.machine.path("empty");
    fs::create_dir(&empty).expect("a folder");
    night.run(&["--all-configs", empty.to_str().expect("UTF-8")], 10);
}

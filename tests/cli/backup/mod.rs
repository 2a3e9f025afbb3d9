//! `backup`, as cron runs it: with hooks that fail, hang and kill, destinations that come and go, and real signals.

mod delivery;
mod endings;
mod hooks;
mod repository;
mod shared;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use support::{
    Run, archives_in, clock, finish, program,
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
        let mut command = Command::new(program());
        clock::set_back(&mut command, 1);
        self.spawn(command, &[])
    }

    /// Runs with a clock that is some hours late.
    #[track_caller]
    fn run_before(&self, hours: u32, arguments: &[&str], code: i32) -> Run {
        let mut command = Command::new(program());
        clock::set_back(&mut command, hours);
        command.args(["--json", "--config"]);
        command
            .arg(&self.service.config)
            .arg("backup")
            .args(arguments);
        command.env("TMPDIR", self.service.machine.path("tmp"));
        finish(command, b"").exits(code)
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
    assert_eq!(archives_in(&night.one), [name]);
    assert_eq!(archives_in(&night.two), [name]);
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
    assert_eq!(archives_in(&night.one), [name]);
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
    let before = (night.said(), night.history().len(), archives_in(&night.one));
    let plan = night.json(&["--dry-run"], 0);
    assert_eq!(plan["dry_run"], true);
    assert_eq!(plan["hooks"].as_array().expect("hooks").len(), 1);
    assert_eq!(
        plan["destinations"].as_array().expect("destinations").len(),
        2
    );
    assert_eq!(
        (night.said(), night.history().len(), archives_in(&night.one)),
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
fn a_dry_run_compares_the_state_unless_a_command_comes_before() {
    let night = Night::new("", &[]);
    let says = night.says("$HOOKSHOT_STAGE");
    let compared = |arguments: &[&str]| {
        let plan = night.json(&[&["--dry-run", "--if-changed"], arguments].concat(), 0);
        plan["if_changed"].clone()
    };
    assert_eq!(compared(&[])["unchanged"], false);
    let made = night.json(&[], 0)["archive"].clone();
    let is_held = compared(&[]);
    assert_eq!(is_held["unchanged"], true);
    let reason = is_held["reason"].as_str().expect("a reason");
    assert!(reason.contains(made.as_str().expect("a name")), "{reason}");
    assert_eq!(compared(&["--tag", "a=b"])["unchanged"], false);
    let run = night.run(&["--dry-run", "--if-changed"], 0);
    assert!(
        run.text().contains("would make no archive"),
        "{}",
        run.text()
    );
    fs::write(night.notes(), "other").expect("written");
    assert_eq!(compared(&[])["unchanged"], false);
    night.configure("", &[("before", &says)]);
    assert_eq!(compared(&[])["unchanged"], Value::Null);
    assert_eq!(
        (night.said(), archives_in(&night.one).len()),
        (String::new(), 1)
    );
    assert_eq!(night.json(&["--dry-run"], 0)["if_changed"], Value::Null);
}

/// Gives the archives of a folder names of earlier nights.
fn age(folder: &Path) {
    for (night, name) in archives_in(folder).iter().enumerate() {
        let prefix = name.split_once("-20").expect("a time").0;
        let older = format!("{prefix}-2026010{}-020000.tar.gz", night + 1);
        fs::rename(folder.join(name), folder.join(older)).expect("renamed");
    }
}

#[test]
fn a_policy_that_may_not_remove_as_much_says_how_to_go_on() {
    let night = Night::new("", &[]);
    for _ in 0..2 {
        night.run(&[], 0);
    }
    age(&night.one);
    age(&night.two);
    let text = fs::read_to_string(&night.service.config).expect("read");
    let text = text.replace("keep_last = 2", "keep_last = 1");
    let text = text.replace("max_remove = \"100%\"", "max_remove = \"10%\"");
    fs::write(&night.service.config, text).expect("written");
    let report = night.json(&[], 3);
    let hint = report["error"]["hint"].as_str().expect("a hint");
    for name in ["one", "two"] {
        assert!(
            hint.contains(&format!("`hookshot prune @{name} --yes`")),
            "{hint}"
        );
    }
    assert_eq!(archives_in(&night.one).len(), 3);
    night.service.run(&["prune", "@one", "--yes"], 0);
    assert_eq!(archives_in(&night.one).len(), 1);
}

#[test]
fn a_day_with_many_archives_does_not_stop_the_nightly_job() {
    let night = Night::new("", &[]);
    let text = fs::read_to_string(&night.service.config).expect("read");
    let text = text.replace("keep_last = 2", "keep_daily = 7");
    let text = text.replace("max_remove = \"100%\"", "max_remove = \"50%\"");
    fs::write(&night.service.config, text).expect("written");
    for _ in 0..5 {
        night.service.run(&["export", "@one", "@two"], 0);
    }
    assert_eq!(archives_in(&night.one).len(), 5);
    // Around midnight, some are of another day.
    night.run(&[], 0);
    let left = archives_in(&night.one).len();
    assert!((1..=2).contains(&left), "{left}");
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
    assert_eq!(archives_in(&night.one).len(), 2);
    let empty = night.service.machine.path("empty");
    fs::create_dir(&empty).expect("a folder");
    night.run(&["--all-configs", empty.to_str().expect("UTF-8")], 10);
}

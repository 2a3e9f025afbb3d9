//! Two machines that back up to one bucket with one prefix: at the same time, one after the other, and after a kill.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;
use support::{Machine, Run, clock, finish, program, servers::Moto, service::write};

/// A configuration of the service `app` that backs up to the bucket.
fn configure(machine: &Machine, app: &str, store: &Moto, further: &str) {
    let notes = machine.path(&format!("{app}/notes"));
    write(&notes, app);
    let text = format!(
        "[backup]\napp = \"{app}\"\nprefix = \"shop\"\nto = [\"store\"]\n[backup.destinations.store]\n{}\n\
        [backup.retention]\nkeep_last = 30\nmax_remove = \"100%\"\n\
        [[backup.sources]]\nname = \"notes\"\nkind = \"file\"\npath = \"{}\"\n{further}",
        store.destination(),
        notes.display()
    );
    write(&machine.path(&format!("etc/{app}/config.toml")), &text);
}

fn backup(machine: &Machine, app: &str, moment: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    clock::set(&mut command, moment);
    command.args(["--json", "--config"]);
    command.arg(machine.path(&format!("etc/{app}/config.toml")));
    command.arg("backup").args(arguments).env("TZ", "UTC");
    command.env("TMPDIR", machine.path("tmp"));
    command
}

fn run(machine: &Machine, app: &str, arguments: &[&str]) -> Run {
    finish(backup(machine, app, "+0s", arguments), b"")
}

fn name(report: &Value) -> &str {
    let archive = &report["destinations"][0]["archive"];
    archive.as_str().unwrap_or_else(|| panic!("{report}"))
}

/// Returns the application of an archive in the bucket.
fn app_of(machine: &Machine, name: &str) -> String {
    let config = machine.path("etc/a/config.toml");
    let mut command = Command::new(program());
    command.arg("--config").arg(config);
    command.args(["--json", "inspect", &format!("@store/{name}")]);
    let report = finish(command, b"").exits(0).json();
    report["manifest"]["app"]
        .as_str()
        .expect("an app")
        .to_owned()
}

#[test]
fn machines_at_one_bucket_keep_and_name_their_own_archives() {
    let Some(store) = Moto::start() else { return };
    let machine = Machine::empty();
    for app in ["a", "b"] {
        configure(&machine, app, &store, "");
    }
    // In the same second, at the same time.
    let moment = "@2026-11-28 03:00:00";
    let apps = ["a", "b"];
    let runs: Vec<Run> = std::thread::scope(|scope| {
        let begun = apps.map(|app| {
            let command = backup(&machine, app, moment, &["--no-prune"]);
            scope.spawn(move || finish(command, b""))
        });
        begun
            .into_iter()
            .map(|run| run.join().expect("an end"))
            .collect()
    });
    let mut all = BTreeSet::new();
    for (app, run) in apps.iter().zip(&runs) {
        // The key stands in the configuration: that is said once, with file and key.
        let said = run.stderr.lines();
        let said: Vec<&str> = said
            .filter(|line| line.contains("A secret stands"))
            .collect();
        let [said] = said[..] else {
            panic!("{}", run.stderr)
        };
        let config = format!("etc/{app}/config.toml");
        assert!(
            said.contains("secret_access_key") && said.contains(&config),
            "{said}"
        );
        // The one that came second says so.
        assert!([0, 3].contains(&run.code), "{run:?}");
        let report = run.json();
        assert_eq!(app_of(&machine, name(&report)), *app);
        all.insert(name(&report).to_owned());
    }
    assert_eq!(all.len(), 2, "{all:?}");
    // One after the other.
    let report = run(&machine, "a", &["--if-changed"]).json();
    assert_eq!(app_of(&machine, name(&report)), "a");
    let report = run(&machine, "b", &["--if-changed"]).exits(3).json();
    assert_eq!(report["skipped"], Value::Null);
    assert_eq!(report["destinations"][0]["foreign"]["app"], "a");
    // Killed in the second of an archive of the other: that one is not its own.
    let moment = "@2026-11-28 04:00:00";
    configure(
        &machine,
        "a",
        &store,
        "[[backup.hooks]]\nstage = \"before\"\nrun = 'kill -9 $PPID'\n",
    );
    assert_ne!(finish(backup(&machine, "a", moment, &[]), b"").code, 0);
    configure(&machine, "a", &store, "");
    let other = finish(backup(&machine, "b", moment, &["--no-prune"]), b"");
    let taken = name(&other.json()).to_owned();
    let report = run(&machine, "a", &["--no-prune"]).json();
    let here = &report["destinations"][0];
    assert_eq!(
        here["caught_up"],
        Value::from(Vec::<Value>::new()),
        "{report}"
    );
    assert_eq!(here["gone"], Value::from(vec![taken.clone()]));
    assert_eq!(app_of(&machine, &taken), "b");
    assert!(store.uploads().is_empty());
}

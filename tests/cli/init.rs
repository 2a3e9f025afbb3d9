//! `init --to`: from nothing to a destination that is known to work.

use std::fs;

use support::{Machine, Run};

fn init(machine: &Machine, more: &[&str]) -> Run {
    let data = machine.path("new/data").display().to_string();
    let config = machine.path("new/etc/config.toml").display().to_string();
    let arguments = [&["init", "--config", &config, "--data-dir", &data], more].concat();
    machine.run(&arguments)
}

#[test]
fn init_with_a_destination_writes_policy_and_schedule_and_checks_it() {
    let machine = Machine::empty();
    let run = init(&machine, &["--to", "shelf", "--schedule", "sun 03:00"]).exits(0);
    let said = run.text();
    assert!(
        said.contains("create once") && said.contains("next: hookshot --config "),
        "{said}"
    );
    assert!(said.contains("timer install"), "{said}");
    let text = String::from_utf8(machine.read("new/etc/config.toml")).expect("text");
    for line in [
        "to = [\"local\"]",
        "keep_daily = 7",
        "keep_weekly = 4",
        "keep_monthly = 6",
        "backup = \"sun 03:00\"",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let config = machine.path("new/etc/config.toml").display().to_string();
    machine.run(&["validate", "--config", &config]).exits(0);
    let run = machine.run(&["export", "--config", &config]).exits(3);
    run.says("the archive holds no state");
    assert!(
        machine.path("out/shelf").is_dir(),
        "a relative path is one of the current folder"
    );
    let again = init(&machine, &["--to", "shelf"]).exits(2);
    assert!(again.stderr.contains("exists already"), "{}", again.stderr);
}

#[test]
fn init_with_a_destination_that_fails_keeps_the_files_and_says_so() {
    let machine = Machine::empty();
    init(&machine, &["--to", "shelf", "--schedule", "soon"]).exits(2);
    assert!(!machine.path("new").exists(), "nothing was made");
    machine.write("out/file", "in the way", 0o600);
    let report = init(&machine, &["--to", "file/shelf", "--json"]);
    assert!(report.code != 0, "{}", report.text());
    let report = report.json();
    assert_eq!(
        report["check"]["destinations"][0]["good"], false,
        "{report}"
    );
    assert!(machine.path("new/etc/config.toml").exists());
    assert_eq!(
        report["next"]
            .as_str()
            .map(|next| next.ends_with("timer install")),
        Some(true)
    );
}

#[test]
fn init_for_a_known_service_takes_the_destination_too() {
    let machine = Machine::empty();
    let report = init(
        &machine,
        &["--app", "vaultwarden", "--to", "shelf", "--json"],
    )
    .exits(0)
    .json();
    assert_eq!(report["check"]["destinations"][0]["name"], "local");
    let text = String::from_utf8(machine.read("new/etc/config.toml")).expect("text");
    assert!(
        text.contains("backup = \"02:00\"") && text.contains("vaultwarden"),
        "{text}"
    );
}

#[test]
fn a_state_that_no_service_used_is_said_and_never_green() {
    let machine = Machine::empty();
    let data = machine.path("new/data").display().to_string();
    let config = machine.path("new/etc/config.toml").display().to_string();
    let run = init(&machine, &["--to", "shelf"]).exits(0);
    let said = run.text();
    for words in [
        "state.redb: redb, ",
        "nothing of it was there before",
        "hookshot init --source PATH",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let run = machine.run(&["backup", "--config", &config]).exits(3);
    run.says("the archive holds no state")
        .says("hookshot init --source PATH");
    let export = |code: i32| {
        let run = machine.run(&["export", "a.tar.gz", "--config", &config, "--json"]);
        run.exits(code).json()
    };
    let report = export(3);
    assert_eq!(report["left_undone"][0]["kind"], "empty", "{report}");
    // A service that names something, or has secrets, has a state.
    machine.write("new/etc/services.toml", "[services.web]\n", 0o600);
    assert_eq!(export(0)["left_undone"], serde_json::Value::Null);
    fs::remove_file(machine.path("new/etc/services.toml")).expect("removed");
    fs::remove_dir_all(&data).expect("removed");
    fs::remove_file(&config).expect("removed");
    init(&machine, &["--to", "shelf"]).exits(0);
    export(3);
    let database = redb::Database::open(machine.path("new/data/state.redb")).expect("a database");
    database
        .begin_write()
        .expect("a transaction")
        .commit()
        .expect("committed");
    drop(database);
    export(0);
}

#[test]
fn the_state_of_an_application_of_the_users_own_is_named_by_its_paths() {
    let machine = Machine::empty();
    for folder in ["srv/notes/files", "srv/other"] {
        fs::create_dir_all(machine.path(folder)).expect("a folder");
    }
    machine.write("srv/notes/files/a.txt", "attached", 0o600);
    machine.write("srv/notes/notes.ini", "x = 1", 0o600);
    machine.write("srv/other/notes.ini", "x = 2", 0o600);
    let database = machine.path("srv/notes/notes.db");
    rusqlite::Connection::open(&database)
        .and_then(|notes| notes.execute_batch("CREATE TABLE n (x); INSERT INTO n VALUES (1)"))
        .expect("a database");
    let path = |name: &str| machine.path(name).display().to_string();
    let config = path("etc/notes/config.toml");
    let sources = [
        "srv/notes/notes.db",
        "srv/notes/files",
        "srv/notes/notes.ini",
        "srv/other/notes.ini",
    ];
    let sources = sources.map(path);
    let mut words = vec!["init", "--config", &config, "--to", "shelf"];
    for source in &sources {
        words.extend(["--source", source]);
    }
    let report = machine
        .run(&[&words[..], &["--json"]].concat())
        .exits(0)
        .json();
    let kinds: Vec<(&str, &str)> = report["sources"]
        .as_array()
        .expect("sources")
        .iter()
        .map(|one| {
            let text = |key: &str| one[key].as_str().expect("a word");
            (text("name"), text("kind"))
        })
        .collect();
    for expected in [
        ("notes.db", "sqlite"),
        ("files", "directory"),
        ("notes.ini", "file"),
        ("2-notes.ini", "file"),
    ] {
        assert!(kinds.contains(&expected), "{kinds:?}");
    }
    assert_eq!(report["is_new_state"], false);
    let run = |verb: &[&str]| machine.run(&[verb, &["--config", &config]].concat());
    run(&["validate"]).exits(0);
    let made = run(&["backup", "--json"]).exits(0).json();
    assert_eq!(made["result"], "success", "{made}");
    let archive = fs::read_dir(machine.path("out/shelf"))
        .expect("a folder")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .find(|name| name.ends_with(".tar.gz"));
    assert!(archive.is_some_and(|name| name.starts_with("notes-20")));
    machine
        .run(&words)
        .exits(2)
        .says("each service has a configuration of its own");
    let missing = ["init", "--config", "other.toml", "--source", "/nowhere"];
    machine
        .run(&missing)
        .exits(10)
        .says("/nowhere does not exist");
}

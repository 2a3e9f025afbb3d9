//! Other places than those of the configuration: `import --root` and `--map`.

use support::{self, Machine, tree};

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use serde_json::Value;

fn source(name: &str, kind: &str, more: &str) -> String {
    format!("[[backup.sources]]\nname = \"{name}\"\nkind = \"{kind}\"\n{more}\n")
}

/// A service of a file, a directory and a database; what it is like in the archive is gone from the machine.
fn service(more: &str) -> (Machine, String) {
    let machine = Machine::empty();
    let sources = [
        source("app.ini", "file", "path = \"../data/app.ini\""),
        source("files", "directory", "path = \"../data/files\""),
        source("app.db", "sqlite", "path = \"../data/app.db\""),
        more.to_owned(),
    ];
    let text = machine.config_text(&format!("[backup]\n{}", sources.concat()));
    machine.write("etc/config.toml", text, 0o640);
    write(&machine, "archived");
    let archive = machine.export("a.tar.gz");
    write(&machine, "here");
    (machine, archive)
}

fn write(machine: &Machine, content: &str) {
    machine.write("data/app.ini", content, 0o640);
    fs::create_dir_all(machine.path("data/files/deep")).expect("a folder");
    machine.write("data/files/deep/one", content, 0o600);
    let _ = fs::remove_file(machine.path("data/app.db"));
    let database = Connection::open(machine.path("data/app.db")).expect("a database");
    database
        .execute_batch(&format!(
            "CREATE TABLE t (a); INSERT INTO t VALUES ('{content}')"
        ))
        .expect("written");
}

fn row(path: &Path) -> String {
    let database = Connection::open(path).expect("a database");
    database
        .query_row("SELECT a FROM t", [], |row| row.get(0))
        .expect("a row")
}

/// `path` below `root`.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").expect("absolute"))
}

fn targets(report: &Value) -> Vec<(String, String)> {
    let steps = report["steps"].as_array().expect("steps").iter();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    steps
        .map(|step| (text(&step["target"]), text(&step["action"])))
        .collect()
}

#[test]
fn an_import_with_a_root_puts_everything_below_it_and_touches_nothing_outside() {
    let (machine, archive) = service("");
    let root = machine.path("tmp").join("rehearsal");
    let shown = root.display().to_string();
    let before = machine.state();
    let verb = ["import", &archive, "--root", &shown, "--json"];
    let rehearsed = machine
        .run(&[verb.as_slice(), &["--dry-run"]].concat())
        .exits(0)
        .json();
    assert!(!root.exists());
    let report = machine.run(&verb).exits(0).json();
    assert_eq!(targets(&report), targets(&rehearsed));
    for (target, action) in targets(&report) {
        assert!(target.starts_with(&shown), "{target}");
        assert_eq!(action, "create");
    }
    assert_eq!(machine.state(), before);
    let there = |name: &str| below(&root, &machine.path(name));
    for name in ["data/app.ini", "data/files/deep/one"] {
        assert_eq!(
            fs::read(there(name)).expect("a file"),
            b"archived",
            "{name}"
        );
    }
    assert_eq!(row(&there("data/app.db")), "archived");
    assert_eq!(
        fs::read(there("etc/config.toml")).expect("a file"),
        machine.read("etc/config.toml")
    );
    assert!(there("etc/.hookshot/last-import.json").exists());
    // Twice is once, and what was worked on below the root stays as .bak there.
    fs::write(there("data/app.ini"), "worked").expect("written");
    let report = machine.run(&verb).exits(0).json();
    let changed: Vec<_> = targets(&report)
        .into_iter()
        .filter(|(_, action)| action != "unchanged")
        .collect();
    assert_eq!(
        changed,
        [(
            there("data/app.ini").display().to_string(),
            "replace".to_owned()
        )]
    );
    machine.run(&["rollback", "--root", &shown]).exits(0);
    assert_eq!(fs::read(there("data/app.ini")).expect("a file"), b"worked");
    assert_eq!(machine.state(), before);
}

#[test]
fn a_root_takes_the_four_files_of_a_hookshot_service_and_no_configuration_is_needed_here() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    let root = machine.path("tmp/root");
    let shown = root.display().to_string();
    // Whoever has the database open here has nothing to do with it.
    let holder = machine.holder("write");
    machine
        .run(&["import", &archive, "--root", &shown])
        .exits(0);
    holder.end();
    for name in ["etc/services.toml", "etc/secrets", "data/state.redb"] {
        assert!(below(&root, &machine.path(name)).is_file(), "{name}");
    }
    // A machine that has nothing, and the disk of another one.
    let (made, archive) = service("");
    let config = made.path("etc/config.toml");
    fs::remove_dir_all(made.path("etc")).expect("removed");
    let root = made.path("tmp/disk");
    let shown = root.display().to_string();
    made.run(&["import", &archive, "--root", &shown])
        .exits(2)
        .says(&format!("--use-archive-config --root {shown}"));
    assert!(!root.exists());
    let verb = ["import", &archive, "--root", &shown, "--use-archive-config"];
    made.run(&verb).exits(0);
    made.run(&verb).exits(0);
    assert!(below(&root, &config).is_file());
    assert!(!config.exists());
    assert_eq!(
        fs::read(below(&root, &made.path("data/app.ini"))).expect("a file"),
        b"archived"
    );
}

#[test]
fn links_below_a_root_that_lead_out_of_it_are_refused() {
    let (machine, archive) = service("");
    let outside = machine.path("tmp/outside");
    let before = machine.state();
    for (link, to) in [
        ("data", outside.clone()),
        ("data/files", outside.clone()),
        ("data/app.ini", outside.join("app.ini")),
        (
            "data/app.db",
            PathBuf::from("../../../../../outside/missing"),
        ),
        ("etc", outside.clone()),
        ("etc/config.toml", outside.join("config.toml")),
    ] {
        let root = machine.path("tmp/root");
        let place = below(&root, &machine.path(link));
        fs::create_dir_all(place.parent().expect("a folder")).expect("folders");
        fs::create_dir_all(&outside).expect("a folder");
        fs::write(outside.join("app.ini"), "outside").expect("written");
        fs::copy(machine.path("etc/config.toml"), outside.join("config.toml")).expect("copied");
        symlink(&to, &place).expect("a link");
        let untouched = tree(&outside);
        let shown = root.display().to_string();
        for more in [["--dry-run"].as_slice(), &[]] {
            let verb = ["import", &archive, "--root", &shown];
            machine
                .run(&[verb.as_slice(), more].concat())
                .exits(2)
                .says("leads out of");
        }
        assert_eq!(tree(&outside), untouched, "{link}");
        fs::remove_dir_all(&root).expect("removed");
        fs::remove_dir_all(&outside).expect("removed");
    }
    // One that stays inside is followed.
    let root = machine.path("tmp/root");
    let place = below(&root, &machine.path("data"));
    fs::create_dir_all(place.parent().expect("a folder")).expect("folders");
    fs::create_dir(place.with_file_name("disk")).expect("a folder");
    symlink("disk", &place).expect("a link");
    let shown = root.display().to_string();
    machine
        .run(&["import", &archive, "--root", &shown])
        .exits(0);
    assert!(place.with_file_name("disk").join("app.ini").is_file());
    assert_eq!(machine.state(), before);
}

#[test]
fn no_command_of_the_service_runs_for_an_import_with_a_root() {
    let command = source(
        "dump",
        "command",
        "export = \"echo dump\"\nimport = \"cat > took\"\nactive_command = \"echo busy; touch asked\"",
    );
    let (machine, archive) = service(&command);
    let root = machine.path("tmp/root").display().to_string();
    for more in [["--dry-run"].as_slice(), &[]] {
        let verb = ["import", &archive, "--root", &root, "--json"];
        let report = machine
            .run(&[verb.as_slice(), more].concat())
            .exits(3)
            .json();
        assert_eq!(report["left_undone"][0]["kind"], "command", "{report}");
        assert_eq!(report["left_undone"][0]["entry"], "dump", "{report}");
    }
    assert!(!machine.path("out/took").exists() && !machine.path("out/asked").exists());
    machine.run(&["import", &archive]).exits(11);
}

#[test]
fn a_map_sends_what_lies_below_a_folder_elsewhere_and_leaves_the_old_place_alone() {
    let (machine, archive) = service("");
    let (old, new) = (machine.path("data"), machine.path("moved"));
    let map = format!("{}={}", old.display(), new.display());
    let ini = format!(
        "{}={}",
        old.join("app.ini").display(),
        machine.path("etc/other.ini").display()
    );
    let before = tree(&old);
    let verb = ["import", &archive, "--map", &map, "--map", &ini, "--json"];
    let rehearsed = machine
        .run(&[verb.as_slice(), &["--dry-run"]].concat())
        .exits(0)
        .json();
    let report = machine.run(&verb).exits(0).json();
    assert_eq!(targets(&report), targets(&rehearsed));
    assert_eq!(report["warnings"][0]["kind"], "map", "{report}");
    assert_eq!(tree(&old), before);
    assert_eq!(machine.read("etc/other.ini"), b"archived");
    assert_eq!(
        fs::read(new.join("files/deep/one")).expect("a file"),
        b"archived"
    );
    assert_eq!(row(&new.join("app.db")), "archived");
    assert!(!new.join("app.ini").exists());
    machine.run(&["rollback"]).exits(0);
    assert!(!new.join("app.db").exists() && !machine.path("etc/other.ini").exists());
    assert_eq!(tree(&old), before);
    // Twice is once.
    machine.run(&verb).exits(0);
    let report = machine.run(&verb).exits(0).json();
    let is_unchanged = |(_, action): &(String, String)| action == "unchanged";
    assert!(targets(&report).iter().all(is_unchanged), "{report}");
    assert_eq!(tree(&old), before);
}

#[test]
fn a_map_that_says_nothing_of_any_target_is_refused() {
    let (machine, archive) = service("");
    let before = machine.state();
    let data = machine.path("data").display().to_string();
    for (map, says) in [
        (format!("{data}x=/new"), "says nothing of any target"),
        ("/new".to_owned(), "OLD=NEW"),
        (format!("{data}=~/new"), "is not expanded"),
        (format!("{data}/app.ini={data}/files/x"), ""),
    ] {
        let run = machine.run(&["import", &archive, "--map", &map]);
        if says.is_empty() {
            // Inside a directory that is replaced as one: it comes with it.
            run.exits(0);
            assert_eq!(machine.read("data/files/x"), b"archived");
            continue;
        }
        run.exits(2).says(says);
        assert_eq!(machine.state(), before, "{map}");
    }
}

#[test]
fn a_root_that_is_no_folder_is_refused() {
    let (machine, archive) = service("");
    machine.write("tmp/file", "", 0o600);
    let file = machine.path("tmp/file").display().to_string();
    machine
        .run(&["import", &archive, "--root", &file])
        .exits(2)
        .says("is not a folder");
    assert_eq!(machine.read("tmp/file"), b"");
}

#[test]
fn a_rollback_with_a_configuration_that_is_not_there_makes_no_folder() {
    let machine = Machine::new();
    let binary = env!("CARGO_BIN_EXE_hookshot");
    let mut command = std::process::Command::new(binary);
    command
        .args(["--config", "typo/deep/config.toml", "rollback"])
        .current_dir(machine.path("out"));
    support::finish(command, b"")
        .exits(10)
        .says("does not exist, and no import")
        .says("typo/deep/config.toml");
    assert!(!machine.path("out/typo").exists());
}

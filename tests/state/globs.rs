//! Sources whose paths are patterns: files that come and go, through the real binary.

use support::Machine;

use std::{fs, path::Path};

use rusqlite::Connection;
use serde_json::Value;

/// A machine with budgets in `data/budgets`; `source` is the section of the source.
fn machine(source: &str) -> Machine {
    let machine = Machine::empty();
    let text = format!("[backup]\nprefix = \"budgets\"\n[[backup.sources]]\n{source}\n");
    machine.write("etc/config.toml", text, 0o600);
    fs::create_dir(machine.path("data/budgets")).expect("a folder");
    machine
}

fn budgets(more: &str) -> String {
    format!(
        "name = \"budgets/*.sqlite\"\nkind = \"sqlite\"\npath = \"../data/budgets/group-*.sqlite\"\n{more}"
    )
}

fn budget(path: &Path, number: i64) {
    let connection = Connection::open(path).expect("a database");
    connection
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t(a)")
        .expect("a table");
    connection
        .execute("INSERT INTO t VALUES (?1)", [number])
        .expect("a row");
}

fn row(path: &Path) -> i64 {
    let connection = Connection::open(path).expect("a database");
    connection
        .query_row("SELECT a FROM t", [], |row| row.get(0))
        .expect("a row")
}

fn entries(machine: &Machine, archive: &str) -> Vec<String> {
    let shown = machine.run(&["inspect", archive, "--json"]).exits(0).json();
    let files = shown["manifest"]["files"].as_object().expect("files");
    let names = files.keys().filter(|name| *name != "config.toml");
    names.cloned().collect()
}

fn kinds(report: &Value) -> Vec<(String, String)> {
    let warnings = report["warnings"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |warning: &Value| (text(&warning["kind"]), text(&warning["entry"]));
    warnings.iter().map(of).collect()
}

#[test]
fn a_budget_made_tomorrow_goes_along_and_one_that_is_gone_is_said() {
    let machine = machine(&budgets(""));
    let path = |name: &str| machine.path(&format!("data/budgets/group-{name}.sqlite"));
    budget(&path("a"), 1);
    budget(&path("b"), 2);
    // SQLite's companions of a database, and the leftovers of an import, are not budgets.
    let open = Connection::open(path("a")).expect("a database");
    open.query_row("SELECT a FROM t", [], |_| Ok(()))
        .expect("open");
    assert!(machine.path("data/budgets/group-a.sqlite-wal").exists());
    machine
        .run(&["export", "budgets-20260101-000000.tar.gz"])
        .exits(0);
    drop(open);
    let first = entries(&machine, "budgets-20260101-000000.tar.gz");
    assert_eq!(first, ["budgets/a.sqlite", "budgets/b.sqlite"]);
    budget(&path("c"), 3);
    fs::remove_file(path("a")).expect("removed");
    let report = machine.run(&["export", "./", "--json"]).exits(0).json();
    let gone = ("gone".to_owned(), "budgets/a.sqlite".to_owned());
    assert_eq!(kinds(&report), [gone], "{report}");
    let name = report["archive"].as_str().expect("a name").to_owned();
    assert_eq!(
        entries(&machine, &name),
        ["budgets/b.sqlite", "budgets/c.sqlite"]
    );
}

#[test]
fn entries_find_their_places_on_a_machine_that_lost_them_and_others_stay() {
    let machine = machine(&budgets(""));
    let path = |name: &str| machine.path(&format!("data/budgets/group-{name}.sqlite"));
    budget(&path("a"), 1);
    budget(&path("b"), 2);
    machine.run(&["export", "a.tar.gz"]).exits(0);
    fs::remove_dir_all(machine.path("data/budgets")).expect("lost");
    fs::create_dir(machine.path("data/budgets")).expect("a folder");
    budget(&path("new"), 9);
    let archive = machine.read("out/a.tar.gz");
    let mut reports = Vec::new();
    for arguments in [
        &["import", "a.tar.gz", "--dry-run", "--json"][..],
        &["import", "-", "--json"],
    ] {
        let input: &[u8] = if arguments[1] == "-" { &archive } else { b"" };
        let report = machine.run_with(arguments, input).exits(0).json();
        let stray = ("stray".to_owned(), "budgets/new.sqlite".to_owned());
        assert_eq!(kinds(&report), [stray], "{report}");
        reports.push(report["steps"].clone());
    }
    assert_eq!(reports[0], reports[1]);
    assert_eq!((row(&path("a")), row(&path("b"))), (1, 2));
    assert_eq!(row(&path("new")), 9);
    machine.run(&["rollback"]).exits(0);
    assert!(!path("a").exists());
    assert_eq!(row(&path("new")), 9);
    // A database that a process has open is one of this machine's, whatever matched it.
    budget(&path("a"), 5);
    let open = Connection::open(path("a")).expect("a database");
    open.query_row("SELECT a FROM t", [], |_| Ok(()))
        .expect("open");
    machine.run(&["import", "a.tar.gz"]).exits(11);
    drop(open);
    machine
        .run(&["import", "a.tar.gz", "--only", "budgets/b.sqlite"])
        .exits(0);
    assert_eq!((row(&path("a")), row(&path("b"))), (5, 2));
}

#[test]
fn nothing_that_matches_is_an_error_unless_it_may_be_so() {
    let machine = machine(&budgets(""));
    let missing = machine.run(&["export", "a.tar.gz"]).exits(10);
    missing.says("budgets/*.sqlite is missing: nothing matches");
    assert!(!machine.path("out/a.tar.gz").exists());
    let validated = machine.run(&["validate", "--json"]).exits(0).json();
    assert!(
        validated["warnings"]
            .to_string()
            .contains("nothing matches"),
        "{validated}"
    );
    let optional = self::machine(&budgets("optional = true"));
    optional.run(&["export", "a.tar.gz"]).exits(0);
    let few = self::machine(&budgets("min_files = 2"));
    budget(&few.path("data/budgets/group-1.sqlite"), 1);
    let few = few.run(&["export", "a.tar.gz"]).exits(10);
    few.says("budgets/*.sqlite has 1 files, and `min_files` asks for 2");
}

#[test]
fn a_name_without_a_star_is_put_before_what_the_pattern_matched() {
    let machine =
        machine("name = \"users\"\nkind = \"file\"\npath = \"../data/budgets/*/settings.[jt]*\"");
    for name in ["one", "two", ".hidden"] {
        fs::create_dir(machine.path(&format!("data/budgets/{name}"))).expect("a folder");
        machine.write(&format!("data/budgets/{name}/settings.json"), name, 0o640);
    }
    machine.write("data/budgets/two/settings.toml", "t", 0o600);
    machine.write("data/budgets/two/settings.xml", "x", 0o600);
    machine.run(&["export", "a.tar.gz"]).exits(0);
    assert_eq!(
        entries(&machine, "a.tar.gz"),
        [
            "users/one/settings.json",
            "users/two/settings.json",
            "users/two/settings.toml"
        ]
    );
    fs::remove_dir_all(machine.path("data/budgets")).expect("lost");
    machine.run(&["import", "a.tar.gz"]).exits(0);
    assert_eq!(machine.read("data/budgets/one/settings.json"), b"one");
    assert_eq!(machine.mode("data/budgets/one/settings.json"), 0o640);
    machine.run(&["import", "a.tar.gz"]).exits(0);
    assert_eq!(entries(&machine, "a.tar.gz").len(), 3);
}

#[test]
fn folders_may_come_and_go_as_well() {
    let machine =
        machine("name = \"site-*\"\nkind = \"directory\"\npath = \"../data/budgets/*.site\"");
    for name in ["a.site", "b.site", "c.other"] {
        fs::create_dir(machine.path(&format!("data/budgets/{name}"))).expect("a folder");
        machine.write(&format!("data/budgets/{name}/index"), name, 0o644);
    }
    machine.run(&["export", "a.tar.gz"]).exits(0);
    assert_eq!(
        entries(&machine, "a.tar.gz"),
        ["site-a/index", "site-b/index"]
    );
    fs::remove_dir_all(machine.path("data/budgets/b.site")).expect("lost");
    machine.run(&["import", "a.tar.gz"]).exits(0);
    assert_eq!(machine.read("data/budgets/b.site/index"), b"b.site");
}

#[test]
fn a_path_that_is_there_is_taken_as_it_is() {
    let machine = machine("name = \"odd\"\nkind = \"file\"\npath = \"../data/budgets/a[1]*.txt\"");
    machine.write("data/budgets/a[1]*.txt", "odd", 0o600);
    machine.write("data/budgets/a1x.txt", "other", 0o600);
    machine.run(&["export", "a.tar.gz"]).exits(0);
    assert_eq!(entries(&machine, "a.tar.gz"), ["odd"]);
    fs::remove_file(machine.path("data/budgets/a[1]*.txt")).expect("lost");
    machine.run(&["import", "a.tar.gz"]).exits(0);
    assert_eq!(machine.read("data/budgets/a[1]*.txt"), b"odd");
}

#[test]
fn patterns_that_say_nothing_and_names_that_meet_are_refused() {
    for (name, path) in [("b", "../data/**/x"), ("b-*", "../data/*/*")] {
        let source = format!("name = \"{name}\"\nkind = \"file\"\npath = \"{path}\"");
        let refused = machine(&source).run(&["export", "a.tar.gz"]).exits(2);
        refused.says("is not a good pattern");
    }
    let machine = machine(
        "name = \"x/*\"\nkind = \"file\"\npath = \"../data/budgets/*.a\"\n[[backup.sources]]\nname = \"x/one\"\nkind = \"file\"\npath = \"../data/other\"",
    );
    machine.write("data/budgets/one.a", "1", 0o600);
    machine.write("data/other", "1", 0o600);
    let refused = machine.run(&["export", "a.tar.gz"]).exits(2);
    refused.says("the sources x/one and x/one cannot both have their names");
}

/// A file of a pattern that lies in a folder which is a source is not part of that folder, as any source of its own.
#[test]
fn what_a_pattern_matches_in_a_folder_that_is_a_source_is_its_own() {
    let machine = machine(&format!(
        "{}\n[[backup.sources]]\nname = \"all\"\nkind = \"directory\"\npath = \"../data/budgets\"",
        budgets("")
    ));
    let path = machine.path("data/budgets/group-a.sqlite");
    budget(&path, 4);
    machine.write("data/budgets/notes", "n", 0o600);
    machine.run(&["export", "a.tar.gz"]).exits(0);
    assert_eq!(
        entries(&machine, "a.tar.gz"),
        ["all/notes", "budgets/a.sqlite"]
    );
    fs::remove_dir_all(machine.path("data/budgets")).expect("lost");
    machine.run(&["import", "a.tar.gz"]).exits(0);
    assert_eq!(row(&path), 4);
    assert_eq!(machine.read("data/budgets/notes"), b"n");
}

#[test]
fn what_two_matches_lead_to_by_a_link_is_one_source() {
    let machine =
        machine("name = \"users\"\nkind = \"file\"\npath = \"../data/budgets/*/settings\"");
    for user in ["anna", "zoe"] {
        fs::create_dir(machine.path(&format!("data/budgets/{user}"))).expect("a folder");
        machine.write(&format!("data/budgets/{user}/settings"), user, 0o600);
    }
    // It comes first by name.
    let link = machine.path("data/budgets/a-link");
    std::os::unix::fs::symlink("zoe", &link).expect("a link");
    let archive = machine.export("a.tar.gz");
    let wanted = ["users/anna/settings", "users/zoe/settings"];
    assert_eq!(entries(&machine, &archive), wanted);
    // And so they come back, the folder that the link leads to as well.
    fs::remove_dir_all(machine.path("data/budgets/zoe")).expect("removed");
    for _ in 0..2 {
        machine.run(&["import", &archive]).exits(0);
    }
    assert_eq!(machine.read("data/budgets/a-link/settings"), b"zoe");
}

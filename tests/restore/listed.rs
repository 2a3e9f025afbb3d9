//! Archives in which a listing has the records of a directory: they come back as others do.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
    process::Command,
};

use hookshot::{
    machine::rehearsal::Rehearsal,
    model::plan::Action,
    verbs::{self, ImportRequest, Settings},
};
use serde_json::Value;
use support::{
    Machine, directories,
    listed::{choices, context, export_listed},
};

const SOURCES: &str = r#"
[backup]
prefix = "x"
include_config = false
[[backup.sources]]
name = "data"
kind = "directory"
path = "../srv/data"
exclude = ["/cache/", "*-wal"]
[[backup.sources]]
name = "own.toml"
kind = "file"
path = "../srv/data/a/own.toml"
[[backup.sources]]
name = "page"
kind = "file"
path = "../srv/page"
"#;

/// A machine with a directory of all kinds of things, a file source in it, and one beside it.
fn machine() -> Machine {
    let machine = Machine::empty();
    machine.write("etc/config.toml", SOURCES, 0o600);
    directories::fill(&machine);
    let data = machine.path("srv/data");
    for folder in ["a.d", "closed", "cache"] {
        fs::create_dir(data.join(folder)).expect("made");
    }
    for (name, mode) in [
        ("a.d/z", 0o400),
        ("closed/in", 0o644),
        ("app.db", 0o644),
        ("cache/c", 0o644),
        ("a/own.toml", 0o600),
    ] {
        machine.write(&format!("srv/data/{name}"), name, mode);
    }
    fs::write(data.join("a\\..\\b"), "escaped").expect("written");
    symlink("../a-b", data.join("a/back")).expect("a link");
    let sparse = fs::File::create(data.join("sparse")).expect("made");
    sparse.set_len(1 << 20).expect("long");
    fs::set_permissions(data.join("closed"), fs::Permissions::from_mode(0o550)).expect("set");
    machine
}

type Node = (u32, i64, i64, Vec<u8>);

/// Everything below `folder`: mode, time, and content or target. The time of the top is not compared.
fn nodes(folder: &Path) -> BTreeMap<PathBuf, Node> {
    let mut found = BTreeMap::new();
    let mut ahead = vec![folder.to_owned()];
    while let Some(path) = ahead.pop() {
        for entry in path.read_dir().expect("readable") {
            let path = entry.expect("readable").path();
            let metadata = path.symlink_metadata().expect("there");
            let content = match () {
                () if metadata.is_symlink() => {
                    let target = fs::read_link(&path).expect("a link");
                    target.into_os_string().into_vec()
                }
                () if metadata.is_dir() => {
                    ahead.push(path.clone());
                    Vec::new()
                }
                () => fs::read(&path).expect("readable"),
            };
            let (time, part) = (metadata.mtime(), metadata.mtime_nsec());
            let name = path.strip_prefix(folder).expect("below").to_owned();
            found.insert(name, (metadata.mode(), time, part, content));
        }
    }
    found
}

fn change(machine: &Machine) {
    let data = machine.path("srv/data");
    machine.write("srv/data/a/x", "another x", 0o600);
    machine.write("srv/data/a/own.toml", "mine = 1", 0o600);
    machine.write("srv/data/a-b/more", "a folder now", 0o600);
    machine.write("srv/data/cache/c", "cached since", 0o644);
    machine.write("srv/page", "second", 0o644);
    fs::remove_file(data.join("to")).expect("removed");
    symlink("elsewhere", data.join("to")).expect("a link");
    fs::remove_dir(data.join("empty")).expect("removed");
    fs::set_permissions(data.join("a.d"), fs::Permissions::from_mode(0o700)).expect("set");
}

/// Makes room for a folder in place of a file.
fn change_all(machine: &Machine) {
    fs::remove_file(machine.path("srv/data/a-b")).expect("removed");
    fs::create_dir(machine.path("srv/data/a-b")).expect("made");
    change(machine);
}

fn actions(report: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let steps = report["steps"].as_array().expect("steps").iter();
    steps
        .map(|step| (text(&step["entry"]), text(&step["action"])))
        .collect()
}

/// Runs an import as JSON, first as a dry run: both say the same.
fn import(machine: &Machine, arguments: &[&str], code: i32) -> Value {
    let with = |more: &[&str]| {
        let all = [&["import", "--json"], more, arguments].concat();
        machine.run(&all).exits(code).json()
    };
    let before = nodes(&machine.path("srv"));
    let dry = with(&["--dry-run"]);
    assert_eq!(nodes(&machine.path("srv")), before, "a dry run");
    let real = with(&[]);
    for key in ["left_undone", "warnings", "steps", "blocked"] {
        assert_eq!(dry[key], real[key], "{key}");
    }
    real
}

fn is_listed(archive: &str) -> bool {
    let tar = Command::new("tar").args(["tzf", archive]).output();
    let names = tar.expect("tar").stdout;
    String::from_utf8_lossy(&names).contains("/data.files.jsonl\n")
}

#[test]
fn a_listed_directory_comes_back_goes_and_comes_again() {
    let machine = machine();
    let archived = nodes(&machine.path("srv"));
    let archive = export_listed(&machine, "a.tar.gz", 3);
    assert!(is_listed(&archive));
    change_all(&machine);
    let report = import(&machine, &[&archive], 0);
    assert_eq!(actions(&report)["data"], "replace");
    assert!(report["left_undone"].is_null(), "{}", report["left_undone"]);
    let cache = |mut nodes: BTreeMap<PathBuf, Node>| {
        nodes.retain(|path, _| !path.starts_with("data/cache") && !path.starts_with("data.bak"));
        // What lies in them is placed after them.
        for folder in ["data", "data/a"] {
            if let Some(node) = nodes.get_mut(Path::new(folder)) {
                (node.1, node.2) = (0, 0);
            }
        }
        nodes.retain(|path, _| path.extension().is_none_or(|end| end != "bak"));
        nodes
    };
    let now = nodes(&machine.path("srv"));
    assert_eq!(cache(now.clone()), cache(archived));
    assert_eq!(machine.read("srv/data/cache/c"), b"cached since");

    // Whether this machine's records are in memory or in a listing as well.
    let again = import(&machine, &[&archive], 0);
    let unchanged = actions(&again);
    assert!(
        unchanged.values().all(|action| action == "unchanged"),
        "{unchanged:?}"
    );
    for most in [0, 3, 1000] {
        let context = context(&machine, most);
        let settings = Settings::load(&choices(&machine)).expect("good settings");
        let input = verbs::input(&context, &settings, &archive).expect("an archive");
        let request = ImportRequest {
            rehearsal: Rehearsal::DryRun,
            ..ImportRequest::new(input)
        };
        let report = verbs::import(&context, &choices(&machine), &request).expect("a report");
        let steps = report.steps.iter();
        let mut other = steps.filter(|step| step.action != Action::Unchanged);
        assert!(other.next().is_none(), "{most}");
    }

    fs::write(machine.path("srv/data/a/b/y"), "since").expect("written");
    let since = nodes(&machine.path("srv"));
    import(&machine, &[&archive], 0);
    machine.run(&["rollback"]).exits(0);
    assert_eq!(cache(nodes(&machine.path("srv"))), cache(since));
}

/// The copy of a database differs from the file: its content counts.
#[test]
fn a_database_in_a_listed_directory_that_holds_the_same_is_unchanged() {
    let machine = machine();
    let database = machine.path("srv/data/a/app.db");
    let sql = "create table t(a); insert into t values(1), (2); delete from t where a = 1;";
    let run = Command::new("sqlite3").arg(&database).arg(sql).status();
    assert!(run.expect("sqlite3").success());
    let archive = export_listed(&machine, "a.tar.gz", 3);
    let report = import(&machine, &[&archive], 0);
    assert_eq!(actions(&report)["data"], "unchanged");
    let run = Command::new("sqlite3")
        .arg(&database)
        .arg("insert into t values(3)")
        .status();
    assert!(run.expect("sqlite3").success());
    let report = import(&machine, &[&archive], 0);
    assert_eq!(actions(&report)["data"], "replace");
}

#[test]
fn a_rollback_brings_back_what_a_listed_directory_replaced() {
    let machine = machine();
    let archive = export_listed(&machine, "a.tar.gz", 3);
    change_all(&machine);
    let without_backups = || {
        let mut nodes = nodes(&machine.path("srv"));
        nodes.retain(|path, _| {
            let first = path.iter().next().unwrap_or_default();
            !first.as_bytes().ends_with(b".bak")
        });
        // Their times change with what is carried along, and with what is placed in them.
        for folder in ["data", "data/a"] {
            if let Some(node) = nodes.get_mut(Path::new(folder)) {
                (node.1, node.2) = (0, 0);
            }
        }
        nodes
    };
    let changed = without_backups();
    import(&machine, &[&archive], 0);
    let imported = without_backups();
    assert_ne!(changed, imported);
    machine.run(&["rollback"]).exits(0);
    assert_eq!(without_backups(), changed);
    machine.run(&["rollback"]).exits(0);
    assert_eq!(without_backups(), imported);
}

#[test]
fn a_part_of_an_archive_is_a_listed_directory_or_all_but_it() {
    let machine = machine();
    let archive = export_listed(&machine, "a.tar.gz", 3);
    change_all(&machine);
    for option in ["--only", "--except"] {
        let name = "data.files.jsonl";
        let run = machine.run(&["import", option, name, &archive]).exits(2);
        run.says("data.files.jsonl has the records of the directory data");
    }
    machine
        .run(&["import", "--only", "data/a/x", &archive])
        .exits(2)
        .says("is a part of the directory data");
    machine
        .run(&[
            "import", "--except", "data", "--except", "page", "--except", "own.toml", &archive,
        ])
        .exits(2)
        .says("nothing is left to import");
    let report = import(&machine, &["--except", "data", &archive], 0);
    assert_eq!(
        actions(&report).keys().collect::<Vec<_>>(),
        ["own.toml", "page"]
    );
    assert_eq!(machine.read("srv/data/a/x"), b"another x");
    assert_eq!(machine.read("srv/data/a/own.toml"), b"a/own.toml");
    machine.write("srv/page", "second", 0o644);
    machine.write("srv/data/a/own.toml", "mine = 1", 0o600);
    let report = import(&machine, &["--only", "data", &archive], 0);
    assert_eq!(actions(&report).keys().collect::<Vec<_>>(), ["data"]);
    assert_eq!(machine.read("srv/data/a/x"), b"a/x");
    assert_eq!(machine.read("srv/data/a/own.toml"), b"mine = 1");
    assert_eq!(machine.read("srv/page"), b"second");
}

#[test]
fn a_listed_directory_without_a_place_is_left_out_once() {
    let machine = machine();
    let archive = export_listed(&machine, "a.tar.gz", 3);
    let sources = SOURCES.split("[[backup.sources]]").collect::<Vec<_>>();
    let page = format!("{}[[backup.sources]]{}", sources[0], sources[3]);
    machine.write("etc/config.toml", page, 0o600);
    machine.write("srv/page", "second", 0o644);
    let before = nodes(&machine.path("srv/data"));
    let report = import(&machine, &[&archive], 3);
    let undone = report["left_undone"].as_array().expect("a list");
    let entries: Vec<&str> = undone
        .iter()
        .map(|remark| remark["entry"].as_str().expect("a name"))
        .collect();
    assert_eq!(entries, ["data", "own.toml"]);
    assert_eq!(nodes(&machine.path("srv/data")), before);
    assert_eq!(machine.read("srv/page"), b"first");
}

#[test]
fn the_log_of_another_state_goes_although_patterns_exclude_it() {
    let machine = machine();
    let archive = export_listed(&machine, "a.tar.gz", 3);
    import(&machine, &[&archive], 0);
    machine.write("srv/data/app.db-wal", "of another state", 0o644);
    machine.write("srv/data/note-wal", "of no database", 0o644);
    let report = import(&machine, &[&archive], 0);
    assert_eq!(actions(&report)["data"], "replace");
    assert!(!machine.path("srv/data/app.db-wal").exists());
    assert_eq!(machine.read("srv/data/note-wal"), b"of no database");
    assert_eq!(machine.read("srv/data.bak/app.db-wal"), b"of another state");
}

/// With `--keep-staging` the files are copied from there, and stay.
#[test]
fn a_listed_directory_is_copied_where_the_unpacked_archive_stays() {
    let machine = machine();
    let archived = nodes(&machine.path("srv/data"));
    let archive = export_listed(&machine, "a.tar.gz", 3);
    fs::rename(machine.path("srv/data"), machine.path("srv/before")).expect("renamed");
    let report = machine.run(&["import", "--json", "--keep-staging", &archive]);
    let report = report.exits(0).json();
    let restored = nodes(&machine.path("srv/data"));
    let without_times = |mut nodes: BTreeMap<PathBuf, Node>| {
        nodes.retain(|path, _| !path.starts_with("cache"));
        // The file that is a source of its own is placed in this folder later.
        nodes.remove(Path::new("a"));
        nodes
    };
    assert_eq!(without_times(restored), without_times(archived));
    let staging = Path::new(report["staging"].as_str().expect("a folder"));
    assert_eq!(
        fs::read(staging.join("data/a/x")).expect("it stays"),
        b"a/x"
    );
    assert!(!staging.join("data.files.jsonl").exists());
    let blocks = machine.path("srv/data/sparse").metadata().expect("there");
    assert!(blocks.blocks() < 64, "holes are holes again");
    machine.run(&["rollback"]).exits(0);
    assert!(!machine.path("srv/data").exists());
}

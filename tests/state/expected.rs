//! Expectations that an import cannot meet, and must name: sources that the archive does not have, processes that stay
//! in the old folder, missing disks and owners; through the real binary.

use support::{Machine, Mounted, finish, is_root};

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::Path,
    process::Command,
};

use rusqlite::Connection;
use serde_json::Value;

/// A source of `kind` and `name` at `path`, with `more`.
fn source(name: &str, kind: &str, path: &Path, more: &str) -> String {
    let path = path.display();
    format!("[[backup.sources]]\nname = \"{name}\"\nkind = \"{kind}\"\npath = \"{path}\"\n{more}\n")
}

fn describe(machine: &Machine, sources: &[String]) {
    let text = format!("[backup]\nprefix = \"app\"\n{}", sources.concat());
    machine.write("etc/config.toml", text, 0o644);
}

/// Kind and entry of each of the remarks `of` a report.
fn remarks(report: &Value, of: &str) -> Vec<(String, String)> {
    let all = report[of].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.iter()
        .map(|remark| (text(&remark["kind"]), text(&remark["entry"])))
        .collect()
}

fn pair(kind: &str, entry: &str) -> Vec<(String, String)> {
    vec![(kind.to_owned(), entry.to_owned())]
}

#[test]
fn a_secret_that_neither_the_archive_nor_the_machine_has_is_left_undone() {
    let machine = Machine::empty();
    let key = source("key", "file", &machine.path("data/key"), "secret = true");
    let f = source("f", "file", &machine.path("data/f"), "");
    describe(&machine, &[key, f]);
    machine.write("data/key", "k", 0o600);
    machine.write("data/f", "1", 0o644);
    let archive = machine.path("out/a.tar.gz").display().to_string();
    machine
        .run(&["export", "--exclude-secrets", &archive])
        .exits(0);
    for dry in [&["--dry-run"][..], &[]] {
        let arguments = [&["import", "--json", &archive], dry].concat();
        let report = machine.run(&arguments).exits(0).json();
        assert_eq!(remarks(&report, "warnings"), pair("absent", "key"));
    }
    fs::remove_file(machine.path("data/key")).expect("removed");
    // The second real run has nothing else to say.
    for dry in [&["--dry-run"][..], &[], &[]] {
        let arguments = [&["import", "--json", &archive], dry].concat();
        let report = machine.run(&arguments).exits(3).json();
        assert_eq!(remarks(&report, "left_undone"), pair("absent", "key"));
    }
    machine.run(&["import", &archive, "--only", "f"]).exits(0);
}

#[test]
fn an_import_of_nothing_is_no_success() {
    let machine = Machine::empty();
    describe(
        &machine,
        &[source("f", "file", &machine.path("data/f"), "")],
    );
    machine.write("data/f", "1", 0o644);
    let archive = machine.export("a.tar.gz");
    let all = ["--except", "f", "--except", "config.toml"];
    for arguments in [&all[..], &["--only", "f", "--except", "f"]] {
        let arguments = [&["import", &archive], arguments].concat();
        machine
            .run(&arguments)
            .exits(2)
            .says("nothing is left to import");
    }
}

#[test]
fn a_process_that_works_in_a_replaced_folder_is_named() {
    let machine = Machine::empty();
    let folder = machine.path("data/app");
    fs::create_dir_all(folder.join("sub")).expect("folders");
    describe(&machine, &[source("app", "directory", &folder, "")]);
    machine.write("data/app/f", "1", 0o644);
    let archive = machine.export("a.tar.gz");
    machine.write("data/app/f", "2", 0o644);
    let mut service = Command::new("sleep")
        .arg("60")
        .current_dir(folder.join("sub"))
        .spawn()
        .expect("sleep");
    let said = format!(
        "process {} (sleep) has its working directory in",
        service.id()
    );
    // It takes a moment until it is `sleep`.
    let comm = format!("/proc/{}/comm", service.id());
    while fs::read_to_string(&comm).expect("a process").trim_end() != "sleep" {
        std::thread::yield_now();
    }
    for arguments in [
        &["import", "--dry-run", &archive][..],
        &["import", &archive],
    ] {
        machine.run(arguments).exits(0).says(&said);
    }
    // Nothing is replaced, so nothing is said; and a rollback replaces the new folder, in which it is not.
    for arguments in [&["import", &archive, "--json"][..], &["export", "x.tar.gz"]] {
        let text = machine.run(arguments).exits(0).text();
        assert!(!text.contains("working directory"), "{text}");
    }
    service.kill().expect("killed");
    service.wait().expect("gone");
}

#[test]
fn a_source_that_has_to_be_mounted_is_not_restored_below_its_mount_point() {
    if !is_root("a folder that no mount has") {
        return;
    }
    // The other tests' folder may be a mount itself.
    let outside = tempfile::tempdir_in("/").expect("a folder");
    let folder = outside.path().join("disk");
    fs::create_dir(&folder).expect("a folder");
    let machine = Machine::empty();
    describe(&machine, &[source("app", "directory", &folder, "")]);
    fs::write(folder.join("f"), "1").expect("written");
    let archive = machine.export("a.tar.gz");
    let strict = source("app", "directory", &folder, "mounted = true");
    describe(&machine, &[strict]);
    fs::write(folder.join("f"), "2").expect("written");
    for dry in [&["--dry-run"][..], &[]] {
        let arguments = [&["import", &archive], dry].concat();
        let run = machine.run(&arguments).exits(11);
        run.says("nothing is mounted at").says("mount it first");
    }
    assert_eq!(fs::read(folder.join("f")).expect("a file"), b"2");
    // The archive's configuration is another one: exit code 3.
    machine.run(&["import", &archive, "--force"]).exits(3);
    assert_eq!(fs::read(folder.join("f")).expect("a file"), b"1");
}

#[test]
fn a_mount_point_with_many_files_has_one_place_of_its_old_ones_in_messages() {
    if !is_root("mounts") {
        return;
    }
    let machine = Machine::empty();
    let folder = machine.path("data/app");
    fs::create_dir_all(&folder).expect("a folder");
    let disk = Mounted::tmpfs(&folder, "8m");
    describe(&machine, &[source("app", "directory", &folder, "")]);
    let fill = |text: &str| {
        for number in 0..100 {
            machine.write(&format!("data/app/{number}"), text, 0o644);
        }
    };
    fill("1");
    let archive = machine.export("a.tar.gz");
    fill("2");
    machine.run(&["import", &archive]).exits(0);
    machine.run(&["import", &archive]).exits(0);
    let run = machine.run(&["rollback"]).exits(10);
    let place = folder.join(".hookshot-bak");
    let run = run.says(&format!("lies in {}: stop", place.display()));
    assert!(run.text().len() < 1000, "{}", run.text());
    drop(disk);
}

#[test]
fn a_container_without_root_says_whose_files_it_cannot_give_back_and_imports_once() {
    if !is_root("files of others") {
        return;
    }
    let machine = Machine::empty();
    let (folder, ini) = (machine.path("data/app"), machine.path("data/app.ini"));
    fs::create_dir_all(&folder).expect("a folder");
    let sources = [
        source("app", "directory", &folder, ""),
        source("app.ini", "file", &ini, ""),
    ];
    describe(&machine, &sources);
    machine.write("data/app/f", "1", 0o644);
    machine.write("data/app.ini", "1", 0o644);
    for path in [&folder, &folder.join("f"), &ini] {
        chown(path, Some(5555), Some(5555)).expect("root");
    }
    let archive = machine.export("a.tar.gz");
    fs::remove_dir_all(&folder).expect("removed");
    fs::remove_file(&ini).expect("removed");
    machine.write("data/app.ini", "old", 0o644);
    let contained = |arguments: &[&str]| {
        let ours = machine.command();
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user"]);
        command.arg(ours.get_program()).args(ours.get_args());
        command.args(arguments).current_dir(machine.path("out"));
        command.env("TMPDIR", machine.path("tmp"));
        finish(command, b"")
    };
    let probe = Command::new("unshare")
        .args(["--user", "--map-root-user", "true"])
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        let is_complete = std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_some();
        assert!(!is_complete, "user namespaces are missing here");
        println!("skipped: user namespaces are missing here");
        return;
    }
    for dry in [&["--dry-run"][..], &[], &[]] {
        let arguments = [&["import", "--json", &archive], dry].concat();
        let report = contained(&arguments).exits(0).json();
        let kinds = remarks(&report, "warnings");
        assert_eq!(kinds.len(), 2, "user and group, in every run: {report}");
        assert!(kinds.iter().all(|(kind, _)| kind == "owner"), "{report}");
    }
    assert_eq!(fs::metadata(&ini).expect("a file").uid(), 0);
    // The second one replaced nothing, so the old state is still there.
    assert_eq!(machine.read("data/app.ini.bak"), b"old");
}

#[test]
fn a_folder_that_holds_nothing_but_another_source_is_not_called_empty() {
    let machine = Machine::empty();
    let folder = machine.path("data/app");
    fs::create_dir_all(&folder).expect("a folder");
    let sources = [
        source("key", "file", &folder.join("key"), ""),
        source("app", "directory", &folder, ""),
    ];
    describe(&machine, &sources);
    machine.write("data/app/key", "k", 0o600);
    for _ in 0..2 {
        let report = machine.run(&["export", "--json", "o/"]).exits(0).json();
        assert_eq!(remarks(&report, "warnings"), []);
    }
    // What had files is warned of all the same.
    machine.write("data/app/f", "1", 0o644);
    machine.run(&["export", "o/"]).exits(0);
    fs::remove_file(machine.path("data/app/f")).expect("removed");
    let report = machine.run(&["export", "--json", "o/"]).exits(0).json();
    assert_eq!(remarks(&report, "warnings"), pair("empty", "app"));
}

#[test]
fn a_second_import_does_not_lose_what_a_command_held_before_the_first() {
    let machine = Machine::empty();
    machine.write("tmp/db", "archived", 0o600);
    let db = machine.path("tmp/db").display().to_string();
    let text = format!(
        "[backup]\nprefix = \"app\"\n[[backup.sources]]\nname = \"dump\"\nkind = \"command\"\nexport = \"cat {db}\"\nimport = \"cat > {db}\"\n"
    );
    machine.write("etc/config.toml", text, 0o600);
    let archive = machine.export("a.tar.gz");
    machine.write("tmp/db", "before", 0o600);
    machine.run(&["import", &archive]).exits(0);
    assert_eq!(machine.read("etc/.hookshot/dump.bak"), b"before");
    for now in ["archived", "later", "latest"] {
        machine.write("tmp/db", now, 0o600);
        machine.run(&["import", &archive]).exits(0);
        assert_eq!(machine.read("tmp/db"), b"archived");
        assert_eq!(machine.read("etc/.hookshot/dump.bak"), b"before");
        assert_eq!(machine.read("etc/.hookshot/dump.bak.1"), now.as_bytes());
    }
    // The last import is undone, and then the undoing.
    machine.run(&["rollback"]).exits(0);
    assert_eq!(machine.read("tmp/db"), b"latest");
    machine.run(&["rollback"]).exits(0);
    assert_eq!(machine.read("tmp/db"), b"archived");
    // Another archive is another import.
    let other = machine.export("b.tar.gz");
    machine.write("tmp/db", "new", 0o600);
    machine.run(&["import", &other]).exits(0);
    machine.run(&["rollback"]).exits(0);
    assert_eq!(machine.read("tmp/db"), b"new");
}

#[test]
fn a_full_disk_is_said_in_the_same_words_by_the_dry_run() {
    if !is_root("mounts") {
        return;
    }
    let machine = Machine::empty();
    let folder = machine.path("data/app");
    fs::create_dir_all(&folder).expect("a folder");
    let disk = Mounted::tmpfs(&folder, "3m");
    describe(&machine, &[source("app", "directory", &folder, "")]);
    machine.write("data/app/f", vec![b'f'; 2 << 20], 0o644);
    let archive = machine.export("a.tar.gz");
    machine.write("data/app/f", "2", 0o644);
    machine.write("data/app/g", vec![b'g'; 2 << 20], 0o644);
    let refused = |arguments: &[&str]| {
        let arguments = [&["import", "--json", &archive], arguments].concat();
        machine.run(&arguments).exits(18).json()["error"]["message"].clone()
    };
    let said = refused(&["--dry-run"]);
    assert_eq!(said, refused(&[]));
    let place = format!("archive in {}:", folder.display());
    assert!(said.as_str().expect("words").contains(&place), "{said}");
    drop(disk);
}

#[test]
fn a_second_import_takes_a_log_away_that_the_service_wrote_whatever_is_excluded() {
    for exclude in ["", "exclude = [\"*-wal\", \"*-shm\"]"] {
        let machine = Machine::empty();
        let folder = machine.path("data/app");
        fs::create_dir_all(&folder).expect("a folder");
        describe(&machine, &[source("app", "directory", &folder, exclude)]);
        let path = folder.join("app.db");
        let database = Connection::open(&path).expect("a database");
        database
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t(a); INSERT INTO t VALUES (1)")
            .expect("a table");
        drop(database);
        let archive = machine.export("a.tar.gz");
        // What a service leaves that is killed: its commits are in the log alone.
        let database = Connection::open(&path).expect("a database");
        database
            .execute_batch("INSERT INTO t VALUES (2)")
            .expect("a row");
        let log = fs::read(folder.join("app.db-wal")).expect("a log");
        drop(database);
        machine.run(&["import", &archive]).exits(0);
        machine
            .run(&["import", &archive])
            .exits(0)
            .says("Nothing to restore");
        machine.write("data/app/app.db-wal", &log, 0o644);
        let dry = machine.run(&["import", "--dry-run", "--json", &archive]);
        let steps = dry.exits(0).json()["steps"].clone();
        assert_eq!(steps[0]["action"], "replace", "{exclude}: {steps}");
        machine.run(&["import", &archive]).exits(0);
        assert!(!folder.join("app.db-wal").exists(), "{exclude}");
        let database = Connection::open(&path).expect("a database");
        let count: i64 = database
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .expect("rows");
        assert_eq!(count, 1, "{exclude}");
    }
}

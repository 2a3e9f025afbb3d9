//! Databases that lie in a folder which is a source: each is copied as a database, through the real binary.

use support::invariant as ledger;
use support::service::Service;
use support::sqlite_invariant as invariant;
use support::{self, Holder, Machine, example};

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime},
};

use rusqlite::Connection;
use serde_json::Value;

/// A machine whose state is the folder `data/app`; `more` stands in the configuration.
fn machine(more: &str) -> Machine {
    let machine = Machine::empty();
    fs::create_dir(machine.path("data/app")).expect("a folder");
    let text = format!(
        "[backup]\nprefix = \"app\"\nto = [\"local\"]\n[backup.destinations.local]\nurl = \"{}\"\n[[backup.sources]]\nname = \"app\"\nkind = \"directory\"\npath = \"{}\"\n{more}\n",
        machine.path("out/kept").display(),
        machine.path("data/app").display(),
    );
    machine.write("etc/config.toml", text, 0o600);
    fs::create_dir(machine.path("out/kept")).expect("a folder");
    machine
}

/// A process that writes a SQLite database as fast as it can.
struct Writer(Child);

impl Writer {
    fn start(how: &str, path: &Path) -> Writer {
        let mut child = Command::new(example("sqlite_holder"))
            .args([how.as_ref(), path.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the writer");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Writer(child)
    }
}

/// As a service dies without a word.
impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A small database; the number of its row.
fn small(path: &Path, mode: &str, number: i64) {
    let connection = Connection::open(path).expect("a database");
    let begun = format!("PRAGMA journal_mode = {mode}; CREATE TABLE t(a); ");
    connection.execute_batch(&begun).expect("a table");
    connection
        .execute("INSERT INTO t VALUES (?1)", [number])
        .expect("a row");
}

fn row(path: &Path) -> i64 {
    let connection = Connection::open(path).expect("a database");
    let check: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("a verdict");
    assert_eq!(check, "ok", "{}", path.display());
    connection
        .query_row("SELECT a FROM t", [], |row| row.get(0))
        .expect("a row")
}

fn files(machine: &Machine, archive: &str) -> serde_json::Map<String, Value> {
    let shown = machine.run(&["inspect", archive, "--json"]).exits(0).json();
    shown["manifest"]["files"]
        .as_object()
        .expect("files")
        .clone()
}

/// Wipes what the service has, and leaves what a crash leaves beside a database.
fn lose(machine: &Machine, names: &[&str]) {
    for name in names {
        let path = machine.path(&format!("data/app/{name}"));
        fs::write(&path, b"SQLite format 3\0 and nothing else").expect("written");
        for ending in ["-wal", "-shm", "-journal"] {
            let beside = format!("{}{ending}", path.display());
            fs::write(beside, b"stale").expect("written");
        }
    }
}

#[test]
fn every_budget_in_a_folder_is_whole_although_it_is_written_meanwhile() {
    let machine = machine("");
    let names = [
        "account.sqlite",
        "group-1b7a/db.sqlite",
        "group-90ff/db.sqlite",
        "group-made-today.sqlite",
    ];
    for folder in ["group-1b7a", "group-90ff"] {
        fs::create_dir(machine.path(&format!("data/app/{folder}"))).expect("a folder");
    }
    let path = |name: &str| machine.path(&format!("data/app/{name}"));
    small(&path(names[0]), "delete", 1);
    let writers = [
        Writer::start("delete", &path(names[1])),
        Writer::start("wal", &path(names[2])),
        Writer::start("truncate", &path(names[3])),
    ];
    machine.write("data/app/user-files.blob", vec![7; 300_000], 0o640);
    for round in 0..3 {
        let archive = format!("a{round}.tar.gz");
        let report = machine.run(&["export", &archive, "--json"]).exits(0).json();
        let expected: Vec<String> = names.iter().map(|name| format!("app/{name}")).collect();
        assert_eq!(report["databases"], Value::from(expected), "{report}");
        assert_eq!(report.get("torn"), None, "{report}");
    }
    drop(writers);
    let files = files(&machine, "a2.tar.gz");
    for name in names {
        let record = &files[&format!("app/{name}")];
        assert_eq!(record["kind"], "sqlite", "{record}");
        assert_eq!(record["snapshot"]["method"], "vacuum_into", "{record}");
    }
    let all: Vec<&str> = files.keys().map(String::as_str).collect();
    assert!(all.contains(&"app/user-files.blob"), "{all:?}");
    assert!(
        !all.iter().any(|name| ["-wal", "-shm", "-journal"]
            .iter()
            .any(|end| name.ends_with(end))),
        "{all:?}"
    );
    lose(&machine, &names);
    machine.run(&["import", "a2.tar.gz"]).exits(0);
    for name in &names {
        for ending in ["-wal", "-shm", "-journal"] {
            assert!(!path(&format!("{name}{ending}")).exists(), "{name}{ending}");
        }
    }
    assert_eq!(row(&path(names[0])), 1);
    for name in &names[1..] {
        let connection = Connection::open(path(name)).expect("a database");
        assert!(invariant::check(&connection).expect(name) > 0);
    }
}

#[test]
fn a_database_in_a_folder_keeps_mode_owner_time_and_attributes_and_an_import_twice_is_one() {
    let machine = machine("");
    let path = machine.path("data/app/app.db");
    small(&path, "wal", 5);
    machine.write("data/app/plain", "x", 0o600);
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).expect("set");
    let is_root = support::is_root("owners");
    if is_root {
        std::os::unix::fs::chown(&path, Some(1234), Some(2345)).expect("given away");
    }
    let label = Command::new("setfattr")
        .args(["-n", "user.label", "-v", "books"])
        .arg(&path)
        .status();
    let has_label = label.is_ok_and(|status| status.success());
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
    let file = fs::File::options().write(true).open(&path).expect("it");
    file.set_modified(time).expect("set");
    drop(file);
    machine.run(&["export", "a.tar.gz"]).exits(0);
    let record = files(&machine, "a.tar.gz")["app/app.db"].clone();
    assert_eq!(record["xattrs"].is_object(), has_label, "{record}");
    lose(&machine, &["app.db"]);
    machine.run(&["import", "a.tar.gz"]).exits(0);
    let metadata = path.metadata().expect("it");
    assert_eq!(metadata.mode() & 0o7777, 0o640);
    assert_eq!(metadata.modified().expect("a time"), time);
    if is_root {
        assert_eq!((metadata.uid(), metadata.gid()), (1234, 2345));
    }
    let again = machine
        .run(&["import", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    let steps = again["steps"].as_array().expect("steps");
    assert!(
        steps.iter().all(|step| step["action"] == "unchanged"),
        "{again}"
    );
    assert_eq!(row(&path), 5);
}

#[test]
fn a_redb_database_in_a_folder_is_one_commit_beside_its_service() {
    let machine = machine("");
    let path = machine.path("data/app/items.redb");
    drop(redb::Database::create(&path).expect("a database"));
    let holder = Holder::start("torture-immediate", &path);
    let report = machine
        .run(&["export", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    assert_eq!(report["databases"], serde_json::json!(["app/items.redb"]));
    assert!(report["snapshot"]["transaction_id"].is_u64(), "{report}");
    machine.run(&["import", "a.tar.gz"]).exits(11);
    holder.end();
    machine.run(&["import", "a.tar.gz"]).exits(0);
    let db = redb::Database::open(&path).expect("a database");
    ledger::check(db).expect("one commit");
}

/// A header, a page of garbage, a file that ends early, and a header alone: each would end an export if it were a source of its own.
#[test]
fn what_is_no_good_database_goes_along_as_a_file_and_is_said() {
    let machine = machine("");
    let path = |name: &str| machine.path(&format!("data/app/{name}"));
    small(&path("good.db"), "delete", 7);
    Writer::start("idle-delete", &path("cut.db"));
    let whole = fs::read(path("cut.db")).expect("it");
    fs::write(path("cut.db"), &whole[..whole.len() / 2]).expect("cut");
    let mut holed = whole;
    let middle = holed.len() / 2;
    holed[middle..middle + 8192].fill(0xa5);
    fs::write(path("holed.db"), &holed).expect("written");
    fs::write(path("header"), b"SQLite format 3\0").expect("written");
    fs::write(path("redb-header"), b"redb\x1a\x0a\xa9\x0d\x0a").expect("written");
    fs::write(path("empty.db"), b"").expect("written");
    fs::write(path("encrypted.db"), vec![0x5c; 8192]).expect("written");
    let report = machine
        .run(&["export", "a.tar.gz", "--json"])
        .exits(3)
        .json();
    let undone = report["left_undone"].as_array().expect("some");
    let mut named: Vec<&str> = undone
        .iter()
        .map(|remark| {
            assert_eq!(remark["kind"], "database", "{report}");
            remark["entry"].as_str().expect("an entry")
        })
        .collect();
    named.sort_unstable();
    let bad = [
        "app/cut.db",
        "app/header",
        "app/holed.db",
        "app/redb-header",
    ];
    assert_eq!(named, bad);
    assert_eq!(report["databases"], serde_json::json!(["app/good.db"]));
    let verified = machine
        .run(&["verify", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    assert_eq!(verified["archives"][0]["torn"], serde_json::json!(bad));
    let shown = machine.run(&["inspect", "a.tar.gz"]).exits(0).text();
    assert!(shown.contains("torn      app/cut.db"), "{shown}");
    fs::write(path("good.db"), "lost").expect("lost");
    for arguments in [
        &["import", "a.tar.gz", "--dry-run"][..],
        &["import", "a.tar.gz"],
    ] {
        let arguments = [arguments, &["--json"]].concat();
        let imported = machine.run(&arguments).exits(3).json();
        let undone = imported["left_undone"].as_array().expect("some");
        assert_eq!(undone.len(), 4, "{imported}");
        assert_eq!(undone[0]["kind"], "torn", "{imported}");
    }
    assert_eq!(row(&path("good.db")), 7);
    assert_eq!(fs::read(path("holed.db")).expect("it"), holed);
    assert_eq!(
        fs::read(path("encrypted.db")).expect("it"),
        vec![0x5c; 8192]
    );
}

#[test]
fn an_archive_with_a_torn_database_is_never_the_newest_good_one() {
    let machine = machine("");
    let path = machine.path("data/app/app.db");
    let [older, old, newest] = [1, 2, 3].map(|day| format!("app-2026010{day}-030000.tar.gz"));
    let kept = |name: &str| machine.path("out/kept").join(name).display().to_string();
    small(&path, "delete", 1);
    machine.run(&["export", &kept(&older)]).exits(0);
    machine.run(&["export", &kept(&old)]).exits(0);
    let whole = fs::read(&path).expect("it");
    fs::write(&path, &whole[..5000]).expect("cut");
    machine.run(&["export", &kept(&newest)]).exits(3);
    let pruned = machine
        .run(&["prune", "--keep-last", "1", "--yes", "--json"])
        .exits(0)
        .json();
    let verdicts: Vec<(&str, &str, String)> = pruned["keep"]
        .as_array()
        .expect("some")
        .iter()
        .map(|kept| {
            let text = |key: &str| kept[key].as_str().expect("a text");
            (text("name"), text("standing"), kept["reasons"].to_string())
        })
        .collect();
    let [(first, torn, _), (second, good, reasons)] = &verdicts[..] else {
        panic!("{pruned}");
    };
    assert_eq!((*first, *torn), (newest.as_str(), "torn"), "{pruned}");
    assert_eq!((*second, *good), (old.as_str(), "good"), "{pruned}");
    assert!(reasons.contains("newest good archive"), "{pruned}");
    assert_eq!(pruned["removed"], 1, "{pruned}");
    for arguments in [
        &["verify", "@local/latest", "--json"][..],
        &["inspect", "@local/latest", "--json"],
        &["import", "@local/latest", "--json"],
    ] {
        let run = machine.run(arguments).exits(0);
        let run = run.says("A database in an archive is torn; trying the next older one");
        assert!(run.text().contains(&old), "{}", run.text());
    }
    assert_eq!(row(&path), 1);
    let listed = machine
        .run(&["list", "@local", "--long", "--json"])
        .exits(0)
        .json();
    assert_eq!(listed["archives"][0]["torn"], 1, "{listed}");
    assert_eq!(listed["archives"][1]["torn"], 0, "{listed}");
    // Without another one, it is the newest.
    fs::remove_file(kept(&old)).expect("removed");
    let only = machine.run(&["import", "@local/latest"]).exits(3);
    only.says("no older archive is better");
}

/// A bucket of the policy keeps its whole archive, however old it is: a torn one takes nothing's place.
#[test]
fn prune_keeps_the_whole_archive_of_a_day_and_not_a_torn_one() {
    let machine = machine("");
    let path = machine.path("data/app/app.db");
    small(&path, "delete", 1);
    let whole = fs::read(&path).expect("it");
    let kept = |name: &str| machine.path("out/kept").join(name).display().to_string();
    let name = |day: u32, hour: u32| format!("app-2026010{day}-{hour:02}0000.tar.gz");
    // Of the first day the newest archive is torn; of the second all; of the third the last but one.
    for (day, hour, is_torn) in [
        (1, 3, false),
        (1, 9, false),
        (1, 21, true),
        (2, 3, true),
        (2, 21, true),
        (3, 3, false),
        (3, 9, true),
        (3, 21, false),
    ] {
        let content = if is_torn { &whole[..5000] } else { &whole[..] };
        fs::write(&path, content).expect("written");
        let code = if is_torn { 3 } else { 0 };
        machine
            .run(&["export", &kept(&name(day, hour))])
            .exits(code);
    }
    let pruned = machine
        .run(&["prune", "--keep-daily", "3", "--yes", "--json"])
        .exits(0)
        .json();
    let names = |list: &str| -> Vec<(String, String)> {
        let list = pruned[list].as_array().expect("a list").iter();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        list.map(|one| (text(&one["name"]), text(&one["standing"])))
            .collect()
    };
    let good = "good".to_owned();
    assert_eq!(
        names("keep"),
        [
            (name(3, 21), good.clone()),
            (name(2, 21), "torn".to_owned()),
            (name(1, 9), good),
        ],
        "{pruned}"
    );
    let torn = pruned["remove"].as_array().expect("a list").iter();
    let mut torn = torn.filter(|one| one["name"] == name(1, 21).as_str());
    let reason = &torn.next().expect("it goes")["reason"];
    let replaced = format!("daily 2026-01-01: replaced by {}", name(1, 9));
    assert_eq!(reason, &Value::from(replaced), "{pruned}");
    let again = machine
        .run(&["prune", "--keep-daily", "3", "--yes", "--json"])
        .exits(0)
        .json();
    assert_eq!(again["removed"], 0, "{again}");
}

#[test]
fn a_database_that_goes_along_as_a_file_is_named_with_its_remedy() {
    let machine = machine("");
    let path = machine.path("data/app/app.db");
    let connection = Connection::open(&path).expect("a database");
    let text = "CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE INDEX ib ON t(b); INSERT INTO t VALUES(1,'a'),(2,'b'); \
        PRAGMA writable_schema=ON; CREATE TEMP TABLE kept AS SELECT * FROM sqlite_schema WHERE name='ib'; DELETE FROM sqlite_schema WHERE name='ib'";
    connection.execute_batch(text).expect("made");
    let definition: (String, String, i64, String) = connection
        .query_row(
            "SELECT name, tbl_name, rootpage, sql FROM kept",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .expect("it");
    connection.close().expect("closed");
    let connection = Connection::open(&path).expect("a database");
    connection
        .execute_batch("UPDATE t SET b='zzz' WHERE a=2; PRAGMA writable_schema=ON")
        .expect("changed");
    let (name, table, root, sql) = definition;
    connection
        .execute(
            "INSERT INTO sqlite_schema VALUES('index', ?1, ?2, ?3, ?4)",
            (name, table, root, sql),
        )
        .expect("put back");
    connection.close().expect("closed");
    let run = machine.run(&["export", "a.tar.gz", "--json"]).exits(3);
    let report = run.json();
    let message = report["left_undone"][0]["message"]
        .as_str()
        .expect("a message");
    for said in ["REINDEX", "ib", "marked as torn", "stop the service"] {
        assert!(message.contains(said), "{said}: {message}");
    }
    // The archive is made.
    assert!(!message.contains("no archive was written"), "{message}");
    let connection = Connection::open(&path).expect("a database");
    connection.execute_batch("REINDEX ib").expect("mended");
    machine.run(&["export", "b.tar.gz", "--json"]).exits(0);
}

#[test]
fn more_databases_than_a_process_may_open_files_go_along() {
    let machine = machine("");
    let template = machine.path("data/app/0.db");
    small(&template, "wal", 9);
    for number in 1..70 {
        let copy = machine.path(&format!("data/app/{number}.db"));
        fs::copy(&template, copy).expect("copied");
    }
    let hookshot = machine.command();
    let mut limited = Command::new("sh");
    limited
        .arg("-c")
        .arg("ulimit -n 50; exec \"$0\" \"$@\"")
        .arg(hookshot.get_program())
        .args(hookshot.get_args())
        .args(["export", "a.tar.gz", "--json"])
        .env("TMPDIR", machine.path("tmp"))
        .current_dir(machine.path("out"));
    let report = support::finish(limited, b"").exits(0).json();
    let databases = report["databases"].as_array().expect("some");
    assert_eq!(databases.len(), 70);
    machine.run(&["verify", "a.tar.gz"]).exits(0);
}

/// Excluded files are not read, whatever they are.
#[test]
fn a_database_that_is_excluded_stays_out_with_what_lies_beside_it() {
    let machine = machine("exclude = [\"*.old.db*\"]");
    small(&machine.path("data/app/app.db"), "delete", 1);
    machine.write("data/app/cut.old.db", "SQLite format 3\0", 0o600);
    machine.write("data/app/cut.old.db-wal", "log", 0o600);
    machine.write("data/app/other-wal", "no log of any database", 0o600);
    machine.run(&["export", "a.tar.gz"]).exits(0);
    let files = files(&machine, "a.tar.gz");
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["app/app.db", "app/other-wal", "config.toml"]);
}

#[test]
fn a_database_of_a_folder_that_is_replaced_while_a_process_holds_the_old_one_is_named() {
    let service = Service::with_config("shop", "");
    let folder = service.folder.join("data");
    fs::create_dir(&folder).expect("a folder");
    let text = format!(
        "[backup]\nprefix = \"shop\"\ninclude_config = false\n[[backup.sources]]\nname = \"data\"\nkind = \"directory\"\npath = \"{}\"\n",
        folder.display()
    );
    fs::write(&service.config, text).expect("written");
    let database = folder.join("app.db");
    let make = || {
        let connection = rusqlite::Connection::open(&database).expect("a database");
        connection
            .execute_batch("CREATE TABLE t (a)")
            .expect("made");
        connection.close().expect("closed");
    };
    make();
    service.run(&["export", "a.tar.gz"], 0);
    let mut holder = std::process::Command::new("sleep")
        .arg("60")
        .stdout(
            fs::OpenOptions::new()
                .append(true)
                .open(&database)
                .expect("it"),
        )
        .spawn()
        .expect("sleep");
    fs::remove_file(&database).expect("removed");
    make();
    let pid = holder.id().to_string();
    service.run(&["export", "b.tar.gz"], 3).says(&pid);
    fs::write(folder.join("other"), "new").expect("written");
    service
        .run(&["import", "a.tar.gz", "--dry-run"], 11)
        .says(&pid);
    service.run(&["import", "a.tar.gz"], 11).says(&pid);
    holder.kill().expect("killed");
    holder.wait().expect("gone");
    service.run(&["export", "c.tar.gz"], 0);
    service.run(&["import", "a.tar.gz"], 0);
}

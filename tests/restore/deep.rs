//! `verify --deep`: an archive whose every byte is what its manifest says, and whose content is not good.

use support::forge::{self, Entry};
use support::servers::{self, S3};
use support::{Machine, finish};

use std::{fs, path::PathBuf};

use rusqlite::Connection;
use serde_json::Value;

/// Writes an archive with these entries that knows no kinds, as something else than hookshot packs one.
fn pack(machine: &Machine, entries: &[Entry<'_>]) {
    let mut entries = entries.to_vec();
    entries.sort();
    machine.write("out/a.tar.gz", forge::written(&entries), 0o600);
}

/// An archive that is good byte by byte, and not good otherwise; returns what was said of it.
#[track_caller]
fn is_broken(machine: &Machine, says: &[&str]) -> Value {
    machine.run(&["verify", "a.tar.gz"]).exits(0);
    let run = machine.run(&["verify", "--deep", "a.tar.gz", "--json"]);
    let report = run.exits(13).json();
    let archive = &report["archives"][0];
    assert_eq!(archive["good"], false, "{report:#}");
    let faults = archive["faults"].to_string();
    for word in says {
        assert!(faults.contains(word), "{word:?} is not in {report:#}");
    }
    assert_eq!(report["error"]["code"], 13, "{report:#}");
    // A pipe is looked into as a file is, and for people.
    let bytes = machine.read("out/a.tar.gz");
    let run = machine.run_with(&["verify", "--deep", "-"], &bytes);
    assert!(run.exits(13).text().contains("NOT GOOD"));
    let left = machine.path("tmp").read_dir().expect("a folder").count();
    assert_eq!(left, 0, "something was left");
    report
}

#[track_caller]
fn is_good(machine: &Machine) -> Value {
    let run = machine.run(&["verify", "--deep", "a.tar.gz", "--json"]);
    let report = run.exits(0).json();
    assert_eq!(report["archives"][0]["good"], true, "{report:#}");
    report
}

/// The entries that were looked into, with what they were looked at as.
fn looked(report: &Value) -> Vec<(String, String)> {
    let looked = report["archives"][0]["looked_into"].as_array();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let one = |looked: &Value| (text(&looked["entry"]), text(&looked["kind"]));
    looked.expect("a list").iter().map(one).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(one, other): &(&str, &str)| ((*one).to_owned(), (*other).to_owned());
    pairs.iter().map(owned).collect()
}

/// The bytes of a SQLite database of some pages.
fn sqlite(machine: &Machine) -> Vec<u8> {
    let path = machine.path("data/app.db");
    let connection = Connection::open(&path).expect("a database");
    connection
        .execute_batch(
            "CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE INDEX ib ON t(b);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
             INSERT INTO t SELECT i, 'b' || i FROM n",
        )
        .expect("filled");
    drop(connection);
    fs::read(path).expect("it")
}

fn broken_page(mut bytes: Vec<u8>) -> Vec<u8> {
    let page = bytes.len() / 2 / 4096 * 4096;
    bytes[page..page + 512].fill(0x5a);
    bytes
}

#[test]
fn an_archive_of_hookshots_own_is_good_and_what_was_looked_into_is_listed() {
    let machine = Machine::new();
    machine.export("a.tar.gz");
    let report = is_good(&machine);
    let expected = [
        ("config.toml", "config"),
        ("services.toml", "toml"),
        ("state.redb", "redb"),
    ];
    assert_eq!(looked(&report), pairs(&expected));
    let run = machine.run(&["verify", "--deep", "a.tar.gz"]).exits(0);
    assert!(run.text().contains("opened state.redb (redb)"));
    let plain = machine.run(&["verify", "a.tar.gz", "--json"]).exits(0);
    assert!(plain.json()["archives"][0]["looked_into"].is_null());
}

#[test]
fn a_damaged_sqlite_database_is_found_by_its_first_bytes() {
    let machine = Machine::empty();
    let bytes = sqlite(&machine);
    pack(&machine, &[("some/where.bin", &bytes)]);
    let report = is_good(&machine);
    assert_eq!(looked(&report), pairs(&[("some/where.bin", "sqlite")]));
    let check = &report["archives"][0]["looked_into"][0]["check"];
    assert_eq!(check, "integrity", "{report:#}");
    pack(&machine, &[("some/where.bin", &broken_page(bytes.clone()))]);
    is_broken(&machine, &["some/where.bin", "does not open cleanly"]);
    pack(&machine, &[("some/where.bin", &bytes[..bytes.len() / 2])]);
    is_broken(&machine, &["some/where.bin"]);
}

#[test]
fn a_damaged_redb_database_is_found_by_its_first_bytes_and_by_its_name() {
    let machine = Machine::new();
    let good = machine.read("data/state.redb");
    pack(&machine, &[("other.bin", &good)]);
    assert_eq!(looked(&is_good(&machine)), pairs(&[("other.bin", "redb")]));
    let mut bad = good.clone();
    let middle = bad.len() / 2 / 4096 * 4096;
    bad[4096..middle].fill(0x5a);
    pack(&machine, &[("other.bin", &bad)]);
    is_broken(&machine, &["other.bin", "does not open cleanly"]);
    // As an import would find it, which looks for a database of that name.
    pack(&machine, &[("state.redb", b"no database at all")]);
    is_broken(&machine, &["state.redb", "not a database of redb"]);
    pack(&machine, &[("state.redb", b"")]);
    is_broken(&machine, &["state.redb"]);
}

#[test]
fn configuration_that_an_import_refuses_is_a_fault() {
    let machine = Machine::empty();
    for (entries, says) in [
        (
            vec![("config.toml", &b"[backup]\nprefix = 3\n"[..])],
            "prefix",
        ),
        (vec![("config.toml", &b"[server\n"[..])], "not valid TOML"),
        (vec![("config.toml", &b"\xff\xfe"[..])], "UTF-8"),
        (
            vec![("services.toml", &b"[services.web\n"[..])],
            "services.toml",
        ),
    ] {
        pack(&machine, &entries);
        is_broken(&machine, &[says]);
    }
    let large = vec![b'#'; 2 << 20];
    pack(&machine, &[("config.toml", &large)]);
    is_broken(&machine, &["larger than 1 MiB"]);
}

#[test]
fn the_archives_own_configuration_says_what_must_be_a_database() {
    let machine = Machine::empty();
    let config = b"[backup]\n[[backup.sources]]\nname = \"app.db\"\nkind = \"sqlite\"\npath = \"/srv/app.db\"\n";
    pack(
        &machine,
        &[
            ("app.db", b"not a database"),
            ("config.toml", config),
            // This is what it says itself that it is: a file of the service's.
            ("services.toml", b"{ not toml"),
        ],
    );
    let report = is_broken(&machine, &["app.db", "not a database of SQLite"]);
    let faults = report["archives"][0]["faults"].as_array().expect("a list");
    assert_eq!(faults.len(), 1, "{report:#}");
    let bytes = sqlite(&machine);
    pack(&machine, &[("app.db", &bytes), ("config.toml", config)]);
    is_good(&machine);
}

#[test]
fn every_fault_is_named_and_every_archive_is_read() {
    let machine = Machine::empty();
    let bytes = broken_page(sqlite(&machine));
    pack(
        &machine,
        &[
            ("a.db", &bytes),
            ("b.db", &bytes),
            ("config.toml", b"[server\n"),
        ],
    );
    let report = is_broken(&machine, &["a.db", "b.db", "config.toml"]);
    let faults = report["archives"][0]["faults"].as_array().expect("a list");
    assert_eq!(faults.len(), 3, "{report:#}");
    fs::copy(machine.path("out/a.tar.gz"), machine.path("out/b.tar.gz")).expect("copied");
    let run = machine.run(&["verify", "--deep", "a.tar.gz", "b.tar.gz", "--json"]);
    let archives = run.exits(13).json()["archives"].clone();
    assert_eq!(archives.as_array().expect("a list").len(), 2);
}

#[test]
fn an_index_that_does_not_match_its_table_is_a_fault_with_its_remedy() {
    let machine = Machine::empty();
    sqlite(&machine);
    let path = machine.path("data/app.db");
    for change in [
        "PRAGMA writable_schema = ON; CREATE TABLE kept AS SELECT * FROM sqlite_schema WHERE name = 'ib';
         DELETE FROM sqlite_schema WHERE name = 'ib'",
        "UPDATE t SET b = 'zzz' WHERE a = 77",
        "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema SELECT * FROM kept",
    ] {
        let connection = Connection::open(&path).expect("a database");
        connection.execute_batch(change).expect(change);
    }
    pack(&machine, &[("app.db", &fs::read(&path).expect("it"))]);
    is_broken(&machine, &["REINDEX", "ib", "row 77"]);
}

#[test]
fn what_could_not_be_checked_is_a_warning() {
    let machine = Machine::empty();
    sqlite(&machine);
    let path = machine.path("data/app.db");
    let connection = Connection::open(&path).expect("a database");
    connection
        .execute_batch(
            "CREATE TABLE v_rowids(a); PRAGMA writable_schema = ON;
             INSERT INTO sqlite_schema VALUES ('table', 'v', 'v', 0, 'CREATE VIRTUAL TABLE v USING vec0(a)')",
        )
        .expect("made");
    drop(connection);
    pack(&machine, &[("app.db", &fs::read(&path).expect("it"))]);
    let report = is_good(&machine);
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("table v of app.db in a.tar.gz"),
        "{report:#}"
    );
}

/// As a copy of a folder holds it whose service was killed: its last rows stand in the log.
#[test]
fn a_database_is_looked_at_with_the_log_beside_it() {
    let machine = Machine::empty();
    let path = machine.path("data/app.db");
    let connection = Connection::open(&path).expect("a database");
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t(a);
             INSERT INTO t VALUES (1), (2)",
        )
        .expect("filled");
    let log = PathBuf::from(format!("{}-wal", path.display()));
    let (database, log) = (fs::read(&path), fs::read(log));
    let (database, mut log) = (database.expect("it"), log.expect("a log"));
    drop(connection);
    let with = |log: &[u8]| pack(&machine, &[("d/app.db", &database), ("d/app.db-wal", log)]);
    with(&log);
    assert_eq!(looked(&is_good(&machine)), pairs(&[("d/app.db", "sqlite")]));
    // A log whose last page is a lie: SQLite takes the commits before it.
    let end = log.len();
    log[end - 100..].fill(0x5a);
    with(&log);
    is_good(&machine);
    with(&log[..10]);
    is_good(&machine);
}

#[test]
fn places_where_archives_are_kept_are_looked_into_until_one_is_good() {
    let s3 = S3::start();
    let machine = Machine::new();
    let destinations = format!(
        "\n[backup]\nto = [\"s3\"]\n[backup.destinations.s3]\nurl = \"s3://{}/host\"\nendpoint = \"{}\"\nregion = \"us-east-1\"\n\
         path_style = true\nallow_http = true\naccess_key_id = \"{}\"\nsecret_access_key = \"env:TEST_S3_SECRET\"\n",
        servers::s3::BUCKET,
        s3.endpoint(),
        S3::ACCESS_KEY,
    );
    machine.write("etc/config.toml", machine.config_text(&destinations), 0o600);
    let run = |arguments: &[&str]| {
        let mut command = machine.command();
        command
            .args(arguments)
            .env("TEST_S3_SECRET", S3::SECRET_KEY);
        finish(command, b"")
    };
    run(&["export", "@s3"]).exits(0);
    run(&["verify", "--deep", "@s3/latest"]).exits(0);
    // A newer one that something else made.
    let bytes = broken_page(sqlite(&machine));
    let soon = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now())
        + chrono::TimeDelta::hours(1);
    let newer = format!("hookshot-state-{}.tar.gz", soon.format("%Y%m%d-%H%M%S"));
    machine.write(
        &format!("out/{newer}"),
        forge::written(&[("app.db", &bytes)]),
        0o600,
    );
    run(&["copy", &newer, "@s3"]).exits(0);
    run(&["verify", "@s3/latest"]).exits(0);
    let report = run(&["verify", "--deep", "@s3/latest", "--json"])
        .exits(13)
        .json();
    let good: Vec<&Value> = report["archives"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|archive| &archive["good"])
        .collect();
    assert_eq!(good, [false, true], "{report:#}");
    run(&["verify", "--deep", &format!("@s3/{newer}")]).exits(13);
}

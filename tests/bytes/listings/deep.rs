//! The content of databases in a listed directory: files beside a database belong to it.

use rusqlite::Connection;
use support::Machine;

use super::forged::{Forged, Packer::Hookshot};

/// A good database of SQLite.
fn database() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("it.db");
    let connection = Connection::open(&path).expect("a database");
    let sql = "create table t(a); insert into t values(1)";
    connection.execute_batch(sql).expect("filled");
    drop(connection);
    std::fs::read(path).expect("read")
}

/// The entries of an archive with these files that `verify --deep` inspects, and its exit code.
fn inspected(files: &[(&str, &[u8])], code: i32) -> Vec<String> {
    let machine = Machine::empty();
    machine.write("out/a.tar.gz", Forged::of(files).archive(Hookshot), 0o600);
    let run = machine.run(&["verify", "--deep", "--json", "a.tar.gz"]);
    let report = run.exits(code).json();
    let looked = report["archives"][0]["looked_into"].as_array().cloned();
    let entry = |looked: &serde_json::Value| looked["entry"].as_str().map(str::to_owned);
    let looked = looked.unwrap_or_default();
    looked.iter().filter_map(entry).collect()
}

#[test]
fn a_database_with_the_name_of_a_companion_is_checked_if_it_belongs_to_none() {
    let good = database();
    let alone = inspected(
        &[("notes-journal", &good), ("photo-wal", b"no database")],
        0,
    );
    assert_eq!(alone, ["data/notes-journal"]);
    let mut damaged = good.clone();
    damaged[4096..].fill(0xff);
    inspected(&[("notes-wal", &damaged)], 13);
    // Beside a database it is its log: an empty one here, and one of noise that SQLite ignores.
    let beside = inspected(
        &[
            ("a.db", &good),
            ("a.db-wal", b""),
            ("b.db", &good),
            ("b.db-wal", &[7; 64]),
        ],
        0,
    );
    assert_eq!(beside, ["data/a.db", "data/b.db"]);
}

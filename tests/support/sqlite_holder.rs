//! A process that has an SQLite database open, for tests: `sqlite_holder HOW FILE`.
//!
//! - `wal`, `delete`, `truncate`, `persist`: transfers as fast as it can, in this journal mode, and keeps the invariant.
//! - `own-wal`: as `wal`, with an index in an order that only the service knows.
//! - `idle-wal`, `idle-delete`: has written, and waits.
//! - `reader`: a read transaction that does not end, in a database that another process writes.
//! - `exclusive-wal`, `exclusive-delete`: keeps the database to itself (`locking_mode = EXCLUSIVE`).
//! - `begun-delete`: in the middle of a transaction that has gone to the file in part.
//! - `snapshot FILE SCRATCH`: takes a snapshot, and tells what it says.
//!
//! It prints `ready` once it is at work, and ends when its standard input does.

#![expect(clippy::print_stdout, reason = "the waiting process reads it")]

use std::{
    io::{Read as _, Write as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hookshot::model::copy_form::CopyForm;
use rusqlite::Connection;

use support::sqlite_invariant as invariant;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (how, path) = (arguments[0].as_str(), arguments[1].as_str());
    match how {
        "snapshot" => snapshot(Path::new(path), Path::new(&arguments[2])),
        "reader" => {
            let connection = open(path);
            connection.execute_batch("BEGIN").expect("begun");
            invariant::check(&connection).expect("the invariant");
            wait();
        }
        "exclusive-delete" | "exclusive-wal" => {
            let connection = open(path);
            connection
                .execute_batch("PRAGMA locking_mode = EXCLUSIVE")
                .expect("set");
            write(&connection, &how["exclusive-".len()..]);
            wait();
        }
        "begun-delete" => {
            let connection = open(path);
            write(&connection, "delete");
            connection
                .execute_batch(
                    "PRAGMA cache_size = 2; BEGIN; UPDATE accounts SET balance = 0, filler = randomblob(500)",
                )
                .expect("begun");
            wait();
        }
        idle if idle.starts_with("idle-") => {
            let connection = open(path);
            write(&connection, &idle["idle-".len()..]);
            wait();
        }
        "own-wal" => {
            let connection = open(path);
            write(&connection, "wal");
            connection
                .execute_batch(
                    "ALTER TABLE accounts ADD COLUMN owner TEXT;
                     CREATE INDEX by_owner ON accounts(owner COLLATE backwards);
                     UPDATE accounts SET owner = hex(filler)",
                )
                .expect("an index");
            torture(&connection);
        }
        mode => {
            let connection = open(path);
            write(&connection, mode);
            torture(&connection);
        }
    }
}

fn open(path: &str) -> Connection {
    let connection = Connection::open(path).expect("a database");
    connection
        .busy_timeout(Duration::from_secs(60))
        .expect("set");
    invariant::know_order(&connection).expect("an order");
    connection
        .execute_batch("PRAGMA synchronous = OFF")
        .expect("set");
    connection
}

/// Some transfers in a journal mode.
fn write(connection: &Connection, mode: &str) {
    connection
        .query_row(&format!("PRAGMA journal_mode = {mode}"), [], |_| Ok(()))
        .expect("set");
    invariant::create(connection).expect("tables");
    let mut random = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..20 {
        invariant::transfer(connection, &mut random).expect("committed");
    }
}

fn torture(connection: &Connection) {
    println!("ready");
    std::io::stdout().flush().expect("a listener");
    let stop = Arc::new(AtomicBool::new(false));
    let ended = stop.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        ended.store(true, Ordering::Relaxed);
    });
    let mut random = u64::from(std::process::id()) | 1 << 40;
    let mut transfers = 0u64;
    while !stop.load(Ordering::Relaxed) {
        invariant::transfer(connection, &mut random).expect("committed");
        transfers += 1;
    }
    let _ = writeln!(std::io::stdout().lock(), "{transfers} transfers");
}

fn snapshot(path: &Path, scratch: &Path) {
    let name = "app.db".parse().expect("a name");
    let caller = hookshot::source::sqlite::SqliteContext {
        step: &|_| Ok(()),
        scratch,
        patience: Duration::from_secs(10),
    };
    match hookshot::source::sqlite::snapshot::take(path, &name, CopyForm::Compact, &caller) {
        Ok(staged) => println!("{}", staged.record.snapshot.expect("a description")),
        Err(error) => println!("{error:#}"),
    }
}

fn wait() {
    println!("ready");
    std::io::stdout().flush().expect("a listener");
    std::io::stdin()
        .read_to_end(&mut Vec::new())
        .expect("an end");
}

//! A process that holds a redb database, for tests: `holder write|read|ranges|crash FILE`.
//!
//! It prints `ready` once it holds the file, and lets go when its standard input ends. `crash` dies at once and leaves
//! a database that nobody closed.

#![expect(clippy::print_stdout, reason = "who waits for it reads it")]

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::AsFd as _,
};

use nix::{
    fcntl::{FcntlArg, fcntl},
    libc,
};
use redb::{Database, ReadOnlyDatabase, TableDefinition};

const NOTES: TableDefinition<&str, &str> = TableDefinition::new("notes");

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (how, path) = (
        arguments.next().expect("how to hold"),
        arguments.next().expect("a file"),
    );
    match how.as_str() {
        "write" => {
            let db = Database::open(path).expect("a free database");
            wait();
            drop(db);
        }
        "read" => {
            let db = ReadOnlyDatabase::open(path).expect("a free database");
            wait();
            drop(db);
        }
        // What the next redb does: byte ranges only, no flock.
        "ranges" => {
            let file = File::options()
                .read(true)
                .write(true)
                .open(path)
                .expect("a file");
            let lock = libc::flock {
                l_type: libc::F_WRLCK as libc::c_short,
                l_whence: libc::SEEK_SET as libc::c_short,
                l_start: 0,
                l_len: 0,
                l_pid: 0,
            };
            fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&lock)).expect("a free file");
            wait();
            drop(file);
        }
        "crash" => {
            let db = Database::open(path).expect("a free database");
            let tx = db.begin_write().expect("a transaction");
            tx.open_table(NOTES)
                .expect("a table")
                .insert("crash", "committed")
                .expect("a row");
            tx.commit().expect("committed");
            std::process::abort();
        }
        other => panic!("{other}?"),
    }
}

fn wait() {
    println!("ready");
    std::io::stdout().flush().expect("somebody listens");
    std::io::stdin()
        .read_to_end(&mut Vec::new())
        .expect("an end");
}

//! A process that holds a redb database, for tests: `holder write|read|ranges|crash FILE`.
//!
//! `torture-immediate|two-phase|quick-repair|none FILE` commits as fast as it can until then, and keeps an invariant:
//! what `ledger` says of the rows of `items` is true after every commit.
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

#[path = "invariant.rs"]
mod invariant;

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
        torture if torture.starts_with("torture-") => {
            torture::run(&path, &torture["torture-".len()..])
        }
        other => panic!("{other}?"),
    }
}

mod torture {
    use std::{
        io::{Read as _, Write as _},
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
    };

    use redb::{
        Database, Durability, MultimapTableDefinition, ReadableDatabase as _, TableDefinition,
        WriteTransaction,
    };

    use super::invariant;

    const INDEX: MultimapTableDefinition<u64, u64> = MultimapTableDefinition::new("index");
    const GROWTH: TableDefinition<u64, &[u8]> = TableDefinition::new("growth");

    pub fn run(path: &str, mode: &str) {
        let db = Database::create(path).expect("a free database");
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        if db
            .begin_read()
            .expect("a transaction")
            .open_table(invariant::LEDGER)
            .is_err()
        {
            commit(&db, "immediate", 0, &mut |tx| {
                for key in 0..3000 {
                    invariant::put(tx, key, &value(&mut random, 900));
                }
            });
        }
        println!("ready");
        std::io::stdout().flush().expect("somebody listens");
        let stop = Arc::new(AtomicBool::new(false));
        let ended = stop.clone();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            ended.store(true, Ordering::Relaxed);
        });
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            commit(&db, mode, number, &mut |tx| {
                for _ in 0..4 {
                    let (key, length) = (next(&mut random) % 3000, next(&mut random) % 1800);
                    // Now and then a value of many pages.
                    let length = if number % 40 == 0 { 60_000 } else { length };
                    invariant::put(tx, key, &value(&mut random, length as usize));
                    let mut index = tx.open_multimap_table(INDEX).expect("a table");
                    index.insert(key % 7, number).expect("a value");
                    index
                        .remove(key % 7, number.saturating_sub(500))
                        .expect("removed");
                }
                tx.open_table(GROWTH)
                    .expect("a table")
                    .insert(number, [7u8; 300].as_slice())
                    .expect("a row");
            });
        }
        drop(db);
    }

    fn commit(db: &Database, mode: &str, number: u64, work: &mut dyn FnMut(&WriteTransaction)) {
        let mut tx = db.begin_write().expect("a transaction");
        match mode {
            "two-phase" => tx.set_two_phase_commit(true),
            "quick-repair" => tx.set_quick_repair(true),
            "none" if !number.is_multiple_of(20) => {
                tx.set_durability(Durability::None).expect("allowed")
            }
            _ => {}
        }
        work(&tx);
        tx.commit().expect("committed");
    }

    fn next(random: &mut u64) -> u64 {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        *random
    }

    fn value(random: &mut u64, length: usize) -> Vec<u8> {
        (0..length).map(|_| next(random) as u8).collect()
    }
}

fn wait() {
    println!("ready");
    std::io::stdout().flush().expect("somebody listens");
    std::io::stdin()
        .read_to_end(&mut Vec::new())
        .expect("an end");
}

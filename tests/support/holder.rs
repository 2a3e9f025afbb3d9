//! A process that holds a redb database, for tests: `holder write|read|ranges|crash FILE`, and with other versions of
//! redb `write-3|write-2.6|format-2 FILE`.
//!
//! `torture-immediate|two-phase|quick-repair|none FILE [ITEMS RATE]` commits as fast as it can, or so often a second, until
//! then, and keeps an invariant: what `ledger` says of the rows of `items` is true after every commit. In the end it tells
//! how long its commits took.
//!
//! `make|crash-with|hold|open VERSION FILE` is a service with that version of redb (`redb_versions.rs`); `large BYTES FILE` makes
//! a database with a value of that size, `empty FILE` one without a table; `locks hold|write|come WISH FILE` shares one, or
//! wants to (`redb_locks.rs`).
//!
//! It prints `ready` once it holds the file, and lets go when its standard input ends. `crash` dies at once and leaves
//! a database that no process closed.

#![expect(clippy::print_stdout, reason = "the waiting process reads it")]

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

#[path = "redb_locks.rs"]
mod locks;
#[path = "redb_versions.rs"]
mod versions;

const NOTES: TableDefinition<&str, &str> = TableDefinition::new("notes");
const BLOBS: TableDefinition<&str, &[u8]> = TableDefinition::new("blobs");

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("an argument");
    let (how, path) = (next(), next());
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
        "write-3" => {
            let db = redb_3::Database::create(path).expect("a free database");
            let tx = db.begin_write().expect("a transaction");
            let notes = redb_3::TableDefinition::<&str, &str>::new("notes");
            tx.open_table(notes)
                .expect("a table")
                .insert("by", "redb 3")
                .expect("a row");
            tx.commit().expect("committed");
            wait();
        }
        "write-2.6" | "format-2" => {
            let db = redb_2::Builder::new()
                .create_with_file_format_v3(how == "write-2.6")
                .create(path)
                .expect("a free database");
            let tx = db.begin_write().expect("a transaction");
            let notes = redb_2::TableDefinition::<&str, &str>::new("notes");
            tx.open_table(notes)
                .expect("a table")
                .insert("by", "redb 2.6")
                .expect("a row");
            tx.commit().expect("committed");
            wait();
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
        "make" | "crash-with" | "hold" => {
            let db = (versions::version(&path).make)(&next());
            match how.as_str() {
                "crash-with" => std::process::abort(),
                "hold" => wait(),
                _ => {}
            }
            drop(db);
        }
        "open" => (versions::version(&path).open)(&next()),
        "large" => {
            let db = Database::create(next()).expect("a free database");
            let bytes = path.parse::<usize>().expect("a number");
            let value: Vec<u8> = (0..bytes).map(|number| (number / 5000) as u8).collect();
            let tx = db.begin_write().expect("a transaction");
            tx.open_table(BLOBS)
                .expect("a table")
                .insert("large", value.as_slice())
                .expect("a row");
            tx.commit().expect("committed");
        }
        "empty" => drop(Database::create(path).expect("a free database")),
        "locks" => {
            let wish = locks::Wish::parse(&next());
            let file = next();
            match path.as_str() {
                "hold" => locks::hold(&file, wish, wait),
                "write" => println!("{}", locks::write(&file, wish, ready)),
                _ => println!("{}", locks::come_and_go(&file, wish, ready)),
            }
        }
        torture if torture.starts_with("torture-") => {
            let mut number = |default| {
                arguments
                    .next()
                    .map_or(default, |text| text.parse().expect("a number"))
            };
            let (items, rate) = (number(3000), number(0));
            torture::run(&path, &torture["torture-".len()..], items, rate)
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
        time::{Duration, Instant},
    };

    use redb::{
        Database, Durability, MultimapTableDefinition, ReadableDatabase as _, TableDefinition,
        WriteTransaction,
    };

    use support::invariant;

    const INDEX: MultimapTableDefinition<u64, u64> = MultimapTableDefinition::new("index");
    const GROWTH: TableDefinition<u64, &[u8]> = TableDefinition::new("growth");

    /// Commits `rate` times a second, or as often as it can where that is 0.
    pub fn run(path: &str, mode: &str, items: u64, rate: u64) {
        let db = Database::create(path).expect("a free database");
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        if db
            .begin_read()
            .expect("a transaction")
            .open_table(invariant::LEDGER)
            .is_err()
        {
            for from in (0..items).step_by(20_000) {
                commit(&db, "immediate", 0, &mut |tx| {
                    for key in from..items.min(from + 20_000) {
                        invariant::put(tx, key, &value(&mut random, 900));
                    }
                });
            }
        }
        println!("ready");
        std::io::stdout().flush().expect("a listener");
        let stop = Arc::new(AtomicBool::new(false));
        let ended = stop.clone();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            ended.store(true, Ordering::Relaxed);
        });
        let (mut number, mut took, begun) = (0, Vec::new(), Instant::now());
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            if rate > 0 {
                let due = Duration::from_secs_f64(number as f64 / rate as f64);
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
            }
            let before = Instant::now();
            commit(&db, mode, number, &mut |tx| {
                for _ in 0..4 {
                    let (key, length) = (next(&mut random) % items, next(&mut random) % 1800);
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
            took.push(before.elapsed());
        }
        took.sort_unstable();
        let at = |part: usize| {
            took.get(took.len() * part / 100)
                .copied()
                .unwrap_or_default()
        };
        let mut out = std::io::stdout().lock();
        let _ = writeln!(
            out,
            "{number} commits, {:.0} a second; half took less than {:.1?}, 99 of 100 less than {:.1?}",
            number as f64 / begun.elapsed().as_secs_f64(),
            at(50),
            at(99)
        );
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

fn ready() {
    println!("ready");
    std::io::stdout().flush().expect("a listener");
}

fn wait() {
    ready();
    std::io::stdin()
        .read_to_end(&mut Vec::new())
        .expect("an end");
}

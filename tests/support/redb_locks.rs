//! Processes that share a database or want to, with the locks of redb 4.5 and newer, and with those of redb 5.
//!
//! redb 5 is not out: what it locks is what redb 4.6 does with its feature `experimental-api-5` (`page_manager.rs`,
//! `lock_whole_storage` and `lock_mode_bytes`; `db.rs` names the bytes).

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::Read as _,
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
};
use redb::{Builder, ConcurrencyMode, DatabaseError, TableDefinition};

const TICKS: TableDefinition<u64, u64> = TableDefinition::new("ticks");

/// The wish of a process for a database: `4-exclusive`, `5-multi-read`.
#[derive(Clone, Copy)]
pub struct Wish {
    is_of_5: bool,
    mode: ConcurrencyMode,
    reads_only: bool,
}

impl Wish {
    pub fn parse(text: &str) -> Wish {
        let mut words = text.split('-');
        let is_of_5 = words.next() == Some("5");
        let mode = match words.next() {
            Some("single") => ConcurrencyMode::SingleWriter,
            Some("multi") => ConcurrencyMode::MultiWriter,
            _ => ConcurrencyMode::ExclusiveWriter,
        };
        Wish {
            is_of_5,
            mode,
            reads_only: words.next() == Some("read"),
        }
    }

    /// Opens the database and closes it when the value goes; or why that is refused.
    fn open(self, path: &str) -> Result<Box<dyn std::any::Any>, Refusal> {
        if self.is_of_5 {
            return Ok(Box::new(five::open(path, self.mode, self.reads_only)?));
        }
        let mut builder = Builder::new();
        builder.set_concurrency_mode(self.mode);
        let refusal = |error| match error {
            DatabaseError::DatabaseAlreadyOpen => Refusal::AlreadyOpen,
            DatabaseError::LockProtocolMismatch => Refusal::ProtocolMismatch,
            error => panic!("{error}"),
        };
        if self.reads_only {
            let db = builder.open_read_only(path).map_err(refusal)?;
            return Ok(Box::new(db));
        }
        Ok(Box::new(builder.open(path).map_err(refusal)?))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Refusal {
    AlreadyOpen,
    ProtocolMismatch,
}

/// Holds the database until the standard input ends.
pub fn hold(path: &str, wish: Wish, wait: fn()) {
    let held = wish.open(path).expect("a free database");
    wait();
    drop(held);
}

/// Writes every millisecond, and returns how long it waited for transactions, in microseconds, as JSON.
pub fn write(path: &str, wish: Wish, ready: fn()) -> impl fmt::Display {
    let mut waits: Vec<Duration> = Vec::new();
    let mut elapsed = Duration::ZERO;
    let mut measured = |work: &mut dyn FnMut(u64) -> Duration| {
        let ended = ready_until_the_end(ready);
        let begun = Instant::now();
        while !ended.load(Ordering::Relaxed) {
            waits.push(work(waits.len() as u64));
            std::thread::sleep(Duration::from_millis(1));
        }
        elapsed = begun.elapsed();
    };
    if wish.is_of_5 {
        let file = five::open(path, wish.mode, false).expect("a free database");
        measured(&mut |_| five::transact(&file));
    } else {
        let mut builder = Builder::new();
        builder.set_concurrency_mode(wish.mode);
        let db = builder.open(path).expect("a free database");
        measured(&mut |number| {
            let begun = Instant::now();
            let tx = db.begin_write().expect("a transaction");
            let waited = begun.elapsed();
            let mut ticks = tx.open_table(TICKS).expect("a table");
            ticks.insert(number % 100, number).expect("a row");
            drop(ticks);
            tx.commit().expect("committed");
            waited
        });
    }
    waits.sort_unstable();
    let at = |place: usize| waits.get(place).map_or(0, Duration::as_micros);
    let waited: Duration = waits.iter().sum();
    format!(
        "{{\"count\": {}, \"median\": {}, \"longest\": {}, \"waited\": {}, \"elapsed\": {}}}",
        waits.len(),
        at(waits.len() / 2),
        at(waits.len().saturating_sub(1)),
        waited.as_micros(),
        elapsed.as_micros()
    )
}

/// Opens and closes the database all the time, and returns what came of it, as counts.
pub fn come_and_go(path: &str, wish: Wish, ready: fn()) -> impl fmt::Display {
    let ended = ready_until_the_end(ready);
    let mut counts = BTreeMap::<String, u32>::new();
    loop {
        let outcome = match wish.open(path) {
            Ok(_) => "opened".to_owned(),
            Err(refusal) => format!("{refusal:?}"),
        };
        *counts.entry(outcome).or_default() += 1;
        if ended.load(Ordering::Relaxed) {
            return format!("{counts:?}");
        }
        std::thread::sleep(Duration::from_micros(300));
    }
}

fn ready_until_the_end(ready: fn()) -> Arc<AtomicBool> {
    ready();
    let ended = Arc::new(AtomicBool::new(false));
    let end = ended.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        end.store(true, Ordering::Relaxed);
    });
    ended
}

/// The locks of redb 5.
mod five {
    use super::*;

    const BASE: i64 = 1 << 62;
    const HEADER: (i64, i64) = (0, 320);
    const WRITER: (i64, i64) = (BASE, 1);
    const SHARED_WRITER: (i64, i64) = (BASE + 1, 1);
    const SHARED_READER: (i64, i64) = (BASE + 2, 1);
    const WHOLE_FILE_READER: (i64, i64) = (BASE + 3, 1);
    const CONSISTENT: i64 = BASE + 4;
    const GENERATION: (i64, i64) = (BASE + 5, 1);
    const OTHER_GENERATIONS: (i64, i64) = (BASE + 6, 63);
    const LEGACY_READER: i64 = BASE + 69;
    const BACKEND: i64 = BASE + 896;
    const TRANSACTIONS: (i64, i64) = (BASE + 1024, 0);

    pub fn open(path: &str, mode: ConcurrencyMode, reads_only: bool) -> Result<File, Refusal> {
        let file = File::options()
            .read(true)
            .write(!reads_only)
            .open(path)
            .expect("a file");
        let taken = match mode {
            ConcurrencyMode::ExclusiveWriter if reads_only => read_whole(&file)?,
            ConcurrencyMode::ExclusiveWriter => {
                file.try_lock().is_ok() && file.unlock().is_ok() && {
                    let mode = (BASE + 1, BACKEND - BASE - 1);
                    let all = [mode, TRANSACTIONS, (0, BASE + 1)];
                    all.iter().all(|range| lock(&file, libc::F_WRLCK, *range))
                }
            }
            mode => share(&file, mode, reads_only)?,
        };
        if taken {
            Ok(file)
        } else {
            Err(Refusal::AlreadyOpen)
        }
    }

    fn read_whole(file: &File) -> Result<bool, Refusal> {
        let shared = |range| lock(file, libc::F_RDLCK, range);
        if !shared(GENERATION) {
            return Ok(false);
        }
        if is_locked(file, OTHER_GENERATIONS) {
            return Err(Refusal::ProtocolMismatch);
        }
        Ok(!is_locked(file, SHARED_WRITER)
            && shared(TRANSACTIONS)
            && shared((LEGACY_READER + 1, BACKEND - LEGACY_READER - 1))
            && shared((BASE + 2, CONSISTENT - BASE - 2))
            && shared((0, BASE + 1))
            && !is_locked(file, SHARED_WRITER))
    }

    fn share(file: &File, mode: ConcurrencyMode, reads_only: bool) -> Result<bool, Refusal> {
        if !lock(file, libc::F_RDLCK, GENERATION) {
            return Ok(false);
        }
        if is_locked(file, OTHER_GENERATIONS) {
            return Err(Refusal::ProtocolMismatch);
        }
        if reads_only {
            return Ok(lock(file, libc::F_RDLCK, SHARED_READER));
        }
        if is_locked(file, WHOLE_FILE_READER) {
            return Ok(false);
        }
        Ok(match mode {
            ConcurrencyMode::MultiWriter => {
                lock(file, libc::F_RDLCK, SHARED_WRITER) && !is_locked(file, WHOLE_FILE_READER)
            }
            _ => lock(file, libc::F_WRLCK, SHARED_WRITER) && lock(file, libc::F_WRLCK, WRITER),
        })
    }

    /// The locks of one transaction of a process that shares the database with other writers; how long they took.
    pub fn transact(file: &File) -> Duration {
        let begun = Instant::now();
        for range in [WRITER, HEADER] {
            let wanted = flock(libc::F_WRLCK, range);
            fcntl(file.as_fd(), FcntlArg::F_OFD_SETLKW(&wanted)).expect("waited for");
        }
        let waited = begun.elapsed();
        for range in [HEADER, WRITER] {
            assert!(lock(file, libc::F_UNLCK, range));
        }
        waited
    }

    fn lock(file: &File, kind: libc::c_int, range: (i64, i64)) -> bool {
        match fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&flock(kind, range))) {
            Ok(_) => true,
            Err(Errno::EAGAIN | Errno::EACCES) => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn is_locked(file: &File, range: (i64, i64)) -> bool {
        let mut query = flock(libc::F_WRLCK, range);
        fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut query)).expect("asked");
        libc::c_int::from(query.l_type) != libc::F_UNLCK
    }

    fn flock(kind: libc::c_int, (start, length): (i64, i64)) -> libc::flock {
        libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: start,
            l_len: length,
            l_pid: 0,
        }
    }
}

//! Page-exact copies: beside a service that writes, and how much two of them have in common.

use support::{example, sqlite_invariant as invariant};

use std::{
    collections::HashSet,
    fs,
    io::{self, BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use hookshot::{
    model::{copy_form::CopyForm, method::Method},
    source::{
        redb::{
            options::{Compaction, RedbContext, SnapshotOptions},
            snapshot as redb_snapshot,
        },
        sqlite::{SqliteContext, judge, snapshot},
        staged::Staged,
    },
    work::events::Events,
};
use redb::{Database, TableDefinition};
use rusqlite::Connection;

/// The bytes of a block of a repository of databases.
const BLOCK: usize = 8 << 10;

struct Service(Child);

impl Service {
    fn start(how: &str, path: &Path) -> Service {
        let mut child = Command::new(example("sqlite_holder"))
            .arg(how)
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the service");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Service(child)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("an end");
    }
}

fn bytes_of(staged: &Staged) -> Vec<u8> {
    let mut bytes = Vec::new();
    io::copy(&mut staged.content.open().expect("content"), &mut bytes).expect("read");
    bytes
}

fn copy_sqlite(path: &Path, form: CopyForm) -> Vec<u8> {
    let scratch = tempfile::tempdir().expect("a folder");
    let caller = SqliteContext {
        step: &|_| Ok(()),
        scratch: scratch.path(),
        patience: Duration::from_secs(30),
    };
    let name = "app.db".parse().expect("a name");
    let staged = snapshot::take(path, &name, form, &caller).expect("a copy");
    let left = scratch.path().read_dir().expect("readable").count();
    assert_eq!(left, 0, "nothing is left behind");
    bytes_of(&staged)
}

fn copy_redb(path: &Path, form: CopyForm) -> Vec<u8> {
    let scratch = tempfile::tempdir().expect("a folder");
    let caller = RedbContext {
        step: &|_| Ok(()),
        scratch: scratch.path(),
        program: None,
        events: &Events::default(),
    };
    let wish = SnapshotOptions {
        method: Method::Auto,
        timeout: Duration::from_secs(60),
        compaction: Compaction::Compact,
        form,
    };
    let name = "state.redb".parse().expect("a name");
    let copied = redb_snapshot::take(path, &name, wish, &caller).expect("a copy");
    bytes_of(&copied.staged)
}

/// Returns the blocks of the second copy that the first one does not have, in per cent.
fn new_blocks(first: &[u8], second: &[u8]) -> f64 {
    let known: HashSet<&[u8]> = first.chunks(BLOCK).collect();
    let blocks = second.chunks(BLOCK);
    let count = blocks.len();
    let new = blocks.filter(|block| !known.contains(block)).count();
    100.0 * new as f64 / count as f64
}

#[test]
fn a_database_that_a_service_writes_is_copied_page_by_page() {
    for how in ["wal", "own-wal", "delete", "persist"] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.db");
        let service = Service::start(how, &path);
        let mut ends = Vec::new();
        for _ in 0..4 {
            let copy = folder.path().join("copy.db");
            fs::write(&copy, copy_sqlite(&path, CopyForm::PageExact)).expect("written");
            judge::check(&copy, &|_| Ok(())).expect("a good database");
            let connection = Connection::open(&copy).expect("a database");
            invariant::know_order(&connection).expect("an order");
            ends.push(invariant::check(&connection).expect("the invariant"));
            connection.close().expect("closed");
        }
        assert!(ends.is_sorted(), "{how}: {ends:?}");
        assert_ne!(ends.first(), ends.last(), "{how}: the service must write");
        drop(service);
    }
}

/// A database of 20 MB of which one page in a hundred changes.
#[test]
fn page_exact_copies_of_a_sqlite_database_share_their_pages() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.db");
    let connection = Connection::open(&path).expect("a database");
    connection
        .execute_batch(
            "PRAGMA journal_mode = wal; CREATE TABLE notes(id INTEGER PRIMARY KEY, text);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
             INSERT INTO notes SELECT i, hex(randomblob(100 + i % 100)) FROM n",
        )
        .expect("filled");
    let copies = || [CopyForm::PageExact, CopyForm::Compact].map(|form| copy_sqlite(&path, form));
    let before = copies();
    assert!(before[0].len() > 17_000_000, "{}", before[0].len());
    // Rows of one page in a hundred are removed or changed.
    connection
        .execute_batch(
            "DELETE FROM notes WHERE id / 600 * 600 = id;
             UPDATE notes SET text = hex(randomblob(90)) WHERE id / 1200 * 1200 + 1 = id",
        )
        .expect("changed");
    let after = copies();
    let [exact, compact] = [0, 1].map(|form| new_blocks(&before[form], &after[form]));
    println!("SQLite: {exact:.1} % of the blocks are new, of compact copies {compact:.1} %");
    assert!(exact < 6.0, "{exact} %");
    assert!(compact > 50.0, "{compact} %");
    assert_eq!(
        new_blocks(&after[0], &copy_sqlite(&path, CopyForm::PageExact)),
        0.0
    );
}

#[test]
fn page_exact_copies_of_a_redb_database_share_their_pages() {
    const NOTES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("notes");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.redb");
    let write = |numbers: &mut dyn Iterator<Item = u64>, round: u64| {
        let database = Database::create(&path).expect("a database");
        let transaction = database.begin_write().expect("begun");
        {
            let mut table = transaction.open_table(NOTES).expect("a table");
            for number in numbers {
                let mut state = number * 2 + round;
                let value: Vec<u8> = (0..300)
                    .map(|_| {
                        state = state
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1);
                        (state >> 33) as u8
                    })
                    .collect();
                table.insert(number, value.as_slice()).expect("a row");
            }
        }
        transaction.commit().expect("committed");
    };
    write(&mut (0..60_000), 0);
    // As after some days: pages of earlier commits are free.
    for day in 1..4 {
        write(&mut (day * 700..day * 700 + 600), day);
    }
    let copies = || [CopyForm::PageExact, CopyForm::Compact].map(|form| copy_redb(&path, form));
    let before = copies();
    assert!(before[0].len() > 17_000_000, "{}", before[0].len());
    write(&mut (30_000..30_600), 9);
    let after = copies();
    let [exact, compact] = [0, 1].map(|form| new_blocks(&before[form], &after[form]));
    println!("redb: {exact:.1} % of the blocks are new, of compacted copies {compact:.1} %");
    assert!(exact < 6.0, "{exact} %");
    assert_eq!(
        new_blocks(&after[0], &copy_redb(&path, CopyForm::PageExact)),
        0.0
    );
}

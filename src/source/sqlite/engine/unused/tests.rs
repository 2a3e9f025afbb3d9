#![expect(
    clippy::disallowed_methods,
    reason = "tests may do what hookshot may not"
)]

use std::{fs, path::PathBuf, time::Duration};

use memchr::memmem;

use super::*;
use crate::{
    error::{Failure, Kind},
    model::{copy_form::CopyForm, entry_name::EntryName},
    source::{
        sqlite::{SqliteContext, judge, snapshot},
        staged::Staged,
    },
};

/// A text that is deleted in each test, in rows of every kind.
const DELETED: &[u8] = b"hunter2-correct-horse";

struct Place {
    folder: tempfile::TempDir,
    scratch: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place {
            folder: tempfile::tempdir().expect("a folder"),
            scratch: tempfile::tempdir().expect("a folder"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn take(&self, name: &str) -> Result<Staged> {
        let caller = SqliteContext {
            step: &|_| Ok(()),
            scratch: self.scratch.path(),
            patience: Duration::ZERO,
        };
        let entry = EntryName::new("app.db").expect("a name");
        snapshot::take(&self.path(name), &entry, CopyForm::PageExact, &caller)
    }

    /// Returns the bytes of a copy.
    fn copied(&self, name: &str) -> Vec<u8> {
        bytes_of(&self.take(name).expect("a copy"))
    }
}

fn bytes_of(staged: &Staged) -> Vec<u8> {
    let mut bytes = Vec::new();
    io::copy(&mut staged.content.open().expect("content"), &mut bytes).expect("read");
    bytes
}

/// Makes a database with deleted rows of every kind. Returns its rows.
fn fill(path: &Path, pragmas: &str) -> Vec<(i64, String, Vec<u8>)> {
    let connection = Connection::open(path).expect("a database");
    connection.execute_batch(pragmas).expect("set");
    connection
        .execute_batch(
            "CREATE TABLE notes(id INTEGER PRIMARY KEY, text, value); CREATE INDEX by_text ON notes(text);
             CREATE TABLE words(word PRIMARY KEY, times) WITHOUT ROWID;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
             INSERT INTO notes SELECT i, 'note ' || (i * 7919), zeroblob(i * 3) FROM n;
             INSERT INTO words SELECT text, id FROM notes",
        )
        .expect("filled");
    let text = String::from_utf8(DELETED.to_vec()).expect("text");
    let long = text.repeat(20_000);
    let insert = "INSERT INTO notes VALUES (?1, ?2, ?3)";
    // Values that end on pages of a deleted one: SQLite leaves the rest of some of them as it was.
    connection
        .execute(insert, (900, "long", &long))
        .expect("a row");
    connection
        .execute("DELETE FROM notes WHERE id = 900", [])
        .expect("deleted");
    connection
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n, pragma_freelist_count f
             WHERE i < f.freelist_count)
             INSERT INTO notes SELECT 10000 + i, 'short', zeroblob(page_size - 30) FROM n, pragma_page_size",
        )
        .expect("filled");
    // Rows in pages of others, and long ones with pages of their own.
    for id in 1000..1020 {
        connection
            .execute(insert, (id, &format!("{text}{id}"), ""))
            .expect("a row");
        connection
            .execute("INSERT INTO words VALUES (?1, 1)", [format!("{text}{id}")])
            .expect("a word");
    }
    for id in 2000..2003 {
        connection
            .execute(insert, (id, "long", &long))
            .expect("a row");
    }
    connection
        .execute_batch(
            "DELETE FROM notes WHERE id BETWEEN 1000 AND 2001; DELETE FROM words WHERE word LIKE 'hunter%';
             UPDATE notes SET value = zeroblob(length(value) / 2 + 11) WHERE id = 2002",
        )
        .expect("deleted");
    connection.close().expect("closed");
    rows(path)
}

fn rows(path: &Path) -> Vec<(i64, String, Vec<u8>)> {
    let connection = Connection::open(path).expect("a database");
    let query = "SELECT id, text, CAST(value AS BLOB) FROM notes ORDER BY id";
    let mut statement = connection.prepare(query).expect("a query");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let rows = rows.expect("rows").map(|row| row.expect("a row"));
    rows.collect()
}

fn pragma(path: &Path, name: &str) -> i64 {
    let connection = Connection::open(path).expect("a database");
    connection
        .query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
        .expect("a number")
}

#[test]
fn a_page_exact_copy_has_the_rows_and_nothing_of_deleted_ones() {
    for bytes in [512, 1024, 4096, 65536] {
        for (vacuum, mode) in [("NONE", "wal"), ("FULL", "delete"), ("INCREMENTAL", "wal")] {
            let place = Place::new();
            let (path, copy) = (place.path("app.db"), place.path("copy.db"));
            let expected = fill(
                &path,
                &format!(
                    "PRAGMA page_size = {bytes}; PRAGMA auto_vacuum = {vacuum}; PRAGMA journal_mode = {mode}"
                ),
            );
            let original = fs::read(&path).expect("readable");
            let said = format!("{bytes} {vacuum} {mode}");
            assert!(memmem::find(&original, DELETED).is_some(), "{said}");
            let staged = place.take("app.db").expect("a copy");
            let bytes_of_copy = bytes_of(&staged);
            let described = staged.record.snapshot.expect("a description");
            assert_eq!(described["method"], "page_exact");
            assert_eq!(bytes_of_copy.len(), original.len(), "{said}");
            for piece in [4, 8, DELETED.len()] {
                let begins = memmem::find(&bytes_of_copy, &DELETED[..piece]);
                assert_eq!(begins, None, "{said}");
            }
            fs::write(&copy, &bytes_of_copy).expect("written");
            judge::check(&copy, &|_| Ok(())).expect("a good database");
            for name in [
                "auto_vacuum",
                "page_size",
                "freelist_count",
                "page_count",
                "schema_version",
            ] {
                assert_eq!(pragma(&copy, name), pragma(&path, name), "{said}: {name}");
            }
            assert_eq!(rows(&copy), expected, "{said}");
            // The service goes on with the copy, and uses its free pages again.
            let connection = Connection::open(&copy).expect("a database");
            connection
                .execute_batch("INSERT INTO notes SELECT id + 5000, text, randomblob(5000) FROM notes; DELETE FROM notes WHERE id % 3 = 0")
                .expect("written");
            connection.close().expect("closed");
            judge::check(&copy, &|_| Ok(())).expect("a good database");
        }
    }
}

#[test]
fn copies_of_the_same_rows_in_the_same_pages_are_the_same_file() {
    for mode in ["wal", "delete"] {
        let place = Place::new();
        fill(
            &place.path("app.db"),
            &format!("PRAGMA journal_mode = {mode}"),
        );
        let first = place.copied("app.db");
        assert!(first == place.copied("app.db"), "{mode}: a second copy");
        fs::write(place.path("copy.db"), &first).expect("written");
        assert!(first == place.copied("copy.db"), "{mode}: a copy of a copy");
    }
}

#[test]
fn a_page_stays_at_its_place() {
    let place = Place::new();
    fill(&place.path("app.db"), "PRAGMA journal_mode = delete");
    let original = fs::read(place.path("app.db")).expect("readable");
    let copy = place.copied("app.db");
    let mut same = 0;
    for (one, other) in original.chunks(4096).zip(copy.chunks(4096)) {
        let is_cleared = one
            .iter()
            .zip(other)
            .all(|(one, other)| one == other || *other == 0);
        same += usize::from(is_cleared);
    }
    // All but the first page, which has counters.
    assert!(same + 1 >= original.len() / 4096, "{same}");
}

/// Numbers of the list of free pages that lead elsewhere: never a panic, never an archive with other rows.
#[test]
fn a_damaged_list_of_free_pages_is_refused() {
    let place = Place::new();
    let path = place.path("app.db");
    let expected = fill(
        &path,
        "PRAGMA page_size = 512; PRAGMA journal_mode = delete",
    );
    let good = fs::read(&path).expect("readable");
    let trunk = (number32(&good, 32) as usize - 1) * 512;
    let pages = (good.len() / 512) as u32;
    assert!(number32(&good, trunk) != 0 && number32(&good, trunk + 4) > 1);
    let own = number32(&good, 32);
    for (at, number) in [
        (32, 0),
        (32, 1),
        (32, 2),
        (32, pages + 1),
        (32, u32::MAX),
        (36, 0),
        (36, 1),
        (36, number32(&good, 36) + 1),
        (36, u32::MAX),
        (trunk, own),
        (trunk, 2),
        (trunk, u32::MAX),
        (trunk + 4, 0),
        (trunk + 4, 127),
        (trunk + 4, u32::MAX),
        (trunk + 8, 0),
        (trunk + 8, 1),
        (trunk + 8, 2),
        (trunk + 8, 3),
        (trunk + 8, own),
        (trunk + 8, pages),
        (trunk + 8, pages + 1),
    ] {
        let mut bad = good.clone();
        bad[at..at + 4].copy_from_slice(&number.to_be_bytes());
        if bad == good {
            continue;
        }
        fs::write(&path, &bad).expect("written");
        let error = place.take("app.db").err();
        let error = error.unwrap_or_else(|| panic!("{number} at {at} is taken"));
        let failure = Failure::of(&error);
        assert_eq!(failure.kind, Kind::Snapshot, "{failure}");
        // It is found before SQLite checks the copy.
        assert!(failure.message.contains("is damaged"), "{failure}");
        assert!(!failure.message.contains("SQLite finds"), "{failure}");
    }
    fs::write(&path, &good).expect("written");
    assert_eq!(rows(&path), expected);
    place.take("app.db").expect("a copy");
}

#[test]
fn a_tree_that_leads_back_to_itself_has_an_end() {
    let place = Place::new();
    let path = place.path("app.db");
    fill(
        &path,
        "PRAGMA page_size = 512; PRAGMA journal_mode = delete",
    );
    let good = fs::read(&path).expect("readable");
    let inner = (512..good.len())
        .step_by(512)
        .find(|page| good[*page] == 5)
        .expect("an inner page");
    let own = (inner / 512 + 1) as u32;
    let mut bad = good.clone();
    // Each of its cells and its last child is the page itself.
    bad[inner + 8..inner + 12].copy_from_slice(&own.to_be_bytes());
    for cell in 0..number16(&good, inner + 3) {
        let at = inner + number16(&good, inner + 12 + 2 * cell);
        bad[at..at + 4].copy_from_slice(&own.to_be_bytes());
    }
    fs::write(&path, &bad).expect("written");
    let failure = Failure::of(&place.take("app.db").err().expect("damaged"));
    assert_eq!(failure.kind, Kind::Snapshot, "{failure}");
    assert!(failure.message.contains("is used twice"), "{failure}");
}

/// Pages whose numbers contradict each other stay as they are, whatever they hold.
#[test]
fn a_page_of_any_bytes_is_cleared_or_stays() {
    let mut state = 7_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as u8
    };
    let (mut cleared, mut stayed) = (0, 0);
    for round in 0..20_000 {
        let mut page: Vec<u8> = (0..480).map(|_| next()).collect();
        let header = if round % 2 == 0 { 0 } else { HEADER_BYTES };
        page[header] = [2, 5, 10, 13, 0][round % 5];
        // Up to 63 cells, content that begins anywhere, and free blocks in two pages of three.
        page[header + 1] %= 2;
        page[header + 3] = 0;
        page[header + 4] %= 64;
        page[header + 5] %= 2;
        if round % 3 == 0 {
            page[header + 1..header + 3].fill(0);
        }
        let before = page.clone();
        match clear_page(&mut page, header) {
            true => cleared += 1,
            false => {
                stayed += 1;
                assert_eq!(page, before);
            }
        }
        assert_eq!(page[..header + 8], before[..header + 8], "the header stays");
    }
    assert!(cleared > 100 && stayed > 100, "{cleared} {stayed}");
    let mut page = vec![0xff; 65536];
    page[..8].copy_from_slice(&[13, 0, 0, 0, 1, 0, 0, 0]);
    assert!(clear_page(&mut page, 0));
    assert!(page[10..].iter().all(|byte| *byte == 0) && page[8..10] == [0xff, 0xff]);
}

#![expect(
    clippy::disallowed_methods,
    reason = "tests may do what hookshot may not"
)]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::PathBuf,
};

use super::*;
use crate::error::{Failure, Kind};

/// The folder of a database, a scratch folder, and the first state of the folder.
struct Place {
    folder: tempfile::TempDir,
    scratch: tempfile::TempDir,
}

/// Every file of a folder: place, mode, owner, times and content.
type Listing = BTreeMap<PathBuf, ((u64, u32, u32, i64, i64, i64, i64), Vec<u8>)>;

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

    fn listing(&self) -> Listing {
        let files = self.folder.path().read_dir().expect("readable");
        files
            .map(|file| {
                let path = file.expect("a file").path();
                let meta = path.symlink_metadata().expect("there");
                let place = (meta.ino(), meta.mode(), meta.uid());
                let times = (
                    meta.mtime(),
                    meta.mtime_nsec(),
                    meta.ctime(),
                    meta.ctime_nsec(),
                );
                let content = fs::read(&path).expect("readable");
                let stamp = (
                    place.0, place.1, place.2, times.0, times.1, times.2, times.3,
                );
                (path, (stamp, content))
            })
            .collect()
    }

    /// Takes a snapshot; checks that the folder stays as it was and scratch empty, whatever the result.
    fn take(&self, name: &str) -> Result<Staged> {
        self.take_with(name, &|_| Ok(()))
    }

    fn take_with(&self, name: &str, step: &crate::work::Advance<'_>) -> Result<Staged> {
        let caller = SqliteContext {
            step,
            scratch: self.scratch.path(),
            patience: Duration::from_millis(100),
        };
        let before = self.listing();
        let entry = EntryName::new("app.db").expect("a name");
        let result = take(&self.path(name), &entry, CopyForm::Compact, &caller);
        assert!(
            self.listing() == before,
            "something changed beside the original"
        );
        assert_eq!(self.scratch.path().read_dir().expect("readable").count(), 0);
        result
    }

    /// Writes the snapshot to a file and opens it.
    fn restored(&self, staged: &Staged) -> Connection {
        let path = self.scratch.path().join("restored.db");
        let mut file = File::create(&path).expect("a file");
        io::copy(&mut staged.content.open().expect("content"), &mut file).expect("copied");
        judge::check(&path, &|_| Ok(())).expect("a good database");
        let connection = connection::open(&path, ConnectionMode::Still).expect("opened");
        fs::remove_file(&path).expect("removed");
        connection
    }
}

fn create(path: &Path, mode: &str) -> Connection {
    let connection = Connection::open(path).expect("a database");
    connection
        .query_row(&format!("PRAGMA journal_mode = {mode}"), [], |_| Ok(()))
        .expect("set");
    connection
        .execute_batch(
            "PRAGMA user_version = 7; PRAGMA application_id = 4711; PRAGMA wal_autocheckpoint = 0;
             CREATE TABLE notes(text, number);
             CREATE INDEX by_number ON notes(number);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
             INSERT INTO notes SELECT 'note ' || (i * 7919), i FROM n;
             DELETE FROM notes WHERE number % 3 = 0",
        )
        .expect("filled");
    connection
}

fn count(connection: &Connection) -> i64 {
    let query = "SELECT count(*) FROM notes WHERE number % 3 <> 0";
    connection
        .query_row(query, [], |row| row.get(0))
        .expect("a number")
}

fn rowids(connection: &Connection) -> Vec<(i64, i64)> {
    let mut query = connection
        .prepare("SELECT rowid, number FROM notes ORDER BY rowid")
        .expect("a query");
    let rows = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

fn failure(result: Result<Staged>) -> Failure {
    Failure::of(&result.err().expect("no snapshot"))
}

#[test]
fn a_closed_database_is_copied_with_its_mode_and_nothing_beside_it_is_made() {
    for mode in ["wal", "delete"] {
        let place = Place::new();
        let connection = create(&place.path("app.db"), mode);
        let rows = rowids(&connection);
        drop(connection);
        fs::set_permissions(place.path("app.db"), fs::Permissions::from_mode(0o640)).expect("set");
        let staged = place.take("app.db").expect("a snapshot");
        let record = &staged.record;
        assert_eq!(
            (record.kind.as_deref(), record.mode),
            (Some("sqlite"), Some(0o640))
        );
        let mut said = record.snapshot.clone().expect("a description");
        said["seconds"] = json!(0);
        let StagedContent::File(file) = &staged.content else {
            panic!("a database lies in a file");
        };
        let size = file.metadata().expect("a size").len();
        assert_eq!(record.size, size);
        assert_eq!(
            said,
            json!({
                "method": "vacuum_into", "quick_check": true, "check": "integrity", "journal_mode": mode, "recovered": false,
                "page_size": 4096, "pages": size / 4096, "user_version": 7, "application_id": 4711, "seconds": 0,
            })
        );
        let copy = place.restored(&staged);
        let expected = if mode == "wal" {
            JournalMode::Wal
        } else {
            JournalMode::Rollback
        };
        assert_eq!(
            SqliteHeader::read(file).expect("readable"),
            SqliteHeader::Database(expected)
        );
        assert_eq!(rowids(&copy), rows, "rowids stay as they are");
        let digest = Digest::of_reader(staged.content.open().expect("content")).expect("read");
        assert_eq!(digest, (record.checksum, record.size));
    }
}

#[test]
fn what_is_deleted_stays_out() {
    let place = Place::new();
    let connection = create(&place.path("app.db"), "delete");
    connection
        .execute("INSERT INTO notes VALUES ('hunter2-correct-horse', 0)", [])
        .expect("a row");
    connection
        .execute("DELETE FROM notes WHERE number = 0", [])
        .expect("deleted");
    drop(connection);
    let has = |bytes: &[u8]| memchr::memmem::find(bytes, b"hunter2").is_some();
    assert!(has(&fs::read(place.path("app.db")).expect("readable")));
    let staged = place.take("app.db").expect("a snapshot");
    let mut bytes = Vec::new();
    io::copy(&mut staged.content.open().expect("content"), &mut bytes).expect("read");
    assert!(!has(&bytes));
}

#[test]
fn a_log_that_a_crash_left_is_part_of_the_snapshot() {
    for index in [true, false] {
        let place = Place::new();
        let live = tempfile::tempdir().expect("a folder");
        let connection = create(&live.path().join("app.db"), "wal");
        let rows = rowids(&connection);
        for suffix in ["", "-wal", "-shm"] {
            let name = format!("app.db{suffix}");
            if index || suffix != "-shm" {
                fs::copy(live.path().join(&name), place.path(&name)).expect("copied");
            }
        }
        drop(connection);
        let staged = place.take("app.db").expect("a snapshot");
        assert_eq!(rowids(&place.restored(&staged)), rows);
        let said = staged.record.snapshot.expect("a description");
        assert_eq!(
            (&said["recovered"], &said["journal_mode"]),
            (&json!(true), &json!("wal"))
        );
    }
}

#[test]
fn a_transaction_that_a_crash_cut_short_is_rolled_back_in_the_copy() {
    let place = Place::new();
    let live = tempfile::tempdir().expect("a folder");
    let connection = create(&live.path().join("app.db"), "delete");
    let rows = rowids(&connection);
    // So little cache that changed pages go to the file before the commit.
    connection
        .execute_batch(
            "PRAGMA cache_size = 2; BEGIN; UPDATE notes SET text = 'torn', number = -number",
        )
        .expect("begun");
    for name in ["app.db", "app.db-journal"] {
        fs::copy(live.path().join(name), place.path(name)).expect("copied");
    }
    drop(connection);
    let torn = connection::open(&place.path("app.db"), ConnectionMode::Still).expect("opened");
    assert_ne!(rowids(&torn), rows, "the file alone is in the middle of it");
    drop(torn);
    let staged = place.take("app.db").expect("a snapshot");
    assert_eq!(rowids(&place.restored(&staged)), rows);
    assert_eq!(
        staged.record.snapshot.expect("a description")["recovered"],
        json!(true)
    );
}

#[test]
fn a_journal_that_is_over_is_none() {
    for mode in ["persist", "truncate"] {
        let place = Place::new();
        let connection = create(&place.path("app.db"), mode);
        connection
            .execute("UPDATE notes SET text = 'new'", [])
            .expect("committed");
        drop(connection);
        assert!(place.path("app.db-journal").exists());
        let staged = place.take("app.db").expect("a snapshot");
        assert_eq!(count(&place.restored(&staged)), 2000);
        assert_eq!(
            staged.record.snapshot.expect("a description")["recovered"],
            json!(false)
        );
    }
}

#[test]
fn an_empty_log_is_none() {
    let place = Place::new();
    drop(create(&place.path("app.db"), "wal"));
    fs::write(place.path("app.db-wal"), "").expect("written");
    let staged = place.take("app.db").expect("a snapshot");
    assert_eq!(count(&place.restored(&staged)), 2000);
}

#[test]
fn names_that_mean_something_to_a_uri_and_links_are_followed() {
    for name in ["a?mode=rwc#b.db", "100%41 'q' \"q\".db", "naïve;&.db"] {
        let place = Place::new();
        drop(create(&place.path(name), "wal"));
        let elsewhere = Place::new();
        symlink(place.path(name), elsewhere.path("link.db")).expect("a link");
        for staged in [place.take(name), elsewhere.take("link.db")] {
            assert_eq!(count(&place.restored(&staged.expect("a snapshot"))), 2000);
        }
    }
}

#[test]
fn what_is_missing_or_no_database_is_said_so() {
    let place = Place::new();
    assert_eq!(failure(place.take("app.db")).kind, Kind::NotFound);
    fs::create_dir(place.path("folder")).expect("a folder");
    let folder = SqliteContext {
        step: &|_| Ok(()),
        scratch: place.scratch.path(),
        patience: Duration::ZERO,
    };
    let name = EntryName::new("app.db").expect("a name");
    assert_eq!(
        failure(take(
            &place.path("folder"),
            &name,
            CopyForm::Compact,
            &folder
        ))
        .kind,
        Kind::Usage
    );
    fs::remove_dir(place.path("folder")).expect("removed");
    for (bytes, says) in [
        (vec![], "is empty"),
        (
            vec![0x5a; 8192],
            "is not an SQLite database, or it is encrypted",
        ),
    ] {
        fs::write(place.path("app.db"), bytes).expect("written");
        let failure = failure(place.take("app.db"));
        assert_eq!(failure.kind, Kind::Snapshot);
        assert!(failure.message.contains(says), "{failure}");
    }
}

#[test]
fn a_damaged_database_is_never_archived() {
    let place = Place::new();
    drop(create(&place.path("app.db"), "delete"));
    let good = fs::read(place.path("app.db")).expect("readable");
    let mut pages = 0;
    for page in (0..good.len()).step_by(4096) {
        let mut bad = good.clone();
        bad[page..page + 64].fill(0x5a);
        fs::write(place.path("app.db"), &bad).expect("written");
        assert_eq!(
            failure(place.take("app.db")).kind,
            Kind::Snapshot,
            "page {page}"
        );
        pages += 1;
    }
    assert!(pages > 20, "{pages} pages are too few to say anything");
}

/// A leaf that claims fewer rows than it has: SQLite rebuilds it silently.
#[test]
fn damage_that_a_rebuilt_copy_would_hide_is_found() {
    let place = Place::new();
    // Of a table with an index the check counts the rows.
    create(&place.path("app.db"), "delete")
        .execute_batch("DROP INDEX by_number; VACUUM")
        .expect("without an index");
    let mut bytes = fs::read(place.path("app.db")).expect("readable");
    let leaf = (4096..bytes.len())
        .step_by(4096)
        .find(|page| bytes[*page] == 0x0d && bytes[page + 4] > 10)
        .expect("a leaf of the table");
    bytes[leaf + 4] -= 5;
    fs::write(place.path("app.db"), &bytes).expect("written");
    let connection =
        connection::open(&place.path("app.db"), ConnectionMode::Still).expect("opened");
    let rebuilt = place.scratch.path().join("rebuilt.db");
    connection
        .execute("VACUUM INTO ?1", [connection::uri(&rebuilt)])
        .expect("rebuilt without a word");
    judge::check(&rebuilt, &|_| Ok(())).expect("and found good");
    fs::remove_file(rebuilt).expect("removed");
    drop(connection);
    let failure = failure(place.take("app.db"));
    assert_eq!(failure.kind, Kind::Snapshot);
    assert!(
        failure
            .message
            .contains("is damaged: SQLite finds it damaged: "),
        "{failure}"
    );
}

#[test]
fn what_only_the_service_can_rebuild_is_copied_page_by_page() {
    for mode in ["wal", "delete"] {
        let place = Place::new();
        let connection = create(&place.path("app.db"), mode);
        connection
            .create_collation("backwards", |one, other| other.cmp(one))
            .expect("a collation");
        connection
            .execute_batch("CREATE INDEX by_text ON notes(text COLLATE backwards)")
            .expect("an index");
        let rows = rowids(&connection);
        drop(connection);
        let staged = place.take("app.db").expect("a snapshot");
        assert_eq!(rowids(&place.restored(&staged)), rows);
        let said = staged.record.snapshot.expect("a description");
        assert_eq!(
            (&said["method"], &said["journal_mode"]),
            (&json!("backup"), &json!(mode))
        );
        assert_eq!(said["user_version"], 7);
    }
}

#[test]
fn it_ends_when_its_caller_wants_it_to() {
    let place = Place::new();
    drop(create(&place.path("app.db"), "delete"));
    for last in 0..4 {
        let left = std::cell::Cell::new(last);
        let step = |_| match left.replace(left.get() - 1) {
            0 => Err(Failure::new(Kind::Interrupted(15), "stopped").into()),
            _ => Ok(()),
        };
        assert_eq!(
            failure(place.take_with("app.db", &step)).kind,
            Kind::Interrupted(15)
        );
    }
}

#[test]
fn a_database_that_is_replaced_meanwhile_is_read_anew() {
    for mode in ["wal", "delete"] {
        let place = Place::new();
        drop(create(&place.path("app.db"), mode));
        let connection = create(&place.scratch.path().join("next.db"), mode);
        connection
            .execute("DELETE FROM notes WHERE number > 10", [])
            .expect("deleted");
        drop(connection);
        let replace = || fs::rename(place.scratch.path().join("next.db"), place.path("app.db"));
        let calls = std::cell::Cell::new(0);
        let step = |_| {
            if calls.replace(calls.get() + 1) == 0 {
                replace().expect("renamed");
            }
            Ok(())
        };
        let caller = SqliteContext {
            step: &step,
            scratch: place.scratch.path(),
            patience: Duration::ZERO,
        };
        let name = EntryName::new("app.db").expect("a name");
        let staged =
            take(&place.path("app.db"), &name, CopyForm::Compact, &caller).expect("a snapshot");
        assert_eq!(count(&place.restored(&staged)), 7, "{mode}");
    }
}

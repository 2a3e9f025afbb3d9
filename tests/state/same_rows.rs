//! A SQLite database that holds the rows of an archive is that archive's, although its file has other pages: `diff` says so,
//! and an import leaves it and its only backup alone.

use support::service::Service;

use std::{fs, path::Path};

use rusqlite::Connection;

/// Makes a database with rows, one of which is deleted again, so that the file has a free page.
fn fill(path: &Path, mode: &str) {
    let connection = Connection::open(path).expect("a database");
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = {mode}; CREATE TABLE t (a INTEGER PRIMARY KEY, b); CREATE INDEX i ON t (b);
             INSERT INTO t VALUES (1, 'one'), (2, randomblob(20000)); DELETE FROM t WHERE a = 2"
        ))
        .expect("filled");
    connection.close().expect("closed");
}

fn rows(path: &Path) -> i64 {
    let connection = Connection::open(path).expect("a database");
    connection
        .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
        .expect("a number")
}

fn add(path: &Path) {
    let connection = Connection::open(path).expect("a database");
    connection
        .execute("INSERT INTO t (b) VALUES ('more')", [])
        .expect("added");
    connection.close().expect("closed");
}

fn service(text: &str) -> Service {
    let service = Service::with_config("shop", "");
    let text = format!("[backup]\nprefix = \"shop\"\ninclude_config = false\n{text}")
        .replace("SRV", service.folder.to_str().expect("UTF-8"));
    fs::write(&service.config, text).expect("written");
    service
}

#[test]
fn commits_that_are_only_in_the_log_are_a_difference() {
    let service =
        service("[[backup.sources]]\nkind = \"sqlite\"\nname = \"a.db\"\npath = \"SRV/a.db\"\n");
    let database = service.folder.join("a.db");
    fill(&database, "WAL");
    service.run(&["export", "1.tar.gz"], 0);
    add(&database);
    service.run(&["import", "1.tar.gz"], 0);
    service.run(&["diff", "1.tar.gz"], 0);
    let connection = Connection::open(&database).expect("a database");
    connection
        .execute_batch("PRAGMA wal_autocheckpoint = 0; INSERT INTO t (b) VALUES ('more')")
        .expect("added");
    service.run(&["diff", "1.tar.gz"], 1);
    connection
        .execute("DELETE FROM t WHERE b = 'more'", [])
        .expect("removed");
    service.run(&["diff", "1.tar.gz"], 0);
}

#[test]
fn a_database_right_after_its_export_is_unchanged_and_its_backup_stays() {
    for (mode, source, bak) in [
        (
            "DELETE",
            "kind = \"sqlite\"\nname = \"a.db\"\npath = \"SRV/d/a.db\"",
            "d/a.db.bak",
        ),
        (
            "WAL",
            "kind = \"sqlite\"\nname = \"a.db\"\npath = \"SRV/d/a.db\"",
            "d/a.db.bak",
        ),
        (
            "DELETE",
            "kind = \"directory\"\nname = \"d\"\npath = \"SRV/d\"",
            "d.bak/a.db",
        ),
        (
            "WAL",
            "kind = \"directory\"\nname = \"d\"\npath = \"SRV/d\"",
            "d.bak/a.db",
        ),
    ] {
        let service = service(&format!("[[backup.sources]]\n{source}\n"));
        let database = service.folder.join("d/a.db");
        fs::create_dir(service.folder.join("d")).expect("a folder");
        fill(&database, mode);
        service.run(&["export", "1.tar.gz"], 0);
        service.run(&["diff", "1.tar.gz"], 0);
        let before = fs::read(&database).expect("it");
        service.run(&["import", "1.tar.gz"], 0);
        assert_eq!(fs::read(&database).expect("it"), before, "{mode} {source}");
        // One row more is a difference.
        add(&database);
        service.run(&["diff", "1.tar.gz"], 1);
        service.run(&["import", "1.tar.gz"], 0);
        assert_eq!((rows(&database), rows(&service.folder.join(bak))), (1, 2));
        // What was imported, exported again, and imported: nothing is swapped, and the backup stays the old state.
        service.run(&["export", "2.tar.gz"], 0);
        service.run(&["diff", "2.tar.gz"], 0);
        service.run(&["import", "2.tar.gz"], 0);
        assert_eq!(rows(&service.folder.join(bak)), 2, "{mode} {source}");
        service.run(&["import", "1.tar.gz"], 0);
        assert_eq!(rows(&service.folder.join(bak)), 2, "{mode} {source}");
    }
}

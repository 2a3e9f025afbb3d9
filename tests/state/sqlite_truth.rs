//! hookshot tells the truth about a SQLite database: indexes that do not match their tables, damage, and tables that
//! only the service can read.

use support::forge;
use support::{Machine, Run};

use std::{fs, path::Path};

use rusqlite::{Connection, functions::FunctionFlags};
use serde_json::Value;

/// A machine whose state is one SQLite database.
fn machine() -> Machine {
    let machine = Machine::empty();
    let text = "[backup]\n[[backup.sources]]\nname = \"app.db\"\nkind = \"sqlite\"\npath = \"../data/app.db\"\n";
    machine.write("etc/config.toml", text, 0o600);
    machine
}

fn path(machine: &Machine) -> std::path::PathBuf {
    machine.path("data/app.db")
}

fn sql(path: &Path, sql: &str) {
    let connection = Connection::open(path).expect("a database");
    connection.execute_batch(sql).expect(sql);
}

/// The same with a schema that can be written, read anew before and after.
fn schema(path: &Path, change: &str) {
    sql(path, &format!("PRAGMA writable_schema = ON; {change}"));
}

/// Does `change` while the database does not know its index `index`.
fn behind(path: &Path, index: &str, change: &str) {
    let connection = Connection::open(path).expect("a database");
    let row = "SELECT rootpage, tbl_name, sql FROM sqlite_schema WHERE name = ?1";
    let (root, table, text): (i64, String, Option<String>) = connection
        .query_row(row, [index], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .expect("an index");
    drop(connection);
    schema(
        path,
        &format!("DELETE FROM sqlite_schema WHERE name = '{index}'"),
    );
    sql(path, change);
    let connection = Connection::open(path).expect("a database");
    connection
        .execute_batch("PRAGMA writable_schema = ON")
        .expect("set");
    connection
        .execute(
            "INSERT INTO sqlite_schema VALUES ('index', ?1, ?2, ?3, ?4)",
            (index, table, root, text),
        )
        .expect("back");
}

const NUMBERS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)";

fn table(path: &Path) {
    sql(
        path,
        &format!(
            "CREATE TABLE t(a INTEGER PRIMARY KEY, b, c TEXT NOT NULL DEFAULT '');
             CREATE INDEX ib ON t(b);
             {NUMBERS} INSERT INTO t(a, b) SELECT i, 'b' || i FROM n"
        ),
    );
}

fn export(machine: &Machine) -> Run {
    machine.run(&["export", "a.tar.gz", "--overwrite", "--json"])
}

/// An export that is refused because of an index.
#[track_caller]
fn is_refused(machine: &Machine, says: &[&str]) {
    let run = export(machine).exits(15);
    let error = &run.json()["error"];
    let text = error.to_string();
    for word in says {
        assert!(text.contains(word), "{word:?} is not in {error:#}");
    }
    assert!(!text.contains("damaged"), "{error:#}");
    assert!(!machine.path("out/a.tar.gz").exists());
}

/// An export that says what it did not check; it comes back, and its dry run says the same.
#[track_caller]
fn is_copied(machine: &Machine, says: &[&str]) -> Value {
    let report = export(machine).exits(0).json();
    let warnings = report["warnings"].to_string();
    for word in says {
        assert!(warnings.contains(word), "{word:?} is not in {report:#}");
    }
    machine.run(&["verify", "a.tar.gz"]).exits(0);
    fs::remove_file(path(machine)).expect("removed");
    for verb in [
        &["import", "a.tar.gz", "--json", "--dry-run"][..],
        &["import", "a.tar.gz", "--json"],
    ] {
        let told = machine.run(verb).exits(0).json();
        let warnings = told["warnings"].to_string();
        for word in says {
            assert!(warnings.contains(word), "{word:?} is not in {told:#}");
        }
    }
    report
}

#[test]
fn a_good_database_is_checked_whole_and_the_report_says_so() {
    let machine = machine();
    table(&path(&machine));
    let report = export(&machine).exits(0).json();
    assert_eq!(report["snapshot"]["check"], "integrity", "{report}");
    assert_eq!(report["checks"]["app.db"], "integrity", "{report}");
    assert!(report["warnings"].is_null(), "{report}");
    let shown = machine
        .run(&["inspect", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    let record = &shown["manifest"]["files"]["app.db"];
    assert_eq!(record["snapshot"]["check"], "integrity", "{record}");
}

#[test]
fn an_index_that_holds_another_value_is_named_with_its_remedy() {
    for mode in ["delete", "wal"] {
        let machine = machine();
        table(&path(&machine));
        behind(&path(&machine), "ib", "UPDATE t SET b = 'zzz' WHERE a = 77");
        sql(&path(&machine), &format!("PRAGMA journal_mode = {mode}"));
        is_refused(&machine, &["REINDEX", "\\\"ib\\\"", "row 77 missing"]);
        // What the hint says mends it.
        sql(&path(&machine), "REINDEX \"ib\"");
        export(&machine).exits(0);
    }
}

#[test]
fn an_index_of_another_length_is_named_with_its_remedy() {
    for change in [
        "DELETE FROM t WHERE a % 7 = 0",
        "INSERT INTO t(b) VALUES ('more')",
    ] {
        let machine = machine();
        table(&path(&machine));
        behind(&path(&machine), "ib", change);
        is_refused(&machine, &["REINDEX", "\\\"ib\\\"", "the rows are good"]);
        sql(&path(&machine), "REINDEX \"ib\"");
        export(&machine).exits(0);
    }
}

#[test]
fn indexes_of_every_kind_are_compared() {
    for (index, change) in [
        (
            "CREATE INDEX x ON t(lower(b))",
            "UPDATE t SET b = 'zzz' WHERE a = 9",
        ),
        (
            "CREATE INDEX x ON t(b) WHERE a % 2",
            "UPDATE t SET b = 'zzz' WHERE a = 9",
        ),
        (
            "CREATE INDEX x ON t(b COLLATE NOCASE)",
            "UPDATE t SET b = 'zzz' WHERE a = 9",
        ),
        (
            "CREATE INDEX \"an index\" ON t(b, c)",
            "UPDATE t SET b = 'zzz' WHERE a = 9",
        ),
    ] {
        let machine = machine();
        table(&path(&machine));
        sql(&path(&machine), index);
        let name = if index.contains("an index") {
            "an index"
        } else {
            "x"
        };
        // The other index is not what this is about.
        sql(&path(&machine), "DROP INDEX ib");
        behind(&path(&machine), name, change);
        is_refused(&machine, &["REINDEX", name]);
    }
}

#[test]
fn rows_that_an_unique_index_forbids_are_named() {
    let machine = machine();
    table(&path(&machine));
    sql(&path(&machine), "CREATE UNIQUE INDEX u ON t(b)");
    // As if the index had not been unique: the same entries under another definition.
    schema(
        &path(&machine),
        "UPDATE sqlite_schema SET sql = replace(sql, 'UNIQUE ', '') WHERE name = 'u'",
    );
    sql(&path(&machine), "UPDATE t SET b = 'b1' WHERE a = 2");
    schema(
        &path(&machine),
        "UPDATE sqlite_schema SET sql = 'CREATE UNIQUE INDEX u ON t(b)' WHERE name = 'u'",
    );
    is_refused(
        &machine,
        &["two rows have the value", "REINDEX", "\\\"u\\\""],
    );
}

#[test]
fn real_damage_is_not_called_an_index_that_can_be_rebuilt() {
    let machine = machine();
    table(&path(&machine));
    let mut bytes = fs::read(path(&machine)).expect("it");
    let page = bytes.len() / 2 / 4096 * 4096;
    bytes[page..page + 512].fill(0x5a);
    fs::write(path(&machine), bytes).expect("written");
    let run = export(&machine).exits(15);
    let error = run.json()["error"].to_string();
    assert!(
        error.contains("damaged") && !error.contains("REINDEX"),
        "{error}"
    );
}

/// A full-text table whose tokenizer only the service has.
fn full_text(path: &Path, module: &str) {
    table(path);
    sql(
        path,
        &format!("CREATE VIRTUAL TABLE f USING {module}(b); INSERT INTO f SELECT b FROM t"),
    );
    let option = match module {
        "fts5" => "tokenize = 'collating'",
        _ => "tokenize=collating",
    };
    schema(
        path,
        &format!(
            "UPDATE sqlite_schema SET sql = {} WHERE name = 'f'",
            quote(&format!(
                "CREATE VIRTUAL TABLE f USING {module}(b, {option})"
            ))
        ),
    );
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[test]
fn a_table_with_a_tokenizer_of_the_service_is_copied_and_the_others_are_checked() {
    for module in ["fts3", "fts4", "fts5"] {
        let machine = machine();
        full_text(&path(&machine), module);
        let report = is_copied(&machine, &["table f of app.db", "\"check\""]);
        assert_eq!(report["snapshot"]["check"], "integrity", "{report:#}");
        let unchecked = &report["snapshot"]["unchecked"][0];
        assert_eq!(unchecked["table"], "f", "{report:#}");
        assert_eq!(unchecked["part"], "virtual", "{report:#}");
        let connection = Connection::open(path(&machine)).expect("a database");
        let rows = connection.query_row("SELECT count(*) FROM f_content", [], |row| row.get(0));
        assert_eq!(rows, Ok(500), "{module}");
        drop(connection);
        // What is beside it is still looked at.
        behind(&path(&machine), "ib", "UPDATE t SET b = 'zzz' WHERE a = 77");
        fs::remove_file(machine.path("out/a.tar.gz")).expect("removed");
        is_refused(&machine, &["REINDEX", "\\\"ib\\\""]);
    }
}

#[test]
fn damage_beside_a_table_that_only_the_service_can_read_is_found() {
    let machine = machine();
    full_text(&path(&machine), "fts5");
    let good = fs::read(path(&machine)).expect("it");
    let mut found = 0;
    for page in (4096..good.len()).step_by(4096) {
        let mut bytes = good.clone();
        bytes[page..page + 100].fill(0x5a);
        fs::write(path(&machine), bytes).expect("written");
        let run = export(&machine);
        assert_eq!(run.code, 15, "page {}: {}", page / 4096, run.text());
        found += 1;
        if found == 12 {
            break;
        }
    }
    assert!(found > 8, "{found} pages");
}

#[test]
fn virtual_tables_of_modules_that_only_the_service_has_are_copied() {
    for (module, more) in [
        ("vec0(embedding float[4])", "CREATE TABLE f_rowids(id)"),
        ("spellfix1", "CREATE TABLE f_vocab(word)"),
        ("zipfile('/tmp/none.zip')", "SELECT 1"),
        ("geopoly(a, b)", "CREATE TABLE f_node(a)"),
        ("\"my module\"(x)", "CREATE TABLE f_x(a)"),
    ] {
        let machine = machine();
        table(&path(&machine));
        if more != "SELECT 1" {
            sql(&path(&machine), more);
        }
        let text = quote(&format!("CREATE VIRTUAL TABLE f USING {module}"));
        schema(
            &path(&machine),
            &format!("INSERT INTO sqlite_schema VALUES ('table', 'f', 'f', 0, {text})"),
        );
        is_copied(&machine, &["table f of app.db", "no such module"]);
    }
}

#[test]
fn tables_with_functions_and_collations_of_the_service_are_copied_and_read() {
    for (before, from, to, says) in [
        (
            "CREATE INDEX x ON t(lower(b))",
            "lower(",
            "mine(",
            "table t",
        ),
        (
            "CREATE INDEX x ON t(b) WHERE length(b) > 3",
            "length(",
            "mine(",
            "table t",
        ),
        (
            "CREATE INDEX x ON t(b COLLATE NOCASE)",
            "NOCASE",
            "mine",
            "table t",
        ),
        (
            "CREATE TABLE w(a TEXT COLLATE NOCASE PRIMARY KEY, b) WITHOUT ROWID; INSERT INTO w VALUES ('a', 1), ('B', 2)",
            "NOCASE",
            "mine",
            "table w",
        ),
        (
            "CREATE TABLE g(a, b TEXT AS (lower(a)), c TEXT NOT NULL AS (lower(a)) STORED); INSERT INTO g VALUES ('A')",
            "lower(",
            "mine(",
            "",
        ),
        (
            "CREATE TABLE k(a, CHECK (lower(a) = a)); INSERT INTO k VALUES ('a')",
            "lower(",
            "mine(",
            "",
        ),
        (
            "CREATE TABLE d(a, b DEFAULT (lower('X'))); INSERT INTO d(a) VALUES ('a')",
            "lower(",
            "mine(",
            "",
        ),
    ] {
        let machine = machine();
        table(&path(&machine));
        sql(&path(&machine), before);
        let tables = "('x', 'w', 'g', 'k', 'd')";
        schema(
            &path(&machine),
            &format!(
                "UPDATE sqlite_schema SET sql = replace(sql, '{from}', '{to}') WHERE name IN {tables}"
            ),
        );
        let words: &[&str] = if says.is_empty() { &[] } else { &[says] };
        is_copied(&machine, words);
    }
}

/// Services replace `NOCASE` by a comparison that knows more letters; its order is not SQLite's.
#[test]
fn an_index_in_an_order_of_the_service_under_the_name_of_sqlites_own_is_no_fault() {
    let machine = machine();
    let service = || {
        let connection = Connection::open(path(&machine)).expect("a database");
        connection
            .create_collation("NOCASE", |one, other| other.cmp(one))
            .expect("a collation");
        connection
    };
    service()
        .execute_batch(&format!(
            "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT COLLATE NOCASE); CREATE INDEX ib ON t(b);
             CREATE TABLE w(b TEXT COLLATE NOCASE PRIMARY KEY) WITHOUT ROWID;
             {NUMBERS} INSERT INTO t SELECT i, 'b' || i FROM n;
             INSERT INTO w SELECT b FROM t"
        ))
        .expect("filled");
    let says = ["table t of app.db", "table w of app.db", "order"];
    let report = is_copied(&machine, &says);
    assert_eq!(report["snapshot"]["method"], "backup", "{report:#}");
    // The service finds its rows by it, as before.
    let check = "PRAGMA integrity_check";
    let found = service().query_row(check, [], |row| row.get::<_, String>(0));
    assert_eq!(found.expect("a verdict"), "ok");
    fs::remove_file(machine.path("out/a.tar.gz")).expect("removed");
    behind(&path(&machine), "ib", "UPDATE t SET b = 'zzz' WHERE a = 77");
    is_refused(&machine, &["REINDEX", "\\\"ib\\\""]);
}

/// As SQLite's own ICU extension replaces `lower`.
#[test]
fn an_index_on_a_function_of_letters_that_the_service_replaced_is_no_fault() {
    let machine = machine();
    let service = || {
        let connection = Connection::open(path(&machine)).expect("a database");
        let flags = FunctionFlags::SQLITE_UTF8
            | FunctionFlags::SQLITE_DETERMINISTIC
            | FunctionFlags::SQLITE_INNOCUOUS;
        connection
            .create_scalar_function("lower", 1, flags, |context| {
                Ok(context.get::<String>(0)?.to_lowercase())
            })
            .expect("a function");
        connection
    };
    service()
        .execute_batch(&format!(
            "CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE INDEX ib ON t(lower(b));
             {NUMBERS} INSERT INTO t SELECT i, iif(i % 3, 'B', '\u{c4}') || i FROM n"
        ))
        .expect("filled");
    is_copied(&machine, &["table t of app.db", "beyond ASCII"]);
    let check = "PRAGMA integrity_check";
    let found = service().query_row(check, [], |row| row.get::<_, String>(0));
    assert_eq!(found.expect("a verdict"), "ok");
    fs::remove_file(machine.path("out/a.tar.gz")).expect("removed");
    behind(&path(&machine), "ib", "UPDATE t SET b = 'zzz' WHERE a = 76");
    is_refused(&machine, &["REINDEX", "\\\"ib\\\""]);
}

/// Names that mean something to SQL, what the checks do not look at, and pages of every use.
#[test]
fn a_schema_that_is_hard_to_read_is_checked_table_by_table() {
    let machine = machine();
    sql(
        &path(&machine),
        "PRAGMA auto_vacuum = FULL; PRAGMA page_size = 1024; VACUUM",
    );
    full_text(&path(&machine), "fts5");
    sql(
        &path(&machine),
        "CREATE TABLE \"100\"(a, b AUTOINCREMENT_NOT); CREATE TABLE \"a\"\"b'c\"(a UNIQUE);
         CREATE TABLE \"sqlite schema\"(a INTEGER PRIMARY KEY AUTOINCREMENT, b);
         INSERT INTO \"sqlite schema\"(b) VALUES (zeroblob(100000)); INSERT INTO \"100\" VALUES (1, 2);
         CREATE VIRTUAL TABLE r USING rtree(id, x0, x1); INSERT INTO r VALUES (1, 2, 3);
         CREATE TABLE gone(a); CREATE VIEW v AS SELECT a FROM gone; DROP TABLE gone;
         CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT mine(new.a); END; ANALYZE",
    );
    let report = is_copied(&machine, &["table f of app.db"]);
    let unchecked = report["snapshot"]["unchecked"].as_array().expect("a list");
    assert_eq!(unchecked.len(), 1, "{report:#}");
}

#[test]
fn values_that_break_the_rules_of_their_columns_are_archived_and_named() {
    let machine = machine();
    sql(
        &path(&machine),
        &format!(
            "CREATE TABLE t(a INTEGER PRIMARY KEY, b, c INT);
             CREATE INDEX ib ON t(b);
             {NUMBERS} INSERT INTO t(a, b) SELECT i, NULL FROM n"
        ),
    );
    schema(
        &path(&machine),
        "UPDATE sqlite_schema SET sql = 'CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT NOT NULL, c INT)' WHERE name = 't'",
    );
    is_copied(&machine, &["NULL value in t.b", "as they are"]);
    // However many there are, an index behind them is found.
    fs::remove_file(machine.path("out/a.tar.gz")).expect("removed");
    behind(
        &path(&machine),
        "ib",
        "UPDATE t SET b = 'zzz' WHERE a = 477",
    );
    is_refused(&machine, &["REINDEX", "\\\"ib\\\""]);
}

#[test]
fn a_full_text_index_that_does_not_match_is_named_with_its_remedy() {
    for module in ["fts4", "fts5"] {
        let machine = machine();
        let content = match module {
            "fts4" => "UPDATE f_content SET c0b = 'zebra' WHERE docid = 3",
            _ => "UPDATE f_content SET c0 = 'zebra' WHERE id = 3",
        };
        sql(
            &path(&machine),
            &format!(
                "CREATE VIRTUAL TABLE f USING {module}(b);
                 INSERT INTO f VALUES ('one'), ('two'), ('three'); {content}"
            ),
        );
        is_refused(&machine, &["full-text index f", "rebuild"]);
        sql(&path(&machine), "INSERT INTO f(f) VALUES('rebuild')");
        export(&machine).exits(0);
    }
}

/// A service that indexes later than it writes is not in error.
#[test]
fn a_full_text_index_over_another_table_may_be_behind_it() {
    for module in ["fts4", "fts5"] {
        let machine = machine();
        let key = match module {
            "fts4" => "",
            _ => ", content_rowid=a",
        };
        sql(
            &path(&machine),
            &format!(
                "CREATE TABLE t(a INTEGER PRIMARY KEY, b);
                 CREATE VIRTUAL TABLE f USING {module}(b, content=t{key});
                 INSERT INTO t VALUES (1, 'one'), (2, 'two');
                 INSERT INTO f(rowid, b) SELECT a, b FROM t;
                 UPDATE t SET b = 'zebra' WHERE a = 2; INSERT INTO t VALUES (3, 'three')"
            ),
        );
        is_copied(&machine, &[]);
    }
}

/// An archive that something else made, or an earlier version, may hold such an index. Its rows are good.
#[test]
fn an_import_restores_an_index_that_does_not_match_and_says_so() {
    let machine = machine();
    table(&path(&machine));
    behind(&path(&machine), "ib", "UPDATE t SET b = 'zzz' WHERE a = 77");
    let bytes = fs::read(path(&machine)).expect("it");
    machine.write("out/a.tar.gz", forge::written(&[("app.db", &bytes)]), 0o600);
    fs::remove_file(path(&machine)).expect("removed");
    for verb in [
        &["import", "a.tar.gz", "--json", "--dry-run"][..],
        &["import", "a.tar.gz", "--json"],
    ] {
        let report = machine.run(verb).exits(3).json();
        let undone = &report["left_undone"][0];
        assert_eq!(undone["kind"], "index", "{report:#}");
        let message = undone["message"].as_str().expect("a message");
        assert!(message.contains("REINDEX \"ib\""), "{message}");
    }
    assert_eq!(fs::read(path(&machine)).expect("it"), bytes);
}

//! Databases that only their own programs can copy: by commands, against the real programs.

use support::postgres::Postgres;
use support::service::{Service, write};

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

/// The service that examples/apps/postgres.toml describes, with rows, an index, a view, a sequence and a file.
fn service_with_postgres(server: &Postgres) -> Service {
    let mut service = Service::new("postgres");
    for (key, value) in server.environment() {
        service.set(key, value);
    }
    if !nix::unistd::geteuid().is_root() {
        let text = fs::read_to_string(&service.config).expect("it");
        let text = text.replace("runuser -u postgres -- ", "");
        fs::write(&service.config, text).expect("written");
    }
    server.sql(
        "CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL UNIQUE);
         CREATE TABLE invoices (id serial PRIMARY KEY, customer integer NOT NULL REFERENCES customers, total numeric(12, 2), scan bytea);
         CREATE INDEX by_total ON invoices (total);
         CREATE VIEW sums AS SELECT customer, sum(total) FROM invoices GROUP BY customer;
         INSERT INTO customers SELECT n, 'Zoë ' || n FROM generate_series(1, 50) n;
         INSERT INTO invoices (customer, total, scan)
             SELECT 1 + n % 50, n * 0.01, decode(repeat(md5(n::text), 8), 'hex') FROM generate_series(1, 3000) n",
    );
    write(&service.folder.join("invoices/1.pdf"), "%PDF");
    service
}

const WORST_OF_NIGHTS: &str =
    "DROP VIEW sums; ALTER TABLE invoices DROP COLUMN scan; DELETE FROM invoices WHERE id % 3 = 0;
    DROP TABLE customers CASCADE; CREATE TABLE since (n integer)";

#[test]
fn a_service_with_postgres_comes_back_as_it_was() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let service = service_with_postgres(&server);
    let before = server.dump();
    assert!(before.contains("Zoë 50") && before.contains("CREATE VIEW"));
    service.run(&["export", "a.tar.gz"], 0);
    server.sql(WORST_OF_NIGHTS);
    write(&service.folder.join("invoices/1.pdf"), "garbage");
    assert_ne!(server.dump(), before);
    server.wait_until_alone();
    service.run(&["import", "a.tar.gz"], 0);
    // What the dump does not know stays, as the configuration says.
    server.sql("DROP TABLE since");
    assert_eq!(server.dump(), before);
    let file = fs::read(service.folder.join("invoices/1.pdf"));
    assert_eq!(file.expect("it"), b"%PDF");
    assert!(server.sql("SELECT nextval('invoices_id_seq')").trim() == "3001");
}

#[test]
fn a_server_that_has_nothing_yet_gets_roles_database_and_owners() {
    let (Some(server), Some(other)) = (Postgres::start(), Postgres::start()) else {
        return;
    };
    let mut service = service_with_postgres(&server);
    server.sql(
        "CREATE ROLE clerk LOGIN PASSWORD 'not-a-real-password'; ALTER TABLE invoices OWNER TO clerk;
         GRANT SELECT ON customers TO clerk",
    );
    let before = server.dump();
    service.run(&["export", "a.tar.gz"], 0);
    // Another server: it has neither the role nor the tables.
    for (key, value) in other.environment() {
        service.set(key, value);
    }
    service.run(&["import", "a.tar.gz"], 0);
    assert_eq!(other.dump(), before);
    let owner = other.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'invoices'");
    assert_eq!(owner.trim(), "clerk");
}

#[test]
fn whoever_is_connected_to_postgres_keeps_an_import_out() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let service = service_with_postgres(&server);
    service.run(&["export", "a.tar.gz"], 0);
    server.sql(WORST_OF_NIGHTS);
    let broken = server.dump();
    server.wait_until_alone();
    let mut shop = server
        .client("psql")
        .args(["--no-psqlrc", "--no-align", "--tuples-only", "--dbname=app"])
        .env("PGAPPNAME", "shop")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("psql");
    let mut asks = shop.stdin.take().expect("a pipe");
    asks.write_all(b"SELECT 'connected';\n").expect("asked");
    let mut line = String::new();
    let mut says = BufReader::new(shop.stdout.take().expect("a pipe"));
    says.read_line(&mut line).expect("a line");
    assert_eq!(line, "connected\n");
    service
        .run(&["import", "a.tar.gz"], 11)
        .says("shop from here");
    drop(asks);
    shop.wait().expect("gone");
    assert_eq!(server.dump(), broken);
    server.wait_until_alone();
    service.run(&["import", "a.tar.gz"], 0);
}

#[test]
fn an_import_that_postgres_refuses_leaves_database_and_files_as_they_were() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let service = service_with_postgres(&server);
    service.run(&["export", "a.tar.gz"], 0);
    // What the dump does not know is in its way: the table cannot be dropped.
    server.sql("DELETE FROM invoices WHERE id > 7; CREATE VIEW late AS SELECT total FROM invoices");
    write(&service.folder.join("invoices/1.pdf"), "newer");
    let before = server.dump();
    server.wait_until_alone();
    service.run(&["import", "a.tar.gz"], 20).says("app.dump");
    assert_eq!(server.dump(), before);
    let file = fs::read(service.folder.join("invoices/1.pdf"));
    assert_eq!(file.expect("it"), b"newer");
}

/// Returns true if LMDB's programs are installed; says why if not. A complete run insists.
fn has_lmdb() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let has = |program: &str| env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let programs = ["mdb_copy", "mdb_load", "mdb_dump", "mdb_stat", "fuser"];
    let missing: Vec<&str> = programs
        .into_iter()
        .filter(|program| !has(program))
        .collect();
    assert!(
        missing.is_empty() || env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
        "{missing:?} are missing"
    );
    if !missing.is_empty() {
        println!("skipped: {missing:?} are missing; tests/run installs them");
    }
    missing.is_empty()
}

/// The configuration that docs/services.md shows, for the database in `folder`.
fn configuration(folder: &Path) -> String {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/services.md"));
    let document = document.expect("the document");
    let examples = document.split("```toml\n").skip(1);
    let mut examples = examples.filter_map(|example| example.split("```").next());
    let example = examples.find(|example| example.contains("mdb_copy"));
    let example = example.expect("an example");
    let folder = folder.to_str().expect("UTF-8");
    assert!(example.contains("/var/lib/shop/lmdb"), "{example}");
    example.replace("/var/lib/shop/lmdb", folder)
}

/// A service that writes into a LMDB database, a hundred records for each commit, and has it open until it is told.
struct Loader(Child);

impl Loader {
    fn start(folder: &Path, records: std::ops::Range<usize>) -> Loader {
        let mut child = Command::new("mdb_load")
            .arg(folder)
            .stdin(Stdio::piped())
            .spawn()
            .expect("mdb_load");
        let head = "VERSION=3\nformat=print\ntype=btree\nmapsize=16777216\nHEADER=END\n";
        let records = records.map(|number| format!(" key {number:05}\n value {number}\n"));
        let text = format!("{head}{}", records.collect::<String>());
        let stdin = child.stdin.as_mut().expect("a pipe");
        stdin.write_all(text.as_bytes()).expect("written");
        Loader(child)
    }

    fn end(mut self) {
        let mut stdin = self.0.stdin.take().expect("a pipe");
        stdin.write_all(b"DATA=END\n").expect("written");
        drop(stdin);
        assert!(self.0.wait().expect("an end").success());
    }
}

fn output(program: &str, folder: &Path) -> String {
    let run = Command::new(program).arg(folder).output();
    let run = run.expect(program);
    String::from_utf8_lossy(&run.stdout).into_owned()
}

/// The records of a database.
fn records(folder: &Path) -> Vec<String> {
    let mut command = Command::new("mdb_dump");
    let dump = command.arg("-p").arg(folder).output().expect("mdb_dump");
    assert!(dump.status.success(), "{dump:?}");
    let dump = String::from_utf8(dump.stdout).expect("text");
    let lines = dump.lines().filter(|line| line.starts_with(' '));
    lines.map(str::to_owned).collect()
}

#[test]
fn a_service_with_lmdb_comes_back_as_it_was() {
    if !has_lmdb() {
        return;
    }
    let service = Service::with_config("shop", "");
    let folder = service.folder.join("lmdb");
    fs::create_dir(&folder).expect("a folder");
    fs::write(&service.config, configuration(&folder)).expect("written");
    Loader::start(&folder, 0..1000).end();
    let before = records(&folder);
    assert_eq!(before.len(), 2000);
    // While the service works, an archive holds one commit, and no import comes in.
    let loader = Loader::start(&folder, 1000..2050);
    while !output("mdb_stat", &folder).contains("Entries: 2000") {
        std::thread::yield_now();
    }
    service.run(&["export", "live.tar.gz"], 0);
    service
        .run(&["import", "live.tar.gz"], 11)
        .says("shop.mdb is in use")
        .says(&loader.0.id().to_string());
    loader.end();
    service.run(&["extract", "live.tar.gz", "shop.mdb"], 0);
    let look = service.machine.path("out/look");
    fs::create_dir(&look).expect("a folder");
    fs::rename(service.machine.path("out/shop.mdb"), look.join("data.mdb")).expect("moved");
    let live = records(&look);
    assert_eq!(live.len(), 4000);
    assert_eq!(live, records(&folder)[..4000]);
    // Broken, and brought back.
    fs::write(folder.join("data.mdb"), "garbage").expect("written");
    // What is broken cannot be copied for a rollback, which is said; the command keeps the file.
    service
        .run(&["import", "live.tar.gz"], 3)
        .says("a rollback cannot bring it back");
    assert_eq!(records(&folder), live);
    let kept = fs::read(folder.join("data.mdb.bak"));
    assert_eq!(kept.expect("the old one"), b"garbage");
    // A service can go on with it.
    Loader::start(&folder, 3000..3001).end();
    assert_eq!(records(&folder).len(), 4002);
}

#[test]
fn a_lmdb_database_that_cannot_be_copied_is_no_backup() {
    if !has_lmdb() {
        return;
    }
    let service = Service::with_config("shop", "");
    let folder = service.folder.join("lmdb");
    fs::create_dir(&folder).expect("a folder");
    fs::write(&service.config, configuration(&folder)).expect("written");
    fs::write(folder.join("data.mdb"), "garbage".repeat(2000)).expect("written");
    service.run(&["export", "a.tar.gz"], 1).says("shop.mdb");
    assert!(!service.machine.path("out/a.tar.gz").exists());
}

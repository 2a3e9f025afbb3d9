//! Services that say themselves what their state consists of, through the real binary.

use support::{self, Machine, signals};

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;
use rusqlite::Connection;
use serde_json::Value;

/// A machine whose state is `sources`; `more` stands under `[backup]`.
fn machine(more: &str, sources: &str) -> Machine {
    let machine = Machine::new();
    let text = machine.config_text(&format!("[backup]\n{more}\n{sources}"));
    machine.write("etc/config.toml", text, 0o600);
    machine
}

fn source(name: &str, kind: &str, more: &str) -> String {
    format!("[[backup.sources]]\nname = \"{name}\"\nkind = \"{kind}\"\n{more}\n")
}

/// A file, a database and what a command prints.
fn service() -> Machine {
    let sources = [
        source("main.redb", "redb", "path = \"../data/state.redb\""),
        source("app.ini", "file", "path = \"app.ini\""),
        source(
            "keys/rsa",
            "file",
            "path = \"rsa\"\nsecret = true\noptional = true",
        ),
        source(
            "app.dump",
            "command",
            "export = \"cat live.sql\"\nimport = \"cat > restored.sql\"",
        ),
    ];
    let machine = machine("app = \"shop\"", &sources.concat());
    machine.fill_database(20);
    machine.write("etc/app.ini", "color = blue\n", 0o640);
    machine.write("etc/rsa", "private\n", 0o600);
    machine.write("out/live.sql", "CREATE TABLE t;\n", 0o600);
    machine
}

fn entries(machine: &Machine, archive: &str) -> Vec<String> {
    let shown = machine.run(&["inspect", archive, "--json"]).exits(0).json();
    let files = shown["manifest"]["files"].as_object().expect("files");
    files.keys().cloned().collect()
}

#[test]
fn a_state_is_what_the_sources_say() {
    let machine = service();
    machine.run(&["export", "a.tar.gz"]).exits(0);
    assert_eq!(
        entries(&machine, "a.tar.gz"),
        [
            "app.dump",
            "app.ini",
            "config.toml",
            "keys/rsa",
            "main.redb"
        ]
    );
    machine.run(&["diff", "a.tar.gz"]).exits(0);
    machine.write("etc/app.ini", "color = red\n", 0o600);
    machine.write("etc/rsa", "lost\n", 0o600);
    machine.fill_database(3);
    machine.run(&["diff", "a.tar.gz"]).exits(1);
    let plan = machine
        .run(&["import", "a.tar.gz", "--dry-run", "--json"])
        .exits(0)
        .json();
    let fed = plan["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .find(|step| step["entry"] == "app.dump");
    assert_eq!(fed.expect("it")["action"], "replace");
    assert!(!machine.path("out/restored.sql").exists());
    machine.run(&["import", "a.tar.gz"]).exits(0);
    assert_eq!(machine.read("etc/app.ini"), b"color = blue\n");
    assert_eq!(machine.mode("etc/app.ini"), 0o640);
    assert_eq!(machine.read("etc/rsa"), b"private\n");
    assert_eq!(machine.read("out/restored.sql"), b"CREATE TABLE t;\n");
    assert_eq!(machine.read("etc/app.ini.bak"), b"color = red\n");
    let undone = machine.run(&["rollback"]).exits(0);
    assert!(undone.stderr.contains("app.dump"), "{}", undone.stderr);
    assert_eq!(machine.read("etc/app.ini"), b"color = red\n");
}

#[test]
fn what_is_optional_or_secret_may_stay_out() {
    let machine = service();
    machine
        .run(&["export", "a.tar.gz", "--exclude-secrets"])
        .exits(0);
    assert!(!entries(&machine, "a.tar.gz").contains(&"keys/rsa".to_owned()));
    fs::remove_file(machine.path("etc/rsa")).expect("removed");
    machine.run(&["export", "b.tar.gz"]).exits(0);
    assert!(!entries(&machine, "b.tar.gz").contains(&"keys/rsa".to_owned()));
    fs::remove_file(machine.path("etc/app.ini")).expect("removed");
    let missing = machine.run(&["export", "c.tar.gz"]).exits(10);
    assert!(missing.stderr.contains("app.ini"), "{}", missing.stderr);
    let text = String::from_utf8(machine.read("etc/config.toml")).expect("text");
    let text = text.replace("[backup]\n", "[backup]\ninclude_config = false\n");
    machine.write("etc/config.toml", text, 0o600);
    machine.write("etc/app.ini", "", 0o600);
    machine.run(&["export", "d.tar.gz"]).exits(0);
    assert_eq!(
        entries(&machine, "d.tar.gz"),
        ["app.dump", "app.ini", "main.redb"]
    );
}

#[test]
fn a_command_that_fails_or_prints_nothing_is_no_backup() {
    for (command, says) in [
        ("cat live.sql; exit 7", "exit status: 7"),
        ("true", "printed nothing"),
        ("kill -9 $$", "signal: 9"),
    ] {
        let more = format!("export = \"{command}\"");
        let machine = machine("", &source("app.dump", "command", &more));
        machine.write("out/live.sql", "x", 0o600);
        let run = machine.run(&["export", "a.tar.gz"]).exits(1);
        assert!(run.stderr.contains(says), "{}", run.stderr);
        assert!(!machine.path("out/a.tar.gz").exists());
    }
}

#[test]
fn an_import_command_that_fails_brings_the_files_back() {
    let machine = service();
    machine.run(&["export", "a.tar.gz"]).exits(0);
    let text = String::from_utf8(machine.read("etc/config.toml")).expect("text");
    let broken = text.replace("cat > restored.sql", "cat > /dev/null; exit 4");
    assert_ne!(text, broken);
    machine.write("etc/config.toml", &broken, 0o600);
    machine.write("etc/app.ini", "color = red\n", 0o600);
    let before = machine.read("etc/app.ini");
    let run = machine
        .run(&[
            "import", "a.tar.gz", "--only", "app.ini", "--only", "app.dump",
        ])
        .exits(20);
    assert!(run.stderr.contains("app.dump"), "{}", run.stderr);
    assert!(machine.read("etc/app.ini") == before);
    assert!(!machine.path("etc/app.ini.bak").exists());
    // Where no file changes there is nothing to bring back.
    machine
        .run(&["import", "a.tar.gz", "--only", "app.dump"])
        .exits(1);
    assert!(machine.read("etc/app.ini") == before);
    // Without a command it has no place.
    let without = text.replace("\nimport = \"cat > restored.sql\"", "");
    machine.write("etc/config.toml", &without, 0o600);
    let plan = machine
        .run(&["import", "a.tar.gz", "--only", "app.dump", "--json"])
        .exits(3)
        .json();
    assert_eq!(plan["steps"][0]["action"], "skip");
}

#[test]
fn whoever_is_at_work_keeps_an_import_out() {
    let machine = service();
    machine.run(&["export", "a.tar.gz"]).exits(0);
    machine.write("etc/app.ini", "color = red\n", 0o640);
    let text = String::from_utf8(machine.read("etc/config.toml")).expect("text");
    let active = |command: &str| {
        let text = text.replace(
            "path = \"app.ini\"",
            &format!("path = \"app.ini\"\nactive_command = \"{command}\""),
        );
        machine.write("etc/config.toml", &text, 0o600);
    };
    let import = ["import", "a.tar.gz", "--only", "app.ini", "--json"];
    active("echo job 17; exit 1");
    let blocked = machine.run(&import).exits(11).json();
    assert_eq!(blocked["blocked"][0]["kind"], "active", "{blocked}");
    assert!(blocked.to_string().contains("job 17"));
    active("exit 3");
    let blocked = machine.run(&import).exits(11).json();
    assert_eq!(blocked["blocked"][0]["kind"], "activity_unknown");
    // A file that a process is writing is not replaced, forced or not.
    active("exit 1");
    let file = fs::OpenOptions::new()
        .append(true)
        .open(machine.path("etc/app.ini"))
        .expect("it");
    let mut holder = Command::new("sleep")
        .arg("600")
        .stdout(file)
        .spawn()
        .expect("sleep");
    for force in [&[][..], &["--force"]] {
        let blocked = machine.run(&[&import, force].concat()).exits(11).json();
        assert_eq!(blocked["blocked"][0]["kind"], "file_held");
        assert!(blocked.to_string().contains(&holder.id().to_string()));
    }
    holder.kill().expect("killed");
    holder.wait().expect("gone");
    active("echo job 17");
    machine.run(&[&import[..], &["--force"]].concat()).exits(0);
    assert_eq!(machine.read("etc/app.ini"), b"color = blue\n");
}

#[test]
fn an_archive_of_another_version_is_refused_by_the_rule() {
    let version = |rule: &str, version: &str| {
        let more = format!(
            "app = \"shop\"\nversion_rule = \"{rule}\"\napp_version_command = \"echo {version}; echo more\""
        );
        machine(&more, &source("app.ini", "file", "path = \"app.ini\""))
    };
    let one = version("any", "1.4.2");
    one.write("etc/app.ini", "color = blue\n", 0o640);
    one.run(&["export", "a.tar.gz"]).exits(0);
    for (rule, here, code) in [
        ("major", "1.9.0", 0),
        ("minor", "1.9.0", 14),
        ("minor", "1.4.9", 0),
        ("exact", "1.4.9", 14),
        ("major", "2.0.0", 14),
        ("any", "2.0.0", 0),
    ] {
        let other = version(rule, here);
        fs::copy(one.path("out/a.tar.gz"), other.path("out/a.tar.gz")).expect("copied");
        let run = other
            .run(&[
                "import", "a.tar.gz", "--only", "app.ini", "--force", "--json",
            ])
            .exits(code);
        if code != 0 {
            let said = run.json();
            assert_eq!(said["blocked"][0]["kind"], "app_version", "{said}");
            assert!(
                said.to_string().contains("the archive is of shop 1.4.2"),
                "{said}"
            );
        }
    }
    let silent = machine(
        "version_rule = \"major\"\napp_version_command = \"true\"",
        &source("app.ini", "file", "path = \"app.ini\""),
    );
    silent.write("etc/app.ini", "", 0o600);
    silent
        .run(&["export", "a.tar.gz"])
        .exits(0)
        .says("`app_version_command` under [backup] prints nothing");
}

/// The files are in their places, and the effect of the command is unknown: the next hookshot says so.
#[test]
fn an_import_that_dies_in_its_command_is_finished_and_says_what_is_open() {
    let machine = service();
    machine.run(&["export", "a.tar.gz"]).exits(0);
    let text = String::from_utf8(machine.read("etc/config.toml")).expect("text");
    let text = text.replace("cat > restored.sql", "touch began; sleep 60");
    machine.write("etc/config.toml", &text, 0o600);
    machine.write("etc/app.ini", "color = red\n", 0o640);
    let mut command = machine.command();
    command.args([
        "import", "a.tar.gz", "--only", "app.ini", "--only", "app.dump",
    ]);
    let mut import = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary");
    while !machine.path("out/began").exists() {
        assert!(import.try_wait().expect("a child").is_none(), "it ended");
        std::thread::yield_now();
    }
    signals::send(Signal::SIGKILL, &import);
    import.wait().expect("gone");
    let run = machine.run(&["inspect", "a.tar.gz"]).exits(0);
    assert!(
        run.stderr.contains("app.dump") && run.stderr.contains("--only"),
        "{}",
        run.stderr
    );
    assert_eq!(machine.read("etc/app.ini"), b"color = blue\n");
    let _: Value = machine.run(&["validate", "--json"]).exits(0).json();
}

/// A process that writes a SQLite database as fast as it can.
struct Writer(Child);

impl Writer {
    fn start(how: &str, path: &Path) -> Writer {
        let program = support::example("sqlite_holder");
        let mut child = Command::new(program)
            .args([how.as_ref(), path.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the writer");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Writer(child)
    }

    /// Kills the service without a warning.
    fn kill(mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("gone");
    }
}

fn rows(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).expect("a database");
    let mut query = connection
        .prepare("SELECT name FROM things ORDER BY name")
        .expect("a table");
    let rows = query.query_map([], |row| row.get(0)).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

fn add(path: &Path, name: &str) {
    let connection = Connection::open(path).expect("a database");
    let schema = "PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS things (name TEXT, busy INTEGER DEFAULT 0)";
    connection.execute_batch(schema).expect("a table");
    connection
        .execute("INSERT INTO things (name) VALUES (?1)", [name])
        .expect("a row");
}

fn sqlite(more: &str) -> Machine {
    let more = format!("path = \"../data/app.db\"\n{more}");
    machine("", &source("app.db", "sqlite", &more))
}

#[test]
fn a_sqlite_database_goes_along_while_it_is_written_and_comes_back() {
    let machine = sqlite("");
    let path = machine.path("data/app.db");
    let writer = Writer::start("wal", &path);
    let report = machine
        .run(&["export", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    assert_eq!(report["snapshot"]["method"], "vacuum_into", "{report}");
    let blocked = machine
        .run(&["import", "a.tar.gz", "--force", "--json"])
        .exits(11)
        .json();
    assert_eq!(blocked["blocked"][0]["kind"], "file_held", "{blocked}");
    writer.kill();
    // It died: what it had written last stands in the log.
    let log = machine.path("data/app.db-wal");
    let before = fs::read(&log).expect("a log");
    assert!(!before.is_empty());
    let plan = machine
        .run(&["import", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    let removed = plan["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .filter(|step| step["action"] == "remove");
    assert!(removed.count() >= 1, "{plan}");
    assert!(!log.exists() && !machine.path("data/app.db-shm").exists());
    let restored = machine.path("tmp/restored");
    fs::copy(&path, &restored).expect("copied");
    let check: String = Connection::open(&restored)
        .expect("a database")
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("a verdict");
    assert_eq!(check, "ok");
    machine.run(&["import", "a.tar.gz"]).exits(0);
    machine.run(&["diff", "a.tar.gz"]).exits(0);
}

/// The old log belongs to the old database, and the one that a service has begun since to the new one.
#[test]
fn a_rollback_brings_a_database_back_with_its_log() {
    let machine = sqlite("");
    let path = machine.path("data/app.db");
    add(&path, "archived");
    machine.run(&["export", "a.tar.gz"]).exits(0);
    // A connection that is open keeps the log from being taken in.
    let keep = |name: &str| {
        let other = Connection::open(&path).expect("a database");
        let look = "SELECT count(*) FROM things";
        other.query_row(look, [], |_| Ok(())).expect("open");
        add(&path, name);
        let log = machine.path("data/app.db-wal");
        let kept = [fs::read(&path), fs::read(&log)].map(|bytes| bytes.expect("a file"));
        drop(other);
        fs::write(&path, &kept[0]).expect("written");
        fs::write(log, &kept[1]).expect("written");
    };
    keep("only in the log");
    machine.run(&["import", "a.tar.gz"]).exits(0);
    keep("after the import");
    machine.run(&["rollback"]).exits(0);
    let copy = machine.path("tmp/copy.db");
    fs::copy(&path, &copy).expect("copied");
    fs::copy(
        machine.path("data/app.db-wal"),
        machine.path("tmp/copy.db-wal"),
    )
    .expect("copied");
    assert_eq!(rows(&copy), ["archived", "only in the log"]);
    // And back again: with the log that was there then.
    machine.run(&["rollback"]).exits(0);
    assert_eq!(rows(&path), ["after the import", "archived"]);
}

#[test]
fn rows_that_say_somebody_is_at_work_keep_an_import_out() {
    let machine = sqlite("active_query = \"SELECT name FROM things WHERE busy\"");
    let path = machine.path("data/app.db");
    add(&path, "job 17");
    machine.run(&["export", "a.tar.gz"]).exits(0);
    let set = |sql: &str| {
        let connection = Connection::open(&path).expect("a database");
        connection.execute_batch(sql).expect("done");
    };
    set("UPDATE things SET busy = 1");
    let blocked = machine
        .run(&["import", "a.tar.gz", "--json"])
        .exits(11)
        .json();
    assert_eq!(blocked["blocked"][0]["kind"], "active", "{blocked}");
    assert!(blocked.to_string().contains("job 17"));
    machine.run(&["import", "a.tar.gz", "--force"]).exits(0);
    machine.run(&["import", "a.tar.gz"]).exits(0);
    set("DROP TABLE things");
    let blocked = machine
        .run(&["import", "a.tar.gz", "--json"])
        .exits(11)
        .json();
    assert_eq!(
        blocked["blocked"][0]["kind"], "activity_unknown",
        "{blocked}"
    );
}

#[test]
fn a_damaged_sqlite_database_is_not_archived() {
    let machine = sqlite("");
    let path = machine.path("data/app.db");
    for number in 0..2000 {
        if number == 0 {
            add(&path, "first");
        }
        let connection = Connection::open(&path).expect("a database");
        connection.execute_batch("INSERT INTO things (name) SELECT hex(randomblob(200)) FROM (VALUES (1), (2), (3), (4))").expect("rows");
        if number == 60 {
            break;
        }
    }
    let mut bytes = fs::read(&path).expect("it");
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..][..4096] {
        *byte ^= 0x5a;
    }
    fs::write(&path, &bytes).expect("written");
    let run = machine.run(&["export", "a.tar.gz"]);
    assert!(run.code != 0, "{}", run.stderr);
    assert!(run.stderr.contains("app.db"), "{}", run.stderr);
    assert!(!machine.path("out/a.tar.gz").exists());
}

/// A service with a folder: files, a link, an empty folder, a useless cache, and a database in it.
fn folder_service() -> Machine {
    let sources = source(
        "files",
        "directory",
        "path = \"../data/app\"\nexclude = [\"/cache/\", \"*.tmp\"]",
    ) + &source("app.db", "sqlite", "path = \"../data/app/app.db\"");
    let machine = machine("", &sources);
    let app = machine.path("data/app");
    for folder in ["attachments/deep", "empty", "cache"] {
        fs::create_dir_all(app.join(folder)).expect("a folder");
    }
    machine.write("data/app/attachments/one", "1", 0o640);
    machine.write("data/app/attachments/deep/two", "22", 0o600);
    machine.write("data/app/cache/big", "cached before", 0o600);
    machine.write("data/app/scratch.tmp", "scratch", 0o600);
    std::os::unix::fs::symlink("attachments/one", app.join("link")).expect("a link");
    add(&app.join("app.db"), "archived");
    machine
}

#[test]
fn a_directory_is_replaced_as_one_with_the_database_in_it() {
    let machine = folder_service();
    let app = machine.path("data/app");
    machine.run(&["export", "a.tar.gz"]).exits(0);
    assert_eq!(
        entries(&machine, "a.tar.gz"),
        [
            "app.db",
            "config.toml",
            "files/attachments/deep/two",
            "files/attachments/one"
        ]
    );
    machine.run(&["import", "a.tar.gz"]).exits(0);
    machine.run(&["diff", "a.tar.gz"]).exits(0);
    let place = |path: &Path| {
        use std::os::unix::fs::MetadataExt as _;
        path.metadata().expect("it").ino()
    };
    let before = place(&app);
    let same = machine
        .run(&["import", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    assert_eq!(same["steps"][2]["action"], "unchanged", "{same}");
    assert_eq!(place(&app), before);
    // The service goes on, and goes wrong.
    fs::remove_file(app.join("attachments/deep/two")).expect("removed");
    fs::remove_dir(app.join("empty")).expect("removed");
    machine.write("data/app/attachments/new", "new", 0o600);
    machine.write("data/app/cache/big", "cached after", 0o600);
    add(&app.join("app.db"), "later");
    machine.run(&["diff", "a.tar.gz"]).exits(1);
    let plan = machine
        .run(&["import", "a.tar.gz", "--dry-run", "--json"])
        .exits(0)
        .json();
    assert_eq!(plan["steps"][2]["action"], "replace", "{plan}");
    assert_eq!(place(&app), before);
    machine.run(&["import", "a.tar.gz"]).exits(0);
    assert_ne!(place(&app), before);
    assert_eq!(machine.read("data/app/attachments/deep/two"), b"22");
    assert!(!app.join("attachments/new").exists());
    assert!(app.join("empty").is_dir());
    assert_eq!(machine.mode("data/app/attachments/one"), 0o640);
    assert_eq!(
        fs::read_link(app.join("link")).expect("a link"),
        Path::new("attachments/one")
    );
    assert_eq!(machine.read("data/app/cache/big"), b"cached after");
    assert_eq!(machine.read("data/app/scratch.tmp"), b"scratch");
    assert_eq!(machine.read("data/app.bak/attachments/new"), b"new");
    assert_eq!(rows(&app.join("app.db")), ["archived"]);
    machine.run(&["diff", "a.tar.gz"]).exits(0);
    machine.run(&["rollback"]).exits(0);
    assert_eq!(place(&app), before);
    assert_eq!(machine.read("data/app/attachments/new"), b"new");
    assert_eq!(rows(&app.join("app.db")), ["archived", "later"]);
    machine.run(&["rollback"]).exits(0);
    assert!(!app.join("attachments/new").exists());
    // Nothing of ours is left beside it.
    let left = fs::read_dir(machine.path("data")).expect("it").flatten();
    let left = left.map(|entry| entry.file_name().into_string().expect("UTF-8"));
    let ours: Vec<String> = left.filter(|name| name.starts_with(".hookshot")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}

#[test]
fn a_directory_comes_to_a_machine_that_has_none_and_goes_again() {
    let machine = folder_service();
    machine.run(&["export", "a.tar.gz"]).exits(0);
    let other = folder_service();
    fs::remove_dir_all(other.path("data/app")).expect("removed");
    fs::copy(machine.path("out/a.tar.gz"), other.path("out/a.tar.gz")).expect("copied");
    other.run(&["import", "a.tar.gz"]).exits(0);
    assert_eq!(other.read("data/app/attachments/deep/two"), b"22");
    assert_eq!(rows(&other.path("data/app/app.db")), ["archived"]);
    other.run(&["rollback"]).exits(0);
    assert!(!other.path("data/app").exists());
    assert_eq!(other.read("data/app.bak/attachments/deep/two"), b"22");
    other.run(&["rollback"]).exits(0);
    assert_eq!(other.read("data/app/attachments/deep/two"), b"22");
}

#[test]
fn a_directory_of_which_a_file_is_open_is_not_replaced() {
    let machine = folder_service();
    machine.run(&["export", "a.tar.gz"]).exits(0);
    machine.write("data/app/attachments/one", "changed", 0o640);
    let file = fs::File::open(machine.path("data/app/attachments/deep/two")).expect("it");
    let mut holder = Command::new("sleep")
        .arg("600")
        .stdin(file)
        .spawn()
        .expect("sleep");
    let blocked = machine
        .run(&["import", "a.tar.gz", "--force", "--json"])
        .exits(11)
        .json();
    holder.kill().expect("killed");
    holder.wait().expect("gone");
    assert_eq!(blocked["blocked"][0]["kind"], "file_held", "{blocked}");
    assert!(
        blocked.to_string().contains(&holder.id().to_string()),
        "{blocked}"
    );
    machine
        .run(&["import", "a.tar.gz", "--only", "files/attachments/one"])
        .exits(2);
    machine
        .run(&["import", "a.tar.gz", "--only", "files"])
        .exits(0);
    assert_eq!(machine.read("data/app/attachments/one"), b"1");
    assert_eq!(rows(&machine.path("data/app/app.db")), ["archived"]);
}

#[test]
fn outputs_and_configurations_do_not_lie_in_a_directory_that_is_a_source() {
    let machine = folder_service();
    let inside = machine.path("data/app/a.tar.gz");
    machine
        .run(&["export", inside.to_str().expect("UTF-8")])
        .exits(2);
    let around = source("files", "directory", "path = \"..\"");
    let text = machine.config_text(&around);
    machine.write("etc/config.toml", text, 0o600);
    machine.run(&["export", "a.tar.gz"]).exits(2);
}

#[test]
fn a_machine_that_has_nothing_takes_its_places_from_the_archive() {
    let machine = folder_service();
    machine.run(&["export", "a.tar.gz"]).exits(0);
    // The very configuration of the archive is here: a second run, say.
    machine
        .run(&["import", "a.tar.gz", "--use-archive-config"])
        .exits(0);
    let config = machine.read("etc/config.toml");
    machine.write("etc/config.toml", "[backup]\n", 0o600);
    machine
        .run(&["import", "a.tar.gz", "--use-archive-config"])
        .exits(2);
    machine.write("etc/config.toml", config, 0o600);
    for folder in ["etc", "data"] {
        fs::remove_dir_all(machine.path(folder)).expect("removed");
    }
    machine.run(&["import", "a.tar.gz"]).exits(2);
    let archive = machine.read("out/a.tar.gz");
    machine
        .run_with(&["import", "-", "--use-archive-config"], &archive)
        .exits(2);
    let plan = machine
        .run(&[
            "import",
            "a.tar.gz",
            "--use-archive-config",
            "--dry-run",
            "--json",
        ])
        .exits(0)
        .json();
    assert_eq!(plan["steps"].as_array().map(Vec::len), Some(3), "{plan}");
    assert!(!machine.path("etc").exists() && !machine.path("data").exists());
    machine
        .run(&["import", "a.tar.gz", "--use-archive-config"])
        .exits(0);
    assert_eq!(machine.read("data/app/attachments/deep/two"), b"22");
    assert_eq!(rows(&machine.path("data/app/app.db")), ["archived"]);
    machine.run(&["validate"]).exits(0);
    machine.run(&["diff", "a.tar.gz"]).exits(0);
}

/// The log that a service has begun on the imported database says nothing of the one that comes back.
#[test]
fn a_rollback_takes_away_a_log_that_was_not_there_before() {
    let machine = sqlite("");
    let path = machine.path("data/app.db");
    add(&path, "archived");
    machine.run(&["export", "a.tar.gz"]).exits(0);
    add(&path, "before the import");
    assert!(!machine.path("data/app.db-wal").exists());
    machine.run(&["import", "a.tar.gz"]).exits(0);
    let other = Connection::open(&path).expect("a database");
    other
        .query_row("SELECT count(*) FROM things", [], |_| Ok(()))
        .expect("open");
    add(&path, "after the import");
    let log = machine.path("data/app.db-wal");
    let kept = [fs::read(&path), fs::read(&log)].map(|bytes| bytes.expect("a file"));
    drop(other);
    fs::write(&path, &kept[0]).expect("written");
    fs::write(&log, &kept[1]).expect("written");
    machine.run(&["rollback"]).exits(0);
    assert!(!log.exists());
    assert_eq!(rows(&path), ["archived", "before the import"]);
}

/// Whoever packs for longer than others write meets files that were quiet when they were hashed.
#[test]
fn files_that_are_written_every_few_seconds_keep_no_export_from_ending() {
    const LOGS: usize = 24;
    let directory = source("data", "directory", "path = \"../data\"");
    let machine = machine("", &directory);
    // Level 12 takes some seconds for it, and the logs are packed after it.
    let word = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let text: String = (0..1_200_000).map(|n| format!("{:x} ", word(n))).collect();
    machine.write("data/a", text, 0o600);
    let log = |number: usize| machine.path(&format!("data/log{number:02}"));
    (0..LOGS).for_each(|number| fs::write(log(number), "0\n").expect("written"));
    let is_over = AtomicBool::new(false);
    let exported = thread::scope(|scope| {
        scope.spawn(|| {
            for line in 1.. {
                for number in 0..LOGS {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    // One that only grows would be good as it was.
                    fs::write(log(number), format!("{line}\n")).expect("written");
                    // Each is quiet for a second longer than hashing in place asks for.
                    thread::sleep(Duration::from_millis(4000 / LOGS as u64));
                }
            }
        });
        thread::sleep(Duration::from_secs(4));
        let exported = machine.run(&["export", "a.tar.gz", "--level", "12", "--threads", "1"]);
        is_over.store(true, Ordering::Relaxed);
        exported
    });
    let exported = exported.exits(0);
    assert!(
        exported.stderr.contains("the export starts over"),
        "the test shows nothing where packing is fast: {}",
        exported.stderr
    );
    machine.run(&["verify", "a.tar.gz"]).exits(0);
}

//! Processes that use the state and that /proc does not show: of another user, or of another PID namespace, as in the
//! container beside. Their locks tell.

use support::{Machine, Run, example, finish, is_root};

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::{fs::chown, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use rusqlite::Connection;

/// A user that owns nothing else, and may inspect no process of root.
const USER: u32 = 54_321;

/// From where hookshot looks.
#[derive(Debug, Clone, Copy)]
enum From {
    AnotherUser,
    AnotherContainer,
}

const EVERYWHERE: [From; 2] = [From::AnotherUser, From::AnotherContainer];

/// A service with a SQLite database, a folder, a file and a redb database, all of which belong to [`USER`].
fn machine() -> Machine {
    let machine = Machine::new();
    let sources = r#"
[backup]
[[backup.sources]]
name = "app.db"
kind = "sqlite"
path = "../data/app.db"
[[backup.sources]]
name = "files"
kind = "directory"
path = "../data/files"
[[backup.sources]]
name = "app.dump"
kind = "file"
path = "../data/app.dump"
[[backup.sources]]
name = "main.redb"
kind = "redb"
path = "../data/state.redb"
"#;
    machine.write("etc/config.toml", machine.config_text(sources), 0o600);
    fs::create_dir(machine.path("data/files")).expect("a folder");
    machine.write("data/app.dump", "dump", 0o644);
    for name in ["data/app.db", "data/files/inner.db"] {
        let connection = Connection::open(machine.path(name)).expect("a database");
        connection
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t(a)")
            .expect("a table");
    }
    machine
}

fn hand_over(folder: &Path) {
    chown(folder, Some(USER), Some(USER)).expect("root may");
    for entry in folder.read_dir().expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            hand_over(&path);
        } else {
            chown(&path, Some(USER), Some(USER)).expect("root may");
        }
    }
}

/// Runs hookshot where it cannot see the processes of this test.
fn run(machine: &Machine, from: From, arguments: &[&str]) -> Run {
    let mut plain = machine.command();
    plain.args(arguments);
    let command = match from {
        From::AnotherUser => {
            plain.uid(USER).gid(USER);
            plain
        }
        From::AnotherContainer => {
            let mut command = Command::new("unshare");
            command.args(["--pid", "--fork", "--mount-proc"]);
            command.arg(plain.get_program()).args(plain.get_args());
            command.current_dir(machine.path("out"));
            command.env("TMPDIR", machine.path("tmp"));
            command
        }
    };
    finish(command, b"")
}

/// A process that ends with this value.
struct Service(Child);

impl Service {
    fn start(mut command: Command) -> Service {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the service");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Service(child)
    }

    /// One that has a SQLite database open, and does nothing with it.
    fn sqlite(how: &str, path: &Path) -> Service {
        let mut command = Command::new(example("sqlite_holder"));
        command.arg(how).arg(path);
        Service::start(command)
    }

    /// One with a lock on all of a file, as the Python program `take` takes it.
    fn python(take: &str, path: &Path) -> Service {
        let program = format!(
            "import fcntl,sys\nf=open(sys.argv[1],'r+b')\n{take}\nprint('ready',flush=True)\nsys.stdin.read()"
        );
        let mut command = Command::new("python3");
        command.arg("-c").arg(program).arg(path);
        Service::start(command)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().expect("an end");
    }
}

/// Dry run, import and rollback are refused while `service` runs, and change nothing.
fn is_refused(only: &str, kind: &str, service: impl Fn(&Machine) -> Service) {
    if !is_root("another user, and another PID namespace") {
        return;
    }
    for from in EVERYWHERE {
        let machine = machine();
        fs::set_permissions(
            machine.path("."),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .expect("a mode");
        hand_over(&machine.path("."));
        run(&machine, From::AnotherUser, &["export", "a.tar.gz"]).exits(0);
        machine.write("data/app.dump", "changed", 0o644);
        machine.write("data/files/more", "more", 0o644);
        hand_over(&machine.path("data"));
        let import = ["import", "a.tar.gz", "--json"];
        run(&machine, from, &import).exits(0);
        let service = service(&machine);
        let before = machine.state();
        for verb in [
            &["import", "a.tar.gz", "--only", only, "--dry-run", "--json"][..],
            &["import", "a.tar.gz", "--only", only, "--json"],
            &["rollback", "--json", "--dry-run"],
            &["rollback", "--json"],
        ] {
            // A rollback asks about what was replaced.
            if verb[0] == "rollback" && !["files", "app.dump"].contains(&only) {
                continue;
            }
            let report = run(&machine, from, verb).exits(11).json();
            let blocked = &report["blocked"][0];
            assert_eq!(blocked["kind"], kind, "{from:?} {verb:?}: {report}");
        }
        assert!(machine.state() == before, "{from:?}");
        drop(service);
        run(&machine, from, &["import", "a.tar.gz", "--dry-run"]).exits(0);
    }
}

#[test]
fn an_import_sees_a_service_with_an_open_log_of_sqlite() {
    is_refused("app.db", "file_held", |machine| {
        Service::sqlite("idle-wal", &machine.path("data/app.db"))
    });
}

#[test]
fn an_import_sees_a_service_that_keeps_its_sqlite_database_to_itself() {
    is_refused("app.db", "file_held", |machine| {
        Service::sqlite("exclusive-delete", &machine.path("data/app.db"))
    });
}

#[test]
fn an_import_sees_a_service_with_a_sqlite_database_in_a_folder() {
    is_refused("files", "file_held", |machine| {
        Service::sqlite("idle-wal", &machine.path("data/files/inner.db"))
    });
}

#[test]
fn an_import_sees_who_has_locked_a_plain_file_to_write_it() {
    is_refused("app.dump", "file_held", |machine| {
        Service::python(
            "fcntl.lockf(f, fcntl.LOCK_EX)",
            &machine.path("data/app.dump"),
        )
    });
}

/// As redb 2 and 3 lock their databases.
#[test]
fn an_import_sees_a_database_under_a_lock_of_flock() {
    is_refused("main.redb", "database_held", |machine| {
        Service::python(
            "fcntl.flock(f, fcntl.LOCK_EX)",
            &machine.path("data/state.redb"),
        )
    });
}

#[test]
fn a_process_that_is_known_by_its_lock_is_named() {
    if !is_root("another user") {
        return;
    }
    let machine = machine();
    fs::set_permissions(
        machine.path("."),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .expect("a mode");
    hand_over(&machine.path("."));
    run(&machine, From::AnotherUser, &["export", "a.tar.gz"]).exits(0);
    let service = Service::sqlite("idle-wal", &machine.path("data/app.db"));
    let named = format!("process {} (sqlite_holder)", service.0.id());
    run(&machine, From::AnotherUser, &["import", "a.tar.gz"])
        .exits(11)
        .says(&named);
    run(&machine, From::AnotherContainer, &["import", "a.tar.gz"])
        .exits(11)
        .says("of another container");
}

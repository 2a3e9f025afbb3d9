//! A PostgreSQL server of a test's own: in a folder of its own, on a unix socket, gone when the test is.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, chown, geteuid},
};
use tempfile::TempDir;

/// Whom the database belongs to.
pub const USER: &str = "app";

/// A server that works. Dropping it stops it; if the test is killed, the kernel does.
pub struct Postgres {
    child: Child,
    _says: BufReader<ChildStderr>,
    folder: TempDir,
    programs: PathBuf,
}

impl Postgres {
    /// Starts one with an empty database `app`; says what is left out where its programs are missing.
    pub fn start() -> Option<Postgres> {
        let Some(programs) = programs() else {
            assert!(
                env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
                "PostgreSQL is missing"
            );
            println!("skipped: PostgreSQL is missing; tests/run installs it");
            return None;
        };
        // The path of a socket has at most 107 bytes.
        let folder = tempfile::Builder::new().prefix("pg-").tempdir_in("/tmp");
        let folder = folder.expect("a folder");
        let open = fs::Permissions::from_mode(0o711);
        fs::set_permissions(folder.path(), open).expect("set");
        let data = folder.path().join("data");
        fs::create_dir(&data).expect("a folder");
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("set");
        let socket = folder.path().join("socket");
        fs::create_dir(&socket).expect("a folder");
        if let Some(user) = server_user() {
            for path in [&data, &socket] {
                chown(path, Some(user.uid), Some(user.gid)).expect("given");
            }
        }
        let mut command = as_server(&programs.join("initdb"));
        command
            .args([
                "--auth=trust",
                "--no-sync",
                "--encoding=UTF8",
                "--no-locale",
            ])
            .args(["--username", USER, "--pgdata"])
            .arg(&data)
            .current_dir(&data);
        let made = command.output().expect("initdb");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{said}");
        let mut command = as_server(&programs.join("postgres"));
        command.arg("-D").arg(&data).current_dir(&data);
        for setting in [
            "listen_addresses=",
            "fsync=off",
            "shared_buffers=16MB",
            "max_connections=20",
        ] {
            command.args(["-c", setting]);
        }
        command
            .arg("-c")
            .arg(format!("unix_socket_directories={}", socket.display()));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("postgres");
        let mut says = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut said = String::new();
        while !said.contains("ready to accept connections") {
            let read = says.read_line(&mut said).expect("text");
            assert!(read > 0, "it does not start: {said}");
        }
        let server = Postgres {
            child,
            _says: says,
            folder,
            programs,
        };
        server.psql("postgres", "CREATE DATABASE app");
        Some(server)
    }

    /// Returns the environment of clients: the programs, the socket, the user.
    pub fn environment(&self) -> [(&'static str, OsString); 3] {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = [self.programs.clone()];
        let folders = folders.into_iter().chain(env::split_paths(&path));
        [
            ("PATH", env::join_paths(folders).expect("a PATH")),
            ("PGHOST", self.folder.path().join("socket").into()),
            ("PGUSER", USER.into()),
        ]
    }

    /// A client, as hookshot's commands start it.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.envs(self.environment());
        command
    }

    /// Returns the output of the statements of `sql`.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        self.psql("app", sql)
    }

    /// Waits until no other client is in the database.
    pub fn wait_until_alone(&self) {
        let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'app'";
        while self.psql("postgres", others).trim() != "0" {
            std::thread::yield_now();
        }
    }

    #[track_caller]
    fn psql(&self, database: &str, sql: &str) -> String {
        let mut command = self.client("psql");
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]);
        command.args([
            "--set=ON_ERROR_STOP=1",
            "--dbname",
            database,
            "--command",
            sql,
        ]);
        text(command)
    }

    /// Everything that is in the database, as text.
    #[track_caller]
    pub fn dump(&self) -> String {
        let mut command = self.client("pg_dump");
        command.args(["--dbname=app", "--format=plain"]);
        let dump = text(command);
        // These lines have a new key each time.
        let lines = dump.lines().filter(|line| !line.contains("restrict "));
        lines.map(|line| format!("{line}\n")).collect()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Fast shutdown: connected clients are sent away.
        let pid = i32::try_from(self.child.id()).expect("it fits");
        let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
        let _ = self.child.wait();
    }
}

#[track_caller]
fn text(mut command: Command) -> String {
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Finds the newest server's programs: Debian keeps them out of PATH.
fn programs() -> Option<PathBuf> {
    let versions = Path::new("/usr/lib/postgresql").read_dir();
    let versions = versions.into_iter().flatten().flatten();
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let mut found: Vec<PathBuf> = versions.map(|entry| entry.path()).collect();
    found.sort_by_key(version);
    let mut folders: Vec<PathBuf> = found.iter().rev().map(|path| path.join("bin")).collect();
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let needed = ["postgres", "initdb", "psql", "pg_dump", "pg_restore"];
    folders.into_iter().find(|folder| {
        let mut programs = needed.iter().map(|program| folder.join(program));
        programs.all(|program| program.is_file())
    })
}

/// Returns the user for the server if we are root: it refuses to run as root.
fn server_user() -> Option<User> {
    if !geteuid().is_root() {
        return None;
    }
    let users = ["postgres", "nobody"];
    let mut users = users
        .iter()
        .filter_map(|name| User::from_name(name).ok().flatten());
    Some(users.next().expect("a user other than root"))
}

/// A program of the server's, which ends when we do.
fn as_server(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if let Some(user) = server_user() {
        command.arg(format!("--reuid={}", user.uid));
        command.arg(format!("--regid={}", user.gid));
        command.arg("--clear-groups");
    }
    command.arg(program).env("LC_ALL", "C");
    command
}

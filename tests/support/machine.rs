//! A machine for each test: a service's state in a folder of its own, and the real binary to work on it.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use hookshot::{
    source::redb::{
        at_rest::{self, Rest},
        header::Seal,
        walk::{Scope, Walk},
    },
    state::{DEPLOYMENTS, LOCKS, SERVICES},
};
use redb::Database;
use serde_json::Value;
use tempfile::TempDir;

use crate::{example, holders::Holder, program};

/// A line of the secrets file that must never be seen anywhere else.
pub const SECRET: &str = "hunter2-correct-horse";

/// The state of a service, and hookshot to work on it.
pub struct Machine {
    folder: TempDir,
}

/// The result of a run of hookshot.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Run {
    /// Fails the test unless the exit code is `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Run {
        assert_eq!(
            self.code,
            code,
            "stdout: {}\nstderr: {}",
            self.text(),
            self.stderr
        );
        self
    }

    /// Fails the test unless standard error says `text`.
    #[track_caller]
    pub fn says(self, text: &str) -> Run {
        assert!(
            self.stderr.contains(text),
            "{text:?} is not in:\n{}",
            self.stderr
        );
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard output as the one JSON object that it must be.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// The content of a file; a failing test shows its size and digest, not a screen of numbers.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(pub Vec<u8>);

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = hookshot::model::digest::Digest::of(&self.0).to_string();
        write!(f, "{} bytes {}", self.0.len(), &digest[..8])
    }
}

/// Every file below a folder with mode, owner and content; folders too.
pub type Tree = BTreeMap<PathBuf, (u32, u32, Option<Content>)>;

/// The four files of a state with mode and content; `None` where there is none.
pub type Targets = BTreeMap<&'static str, Option<(u32, Content)>>;

impl Default for Machine {
    fn default() -> Machine {
        Machine::new()
    }
}

impl Machine {
    /// A machine with a whole service: configuration, services, secrets, and a database with some deployments.
    pub fn new() -> Machine {
        let machine = Machine::empty();
        machine.write("etc/config.toml", machine.config_text(""), 0o644);
        machine.write(
            "etc/services.toml",
            "[services.web]\nbranch = \"main\"\n",
            0o640,
        );
        machine.write("etc/secrets", format!("hmac_key = {SECRET}\n"), 0o600);
        machine.fill_database(20);
        machine
    }

    /// A machine with nothing but the folders.
    pub fn empty() -> Machine {
        let folder = tempfile::Builder::new()
            .prefix("machine-")
            .tempdir()
            .expect("a folder");
        for name in ["etc", "data", "out", "tmp"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        Machine { folder }
    }

    pub fn config_text(&self, more: &str) -> String {
        format!(
            "[server]\nlisten = \"127.0.0.1:8080\"\n\n[storage]\ndata_dir = \"{}\"\n{more}",
            self.path("data").display()
        )
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) {
        fs::write(self.path(name), content).expect("written");
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).expect("a mode");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("a file")
    }

    pub fn mode(&self, name: &str) -> u32 {
        self.path(name)
            .metadata()
            .expect("a file")
            .permissions()
            .mode()
            & 0o7777
    }

    /// Makes the database, or adds to it: `count` deployments that are done.
    pub fn fill_database(&self, count: usize) {
        let db = Database::create(self.path("data/state.redb")).expect("a database");
        let tx = db.begin_write().expect("a transaction");
        {
            let mut table = tx.open_table(DEPLOYMENTS).expect("a table");
            for number in 0..count {
                let id = format!("d{number:05}");
                let row = format!(
                    r#"{{"id":"{id}","service":"web","status":"succeeded","log":"{}"}}"#,
                    "built ".repeat(30)
                );
                table.insert(id.as_str(), row.as_str()).expect("a row");
            }
            tx.open_table(SERVICES)
                .expect("a table")
                .insert("web", "{}")
                .expect("a row");
        }
        tx.commit().expect("committed");
        drop(db);
        self.settle_database();
    }

    /// Gives the database the form that it has in an archive, with live pages alone: an import then restores the same
    /// file, byte for byte.
    fn settle_database(&self) {
        let path = self.path("data/state.redb");
        let (original, copy) = (
            fs::File::open(&path).expect("a database"),
            tempfile::NamedTempFile::new_in(self.path("data")).expect("a file"),
        );
        let mut walk = Walk::new(&original, copy.as_file(), Scope::Everything, &|_| Ok(()));
        let rest = at_rest::settle(&mut walk, (), |()| true).expect("readable");
        assert!(matches!(rest, Rest::Whole { .. }), "{rest:?}");
        walk.finish(Seal::Closed).expect("written");
        let mode = fs::metadata(&path).expect("a database").permissions();
        fs::set_permissions(copy.path(), mode).expect("changed");
        copy.persist(path).expect("replaced");
    }

    /// Puts one row into the database.
    pub fn put_deployment(&self, id: &str, status: &str) {
        let db = Database::create(self.path("data/state.redb")).expect("a database");
        let tx = db.begin_write().expect("a transaction");
        let row = format!(r#"{{"id":"{id}","service":"web","status":"{status}"}}"#);
        tx.open_table(DEPLOYMENTS)
            .expect("a table")
            .insert(id, row.as_str())
            .expect("a row");
        tx.commit().expect("committed");
        drop(db);
        self.settle_database();
    }

    /// Puts a lock into the database.
    pub fn put_lock(&self, service: &str, deployment: &str) {
        let db = Database::create(self.path("data/state.redb")).expect("a database");
        let tx = db.begin_write().expect("a transaction");
        let row = format!(r#"{{"deployment_id":"{deployment}","pid":1}}"#);
        tx.open_table(LOCKS)
            .expect("a table")
            .insert(service, row.as_str())
            .expect("a row");
        tx.commit().expect("committed");
        drop(db);
        self.settle_database();
    }

    /// The binary, pointed at this machine and at nothing else.
    pub fn command(&self) -> Command {
        let mut command = Command::new(program());
        command.arg("--config").arg(self.path("etc/config.toml"));
        for variable in [
            "HOOKSHOT_CONFIG",
            "HOOKSHOT_SERVICES",
            "HOOKSHOT_SECRETS",
            "HOOKSHOT_DATA_DIR",
            "HOOKSHOT_TO",
            "HOOKSHOT_JSON",
            "HOOKSHOT_THREADS",
            "HOOKSHOT_PROGRESS",
            "HOOKSHOT_COLOR",
            "HOOKSHOT_VERBOSE",
            "HOOKSHOT_QUIET",
            "HOOKSHOT_LOG_FORMAT",
            "HOOKSHOT_NO_CACHE",
            "CACHE_DIRECTORY",
        ] {
            command.env_remove(variable);
        }
        command
            .env("TMPDIR", self.path("tmp"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .current_dir(self.path("out"));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, b"")
    }

    /// Runs hookshot with `input` on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &[u8]) -> Run {
        let mut command = self.command();
        command.args(arguments);
        finish(command, input)
    }

    /// Exports to `out/NAME` and gives the path.
    pub fn export(&self, name: &str) -> String {
        let path = self
            .path("out")
            .join(name)
            .to_str()
            .expect("UTF-8")
            .to_owned();
        self.run(&["export", &path]).exits(0);
        path
    }

    /// Everything below the folders of configuration and data, what hookshot keeps for itself included.
    pub fn state(&self) -> Tree {
        let mut tree = tree(&self.path("etc"));
        tree.extend(tree_of(&self.path("data"), &self.path("data")));
        tree
    }

    /// The four files of the state alone: content and mode.
    pub fn targets(&self) -> Targets {
        self.files(&[
            "etc/config.toml",
            "etc/secrets",
            "etc/services.toml",
            "data/state.redb",
        ])
    }

    /// Files with mode and content; `None` where there is none.
    pub fn files(&self, names: &[&'static str]) -> Targets {
        let one = |name: &'static str| {
            let path = self.path(name);
            let file = fs::read(&path)
                .ok()
                .map(|content| (self.mode(name), Content(content)));
            (name, file)
        };
        names.iter().copied().map(one).collect()
    }

    /// A process that holds the database: `write`, `read` or `ranges`.
    pub fn holder(&self, how: &str) -> Holder {
        Holder::start(how, &self.path("data/state.redb"))
    }

    /// Leaves the database as a service leaves it that crashed.
    pub fn crash_service(&self) {
        let status = Command::new(example("holder"))
            .arg("crash")
            .arg(self.path("data/state.redb"))
            .stderr(Stdio::null())
            .status()
            .expect("the holder");
        assert!(!status.success());
    }
}

/// Runs a command to its end.
pub fn finish(mut command: Command, input: &[u8]) -> Run {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    // A verb that refuses an archive need not read all of it.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("an end");
    feeder.join().expect("fed");
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Returns the names of the plain archives in a folder, in order. A missing folder has none.
pub fn archives_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".tar.gz")).collect();
    names.sort();
    names
}

/// Every file and folder below `folder`, by path relative to it.
pub fn tree(folder: &Path) -> Tree {
    tree_of(folder, folder)
}

fn tree_of(base: &Path, folder: &Path) -> Tree {
    let mut found = Tree::new();
    for entry in fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
    {
        let metadata = entry.symlink_metadata().expect("metadata");
        let name = entry.strip_prefix(base).expect("below").to_owned();
        let content = metadata
            .is_file()
            .then(|| Content(fs::read(&entry).expect("a file")));
        found.insert(name, (metadata.mode(), metadata.uid(), content));
        if metadata.is_dir() {
            found.extend(tree_of(base, &entry));
        }
    }
    found
}

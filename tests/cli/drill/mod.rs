//! `drill`: rehearsed restores, with damage, probes that fail and hang, kills, and a state that must not be touched.

mod archives;
mod endings;
mod honest;
mod mounts;
mod probes;
mod reports;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rusqlite::Connection;
use serde_json::Value;
use support::{
    Run, clock, finish, program,
    service::{Service, write},
};

/// A service with a file, a directory, a database, and two destinations that have an archive each.
struct Shop {
    service: Service,
    one: PathBuf,
    two: PathBuf,
}

impl Shop {
    /// With further lines of configuration.
    fn new(further: &str) -> Shop {
        let shop = Shop::empty(further);
        shop.service.run(&["backup"], 0);
        shop
    }

    /// Without archives.
    fn empty(further: &str) -> Shop {
        let service = Service::with_config("shop", "");
        let (one, two) = (service.machine.path("one"), service.machine.path("two"));
        let shop = Shop { service, one, two };
        shop.configure(further);
        write(&shop.path("notes"), "first");
        write(&shop.path("data/deep/text"), "deep");
        std::os::unix::fs::symlink("/etc/hostname", shop.path("data/absolute")).expect("a link");
        std::os::unix::fs::symlink("../notes", shop.path("data/upward")).expect("a link");
        database(&shop.path("app.db"));
        database(&shop.path("data/inner.db"));
        shop
    }

    fn configure(&self, further: &str) {
        fs::write(&self.service.config, self.text("sqlite", further)).expect("written");
    }

    /// The text of the configuration; `kind` is that of the database.
    fn text(&self, kind: &str, further: &str) -> String {
        let path = |name: &str| self.path(name).display().to_string();
        format!(
            "[backup]\napp = \"shop\"\nprefix = \"shop\"\nto = [\"one\", \"two\"]\n\
            [backup.destinations.one]\nurl = \"{}\"\n[backup.destinations.two]\nurl = \"{}\"\n\
            [[backup.sources]]\nname = \"notes\"\nkind = \"file\"\npath = \"{}\"\n\
            [[backup.sources]]\nname = \"app.db\"\nkind = \"{kind}\"\npath = \"{}\"\n\
            [[backup.sources]]\nname = \"data\"\nkind = \"directory\"\npath = \"{}\"\n{further}",
            self.one.display(),
            self.two.display(),
            path("notes"),
            path("app.db"),
            path("data"),
        )
    }

    /// A path in the service's folder.
    fn path(&self, name: &str) -> PathBuf {
        self.service.folder.join(name)
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) -> Run {
        self.service.run(&[&["drill"], arguments].concat(), code)
    }

    #[track_caller]
    fn json(&self, arguments: &[&str], code: i32) -> Value {
        self.run(&[&["--json"], arguments].concat(), code).json()
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(program());
        command
            .arg("--config")
            .arg(&self.service.config)
            .arg("drill")
            .args(arguments)
            .env("TMPDIR", self.service.machine.path("tmp"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command.spawn().expect("started")
    }

    /// Makes an archive with a clock that is some hours late.
    fn backup_before(&self, hours: u32) {
        let mut command = Command::new(program());
        clock::set_back(&mut command, hours);
        command.arg("--config");
        command.arg(&self.service.config).arg("backup");
        command.env("TMPDIR", self.service.machine.path("tmp"));
        finish(command, b"").exits(0);
    }

    /// The records of the history.
    fn history(&self) -> Vec<Value> {
        let folder = self.service.config.parent().expect("a folder");
        let text = fs::read_to_string(folder.join(".hookshot/history.jsonl")).expect("a history");
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    /// Fails unless nothing is left in the temporary folder.
    #[track_caller]
    fn left_nothing(&self) {
        let names = names(&self.service.machine.path("tmp"));
        assert_eq!(names, [""; 0]);
    }
}

/// Makes a database with a table.
fn database(path: &Path) {
    let connection = Connection::open(path).expect("a database");
    let rows = "CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
        INSERT INTO t SELECT i, hex(randomblob(20)) FROM n;";
    connection.execute_batch(rows).expect("rows");
}

/// The names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// The archives in a folder, the oldest first.
fn archives(folder: &Path) -> Vec<PathBuf> {
    let names = names(folder).into_iter();
    let names = names.filter(|name| name.contains(".tar.gz") && !name.starts_with('.'));
    names.map(|name| folder.join(name)).collect()
}

/// Flips a bit in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(path, bytes).expect("written");
}

/// Mode, owner, times, and content or target.
type Facts = (u32, u32, i64, i64, i64, i64, Vec<u8>);

/// Everything below a folder, with its times.
fn facts(folder: &Path) -> BTreeMap<PathBuf, Facts> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(path) = folders.pop() {
        let metadata = path.symlink_metadata().expect("metadata");
        let content = if metadata.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder").flatten();
            folders.extend(entries.map(|entry| entry.path()));
            Vec::new()
        } else if metadata.is_symlink() {
            fs::read_link(&path)
                .expect("a link")
                .into_os_string()
                .into_encoded_bytes()
        } else {
            fs::read(&path).expect("read")
        };
        let facts = (
            metadata.mode(),
            metadata.uid(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
            content,
        );
        found.insert(path, facts);
    }
    found
}

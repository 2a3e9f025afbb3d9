//! The JSON of every verb is what it was: keys, values and exit codes are compared with recordings.
//!
//! The recordings are in tests/fixtures/recordings, a file for each verb: the words of each command line, its exit code
//! and its JSON. Masked is everything that depends on the machine, the time or the temporary folder ([`Mask`]), and
//! so are sentences for people, which may change: a key that holds one is there, as `<words>`.
//!
//! A difference means that scripts of users may break. If it is intended, as a further key is, record anew, read the
//! difference, and commit it with the change:
//!
//! ```text
//! HOOKSHOT_RECORD=1 cargo nextest run --test cli -E 'test(/^recordings::/)'
//! git diff tests/fixtures/recordings
//! ```

use support::{Machine, Run, finish, is_root};

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

/// The archive whose bytes never change.
const GOLDEN: &str = "hookshot-1.1.tar.gz";

/// The years of the times that the tests themselves name. All other times are masked.
const FIXED_YEARS: [&str; 3] = ["2001", "2002", "2099"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn golden() -> Vec<u8> {
    fs::read(fixtures().join("archives").join(GOLDEN)).expect("the archive")
}

/// Replaces what is another at each run or on each machine.
struct Mask {
    folders: Vec<String>,
    host: String,
    golden_size: u64,
}

impl Mask {
    fn new(machine: &Machine) -> Mask {
        let folder = machine.path("");
        let real = folder.canonicalize().expect("a folder");
        let mut folders: Vec<String> = [folder, real]
            .iter()
            .map(|path| path.display().to_string().trim_end_matches('/').to_owned())
            .collect();
        folders.sort_by_key(|path| std::cmp::Reverse(path.len()));
        let host = nix::unistd::gethostname().unwrap_or_default();
        Mask {
            folders,
            host: host.to_string_lossy().into_owned(),
            golden_size: golden().len() as u64,
        }
    }

    fn value(&self, key: &str, value: &Value, in_archive: bool) -> Value {
        match (key, value) {
            // Sentences for people.
            ("message" | "hint" | "reason" | "fault", Value::String(_)) => json!("<words>"),
            ("faults" | "reasons", Value::Array(items)) => {
                items.iter().map(|_| json!("<words>")).collect()
            }
            ("warnings" | "blocked", Value::Array(items)) if items.iter().all(Value::is_string) => {
                items.iter().map(|_| json!("<words>")).collect()
            }
            ("seconds", Value::Number(_)) => json!("<seconds>"),
            (key, Value::Number(_)) if key.ends_with("_seconds") => json!("<seconds>"),
            (
                "created_at" | "mtime" | "mtime_ns" | "modified" | "pid" | "writer_pid",
                Value::Number(_),
            ) => {
                json!("<number>")
            }
            ("uid" | "gid", Value::Number(_)) => json!("<id>"),
            ("owner" | "group" | "user", Value::String(_)) => json!("<name>"),
            // The rounds of a walk beside a service depend on the time.
            (
                "rounds" | "mismatches" | "bytes_read" | "live_pages" | "live_bytes",
                Value::Number(_),
            ) => {
                json!("<number>")
            }
            ("size_bytes" | "removed_bytes" | "reused_bytes", Value::Number(number))
                if in_archive
                    && number
                        .as_u64()
                        .is_some_and(|size| size != 0 && size % self.golden_size != 0) =>
            {
                json!("<size>")
            }
            ("secrets_fingerprint", Value::String(_)) => json!("<digest>"),
            ("hostname" | "host", Value::String(name)) if *name == self.host => json!("<host>"),
            ("version" | "hookshot_version", Value::String(version))
                if version == env!("CARGO_PKG_VERSION") =>
            {
                json!("<version>")
            }
            ("man" | "script" | "completions", Value::String(_)) => json!("<text>"),
            (_, Value::String(text)) => json!(self.text(text)),
            (key, Value::Array(items)) => items
                .iter()
                .map(|item| self.value(key, item, in_archive))
                .collect(),
            (_, Value::Object(members)) => {
                let of_archive =
                    |value: &Value| value.as_str().is_some_and(|text| text.ends_with(".tar.gz"));
                let in_archive = members.values().any(of_archive)
                    || members.contains_key("archive")
                    || members.contains_key("removed_bytes");
                Value::Object(
                    members
                        .iter()
                        .map(|(key, value)| (self.text(key), self.value(key, value, in_archive)))
                        .collect(),
                )
            }
            (_, other) => other.clone(),
        }
    }

    /// A text without folders, digests, times and random names.
    fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for folder in &self.folders {
            text = text.replace(folder, "<machine>");
        }
        for (pattern, name) in [
            // Digests.
            (
                "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
                "<digest>",
            ),
            ("9999-99-99T99:99:99", "<time>"),
            ("99999999-999999", "<stamp>"),
            ("hookshot-demo-??????", "hookshot-demo-<random>"),
        ] {
            text = masked(&text, pattern, name);
        }
        text
    }
}

/// Replaces what matches the pattern: `9` is a digit, `F` one of a hexadecimal number, `?` any letter
/// or digit, all else itself.
fn masked(text: &str, pattern: &str, name: &str) -> String {
    let fits = |at: &[u8]| {
        at.len() >= pattern.len()
            && pattern.bytes().zip(at).all(|(wanted, byte)| match wanted {
                b'9' => byte.is_ascii_digit(),
                b'F' => byte.is_ascii_hexdigit(),
                b'?' => byte.is_ascii_alphanumeric(),
                other => *byte == other,
            })
    };
    let mut result = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let fixed = FIXED_YEARS.iter().any(|year| rest.starts_with(year));
        if fits(rest.as_bytes()) && !(fixed && pattern.starts_with("9999")) {
            result.push_str(name);
            rest = &rest[pattern.len()..];
            if name == "<time>" {
                // Fractions and the zone.
                rest = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
                rest = rest.strip_prefix('Z').unwrap_or(rest);
            }
            if name == "<stamp>" {
                // The number of several archives of one second: the time decides on it.
                let behind = rest
                    .strip_prefix('.')
                    .map(|number| number.trim_start_matches(|c: char| c.is_ascii_digit()));
                rest = behind
                    .filter(|behind| behind.starts_with(".tar.gz"))
                    .unwrap_or(rest);
            }
        } else {
            result.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    result
}

/// The recording of a verb, as it grows.
struct Tape {
    verb: &'static str,
    machine: Machine,
    mask: Mask,
    runs: Vec<Value>,
    /// The number of runs of each command line, to tell them apart.
    lines: BTreeMap<String, usize>,
}

impl Tape {
    /// A service whose files have the same content on each machine.
    fn new(verb: &'static str) -> Tape {
        let machine = Machine::empty();
        for folder in ["etc", "data", "out", "tmp"] {
            chmod(&machine.path(folder), 0o755);
        }
        machine.fill_database(20);
        chmod(&machine.path("data/state.redb"), 0o600);
        machine.write(
            "etc/services.toml",
            "[services.web]\nbranch = \"main\"\n",
            0o640,
        );
        machine.write("etc/secrets", "hmac_key = made-up\n", 0o600);
        let tape = Tape {
            verb,
            mask: Mask::new(&machine),
            machine,
            runs: Vec::new(),
            lines: BTreeMap::new(),
        };
        tape.configure("");
        tape
    }

    /// Writes the configuration, with `more` at its end.
    fn configure(&self, more: &str) {
        let text = format!("[storage]\ndata_dir = \"../data\"\n{more}");
        self.machine.write("etc/config.toml", text, 0o600);
    }

    /// Writes the configuration of a service with one directory, `site`, and `more`.
    fn configure_site(&self, more: &str) {
        let site = self.machine.path("data/site");
        fs::create_dir_all(site.join("sub")).expect("a folder");
        self.machine.write("data/site/page", "page\n", 0o644);
        self.machine.write("data/site/sub/page", "below\n", 0o644);
        chmod(&site, 0o755);
        chmod(&site.join("sub"), 0o755);
        self.configure(&format!(
            "[backup]\nprefix = \"site\"\n{more}[[backup.sources]]\nname = \"site\"\nkind = \"directory\"\npath = \"../data/site\"\n"
        ));
    }

    /// Writes the golden archive, under this name below `out`.
    fn place(&self, name: &str) {
        let path = self.machine.path("out").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        self.machine.write(&format!("out/{name}"), golden(), 0o600);
    }

    /// Runs the verb with these arguments, and records it. `#TEXT` at the end is a remark that tells the run from others.
    fn run(&mut self, arguments: &[&str]) -> Run {
        let mut command = self.machine.command();
        if arguments.contains(&"--config") {
            // The one of the arguments alone.
            let mut bare = Command::new(command.get_program());
            for (key, value) in command.get_envs() {
                match value {
                    Some(value) => bare.env(key, value),
                    None => bare.env_remove(key),
                };
            }
            bare.current_dir(self.machine.path("out"));
            command = bare;
        }
        command.arg("--json");
        self.run_command(command, arguments)
    }

    /// As [`Tape::run`], with this much of each file that the process may write.
    fn run_limited(&mut self, limit: &str, arguments: &[&str]) -> Run {
        let inner = self.machine.command();
        let mut command = Command::new("prlimit");
        command
            .arg(format!("--fsize={limit}"))
            .arg(inner.get_program());
        command.args(inner.get_args()).arg("--json");
        for (key, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        command.current_dir(self.machine.path("out"));
        self.run_command(command, arguments)
    }

    fn run_command(&mut self, mut command: Command, arguments: &[&str]) -> Run {
        let (arguments, remark) = match arguments {
            [arguments @ .., last] if last.starts_with('#') => (arguments, Some(*last)),
            all => (all, None),
        };
        // What the locale, colours, proxies and time zones of the machine are makes no difference.
        command.env("LC_ALL", "C").env("TZ", "UTC").args(arguments);
        let run = finish(command, b"");
        let mut line = self.mask.text(&arguments.join(" "));
        if let Some(remark) = remark {
            line = format!("{line}  {remark}");
        }
        let count = self.lines.entry(line.clone()).or_default();
        *count += 1;
        if *count > 1 {
            line = format!("{line}  (run {count})");
        }
        let printed = match serde_json::from_slice::<Value>(&run.stdout) {
            Ok(value) => self.mask.value("", &value, false),
            Err(_) if run.stdout.is_empty() => json!("(nothing is printed)"),
            Err(_) => json!("(no JSON is printed)"),
        };
        self.runs
            .push(json!({ "line": line, "code": run.code, "json": printed }));
        run
    }

    /// Compares the recording with the one of the repository, or writes it.
    #[track_caller]
    fn compare(self) {
        let path = fixtures()
            .join("recordings")
            .join(format!("{}.json", self.verb));
        let text = |runs: &Value| serde_json::to_string_pretty(runs).expect("JSON") + "\n";
        let runs = Value::Array(self.runs);
        if env::var_os("HOOKSHOT_RECORD").is_some_and(|value| value == "1") {
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(&path, text(&runs)).expect("written");
            return;
        }
        let recorded = fs::read(&path).expect("a recording: see the head of this module");
        let recorded: Value = serde_json::from_slice(&recorded).expect("JSON");
        if recorded != runs {
            let (before, now) = (text(&recorded), text(&runs));
            let difference = similar::TextDiff::from_lines(&before, &now);
            panic!(
                "the JSON differs from {} (if it should: see the head of tests/cli/recordings.rs)\n{}",
                path.display(),
                difference
                    .unified_diff()
                    .context_radius(8)
                    .header("recorded", "now")
            );
        }
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn export() {
    let mut tape = Tape::new("export");
    tape.run(&["export", "a.tar.gz"]);
    tape.run(&["export", "a.tar.gz", "#again"]);
    tape.run(&["export", "shelf/"]);
    tape.run(&["export", "one.tar.gz", "two.tar.gz", "shelf"]);
    tape.run(&["export", "three.tar.gz", "/proc/nothing/b.tar.gz"]);
    tape.run(&["export", "/proc/nothing/b.tar.gz"]);
    tape.run(&[
        "export",
        "tagged.tar.gz",
        "--tag",
        "why=try",
        "--exclude-secrets",
        "--level",
        "0",
    ]);
    tape.run(&["export", "since.tar.gz", "--since", "nothing.tar.gz"]);
    tape.run(&["export", "walk.tar.gz", "--snapshot", "walk"]);
    tape.machine.write("out/note.txt", "a note", 0o600);
    tape.run(&["export", "note.txt"]);
    tape.run(&["export", "note.txt", "--overwrite"]);
    tape.run(&["export", "--bogus"]);
    tape.run(&["export"]);
    tape.run(&["export", "-"]);
    tape.run(&["export", "@nothing"]);
    tape.run_limited("1000", &["export", "limited.tar.gz", "#ulimit -f"]);
    {
        let _holder = tape.machine.holder("write");
        tape.run(&["export", "locked.tar.gz", "--snapshot", "locked", "#held"]);
        tape.run(&["export", "held.tar.gz", "#held"]);
    }
    fs::remove_file(tape.machine.path("etc/secrets")).expect("removed");
    tape.run(&["export", "b.tar.gz", "#no secrets file"]);
    tape.machine.put_deployment("d9", "running");
    chmod(&tape.machine.path("data/state.redb"), 0o600);
    tape.run(&["export", "running.tar.gz", "#a deployment is active"]);
    tape.machine
        .write("data/state.redb", vec![b'x'; 8192], 0o600);
    tape.run(&["export", "c.tar.gz", "#no database"]);
    tape.configure("[backup]\nprefx = \"x\"\n");
    tape.run(&["export", "d.tar.gz", "#wrong key"]);
    tape.compare();
}

#[test]
fn export_of_sources() {
    let mut tape = Tape::new("export_of_sources");
    tape.configure_site("to = [\"shelf\", \"twin\"]\n[backup.destinations.shelf]\nurl = \"../out/shelf\"\n[backup.destinations.twin]\nurl = \"../out/twin\"\n");
    symlink("/etc/passwd", tape.machine.path("data/site/out")).expect("a link");
    let _socket = UnixListener::bind(tape.machine.path("data/site/socket")).expect("a socket");
    tape.run(&["export", "#to the destinations"]);
    let site = fs::read_to_string(tape.machine.path("etc/config.toml")).expect("text");
    let site = site.replace("to = [\"shelf\", \"twin\"]\n", "");
    let with = |more: &str| format!("{site}[[backup.sources]]\n{more}");
    for (remark, more) in [
        (
            "#a command",
            "name = \"c\"\nkind = \"command\"\nexport = \"echo content\"\nimport = \"cat\"\n",
        ),
        (
            "#a command fails",
            "name = \"c\"\nkind = \"command\"\nexport = \"echo FATAL >&2; exit 7\"\nimport = \"cat\"\n",
        ),
        (
            "#a pipe",
            "name = \"c\"\nkind = \"command\"\nexport = \"echo content | cat\"\nimport = \"cat\"\n",
        ),
        (
            "#interrupted",
            "name = \"c\"\nkind = \"command\"\nexport = \"kill -INT $PPID; sleep 20\"\nimport = \"cat\"\n",
        ),
        (
            "#a missing file",
            "name = \"f\"\nkind = \"file\"\npath = \"../data/nothing\"\n",
        ),
        (
            "#an optional file",
            "name = \"f\"\nkind = \"file\"\npath = \"../data/nothing\"\noptional = true\n",
        ),
        (
            "#another file",
            "name = \"f\"\nkind = \"file\"\npath = \"../data/site/page\"\n",
        ),
        (
            "#too small",
            "name = \"f\"\nkind = \"file\"\npath = \"../data/site/page\"\nmin_bytes = 1000\n",
        ),
        (
            "#not mounted",
            "name = \"d\"\nkind = \"directory\"\npath = \"../data/site/sub\"\nmounted = true\n",
        ),
        (
            "#SQLite",
            "name = \"app.db\"\nkind = \"sqlite\"\npath = \"../data/app.db\"\n",
        ),
        (
            "#redb",
            "name = \"s.redb\"\nkind = \"redb\"\npath = \"../data/state.redb\"\n",
        ),
        (
            "#a pattern",
            "name = \"page-*\"\nkind = \"file\"\npath = \"../data/site/pa*\"\n",
        ),
    ] {
        sqlite(&tape.machine.path("data/app.db"));
        tape.machine.write("etc/config.toml", with(more), 0o600);
        let name = format!(
            "{}.tar.gz",
            remark.trim_start_matches('#').replace(' ', "-")
        );
        tape.run(&["export", &name, remark]);
    }
    // A database in a directory is copied as one.
    tape.machine.write("etc/config.toml", &site, 0o600);
    sqlite(&tape.machine.path("data/site/app.db"));
    tape.run(&["export", "databases.tar.gz"]);
    tape.run(&["inspect", "databases.tar.gz"]);
    tape.run(&["verify", "databases.tar.gz", "--deep"]);
    tape.compare();
}

/// Makes a small SQLite database.
fn sqlite(path: &Path) {
    let _ = fs::remove_file(path);
    let db = rusqlite::Connection::open(path).expect("a database");
    db.execute_batch("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT); INSERT INTO t (b) VALUES ('one'), ('two'); CREATE INDEX i ON t (b);")
        .expect("a table");
    drop(db);
    chmod(path, 0o640);
}

#[test]
fn import() {
    // What another user may not do is said in the JSON.
    if !is_root("the recording of import") {
        return;
    }
    let mut tape = Tape::new("import");
    tape.run(&["export", "a.tar.gz"]);
    tape.run(&["import", "a.tar.gz", "--dry-run", "#nothing differs"]);
    tape.run(&["import", "a.tar.gz", "#nothing differs"]);
    let services = tape.machine.path("etc/services.toml");
    fs::write(&services, "[services.web]\nbranch = \"other\"\n").expect("written");
    tape.run(&["import", "a.tar.gz", "--dry-run", "#services.toml differs"]);
    tape.run(&["import", "a.tar.gz", "#services.toml differs"]);
    fs::write(&services, "[services.web]\nbranch = \"more\"\n").expect("written");
    tape.run(&["import", "a.tar.gz", "--only", "services.toml"]);
    tape.run(&["import", "a.tar.gz", "--only", "nothing"]);
    fs::write(&services, "[services.web]\nbranch = \"and more\"\n").expect("written");
    tape.run(&[
        "import",
        "a.tar.gz",
        "--except",
        "services.toml",
        "--dry-run",
    ]);
    fs::remove_file(&services).expect("removed");
    tape.run(&[
        "import",
        "a.tar.gz",
        "--dry-run",
        "#services.toml is missing",
    ]);
    tape.run(&["import", "a.tar.gz", "--root", "there", "--dry-run"]);
    tape.run(&["import", "a.tar.gz", "--root", "there"]);
    tape.run(&["rollback", "--root", "there"]);
    tape.run(&["import", "a.tar.gz", "--map", "/nothing=/else", "--dry-run"]);
    tape.run(&["import", "nothing.tar.gz"]);
    let bytes = tape.machine.read("out/a.tar.gz");
    tape.machine
        .write("out/cut.tar.gz", &bytes[..bytes.len() / 2], 0o600);
    tape.run(&["import", "cut.tar.gz"]);
    tape.run(&["import", "cut.tar.gz", "--dry-run"]);
    tape.run(&["import"]);
    tape.configure("[backup]\nlevel = 3\n");
    tape.run(&[
        "import",
        "a.tar.gz",
        "--dry-run",
        "#this configuration wins",
    ]);
    tape.run(&["import", "a.tar.gz", "#this configuration wins"]);
    tape.run(&["import", "a.tar.gz", "--with-config"]);
    tape.place("hookshot-state-20010131-030000.tar.gz");
    tape.run(&[
        "import",
        "hookshot-state-20010131-030000.tar.gz",
        "--dry-run",
    ]);
    tape.compare();
}

#[test]
fn import_with_obstacles() {
    let mut tape = Tape::new("import_with_obstacles");
    tape.run(&["export", "a.tar.gz"]);
    let original = tape.machine.read("data/state.redb");
    tape.machine.put_deployment("d9", "running");
    for (arguments, remark) in [
        (&["--dry-run"][..], "#active_deployments"),
        (&[], "#active_deployments"),
        (&["--force", "--dry-run"], "#active_deployments"),
        (&["--force"], "#active_deployments"),
    ] {
        tape.run(&[&["import", "a.tar.gz"], arguments, &[remark]].concat());
    }
    tape.machine
        .write("data/state.redb", vec![b'x'; 8192], 0o600);
    tape.run(&["import", "a.tar.gz", "#database_unreadable"]);
    tape.run(&["import", "a.tar.gz", "--force", "#database_unreadable"]);
    tape.machine.write("data/state.redb", original, 0o600);
    tape.machine.put_deployment("d8", "succeeded");
    {
        let _holder = tape.machine.holder("write");
        tape.run(&["import", "a.tar.gz", "--dry-run", "#database_held"]);
        tape.run(&["import", "a.tar.gz", "#database_held"]);
        tape.run(&["import", "a.tar.gz", "--force", "#database_held"]);
    }
    tape.run_limited("1000", &["import", "a.tar.gz", "#ulimit -f"]);

    tape.configure_site("app_version = \"1.2.3\"\n");
    tape.run(&["export", "site.tar.gz"]);
    tape.machine
        .write("data/site/page", "another page\n", 0o644);
    for (remark, more) in [
        (
            "#app_version",
            "app_version = \"2.0.0\"\nversion_rule = \"major\"\n",
        ),
        ("#app_version is not known", "version_rule = \"exact\"\n"),
    ] {
        tape.configure_site(more);
        tape.machine
            .write("data/site/page", "another page\n", 0o644);
        tape.run(&["import", "site.tar.gz", "--dry-run", remark]);
        tape.run(&["import", "site.tar.gz", "--force", "--dry-run", remark]);
    }
    tape.configure_site("");
    tape.machine
        .write("data/site/page", "another page\n", 0o644);
    {
        let _open = fs::File::options()
            .append(true)
            .open(tape.machine.path("data/site/page"))
            .expect("a file");
        tape.run(&["import", "site.tar.gz", "--dry-run", "#file_held"]);
    }
    let site = fs::read_to_string(tape.machine.path("etc/config.toml")).expect("text");
    for (remark, more) in [
        ("#active", "active_command = \"echo work\"\n"),
        ("#activity_unknown", "active_command = \"exit 9\"\n"),
        ("#service", "service = \"true\"\n"),
    ] {
        tape.machine
            .write("etc/config.toml", format!("{site}{more}"), 0o600);
        tape.run(&["import", "site.tar.gz", "--dry-run", remark]);
        tape.run(&["import", "site.tar.gz", "--force", "--dry-run", remark]);
    }

    let command = |import: &str| {
        format!(
            "{site}[[backup.sources]]\nname = \"c\"\nkind = \"command\"\nexport = \"echo content\"\nimport = \"{import}\"\n"
        )
    };
    tape.machine
        .write("etc/config.toml", command("cat >/dev/null"), 0o600);
    tape.run(&["export", "command.tar.gz"]);
    tape.machine
        .write("data/site/page", "another page\n", 0o644);
    tape.run(&["import", "command.tar.gz", "--dry-run"]);
    tape.run(&["import", "command.tar.gz"]);
    tape.machine
        .write("data/site/page", "yet another page\n", 0o644);
    tape.machine
        .write("etc/config.toml", command("cat >/dev/null; exit 4"), 0o600);
    tape.run(&[
        "import",
        "command.tar.gz",
        "--except",
        "config.toml",
        "#import_failed",
    ]);
    tape.compare();
}

#[test]
fn rollback() {
    // What another user may not do is said in the JSON.
    if !is_root("the recording of rollback") {
        return;
    }
    let mut tape = Tape::new("rollback");
    tape.run(&["rollback"]);
    tape.run(&["export", "a.tar.gz"]);
    tape.machine.put_deployment("d9", "succeeded");
    fs::remove_file(tape.machine.path("etc/services.toml")).expect("removed");
    tape.run(&["import", "a.tar.gz"]);
    tape.run(&["rollback", "--dry-run"]);
    tape.run(&["rollback"]);
    tape.run(&["rollback", "#of the rollback"]);
    {
        let _holder = tape.machine.holder("write");
        tape.run(&["rollback", "#held"]);
    }
    tape.machine
        .write("data/state.redb.bak", "something else", 0o600);
    tape.run(&["rollback", "#the backup was changed"]);
    tape.run(&["rollback", "--force", "#the backup was changed"]);
    tape.run(&["--config", "nothing.toml", "rollback"]);
    tape.run(&["rollback", "--bogus"]);
    tape.compare();
}

#[test]
fn verify() {
    let mut tape = Tape::new("verify");
    tape.run(&["export", "a.tar.gz"]);
    tape.place("golden.tar.gz");
    for fixture in ["guide-1.0.tar.gz", "guide-1.0-dot.tar.gz"] {
        let bytes = fs::read(fixtures().join("archives").join(fixture)).expect("an archive");
        tape.machine.write(&format!("out/{fixture}"), bytes, 0o600);
    }
    tape.run(&["verify", "a.tar.gz", "golden.tar.gz"]);
    tape.run(&[
        "verify",
        "guide-1.0.tar.gz",
        "guide-1.0-dot.tar.gz",
        "--deep",
    ]);
    tape.run(&["verify", "--deep", "a.tar.gz"]);
    tape.machine
        .write("out/cut.tar.gz", &golden()[..700], 0o600);
    tape.run(&["verify", "cut.tar.gz", "a.tar.gz"]);
    tape.run(&["verify", "a.tar.gz", "nothing.tar.gz"]);
    tape.place("shelf/hookshot-state-20010131-030000.tar.gz");
    tape.run(&["verify", "shelf"]);
    tape.machine.write(
        "out/shelf/hookshot-state-20010130-030000.tar.gz",
        "cut",
        0o600,
    );
    tape.run(&["verify", "shelf", "#with a damaged one"]);
    tape.run(&["verify", "tmp"]);
    tape.run(&["verify"]);
    tape.configure("[backup.destinations.shelf]\nurl = \"../out/shelf\"\n");
    tape.run(&["verify", "@shelf/latest"]);
    tape.configure_site("");
    symlink("/etc/passwd", tape.machine.path("data/site/out")).expect("a link");
    tape.run(&["export", "site.tar.gz"]);
    tape.run(&["verify", "site.tar.gz", "#with a link"]);
    tape.compare();
}

#[test]
fn inspect() {
    let mut tape = Tape::new("inspect");
    tape.run(&["export", "a.tar.gz", "--tag", "why=try"]);
    tape.place("golden.tar.gz");
    let guide = fs::read(fixtures().join("archives/guide-1.0.tar.gz")).expect("an archive");
    tape.machine.write("out/guide.tar.gz", guide, 0o600);
    tape.run(&["inspect", "a.tar.gz"]);
    tape.run(&["inspect", "golden.tar.gz"]);
    tape.run(&["show", "guide.tar.gz"]);
    tape.machine
        .write("out/cut.tar.gz", &golden()[..700], 0o600);
    tape.run(&["inspect", "cut.tar.gz"]);
    tape.run(&["inspect", "nothing.tar.gz"]);
    tape.run(&["inspect"]);
    tape.compare();
}

#[test]
fn diff() {
    let mut tape = Tape::new("diff");
    tape.run(&["export", "a.tar.gz"]);
    tape.run(&["diff", "a.tar.gz"]);
    tape.machine.write(
        "etc/services.toml",
        "[services.web]\nbranch = \"other\"\ntoken = \"t0ken\"\n",
        0o640,
    );
    tape.machine.put_deployment("d9", "succeeded");
    fs::remove_file(tape.machine.path("etc/secrets")).expect("removed");
    tape.run(&["diff", "a.tar.gz", "#changed"]);
    tape.run(&["diff", "--text", "a.tar.gz", "#changed"]);
    tape.run(&["export", "b.tar.gz"]);
    tape.run(&["diff", "a.tar.gz", "b.tar.gz"]);
    tape.run(&["diff", "--text", "b.tar.gz", "a.tar.gz"]);
    tape.machine
        .write("out/cut.tar.gz", &golden()[..700], 0o600);
    tape.run(&["diff", "cut.tar.gz"]);
    tape.run(&["diff", "nothing.tar.gz"]);
    tape.run(&["diff"]);
    tape.compare();
}

#[test]
fn extract() {
    let mut tape = Tape::new("extract");
    tape.run(&["export", "a.tar.gz"]);
    tape.run(&[
        "extract",
        "a.tar.gz",
        "config.toml",
        "secrets",
        "-o",
        "look",
    ]);
    tape.run(&[
        "extract",
        "a.tar.gz",
        "config.toml",
        "-o",
        "look",
        "#it is there",
    ]);
    tape.run(&[
        "extract",
        "a.tar.gz",
        "config.toml",
        "-o",
        "look",
        "--overwrite",
    ]);
    tape.run(&["extract", "a.tar.gz", "nothing", "-o", "look"]);
    tape.run(&["extract", "a.tar.gz", "config.toml", "-o", "-"]);
    tape.run(&["extract", "nothing.tar.gz", "config.toml"]);
    tape.machine
        .write("out/cut.tar.gz", &golden()[..700], 0o600);
    tape.run(&["extract", "cut.tar.gz", "config.toml", "-o", "cut"]);
    tape.configure_site("");
    tape.run(&["export", "site.tar.gz"]);
    tape.run(&["extract", "site.tar.gz", "site", "-o", "site"]);
    symlink("/etc/passwd", tape.machine.path("data/site/out")).expect("a link");
    tape.run(&["export", "link.tar.gz"]);
    tape.run(&["extract", "link.tar.gz", "site", "-o", "link"]);
    tape.run(&[
        "extract",
        "link.tar.gz",
        "site",
        "-o",
        "link",
        "#it is there",
    ]);
    tape.compare();
}

#[test]
fn copy() {
    let mut tape = Tape::new("copy");
    for day in ["29", "30", "31"] {
        tape.place(&format!("shelf/hookshot-state-200101{day}-030000.tar.gz"));
    }
    tape.place("shelf/other-20010131-030000.tar.gz");
    tape.place("mine.tar.gz");
    tape.run(&["copy", "mine.tar.gz", "copies"]);
    tape.run(&["copy", "mine.tar.gz", "copies", "#it is there"]);
    tape.run(&["copy", "shelf", "twin"]);
    tape.run(&["copy", "shelf", "twin", "#all are there"]);
    tape.run(&["copy", "--all-hosts", "shelf", "all"]);
    tape.machine.write(
        "out/shelf/hookshot-state-20010130-030000.tar.gz",
        "cut",
        0o600,
    );
    tape.run(&["copy", "shelf", "partial"]);
    tape.run(&["copy", "shelf/hookshot-state-20010130-030000.tar.gz", "cut"]);
    tape.run(&["copy", "nothing.tar.gz", "copies"]);
    tape.run(&["copy", "nothing", "copies"]);
    fs::create_dir(tape.machine.path("out/empty")).expect("a folder");
    tape.run(&["copy", "empty", "copies"]);
    tape.configure("[backup.destinations.shelf]\nurl = \"../out/shelf\"\n");
    tape.run(&["copy", "@shelf/latest", "latest"]);
    tape.run(&["copy", "shelf"]);
    tape.compare();
}

#[test]
fn check() {
    let mut tape = Tape::new("check");
    fs::create_dir(tape.machine.path("out/shelf")).expect("a folder");
    tape.run(&["check", "shelf"]);
    tape.run(&["check", "new"]);
    tape.run(&["check", "/proc/nothing"]);
    tape.run(&["check", "shelf", "/proc/nothing"]);
    tape.run(&["check"]);
    tape.run(&["check", "@nothing"]);
    tape.configure(
        "[backup]\nto = [\"shelf\"]\n[backup.destinations.shelf]\nurl = \"../out/shelf\"\n",
    );
    tape.run(&["check", "#the destinations of the configuration"]);
    tape.compare();
}

/// Lays archives of some days, and others, into `shelf`.
fn shelf(tape: &Tape) {
    for stamp in [
        "20010128-030000",
        "20010129-030000",
        "20010130-030000",
        "20010130-210000",
        "20010131-030000",
        "20010131-030000.1",
    ] {
        tape.place(&format!("shelf/hookshot-state-{stamp}.tar.gz"));
    }
    tape.place("shelf/other-20010131-030000.tar.gz");
    tape.machine
        .write("out/shelf/notes.tar.gz", "no archive", 0o600);
    fs::create_dir(tape.machine.path("out/shelf/deeper")).expect("a folder");
}

#[test]
fn list() {
    let mut tape = Tape::new("list");
    shelf(&tape);
    fs::create_dir(tape.machine.path("out/empty")).expect("a folder");
    tape.run(&["list", "shelf"]);
    tape.run(&["ls", "shelf", "--sort", "name", "--reverse"]);
    tape.run(&["list", "shelf", "--all-hosts"]);
    tape.run(&["list", "shelf", "--long"]);
    tape.run(&["list", "empty"]);
    tape.run(&["list", "shelf", "nothing"]);
    tape.run(&["list", "nothing"]);
    tape.run(&["list"]);
    tape.run(&["list", "--sort", "nothing", "shelf"]);
    tape.configure("[backup]\nto = [\"shelf\"]\n[backup.destinations.shelf]\nurl = \"../out/shelf\"\n[backup.destinations.shelf.retention]\nkeep_last = 2\n");
    tape.run(&["list", "#the destinations of the configuration"]);
    tape.run(&["list", "--long", "@shelf", "#with a policy"]);
    tape.compare();
}

#[test]
fn prune() {
    let mut tape = Tape::new("prune");
    shelf(&tape);
    tape.run(&["prune", "shelf", "--keep-last", "1", "--dry-run"]);
    tape.run(&[
        "prune",
        "shelf",
        "--keep-last",
        "1",
        "#more than max_remove permits",
    ]);
    tape.run(&["prune", "shelf"]);
    tape.run(&["prune", "nothing", "--keep-last", "1"]);
    tape.run(&["prune", "shelf", "--keep-last", "none"]);
    tape.run(&[
        "keep",
        "shelf/hookshot-state-20010128-030000.tar.gz",
        "--until",
        "2099-01-01",
    ]);
    tape.machine.write(
        "out/shelf/hookshot-state-20010131-030000.1.tar.gz",
        "cut",
        0o600,
    );
    tape.run(&[
        "prune",
        "shelf",
        "--keep-last",
        "2",
        "--dry-run",
        "#a damaged and a kept one",
    ]);
    tape.run(&[
        "prune",
        "shelf",
        "--keep-daily",
        "2",
        "--timezone",
        "Europe/Vienna",
        "--max-remove",
        "90%",
        "--check",
    ]);
    tape.run(&[
        "prune",
        "shelf",
        "--keep-daily",
        "2",
        "--all-hosts",
        "--yes",
    ]);
    tape.run(&["prune", "shelf", "--keep-daily", "2", "#nothing goes"]);
    tape.configure("[backup]\nto = [\"shelf\", \"lost\"]\n[backup.retention]\nkeep_last = 1\n[backup.destinations.shelf]\nurl = \"../out/shelf\"\n[backup.destinations.lost]\nurl = \"../out/lost\"\n");
    tape.run(&["prune", "--dry-run", "#of several destinations"]);
    tape.run(&["prune", "--yes", "#of several destinations"]);
    tape.run(&[
        "prune",
        "simulate",
        "--days",
        "20",
        "--start",
        "2001-01-01",
        "--keep-last",
        "2",
        "--keep-weekly",
        "2",
    ]);
    tape.run(&[
        "prune",
        "simulate",
        "--days",
        "2",
        "--every",
        "12h",
        "--start",
        "2001-01-01T00:00:00Z",
        "@shelf",
    ]);
    tape.run(&["prune", "simulate", "--days", "none"]);
    tape.compare();
}

#[test]
fn keep() {
    let mut tape = Tape::new("keep");
    tape.place("hookshot-state-20010131-030000.tar.gz");
    let archive = "hookshot-state-20010131-030000.tar.gz";
    tape.run(&["keep", archive]);
    tape.run(&["keep", "--until", "2099-01-01", archive]);
    tape.run(&["keep", "--forever", archive]);
    tape.run(&["keep", "--remove", archive]);
    tape.run(&["keep", "--remove", archive, "#it has none"]);
    tape.run(&["keep", "--until", "2001-01-01", archive]);
    tape.run(&["keep", "nothing.tar.gz"]);
    tape.run(&["keep", "nothing.txt"]);
    tape.run(&["keep"]);
    tape.compare();
}

#[test]
fn notify() {
    let mut tape = Tape::new("notify");
    tape.run(&["notify", "--test", "#none is configured"]);
    tape.run(&["notify"]);
    tape.configure(
        "[[backup.notify]]\nname = \"own\"\nkind = \"command\"\nrun = \"true\"\n\
        [[backup.notify]]\nname = \"off\"\nkind = \"command\"\nrun = \"true\"\nenabled = false\n",
    );
    tape.run(&["notify", "--test"]);
    tape.run(&["notify", "--test", "off", "#it is disabled"]);
    tape.run(&["notify", "--test", "other"]);
    tape.compare();
}

#[test]
fn validate_and_init() {
    let mut tape = Tape::new("validate_and_init");
    tape.run(&["validate"]);
    fs::remove_file(tape.machine.path("etc/secrets")).expect("removed");
    fs::remove_file(tape.machine.path("data/state.redb")).expect("removed");
    tape.run(&["validate", "#files are missing"]);
    tape.configure("[backup]\nprefx = \"x\"\nlevel = 40\n[backup.destinations.a]\nurl = \"~/a\"\n");
    tape.run(&["validate", "#faults"]);
    tape.configure_site("[backup.destinations.a]\nurl = \"../out/a\"\n");
    tape.run(&["validate", "#a directory"]);
    tape.run(&["validate", "--config", "nothing.toml"]);
    tape.run(&["init", "#it is there"]);
    tape.run(&[
        "--config",
        "new/config.toml",
        "--data-dir",
        "new/data",
        "init",
    ]);
    for app in [
        "gitea",
        "grafana",
        "home-assistant",
        "postgres",
        "uptime-kuma",
        "vaultwarden",
    ] {
        let config = format!("{app}/config.toml");
        tape.run(&[
            "--config",
            &config,
            "--data-dir",
            "srv",
            "init",
            "--app",
            app,
        ]);
        tape.run(&["--config", &config, "validate"]);
    }
    tape.run(&["--config", "no/config.toml", "init", "--app", "nothing"]);
    tape.compare();
}

#[test]
fn others() {
    let mut tape = Tape::new("others");
    tape.run(&["demo", "demo"]);
    tape.run(&["demo", "demo", "#it is there"]);
    tape.run(&["demo"]);
    tape.run(&["version"]);
    tape.run(&["--version"]);
    tape.run(&["--help"]);
    tape.run(&["man"]);
    tape.run(&["man", "nothing"]);
    tape.run(&["completions", "bash"]);
    tape.run(&["completions", "nothing"]);
    tape.run(&["nothing"]);
    tape.run(&[]);
    tape.compare();
}

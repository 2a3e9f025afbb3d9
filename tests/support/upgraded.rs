//! A real service for guarded imports and upgrades: it holds an SQLite database open, writes, and answers for its health.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rusqlite::Connection;
use serde_json::Value;

use crate::{Machine, Run, finish, program};

/// The service, on a machine of its own. It is stopped when the value is dropped.
pub struct Upgraded {
    pub machine: Machine,
    script: PathBuf,
    port: u16,
}

/// The service's own keys under `[backup]`, with this health timeout.
const TIMES: &str = "health_timeout = \"20s\"\nhealthy_for = \"0s\"\n";

/// The same with a timeout for services that do not become healthy.
pub const QUICK: &str = "health_timeout = \"3s\"\nhealthy_for = \"0s\"\n";

/// Returns the arguments that protect a line of the shell.
pub fn protected(line: &str) -> [&str; 5] {
    ["protect", "--", "sh", "-c", line]
}

impl Upgraded {
    /// A service whose program knows schema 1, started.
    pub fn started() -> Upgraded {
        let machine = Machine::empty();
        let script = machine.path("upgraded.py");
        fs::write(&script, include_str!("upgraded.py")).expect("written");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let service = Upgraded {
            machine,
            script,
            port,
        };
        service.write("port", &port.to_string());
        service.install("1 0 0 none");
        fs::create_dir(service.folder().join("files")).expect("a folder");
        service.write("files/one", "one");
        service.configure("", TIMES);
        service.control("start");
        service.wait_until_healthy();
        service
    }

    /// The folder of the service.
    pub fn folder(&self) -> PathBuf {
        self.machine.path("data")
    }

    /// Writes a file of the service.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.folder().join(name), text).expect("written");
    }

    /// Installs a program: `version delay life flaw`.
    pub fn install(&self, program: &str) {
        self.write("program", program);
    }

    /// The line that installs a program, for a command.
    pub fn upgrade(&self, program: &str) -> String {
        format!(
            "{} && echo {program} > {} && {}",
            self.line("stop"),
            self.folder().join("program").display(),
            self.line("start")
        )
    }

    /// The line that stops or starts the service.
    pub fn line(&self, how: &str) -> String {
        format!(
            "python3 {} {how} {}",
            self.script.display(),
            self.folder().display()
        )
    }

    /// Returns the URL of its health.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/health", self.port)
    }

    /// Writes the configuration: with further keys under `[backup]`, and with these times or other keys under
    /// `[backup.import]`.
    pub fn configure(&self, further: &str, import: &str) {
        let control = self.control_by(&self.line("stop"), &self.line("start"), import);
        self.configure_with(further, &control);
    }

    /// Writes the configuration with these lines in place of those that stop and start the service.
    pub fn configure_lines(&self, stop: &str, start: &str, import: &str) {
        self.configure_with("", &self.control_by(stop, start, import));
    }

    fn control_by(&self, stop: &str, start: &str, import: &str) -> String {
        let url = self.url();
        format!("stop = '{stop}'\nstart = '{start}'\nhealth = '{url}'\n{import}")
    }

    /// Writes the configuration with these keys under `[backup.import]`. Archives leave it out unless `further` says
    /// so.
    pub fn configure_with(&self, further: &str, import: &str) {
        let further = match further.contains("include_config") {
            true => further.to_owned(),
            false => format!("include_config = false\n{further}"),
        };
        let text = format!(
            "[backup]\napp = \"app\"\nprefix = \"app\"\n{further}\n[backup.import]\n{import}\n\
            [[backup.sources]]\nname = \"app.db\"\nkind = \"sqlite\"\npath = \"{folder}/app.db\"\n\
            [[backup.sources]]\nname = \"files\"\nkind = \"directory\"\npath = \"{folder}/files\"\n\
            [[backup.sources]]\nname = \"program\"\nkind = \"file\"\npath = \"{folder}/program\"\n",
            folder = self.folder().display()
        );
        self.machine.write("etc/config.toml", text, 0o600);
    }

    /// Stops or starts the service.
    pub fn control(&self, how: &str) {
        let status = Command::new("sh")
            .args(["-c", &self.line(how)])
            .status()
            .expect("python3");
        assert!(status.success());
    }

    /// Returns true if the service answers that it is healthy.
    pub fn is_healthy(&self) -> bool {
        let python = "import sys, urllib.request\nurllib.request.urlopen(sys.argv[1], timeout=5)";
        let status = Command::new("python3")
            .args(["-c", python, &self.url()])
            .env_remove("http_proxy")
            .stderr(Stdio::null())
            .status();
        status.expect("python3").success()
    }

    fn wait_until_healthy(&self) {
        for _ in 0..200 {
            if self.is_healthy() {
                return;
            }
        }
        panic!(
            "{}",
            fs::read_to_string(self.folder().join("output")).unwrap_or_default()
        );
    }

    /// Returns the steps of the service so far: each `start` or `stop`.
    pub fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder().join("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// Forgets them.
    pub fn forget_log(&self) {
        self.write("log", "");
    }

    /// Returns the version of the schema that the database has.
    pub fn schema(&self) -> i64 {
        self.ask("PRAGMA user_version")
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> i64 {
        self.ask("SELECT count(*) FROM rows")
    }

    fn ask(&self, question: &str) -> i64 {
        let database = Connection::open(self.folder().join("app.db")).expect("a database");
        database
            .query_row(question, [], |row| row.get(0))
            .expect("an answer")
    }

    /// Returns a file of the service.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder().join(name)).unwrap_or_default()
    }

    /// Runs hookshot, which must end with this exit code.
    #[track_caller]
    pub fn run(&self, arguments: &[&str], code: i32) -> Run {
        finish(self.command(arguments), b"").exits(code)
    }

    /// Runs it with `--json`.
    #[track_caller]
    pub fn json(&self, arguments: &[&str], code: i32) -> Value {
        self.run(&[&["--json"], arguments].concat(), code).json()
    }

    /// Returns hookshot with these arguments, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .arg("--config")
            .arg(self.machine.path("etc/config.toml"))
            .args(arguments)
            .env("TMPDIR", self.machine.path("tmp"))
            .current_dir(self.machine.path("out"));
        command
    }

    /// Starts hookshot.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("started")
    }

    /// Returns the path of what hookshot keeps beside the configuration.
    pub fn note(&self) -> PathBuf {
        self.machine.path("etc/.hookshot/guard.json")
    }

    /// Exports the present state to `out/NAME`.
    pub fn export(&self, name: &str) {
        self.run(&["export", name], 0);
    }

    /// Returns true if anything but the service lies in its folder that hookshot made and forgot.
    pub fn has_leftovers(&self) -> bool {
        let is_ours = |name: &Path| name.to_string_lossy().starts_with(".hookshot-");
        let names = fs::read_dir(self.folder()).expect("a folder").flatten();
        let mut names = names.map(|entry| PathBuf::from(entry.file_name()));
        names.any(|name| is_ours(&name))
    }
}

impl Drop for Upgraded {
    fn drop(&mut self) {
        let _ = Command::new("sh").args(["-c", &self.line("stop")]).status();
    }
}

//! A machine with archives at two destinations, accounts, and the real server that shows them.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use support::{Machine, Run, clock, directories, signals};

use crate::client::{Answer, Client};

/// The password of every user.
pub const PASSWORD: &str = "correct-horse-battery";
/// The routes of programs.
pub const API: &str = "/api/v1/backup";

/// The longest wait for what verbs of the server tell.
const PATIENCE: Duration = Duration::from_secs(120);

/// A machine, with the state of a server.
pub struct Site {
    pub machine: Machine,
}

impl Site {
    /// A machine with an archive at each of two destinations, and the users `anna` (admin), `olga` (operator) and `vera`
    /// (viewer).
    pub fn new() -> Site {
        let site = Site::with_admin();
        site.user("olga", "operator");
        site.user("vera", "viewer");
        site.machine.run(&["export"]).exits(0);
        site
    }

    /// A machine without archives, whose only user is the admin `anna`.
    pub fn with_admin() -> Site {
        let site = Site::without_accounts();
        site.user("anna", "admin");
        site
    }

    /// A machine without archives and users.
    pub fn without_accounts() -> Site {
        let machine = directories::data_and_page();
        machine.write("password", format!("{PASSWORD}\n"), 0o600);
        let site = Site { machine };
        site.configure(&["near", "far"], "");
        site
    }

    /// Writes the configuration: a destination for each of these folders, and further text.
    pub fn configure(&self, folders: &[&str], more: &str) {
        let names: Vec<String> = (1..=folders.len())
            .map(|number| format!("d{number}"))
            .collect();
        let mut text = directories::DATA_AND_PAGE.replace(
            "prefix = \"x\"\n",
            &format!("prefix = \"x\"\nto = {names:?}\n"),
        );
        for (name, folder) in names.iter().zip(folders) {
            let url = self.machine.path(folder).display().to_string();
            let url = Value::String(url);
            text.push_str(&format!("[backup.destinations.{name}]\nurl = {url}\n"));
        }
        text.push_str(more);
        self.machine.write("etc/config.toml", text, 0o600);
    }

    /// Runs a verb below `serve`.
    #[track_caller]
    pub fn serve(&self, arguments: &[&str]) -> Run {
        let all = [&["serve"], arguments].concat();
        self.machine.run(&all)
    }

    #[track_caller]
    pub fn user(&self, name: &str, role: &str) {
        let file = self.machine.path("password").display().to_string();
        let arguments = [
            "user",
            "add",
            name,
            "--role",
            role,
            "--password-file",
            &file,
        ];
        self.serve(&arguments).exits(0);
    }

    /// Makes a token, and returns its text.
    #[track_caller]
    pub fn token(&self, name: &str, role: &str, more: &[&str]) -> String {
        let arguments = ["token", "add", name, "--role", role, "--json"];
        let run = self.serve(&[&arguments, more].concat()).exits(0);
        run.json()["token"].as_str().expect("a token").to_owned()
    }

    /// Returns the file of the server's state.
    pub fn state(&self) -> PathBuf {
        self.machine.path("etc/.hookshot/serve.sqlite")
    }

    /// Returns the rows of a query on the state, each as its columns in words.
    pub fn rows(&self, query: &str) -> Vec<String> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(self.state(), flags).expect("the state");
        let mut query = connection.prepare(query).expect("a query");
        let count = query.column_count();
        let rows = query.query_map([], |row| {
            let columns = (0..count).map(|column| Ok(format!("{:?}", row.get_ref(column)?)));
            Ok(columns.collect::<rusqlite::Result<Vec<_>>>()?.join(" "))
        });
        rows.expect("rows").map(|row| row.expect("a row")).collect()
    }

    /// Returns the audit trail without the changes by the command line, the oldest first: actor, address, act and outcome.
    pub fn audit(&self) -> Vec<(String, String, String, String)> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(self.state(), flags).expect("the state");
        let query = "SELECT actor, address, action, outcome FROM audit WHERE address <> 'command line' ORDER BY number";
        let mut query = connection.prepare(query).expect("a query");
        let rows = query.query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        });
        rows.expect("rows").map(|row| row.expect("a row")).collect()
    }

    /// Starts the server on a free port.
    #[track_caller]
    pub fn start(&self, more: &[&str]) -> Serving {
        let mut command = self.machine.command();
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(more);
        Serving::start(command)
    }

    /// Starts the server with a clock that [`Site::leap`] moves; `None` if faketime is not installed.
    pub fn start_with_clock(&self, more: &[&str]) -> Option<Serving> {
        let library = clock::library()?;
        self.leap(0);
        let mut command = self.machine.command();
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(more)
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", self.machine.path("clock"))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
        Some(Serving::start(command))
    }

    /// Moves the clock of a server to this time from now.
    pub fn leap(&self, seconds: i64) {
        let file = self.machine.path("clock.new");
        fs::write(&file, format!("{seconds:+}\n")).expect("written");
        fs::rename(file, self.machine.path("clock")).expect("renamed");
    }
}

/// The server at work, until this value goes.
pub struct Serving {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Serving {
    /// Starts it, and waits until it tells its address.
    #[track_caller]
    pub fn start(mut command: Command) -> Serving {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("the binary");
        let stderr = child.stderr.take().expect("a pipe");
        let log = Arc::new(Mutex::new(String::new()));
        let (tell, told) = mpsc::channel();
        let kept = log.clone();
        thread::spawn(move || follow(stderr, &kept, &tell));
        let address = told.recv_timeout(PATIENCE);
        let address = address.unwrap_or_else(|_| {
            let _ = child.kill();
            panic!("it does not serve: {}", log.lock().expect("a log"))
        });
        Serving {
            child,
            address,
            log,
        }
    }

    pub fn log(&self) -> String {
        self.log.lock().expect("a log").clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns a client that is not logged in.
    pub fn stranger(&self) -> Client {
        Client::new(self.address)
    }

    /// Returns a program with a token.
    pub fn program(&self, token: &str) -> Client {
        self.stranger()
            .with(format!("Authorization: Bearer {token}"))
    }

    /// Sends the form of the login page.
    #[track_caller]
    pub fn try_login(&self, name: &str, password: &str) -> Answer {
        let form = format!("name={name}&password={password}");
        self.stranger().post("/login", &form)
    }

    /// Returns a browser in which this user is logged in.
    #[track_caller]
    pub fn login(&self, name: &str) -> Client {
        let answer = self.try_login(name, PASSWORD).is(303);
        self.stranger().with(format!("Cookie: {}", cookie(&answer)))
    }

    /// Asks until the answer is as expected: verbs of the server tell it by and by.
    #[track_caller]
    pub fn until(&self, client: &Client, path: &str, fits: impl Fn(&Answer) -> bool) -> Answer {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = client.get(path);
            if fits(&answer) {
                return answer;
            }
            let late = Instant::now() > end;
            assert!(!late, "{path}: {}\n{}", answer.text(), self.log());
            thread::sleep(Duration::from_millis(30));
        }
    }

    /// Waits until a look at the destinations is over, and returns the archives.
    #[track_caller]
    pub fn snapshots(&self, program: &Client) -> Vec<Value> {
        // The schedule is the last that a look asks for.
        self.until(program, &format!("{API}/health"), |answer| {
            answer.json()["configurations"][0]["as_of"].is_string()
        });
        let answer = self.until(program, &format!("{API}/snapshots"), |answer| {
            !answer.json()["snapshots"]
                .as_array()
                .expect("a list")
                .is_empty()
        });
        answer.json()["snapshots"]
            .as_array()
            .expect("a list")
            .clone()
    }

    /// Ends it by a signal, and returns its end.
    pub fn end(&mut self, signal: Signal) -> ExitStatus {
        signals::send(signal, &self.child);
        self.child.wait().expect("an end")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps the log, and tells the address that it names.
fn follow(stderr: ChildStderr, log: &Mutex<String>, tell: &mpsc::Sender<SocketAddr>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if let Some((_, url)) = line.split_once("Serving at ") {
            let address = url.rsplit(['/', ' ']).next();
            let address = address.and_then(|text| text.parse().ok());
            if let Some(address) = address {
                let _ = tell.send(address);
            }
        }
        let mut log = log.lock().expect("a log");
        log.push_str(&line);
        log.push('\n');
    }
}

/// Returns the cookie that an answer sets: name and value.
#[track_caller]
pub fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie");
    set.split(';').next().expect("a pair").to_owned()
}

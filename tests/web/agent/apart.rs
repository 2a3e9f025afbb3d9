//! A machine whose server has a user of its own, and the agent that runs its verbs as root.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use support::{Run, finish, is_root, program};
use tempfile::TempDir;

use crate::site::{Serving, Site};

/// The user of the server.
pub const SERVER: &str = "nobody";
/// A user that is neither.
pub const STRANGER: &str = "daemon";
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A site whose server has a user of its own.
pub struct Apart {
    pub site: Site,
    /// A folder that the server sees: it does not see the machine's.
    pub seen: TempDir,
    /// The token of an admin.
    pub token: String,
}

/// The agent at work, until this value goes.
pub struct Agent {
    pub child: Child,
    pub log: Arc<Mutex<String>>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Agent {
    /// Starts a program, and keeps its log.
    pub fn start(mut command: Command) -> Agent {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program");
        let stderr = child.stderr.take().expect("a pipe");
        let log = Arc::new(Mutex::new(String::new()));
        let kept = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                kept.lock().expect("a log").push_str(&(line + "\n"));
            }
        });
        Agent { child, log }
    }

    /// Waits until its log has this text.
    #[track_caller]
    pub fn says(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let log = self.log.lock().expect("a log").clone();
            if log.contains(text) {
                return;
            }
            assert!(Instant::now() < end, "{text:?} is not in {log}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Apart {
    pub fn new() -> Option<Apart> {
        Apart::of(Site::new)
    }

    /// Returns none without the rights for it.
    pub fn of(site: impl FnOnce() -> Site) -> Option<Apart> {
        if !is_root("an agent for another user") {
            return None;
        }
        let site = site();
        let token = site.token("program", "admin", &[]);
        let seen = tempfile::tempdir().expect("a folder");
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed");
        };
        mode(seen.path(), 0o755);
        let machine = site.machine.path("etc");
        mode(machine.parent().expect("a folder"), 0o700);
        let state = seen.path().join("state");
        fs::create_dir(&state).expect("a folder");
        fs::copy(site.state(), state.join("serve.sqlite")).expect("copied");
        mode(&state.join("serve.sqlite"), 0o600);
        let owner = Command::new("chown")
            .arg("-R")
            .arg(SERVER)
            .arg(&state)
            .status();
        assert!(owner.expect("chown").success());
        Some(Apart { site, seen, token })
    }

    pub fn socket(&self) -> PathBuf {
        self.seen.path().join("agent.sock")
    }

    pub fn config(&self) -> String {
        let config = self.site.machine.path("etc/config.toml");
        config.display().to_string()
    }

    pub fn agent(&self) -> Agent {
        let mut command = self.site.machine.command();
        command.args(["serve", "agent", "--user", SERVER, "--socket"]);
        command.arg(self.socket()).stdin(Stdio::null());
        let agent = Agent::start(command);
        agent.says("waits for requests");
        agent
    }

    /// Returns a command of the program as this user.
    pub fn command_of(&self, user: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid",
            user,
            "--regid",
            "nogroup",
            "--clear-groups",
            "--",
        ]);
        if user == STRANGER {
            command = Command::new("setpriv");
            command.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]);
        }
        command.arg(program()).arg("--config").arg(self.config());
        command.env_remove("TMPDIR").env("HOME", self.seen.path());
        command.current_dir(self.seen.path());
        command
    }

    pub fn serve(&self) -> Serving {
        let mut command = self.command_of(SERVER);
        command.args(["serve", "--listen", "127.0.0.1:0", "--state"]);
        command.arg(self.seen.path().join("state/serve.sqlite"));
        command.arg("--agent").arg(self.socket());
        Serving::start(command)
    }

    /// Asks the agent as this user.
    pub fn ask(&self, user: &str, wanted: &Value) -> Run {
        self.ask_about(user, &self.config(), wanted)
    }

    pub fn ask_about(&self, user: &str, config: &str, wanted: &Value) -> Run {
        finish(self.asking(user, config, wanted), b"")
    }

    /// Returns the command that asks the agent.
    pub fn asking(&self, user: &str, config: &str, wanted: &Value) -> Command {
        let request = json!({"config": config, "wanted": wanted}).to_string();
        let mut command = self.command_of(user);
        command.args(["--json", "serve", "ask", "--socket"]);
        command.arg(self.socket()).arg("--").arg(request);
        command
    }
}

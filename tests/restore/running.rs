//! Services that keep nothing open: an import and a rollback are refused while their unit, or a command, says that they run.

use support::{Machine, Run, finish};

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

/// A machine with two sources of one service, and a stand-in for systemctl that reads states from files in `units`.
struct Host {
    machine: Machine,
}

impl Host {
    fn new(service: &str) -> Host {
        let host = Host {
            machine: Machine::new(),
        };
        for folder in ["bin", "units", "etc/flows"] {
            fs::create_dir(host.machine.path(folder)).expect("a folder");
        }
        let units = host.machine.path("units");
        let text = format!(
            r#"#!/bin/sh
echo "$*" >> '{units}/asked'
for unit; do :; done
state=$(cat "{units}/$unit" 2>/dev/null) || state=
case "$*" in
is-active*)
    case "$*" in *--quiet*) ;; *) echo "${{state:-inactive}}" ;; esac
    case "$state" in active|reloading) exit 0 ;; '') exit 4 ;; *) exit 3 ;; esac ;;
show*) if [ -n "$state" ]; then echo loaded; else echo not-found; fi ;;
*) exit 1 ;;
esac
"#,
            units = units.display()
        );
        host.machine.write("bin/systemctl", text, 0o700);
        host.configure(service);
        host.machine.write("etc/flows/flow.json", "{}\n", 0o640);
        host.machine.write("etc/app.ini", "color = blue\n", 0o640);
        host
    }

    fn configure(&self, service: &str) {
        let service = format!("service = {service:?}\n");
        let text = format!(
            "[backup]\n[[backup.sources]]\nname = \"flows\"\nkind = \"directory\"\npath = \"flows\"\n{service}\
             [[backup.sources]]\nname = \"app.ini\"\nkind = \"file\"\npath = \"app.ini\"\n{service}"
        );
        let text = self
            .machine
            .config_text(&text)
            .replace("[storage]", "[other]");
        self.machine.write("etc/config.toml", text, 0o600);
    }

    fn unit(&self, state: &str) {
        self.machine.write("units/node-red.service", state, 0o600);
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let path = format!("{}:/usr/bin:/bin", self.machine.path("bin").display());
        let mut command = self.machine.command();
        command.args(arguments).env("PATH", path);
        finish(command, b"")
    }

    /// Import and rollback, each in earnest and as a rehearsal: the same refusal, and nothing has changed.
    fn is_refused(&self, more: &[&str]) -> Vec<Value> {
        let before = self.machine.state();
        let mut refusals = Vec::new();
        for verb in [&["import", "a.tar.gz"][..], &["rollback"]] {
            for rehearsal in [&[][..], &["--dry-run"]] {
                let arguments = [verb, rehearsal, more, &["--json"]].concat();
                refusals.push(self.run(&arguments).exits(11).json());
            }
        }
        assert_eq!(self.machine.state(), before);
        refusals
    }
}

#[test]
fn an_import_and_a_rollback_are_refused_while_the_unit_is_active() {
    let host = Host::new("node-red.service");
    host.unit("inactive");
    host.run(&["export", "a.tar.gz"]).exits(0);
    host.machine
        .write("etc/flows/flow.json", "{\"a\":1}\n", 0o640);
    host.run(&["import", "a.tar.gz"]).exits(0);
    for (state, shown) in [
        ("active", "active"),
        ("activating", "activating"),
        // As real ones, the stand-in gives this the exit code of an active one.
        ("reloading", "active"),
        ("deactivating", "deactivating"),
    ] {
        host.unit(state);
        for refusal in host.is_refused(&["--force"]) {
            let blocked = refusal["blocked"].as_array().expect("a list");
            assert_eq!(blocked.len(), 1, "{refusal}");
            assert_eq!(blocked[0]["kind"], "service", "{refusal}");
            let message = blocked[0]["message"].as_str().expect("a text");
            let expected = format!("node-red.service is {shown}");
            assert!(message.contains(&expected), "{message}");
        }
    }
    // Asked once, although two sources name it.
    fs::remove_file(host.machine.path("units/asked")).expect("removed");
    host.unit("active");
    host.run(&["import", "a.tar.gz", "--dry-run"]).exits(11);
    assert_eq!(
        host.machine.read("units/asked"),
        b"is-active --quiet node-red.service\n"
    );
    for state in ["inactive", "failed"] {
        host.unit(state);
        host.run(&["rollback"]).exits(0);
    }
    // An export goes beside it.
    host.unit("active");
    host.run(&["export", "b.tar.gz"]).exits(0);
}

#[test]
fn a_unit_that_is_not_there_is_said_and_one_that_cannot_be_asked_for_is_an_obstacle() {
    let host = Host::new("node-red.service");
    host.run(&["export", "a.tar.gz"]).exits(0);
    host.machine.write("etc/app.ini", "color = red\n", 0o640);
    let report = host.run(&["import", "a.tar.gz", "--json"]).exits(0).json();
    assert_eq!(report["warnings"][0]["kind"], "service", "{report}");
    for broken in [
        "#!/bin/sh\necho 'System has not been booted with systemd as init system' >&2; exit 1\n",
        "#!/bin/sh\nexit 127\n",
    ] {
        host.machine.write("bin/systemctl", broken, 0o700);
        for refusal in host.is_refused(&[]) {
            let blocked = refusal["blocked"].as_array().expect("a list");
            assert_eq!(blocked.len(), 1, "{refusal}");
            assert_eq!(blocked[0]["kind"], "activity_unknown", "{refusal}");
        }
        host.machine.write("etc/app.ini", "color = red\n", 0o640);
        host.run(&["import", "a.tar.gz", "--force"]).exits(0);
    }
}

/// A process that has `mark` in its command line, until this value goes.
struct Running(Child);

impl Running {
    fn start(mark: &str) -> Running {
        let mut command = Command::new("sh");
        command.args(["-c", "echo; read line; :", mark]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut said = [0];
        let stdout = child.stdout.as_mut().expect("a pipe");
        std::io::Read::read_exact(stdout, &mut said).expect("it runs");
        Running(child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().expect("an end");
    }
}

/// The mark stands in the path of the configuration as well: hookshot's own command line has it.
#[test]
fn a_command_that_succeeds_means_that_the_service_runs() {
    let host = Host::new("true");
    let mark = host.machine.path("etc").display().to_string();
    host.run(&["export", "a.tar.gz"]).exits(0);
    host.machine.write("etc/app.ini", "color = red\n", 0o640);
    for command in [
        format!("pgrep -f {mark}"),
        format!("pgrep -af {mark} | grep -v nothing"),
    ] {
        host.configure(&command);
        let only = ["--only", "app.ini", "--only", "flows"];
        let import = [&["import", "a.tar.gz", "--json"][..], &only].concat();
        let service = Running::start(&mark);
        for more in [&[][..], &["--force"], &["--dry-run"]] {
            let refusal = host.run(&[&import[..], more].concat()).exits(11).json();
            assert_eq!(refusal["blocked"][0]["kind"], "service", "{refusal}");
            let message = refusal["blocked"][0]["message"].to_string();
            assert!(message.contains(&service.0.id().to_string()), "{message}");
        }
        drop(service);
        host.run(&[&import[..], &["--dry-run"]].concat()).exits(0);
    }
    host.configure("no-such-program");
    let refusal = host
        .run(&["import", "a.tar.gz", "--only", "app.ini", "--json"])
        .exits(11);
    assert_eq!(refusal.json()["blocked"][0]["kind"], "activity_unknown");
}

#[test]
fn a_service_of_the_whole_state_is_asked_for_whatever_is_imported() {
    let host = Host::new("false");
    host.unit("active");
    host.run(&["export", "a.tar.gz"]).exits(0);
    let text = String::from_utf8(host.machine.read("etc/config.toml")).expect("text");
    let text = text.replace("[backup]\n", "[backup]\nservice = \"node-red.service\"\n");
    host.machine.write("etc/config.toml", text, 0o600);
    host.machine.write("etc/app.ini", "color = red\n", 0o640);
    host.run(&["import", "a.tar.gz", "--only", "app.ini"])
        .exits(11)
        .says("node-red.service is active")
        .says("stop the service first");
    host.unit("inactive");
    host.run(&["import", "a.tar.gz", "--only", "app.ini"])
        .exits(0);
}

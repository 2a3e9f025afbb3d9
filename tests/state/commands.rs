//! Commands of the configuration: their shell, and pipes that fail, through the real binary.

use support::{Machine, Run, finish, is_root};

use std::process::Command;

/// A machine with one source, which is a command.
fn machine(keys: &str) -> Machine {
    let machine = Machine::new();
    let text = format!(
        "[backup]\nprefix = \"x\"\n[[backup.sources]]\nname = \"dump\"\nkind = \"command\"\n{keys}\n"
    );
    machine.write("etc/config.toml", machine.config_text(&text), 0o600);
    machine
}

/// Returns true if this machine's own shell reports a failure inside a pipe.
fn sh_knows_pipefail() -> bool {
    let status = Command::new("/bin/sh")
        .args(["-o", "pipefail", "-c", ":"])
        .output();
    status.expect("a shell").status.success()
}

/// Runs hookshot in a mount namespace without bash.
fn without_bash(machine: &Machine, arguments: &[&str]) -> Run {
    let mut command = Command::new("unshare");
    let script = "for bash in /bin/bash /usr/bin/bash /usr/local/bin/bash; do \
        [ ! -e $bash ] || mount --bind /dev/null $bash || exit 99; done; exec \"$@\"";
    let inner = machine.command();
    command.args(["-m", "sh", "-c", script, "sh"]);
    command.arg(inner.get_program()).args(inner.get_args());
    command.args(arguments);
    command.current_dir(machine.path("out"));
    command.env("TMPDIR", machine.path("tmp"));
    finish(command, b"")
}

#[test]
fn a_dump_that_fails_in_front_of_a_pipe_fails_the_export() {
    for failing in [
        "(echo header; exit 1) | gzip",
        "false | cat | cat; true && false | cat",
    ] {
        let machine = machine(&format!("export = \"{failing}\""));
        machine
            .run(&["export", "a.tar.gz"])
            .exits(1)
            .says("the export command of dump failed, exit status: 1");
        assert!(!machine.path("out/a.tar.gz").exists());
        machine.run(&["validate"]).exits(0);
    }
    let machine = machine("export = \"printf 'a|b\\\\n' | tr a c\"");
    machine.run(&["export", "a.tar.gz"]).exits(0);
    let out = machine.run(&["extract", "a.tar.gz", "dump", "-o", "-"]);
    assert_eq!(out.exits(0).text(), "c|b\n");
}

#[test]
fn a_failure_in_front_of_a_pipe_ends_an_import_and_is_no_sign_of_rest() {
    let keys = |import: &str, active: &str| {
        format!("export = \"echo 1\"\nimport = \"{import}\"\nactive_command = \"{active}\"")
    };
    let machine = machine(&keys("cat > got; false | cat", "true"));
    machine.run(&["export", "a.tar.gz"]).exits(0);
    machine
        .run(&["import", "a.tar.gz"])
        .exits(1)
        .says("the import command of dump failed");
    let text = format!(
        "[backup]\nprefix = \"x\"\n[[backup.sources]]\nname = \"dump\"\nkind = \"command\"\n{}\n",
        keys("cat > got", "no-such-program | cat")
    );
    machine.write("etc/config.toml", machine.config_text(&text), 0o600);
    let run = machine.run(&["import", "a.tar.gz", "--only", "dump", "--json"]);
    let json = run.exits(11).json();
    assert_eq!(json["blocked"][0]["kind"], "activity_unknown", "{json}");
}

#[test]
fn a_shell_that_is_named_runs_the_commands_of_its_source() {
    let machine = machine("shell = \"/bin/sh -f\"\nexport = \"echo *; false | true\"");
    machine.run(&["export", "a.tar.gz"]).exits(0);
    let out = machine.run(&["extract", "a.tar.gz", "dump", "-o", "-"]);
    assert_eq!(out.exits(0).text(), "*\n");
    let shown = machine.run(&["validate"]).exits(0).text();
    assert!(shown.contains("`export` of dump: it has a pipe"), "{shown}");
    let machine = self::machine("shell = \"/no/such/shell\"\nexport = \"echo 1\"");
    let shown = machine.run(&["validate"]).exits(0).text();
    assert!(
        shown.contains("its shell /no/such/shell cannot be run"),
        "{shown}"
    );
    machine
        .run(&["export", "a.tar.gz"])
        .exits(2)
        .says("cannot start the shell /no/such/shell")
        .says("`shell` of the source");
}

#[test]
fn a_shell_is_found_whatever_the_path_says() {
    let machine = machine("export = \"echo 1 || exit\"");
    let mut command = machine.command();
    command.args(["export", "a.tar.gz"]).env("PATH", "/nowhere");
    finish(command, b"").exits(0);
}

#[test]
fn a_pipe_that_hides_a_failure_is_said_where_there_is_no_bash() {
    if !is_root("hiding bash") {
        return;
    }
    let machine = machine("export = \"(echo header; exit 1) | gzip\"");
    if sh_knows_pipefail() {
        without_bash(&machine, &["export", "a.tar.gz"]).exits(1);
        return;
    }
    let shown = without_bash(&machine, &["validate"]).exits(0).text();
    assert!(shown.contains("`export` of dump: it has a pipe"), "{shown}");
    assert!(shown.contains("install bash"), "{shown}");
    let report = without_bash(&machine, &["export", "a.tar.gz", "--json"]);
    let report = report.exits(0).json();
    assert_eq!(report["warnings"][0]["kind"], "pipe", "{report}");
    assert_eq!(report["warnings"][0]["entry"], "dump", "{report}");
}

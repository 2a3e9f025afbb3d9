//! Versions of applications, as applications really print them, through the real binary.

use support::{Machine, Run, finish};

use std::{fs, path::Path};

/// A machine with one file, and `backup` under `[backup]`.
fn machine(backup: &str) -> Machine {
    let machine = Machine::new();
    configure(&machine, backup);
    machine.write("etc/app.ini", "color = blue\n", 0o640);
    machine
}

fn configure(machine: &Machine, backup: &str) {
    let text = format!(
        "[backup]\napp = \"shop\"\n{backup}\n[[backup.sources]]\nname = \"app.ini\"\nkind = \"file\"\npath = \"app.ini\"\n"
    );
    machine.write("etc/config.toml", machine.config_text(&text), 0o600);
}

/// Runs hookshot on a machine where `program` prints `says`.
fn run(machine: &Machine, program: &str, says: &str, arguments: &[&str]) -> Run {
    fs::create_dir_all(machine.path("bin")).expect("a folder");
    machine.write("bin/says", says, 0o600);
    let text = format!("#!/bin/sh\ncat '{}'\n", machine.path("bin/says").display());
    machine.write(&format!("bin/{program}"), text, 0o700);
    let path = format!("{}:/usr/bin:/bin", machine.path("bin").display());
    let mut command = machine.command();
    command.args(arguments).env("PATH", path);
    finish(command, b"")
}

/// An application: its ready-made configuration, its program, what an older and a newer release print, and that of another
/// major version.
type App = (&'static str, &'static str, [&'static str; 3]);

const APPS: [App; 6] = [
    (
        "vaultwarden",
        "vaultwarden",
        [
            "Vaultwarden 1.30.1\nWeb-Vault 2023.10.0\n",
            "Vaultwarden 1.30.5\nWeb-Vault 2024.1.2b\n",
            "Vaultwarden 2.0.0\nWeb-Vault 2026.1.0\n",
        ],
    ),
    (
        "gitea",
        "gitea",
        [
            "Gitea version 1.21.3 built with GNU Make 4.3, go1.21.5 : bindata, sqlite, sqlite_unlock_notify\n",
            "Gitea version 1.21.11 built with GNU Make 4.4.1, go1.22.2 : bindata, timetzdata, sqlite, sqlite_unlock_notify\n",
            "gitea version 2.0.0+dev-12-gdeadbee built with GNU Make 4.4.1, go1.24.1 : bindata\n",
        ],
    ),
    (
        "grafana",
        "grafana-server",
        [
            "Version 10.2.3 (commit: 1e84fede543acc892d2a2515187e545eb047f237, branch: HEAD)\n",
            "Deprecation warning: The standalone 'grafana-server' program is deprecated and will be removed in the future. Please update all uses of 'grafana-server' to 'grafana server'\nVersion 10.2.8+security-01 (commit: 846eadff63338fe67d83bcadb5e3bd2d2d1e0d3b, branch: HEAD)\n",
            "Version 11.0.0 (commit: 83b9528bce85cf9371320f6d6e450916156da3f6, branch: HEAD)\n",
        ],
    ),
    (
        "home-assistant",
        "",
        ["2024.11.1\n", "2024.11.3", "2025.1.0\n"],
    ),
    (
        "redis",
        "redis-server",
        [
            "Redis server v=7.0.11 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=4c2ac4bd1ae4a1d5\n",
            "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=8f8b9c0e0b1a2c3d\n",
            "Redis server v=8.0.1 sha=00000000:1 malloc=jemalloc-5.3.0 bits=64 build=bd5f7f3f5e2e5d5b\n",
        ],
    ),
    (
        "radicale",
        "radicale",
        ["3.1.8\n", "3.1.9.dev\n", "4.0.0\n"],
    ),
];

/// The command that a ready-made configuration proposes.
fn proposed(text: &str) -> Option<String> {
    let mut lines = text.lines().map(|line| line.trim_start_matches("# "));
    let line = lines.find(|line| line.starts_with("app_version_command = "))?;
    let table: toml::Table = line.parse().expect("a line of TOML");
    Some(
        table["app_version_command"]
            .as_str()
            .expect("a text")
            .to_owned(),
    )
}

#[test]
fn the_ready_made_configurations_find_the_version_in_what_the_application_prints() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/apps");
    let mut proposals = Vec::new();
    for file in fs::read_dir(&folder).expect("a folder") {
        let path = file.expect("a file").path();
        let name = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let command = proposed(&fs::read_to_string(&path).expect("a text"));
        proposals.extend(command.map(|command| (name, command)));
    }
    for (name, command) in &proposals {
        let app = APPS.iter().find(|(app, ..)| app == name);
        let (_, program, [older, newer, other]) =
            app.unwrap_or_else(|| panic!("{name} is not here"));
        let machine = machine("");
        let file = machine.path("bin/says").display().to_string();
        let command = command.replace("/var/lib/homeassistant/.HA_VERSION", &file);
        let backup = format!("version_rule = \"minor\"\napp_version_command = {command:?}");
        configure(&machine, &backup);
        let program = if program.is_empty() { "none" } else { program };
        let run = |says: &str, arguments: &[&str]| run(&machine, program, says, arguments);
        let report = run(older, &["export", "a.tar.gz", "--json"])
            .exits(0)
            .json();
        assert_eq!(report.get("warnings"), None, "{name}: {report}");
        run(older, &["import", "a.tar.gz"]).exits(0);
        run(newer, &["import", "a.tar.gz"]).exits(0);
        run(newer, &["import", "a.tar.gz", "--dry-run"]).exits(0);
        run(other, &["import", "a.tar.gz"]).exits(14);
        run(other, &["import", "a.tar.gz", "--dry-run"]).exits(14);
    }
    assert_eq!(proposals.len(), APPS.len(), "{proposals:?}");
}

#[test]
fn a_version_command_that_fails_is_a_warning_at_export() {
    for (command, why) in [
        ("exit 1", "failed, exit status: 1"),
        ("no-such-program 2>&1", "failed, exit status: 127"),
        ("false | cat", "failed, exit status: 1"),
        ("true", "prints nothing"),
    ] {
        let machine = machine(&format!("app_version_command = \"{command}\""));
        let report = machine
            .run(&["export", "a.tar.gz", "--json"])
            .exits(0)
            .json();
        let warning = &report["warnings"][0];
        assert_eq!(warning["kind"], "app_version", "{report}");
        let message = warning["message"].as_str().expect("a text");
        assert!(
            message.contains("`app_version_command` under [backup]"),
            "{message}"
        );
        assert!(message.contains(why), "{message}");
        let shown = machine
            .run(&["inspect", "a.tar.gz", "--json"])
            .exits(0)
            .json();
        assert_eq!(shown["manifest"].get("app_version"), None, "{shown}");
        // No rule needs it.
        machine.run(&["import", "a.tar.gz"]).exits(0);
    }
}

#[test]
fn a_version_command_that_fails_stands_in_the_way_of_an_import_if_the_rule_needs_it() {
    let machine = machine("app_version_command = \"echo App 1.2.3\"");
    machine.run(&["export", "a.tar.gz"]).exits(0);
    configure(
        &machine,
        "version_rule = \"major\"\napp_version_command = \"exit 7\"",
    );
    for arguments in [
        &["import", "a.tar.gz", "--only", "app.ini", "--json"][..],
        &[
            "import",
            "a.tar.gz",
            "--only",
            "app.ini",
            "--json",
            "--dry-run",
            "--force",
        ],
    ] {
        let said = machine.run(arguments).exits(14).json();
        let message = said["blocked"][0]["message"].as_str().expect("a text");
        let expected = "`app_version_command` under [backup] failed, exit status: 7";
        assert!(message.contains(expected), "{message}");
    }
    machine
        .run(&["import", "a.tar.gz", "--only", "app.ini"])
        .exits(14)
        .says("run `app_version_command` by hand");
    configure(
        &machine,
        "version_rule = \"any\"\napp_version_command = \"exit 7\"",
    );
    machine
        .run(&["import", "a.tar.gz", "--only", "app.ini"])
        .exits(0);
}

#[test]
fn a_text_without_a_number_is_said() {
    let machine = machine("version_rule = \"major\"\napp_version_command = \"echo latest\"");
    let report = machine
        .run(&["export", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    let message = report["warnings"][0]["message"].as_str().expect("a text");
    assert!(message.contains("no version number was found"), "{message}");
    machine.run(&["import", "a.tar.gz"]).exits(0);
    configure(
        &machine,
        "version_rule = \"major\"\napp_version_command = \"echo v2\"",
    );
    machine
        .run(&["import", "a.tar.gz", "--only", "app.ini"])
        .exits(14)
        .says(
            "the archive is of shop latest, and this machine has v2 (no version number was found",
        );
}

/// A program in front of `head` that has more to say ends by a closed pipe, which is not a failure.
#[test]
fn a_version_that_head_cuts_out_of_a_long_text_is_one() {
    let machine = machine("app_version_command = \"yes 'App 1.2' | head -n 1\"");
    let report = machine
        .run(&["export", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    assert_eq!(report.get("warnings"), None, "{report}");
    let shown = machine
        .run(&["inspect", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    assert_eq!(shown["manifest"]["app_version"], "App 1.2");
}

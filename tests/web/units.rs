//! The installation of the server: units that systemd accepts, and an example of a proxy.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use support::{Machine, finish, program};

const UNITS: [&str; 3] = [
    "hookshot-serve.service",
    "hookshot-serve-agent.service",
    "hookshot-serve-agent.socket",
];

fn project(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(project(name)).expect(name)
}

fn may_be_missing(what: &str) {
    let is_needed = std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_some();
    assert!(!is_needed, "{what} is missing");
    println!("without {what} this is not tested");
}

/// Writes the units with the place of the program, and returns their folder; `None` without systemd.
fn units() -> Option<tempfile::TempDir> {
    let version = Command::new("systemd-analyze").arg("--version").output();
    if version.is_err() {
        may_be_missing("systemd-analyze");
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for unit in UNITS {
        let place = program().display().to_string();
        let text = text(&format!("systemd-timer/{unit}"));
        let text = text.replace("/usr/local/bin/hookshot", &place);
        fs::write(folder.path().join(unit), text).expect("written");
    }
    Some(folder)
}

#[test]
fn systemd_accepts_the_units_of_the_server_and_of_its_agent() {
    let Some(folder) = units() else { return };
    let output = Command::new("systemd-analyze")
        .arg("verify")
        .args(UNITS.map(|unit| folder.path().join(unit)))
        .output()
        .expect("systemd-analyze");
    let said = String::from_utf8_lossy(&output.stderr);
    let is_about_ours = said.lines().any(|line| line.contains("hookshot"));
    assert!(output.status.success() && !is_about_ours, "{said}");
}

#[test]
fn the_units_are_as_tight_as_promised() {
    let Some(folder) = units() else { return };
    for (unit, most) in [(UNITS[0], 1.5), (UNITS[1], 3.5)] {
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=true"])
            .arg(folder.path().join(unit))
            .output()
            .expect("systemd-analyze");
        let said = String::from_utf8_lossy(&output.stdout);
        let line = said.lines().find(|line| line.contains("Overall exposure"));
        let line = line.unwrap_or_else(|| panic!("{said}{output:?}"));
        let number = line
            .rsplit(": ")
            .next()
            .and_then(|rest| rest.split(' ').next());
        let exposure: f64 = number.expect("a number").parse().expect("a number");
        println!("{unit}: {exposure}");
        assert!(exposure <= most, "{unit}: {exposure}\n{said}");
    }
    let serve = text("systemd-timer/hookshot-serve.service");
    assert!(
        serve.contains("\nCapabilityBoundingSet=\n") && serve.contains("\nUser=hookshot-serve\n")
    );
}

#[test]
fn the_units_start_what_the_program_understands() {
    for unit in &UNITS[..2] {
        let unit = text(&format!("systemd-timer/{unit}"));
        let line = unit
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart="));
        let words = line.expect("a command").split(' ').skip(1);
        understands(&words.collect::<Vec<_>>());
    }
    // The first account, as the comments tell to make it.
    for file in [
        "systemd-timer/hookshot-serve.service",
        "examples/container/serve.yaml",
    ] {
        let text = text(file);
        let line = text.lines().find(|line| line.contains(" user add "));
        let words = line.expect(file).split_whitespace();
        understands(
            &words
                .skip_while(|word| *word != "serve")
                .collect::<Vec<_>>(),
        );
    }
    let users = text("systemd-timer/hookshot-serve.conf");
    assert!(
        users
            .lines()
            .any(|line| line.starts_with("u hookshot-serve - ")),
        "{users}"
    );
}

#[test]
fn the_compose_file_of_the_server_names_options_and_a_proxy_that_it_trusts() {
    const SCRIPT: &str =
        "import sys, json, yaml; print(json.dumps(yaml.safe_load(sys.stdin.read())))";
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", SCRIPT]);
    let run = finish(command, text("examples/container/serve.yaml").as_bytes());
    if run.stderr.contains("No module named") {
        return may_be_missing("a parser of YAML (python3-yaml)");
    }
    let compose = run.exits(0).json();
    let serve = &compose["services"]["serve"];
    let words: Vec<&str> = strings(&serve["command"]);
    understands(&words);
    assert!(strings(&serve["volumes"]).contains(&"./hookshot:/etc/hookshot:ro"));
    let address = &compose["services"]["proxy"]["networks"]["proxy"]["ipv4_address"];
    let trusted = format!("--trusted-proxy={}", address.as_str().expect("an address"));
    assert!(words.contains(&trusted.as_str()), "{words:?}");
    let own = serve["networks"]["proxy"]["ipv4_address"]
        .as_str()
        .expect("an address");
    let caddy = text("examples/container/Caddyfile");
    assert!(
        caddy.contains(&format!("reverse_proxy {own}:7878")),
        "{caddy}"
    );
    let name = words
        .iter()
        .find_map(|word| word.strip_prefix("--public-url=https://"));
    assert!(
        caddy.contains(&format!("\n{} {{", name.expect("a name"))),
        "{caddy}"
    );
}

fn strings(value: &Value) -> Vec<&str> {
    let words = value.as_array().expect("a list").iter();
    words.map(|word| word.as_str().expect("a word")).collect()
}

/// Fails unless the program knows the verb and the options of a command line.
#[track_caller]
fn understands(words: &[&str]) {
    let machine = Machine::empty();
    machine.run(&[words, &["--help"]].concat()).exits(0);
}

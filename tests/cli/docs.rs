//! The documents keep their word: README's commands run, examples are good, units are valid, nothing is left out.

use support::Machine;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

fn project(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(project(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns the names of all files below `folder`, from the top of the project.
fn files(folder: &str) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(project(folder)).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            names.extend(files(&name));
        } else {
            names.push(name);
        }
    }
    names
}

fn has(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program} >/dev/null")])
        .status()
        .expect("sh")
        .success();
    assert!(
        found || std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
        "{program} is missing"
    );
    if !found {
        println!("skipped: {program} is missing; tests/run installs it");
    }
    found
}

#[test]
fn the_commands_of_the_readme_run_in_an_empty_folder() {
    if !has("jq") {
        return;
    }
    let readme = text("README.md");
    let mut script = String::from("set -eu\n");
    let mut inside = false;
    for line in readme.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => script.push_str(&format!("{line}\n")),
            _ => {}
        }
    }
    assert!(script.matches("hookshot ").count() > 8, "{script}");
    let folder = tempfile::tempdir().expect("a folder");
    let binary = Path::new(env!("CARGO_BIN_EXE_hookshot"))
        .parent()
        .expect("a folder");
    let path = std::env::var("PATH").expect("a path");
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("PATH", format!("{}:{path}", binary.display()))
        .output()
        .expect("sh");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_commands_that_the_readme_names_for_demo_and_tests_are_there() {
    let readme = text("README.md");
    assert!(readme.contains("cargo run --release -- demo") && readme.contains("tests/run"));
    assert_ne!(
        project("tests/run")
            .metadata()
            .expect("a script")
            .permissions()
            .mode()
            & 0o111,
        0
    );
}

#[test]
fn the_example_configuration_is_good() {
    let machine = Machine::new();
    fs::copy(
        project("examples/config.toml"),
        machine.path("etc/config.toml"),
    )
    .expect("copied");
    fs::copy(
        project("examples/services.toml"),
        machine.path("etc/services.toml"),
    )
    .expect("copied");
    machine.run(&["validate"]).exits(0);
}

#[test]
fn the_destinations_that_the_document_shows_are_good_and_every_key_is_named() {
    let document = text("docs/destinations.md");
    let mut count = 0;
    for example in document.split("```toml\n").skip(1) {
        let example = example.split("```").next().expect("an end");
        let machine = Machine::new();
        machine.write("etc/config.toml", machine.config_text(example), 0o600);
        machine.run(&["validate"]).exits(0);
        count += 1;
    }
    assert!(count >= 6);
}

#[test]
fn the_notifications_that_the_document_shows_are_good_and_every_kind_is_among_them() {
    let document = text("docs/unattended.md");
    let mut shown = String::new();
    for example in document.split("```toml\n").skip(1) {
        let example = example.split("```").next().expect("an end");
        if !example.contains("[[backup.notify]]") {
            continue;
        }
        let machine = Machine::new();
        machine.write("etc/config.toml", machine.config_text(example), 0o600);
        machine.run(&["validate"]).exits(0);
        shown += example;
    }
    for kind in [
        "webhook",
        "slack",
        "discord",
        "ntfy",
        "gotify",
        "healthchecks",
        "email",
        "command",
    ] {
        assert!(shown.contains(&format!("kind = \"{kind}\"")), "{kind}");
    }
}

/// Returns the words in backticks of the first columns of a document's tables.
fn keys_of_tables(name: &str) -> BTreeSet<String> {
    let document = text(name);
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.filter_map(|row| row.split(" |").next());
    let words = cells.flat_map(|cell| cell.split('`').step_by(2));
    words.map(str::to_owned).collect()
}

#[test]
fn the_tables_list_every_key_that_the_configuration_may_have() {
    let keys = hookshot::config::schema::keys();
    assert!(keys.len() > 80, "{keys:?}");
    for (section, key) in keys {
        let document = match section.as_str() {
            "backup.destinations.NAME" => "docs/destinations.md",
            "backup.sources" => "docs/services.md",
            "backup.hooks" | "backup.notify" => "docs/unattended.md",
            "backup.serve" => "docs/control.md",
            "backup.retention" | "backup.destinations.NAME.retention" => "docs/retention.md",
            "backup.encryption" | "backup.destinations.NAME.encryption" => "docs/encryption.md",
            _ => "docs/cli.md",
        };
        let tables = keys_of_tables(document);
        let names = match document {
            "docs/cli.md" => vec![
                format!("[{section}] {key}"),
                format!("[{section}.{key}]"),
                format!("[{section}.{key}.NAME]"),
                format!("[[{section}.{key}]]"),
                format!("[{key}]"),
            ],
            _ => vec![key.to_owned()],
        };
        // The sections of the service are not described as a whole.
        let is_described = ["storage", "secrets", "logging", "backup"].contains(&key)
            || names.iter().any(|name| tables.contains(name));
        assert!(is_described, "{document}: {names:?}, of {tables:?}");
    }
}

#[test]
fn the_example_scripts_are_scripts() {
    for script in [
        "examples/pre-deploy-backup.sh",
        "examples/nightly-backup.sh",
        "tests/run",
        ".ci/run",
    ] {
        let status = Command::new("bash")
            .arg("-n")
            .arg(project(script))
            .status()
            .expect("bash");
        assert!(status.success(), "{script}");
        assert!(text(script).contains("set -euo pipefail"), "{script}");
    }
}

#[test]
fn systemd_accepts_the_units() {
    if !has("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    // The program that the unit names need not be installed here.
    let units = [
        "hookshot-export.service",
        "hookshot-export.timer",
        "hookshot-export@.service",
        "hookshot-export@.timer",
    ];
    for unit in units {
        let unit_text = text(&format!("systemd-timer/{unit}"))
            .replace("/usr/local/bin/hookshot", env!("CARGO_BIN_EXE_hookshot"));
        fs::write(folder.path().join(unit), unit_text).expect("written");
    }
    let output = Command::new("systemd-analyze")
        .arg("verify")
        .args([
            folder.path().join("hookshot-export.service"),
            folder.path().join("hookshot-export.timer"),
            folder.path().join("hookshot-export@shop.service"),
            folder.path().join("hookshot-export@shop.timer"),
        ])
        .output()
        .expect("systemd-analyze");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !said.contains("hookshot-export"),
        "{said}"
    );
    for timer in ["hookshot-export.timer", "hookshot-export@.timer"] {
        let timer = text(&format!("systemd-timer/{timer}"));
        assert!(timer.contains("Persistent=true") && timer.contains("RandomizedDelaySec="));
    }
}

#[test]
fn the_command_line_document_names_every_verb_and_every_option() {
    let machine = Machine::empty();
    let common = text("docs/cli.md");
    let help = machine.run(&["--help"]).exits(0).text();
    let verbs = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let verbs = verbs
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    for verb in verbs.filter(|verb| *verb != "help") {
        let page = text(&format!("docs/cli/{verb}.md"));
        assert!(page.contains(&format!("hookshot {verb}")), "{verb}");
        assert!(common.contains(&format!("(cli/{verb}.md)")), "{verb}");
        let help = machine.run(&[verb, "--help"]).exits(0).text();
        for word in
            help.split(|character: char| character.is_whitespace() || ",[]".contains(character))
        {
            if word.starts_with("--")
                && word.len() > 3
                && word[2..]
                    .chars()
                    .all(|character| character.is_ascii_lowercase() || character == '-')
            {
                assert!(
                    page.contains(word) || common.contains(word),
                    "{verb} {word}"
                );
            }
        }
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut documents = vec!["README.md".to_owned(), "CHANGELOG.md".to_owned()];
    documents.extend(files("docs"));
    let mut links = 0;
    for document in documents
        .iter()
        .filter(|document| document.ends_with(".md"))
    {
        for target in text(document)
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next().map(str::to_owned))
        {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            links += 1;
            let folder = project(document);
            assert!(
                folder.parent().expect("a folder").join(path).exists(),
                "{document}: {target}"
            );
        }
    }
    assert!(links > 10);
}

//! `init --to`: from nothing to a destination that is known to work.

use support::{Machine, Run};

fn init(machine: &Machine, more: &[&str]) -> Run {
    let data = machine.path("new/data").display().to_string();
    let config = machine.path("new/etc/config.toml").display().to_string();
    let arguments = [&["init", "--config", &config, "--data-dir", &data], more].concat();
    machine.run(&arguments)
}

#[test]
fn init_with_a_destination_writes_policy_and_schedule_and_checks_it() {
    let machine = Machine::empty();
    let run = init(&machine, &["--to", "shelf", "--schedule", "sun 03:00"]).exits(0);
    let said = run.text();
    assert!(
        said.contains("create once") && said.contains("next: hookshot --config "),
        "{said}"
    );
    assert!(said.contains("timer install"), "{said}");
    let text = String::from_utf8(machine.read("new/etc/config.toml")).expect("text");
    for line in [
        "to = [\"local\"]",
        "keep_daily = 7",
        "keep_weekly = 4",
        "keep_monthly = 6",
        "backup = \"sun 03:00\"",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let config = machine.path("new/etc/config.toml").display().to_string();
    machine.run(&["validate", "--config", &config]).exits(0);
    machine.run(&["export", "--config", &config]).exits(0);
    assert!(
        machine.path("out/shelf").is_dir(),
        "a relative path is one of the current folder"
    );
    let again = init(&machine, &["--to", "shelf"]).exits(2);
    assert!(again.stderr.contains("exists already"), "{}", again.stderr);
}

#[test]
fn init_with_a_destination_that_fails_keeps_the_files_and_says_so() {
    let machine = Machine::empty();
    init(&machine, &["--to", "shelf", "--schedule", "soon"]).exits(2);
    assert!(!machine.path("new").exists(), "nothing was made");
    machine.write("out/file", "in the way", 0o600);
    let report = init(&machine, &["--to", "file/shelf", "--json"]);
    assert!(report.code != 0, "{}", report.text());
    let report = report.json();
    assert_eq!(
        report["check"]["destinations"][0]["good"], false,
        "{report}"
    );
    assert!(machine.path("new/etc/config.toml").exists());
    assert_eq!(
        report["next"]
            .as_str()
            .map(|next| next.ends_with("timer install")),
        Some(true)
    );
}

#[test]
fn init_for_a_known_service_takes_the_destination_too() {
    let machine = Machine::empty();
    let report = init(
        &machine,
        &["--app", "vaultwarden", "--to", "shelf", "--json"],
    )
    .exits(0)
    .json();
    assert_eq!(report["check"]["destinations"][0]["name"], "local");
    let text = String::from_utf8(machine.read("new/etc/config.toml")).expect("text");
    assert!(
        text.contains("backup = \"02:00\"") && text.contains("vaultwarden"),
        "{text}"
    );
}

//! Two services that share destinations and, against the advice, a prefix: neither takes the other's archives for its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use support::{Run, archives_in, clock, finish, program, service::write};

use super::{Night, break_down, mend_or_make};

/// The configuration of another service with the same destinations and prefix.
fn other(night: &Night) -> PathBuf {
    let text = fs::read_to_string(&night.service.config).expect("read");
    let notes = night.service.machine.path("other/notes");
    write(&notes, "of the other");
    let text = text.replace("app = \"shop\"", "app = \"other\"");
    let text = text.replace(
        &night.notes().display().to_string(),
        &notes.display().to_string(),
    );
    let config = night.service.machine.path("hookshot/other/config.toml");
    write(&config, &text);
    config
}

/// Runs a backup at a moment.
fn run_at(night: &Night, config: &Path, moment: &str, arguments: &[&str]) -> Run {
    let mut command = Command::new(program());
    clock::set(&mut command, moment);
    command.args(["--json", "--config"]).arg(config);
    command.arg("backup").args(arguments).env("TZ", "UTC");
    command.env("TMPDIR", night.service.machine.path("tmp"));
    finish(command, b"")
}

/// A second an hour ago, as libfaketime wants it, and the name of an archive of that second.
fn an_hour_ago() -> (String, String) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("now");
    let seconds = i64::try_from(since.as_secs()).expect("a number") - 3600;
    let time = chrono::DateTime::from_timestamp(seconds, 0).expect("a time");
    let name = format!("shop-{}.tar.gz", time.format("%Y%m%d-%H%M%S"));
    (format!("@{}", time.format("%Y-%m-%d %H:%M:%S")), name)
}

fn numbered(name: &str, number: u32) -> String {
    name.replace(".tar.gz", &format!(".{number}.tar.gz"))
}

fn app_of(night: &Night, archive: &Path) -> Value {
    let archive = archive.to_str().expect("UTF-8");
    let run = night.service.run(&["inspect", archive, "--json"], 0);
    run.json()["manifest"]["app"].clone()
}

#[test]
fn a_converted_archive_is_not_that_of_another_machine() {
    let night = Night::new("", &[]);
    let machine = &night.service.machine;
    let tar = machine.path("old.tar").display().to_string();
    let folder = night.notes();
    let packed = Command::new("tar")
        .args(["-cf", &tar, "-C"])
        .arg(folder.parent().expect("a folder"))
        .arg(folder.file_name().expect("a name"))
        .status();
    assert!(packed.expect("tar").success());
    let to = ["convert", "--from", "tar", &tar, "@one"];
    night.service.run(&to, 0);
    let report = night.json(&[], 0);
    assert_eq!(report["destinations"][0]["foreign"], Value::Null);
}

#[test]
fn services_that_share_a_prefix_are_told() {
    let night = Night::new("", &[]);
    let other = other(&night);
    let first = night.json(&[], 0);
    assert_eq!(first["destinations"][0]["foreign"], Value::Null);
    let run = run_at(&night, &other, "+0s", &[]).exits(3);
    let report = run
        .says("archives of another machine or application")
        .json();
    assert_eq!(report["result"], "partial");
    let foreign = &report["destinations"][0]["foreign"];
    assert_eq!(
        (&foreign["app"], &foreign["archive"]),
        (&"shop".into(), &first["archive"])
    );
    let hint = report["error"]["hint"].as_str().expect("a hint");
    assert!(hint.contains("a `[backup] prefix` of its own"), "{hint}");
    // The newest archive is not a witness of this state.
    let report = night.json(&["--if-changed"], 3);
    assert_eq!(
        (&report["result"], &report["skipped"]),
        (&"partial".into(), &Value::Null)
    );
    assert_eq!(report["destinations"][1]["foreign"]["app"], "other");
    let remarks = || {
        let status = night.service.run(&["status", "--json"], 0).json();
        let details = status["destinations"][1]["details"].as_array().cloned();
        let details = details.expect("a list").into_iter();
        let shared = details.filter(|one| one["kind"] == "shared_prefix");
        shared.collect::<Vec<Value>>()
    };
    let told = remarks();
    assert_eq!(told.len(), 1, "{told:?}");
    let message = told[0]["message"].as_str().expect("a message");
    assert!(message.contains("and the app other"), "{message}");
    assert_eq!(told[0]["unhealthy"], false);
    assert_eq!(told[0]["hint"], hint);
    // From here on they are apart.
    assert_eq!(night.json(&["--if-changed"], 0)["skipped"], "unchanged");
    assert_eq!(remarks().len(), 1, "that run did not look");
    assert_eq!(night.json(&[], 0)["result"], "success");
    assert!(remarks().is_empty(), "{:?}", remarks());
}

#[test]
fn an_application_that_gets_another_name_knows_its_archives() {
    let night = Night::new("", &[]);
    night.run(&[], 0);
    let text = fs::read_to_string(&night.service.config).expect("read");
    let text = text.replace("app = \"shop\"", "app = \"store\"");
    fs::write(&night.service.config, text).expect("written");
    // The configuration is a part of the state.
    assert_eq!(night.json(&["--if-changed"], 0)["result"], "success");
    assert_eq!(night.json(&["--if-changed"], 0)["skipped"], "unchanged");
}

#[test]
fn the_planned_name_of_a_killed_run_may_be_that_of_another_service() {
    let (moment, name) = an_hour_ago();
    let night = Night::new("", &[]);
    let config = night.service.config.clone();
    let other = other(&night);
    night.configure("", &[("before", "run = 'kill -9 $PPID'")]);
    assert_ne!(run_at(&night, &config, &moment, &[]).code, 0);
    assert_eq!(night.history().len(), 1, "it was killed");
    night.configure("", &[]);
    run_at(&night, &other, &moment, &[]).exits(0);
    assert_eq!(archives_in(&night.one), std::slice::from_ref(&name));
    let report = night.json(&["--no-prune"], 3);
    for destination in report["destinations"].as_array().expect("two") {
        assert_eq!(destination["gone"], Value::from(vec![name.clone()]));
        assert_eq!(destination["caught_up"], Value::from(Vec::<Value>::new()));
    }
    assert_eq!(app_of(&night, &night.one.join(&name)), "other");
}

#[test]
fn the_archive_of_a_killed_run_is_found_under_the_number_that_it_got() {
    let (moment, name) = an_hour_ago();
    let night = Night::new("", &[]);
    let config = night.service.config.clone();
    let other = other(&night);
    run_at(&night, &other, &moment, &[]).exits(0);
    night.configure("", &[("after", "run = 'kill -9 $PPID'")]);
    assert_ne!(run_at(&night, &config, &moment, &[]).code, 0);
    assert_eq!(night.history().len(), 1, "it was killed");
    night.configure("", &[]);
    let own = numbered(&name, 1);
    assert_eq!(archives_in(&night.two), [own.clone(), name.clone()]);
    // As if it had been killed between two deliveries.
    fs::remove_file(night.two.join(&own)).expect("removed");
    let report = night.json(&["--no-prune"], 3);
    for destination in report["destinations"].as_array().expect("two") {
        assert_eq!(destination["caught_up"], Value::from(vec![name.clone()]));
        assert_eq!(destination["renamed"][&name], own);
    }
    let read = |folder: &Path, name: &str| fs::read(folder.join(name)).expect("read");
    assert_eq!(read(&night.one, &own), read(&night.two, &own));
    assert_eq!(app_of(&night, &night.two.join(&own)), "shop");
    assert_eq!(app_of(&night, &night.two.join(&name)), "other");
    let report = night.json(&["--no-prune"], 0);
    assert_eq!(
        report["destinations"][1]["caught_up"],
        Value::from(Vec::<Value>::new())
    );
}

#[test]
fn an_archive_has_a_name_of_its_own_at_each_destination() {
    let (moment, name) = an_hour_ago();
    let night = Night::new("", &[]);
    let config = night.service.config.clone();
    let other = other(&night);
    // The other one has the name at one destination alone.
    run_at(&night, &other, &moment, &["@two"]).exits(0);
    let report = run_at(&night, &config, &moment, &[]).exits(3).json();
    assert_eq!(report["destinations"][0]["archive"], name);
    assert_eq!(report["destinations"][1]["archive"], numbered(&name, 1));
    let before = archives_in(&night.two);
    let report = night.json(&["--no-prune"], 0);
    for destination in report["destinations"].as_array().expect("two") {
        assert_eq!(destination["caught_up"], Value::from(Vec::<Value>::new()));
    }
    assert_eq!(archives_in(&night.two).len(), before.len() + 1);
}

#[test]
fn an_archive_is_delivered_later_under_the_next_number_if_its_name_is_taken() {
    let (moment, name) = an_hour_ago();
    let night = Night::new("", &[]);
    let config = night.service.config.clone();
    let other = other(&night);
    break_down(&night.two);
    run_at(&night, &config, &moment, &[]).exits(17);
    mend_or_make(&night.two);
    run_at(&night, &other, &moment, &["@two"]).exits(0);
    let others = fs::read(night.two.join(&name)).expect("the other's");
    let report = night.json(&["--no-prune"], 3);
    let two = &report["destinations"][1];
    assert_eq!(two["caught_up"], Value::from(vec![name.clone()]));
    assert_eq!(two["renamed"][&name], numbered(&name, 1));
    let read = |path: PathBuf| fs::read(path).expect("read");
    assert_eq!(read(night.two.join(&name)), others);
    assert_eq!(
        read(night.two.join(numbered(&name, 1))),
        read(night.one.join(&name))
    );
    let report = night.json(&["--no-prune"], 0);
    assert_eq!(
        report["destinations"][1]["caught_up"],
        Value::from(Vec::<Value>::new())
    );
}

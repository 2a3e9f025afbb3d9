//! `list` of very many archives: what is shown is right, and memory does not depend on how it is shown.

use support::bounds;
use support::servers::{Crowd, crowd::name};
use support::{Machine, Run};

use std::{fs::File, process::Stdio};

use serde_json::Value;

/// The number of archives.
const COUNT: usize = 50_000;
/// Writable memory. A row that held what is shown of it took 2 kB.
const MEMORY_MIB: u64 = 48;

fn list(machine: &Machine, arguments: &[&str]) -> Run {
    let mut command = machine.command();
    command
        .arg("list")
        .args(arguments)
        .env("AWS_ACCESS_KEY_ID", "any")
        .env("AWS_SECRET_ACCESS_KEY", "thing");
    let mut command = bounds::limited(&command, &[format!("--data={}", MEMORY_MIB << 20)]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = bounds::end_of(command.spawn().expect("the binary"));
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Lists a place that has [`COUNT`] archives and one of another host, in every way.
fn lists_many(machine: &Machine, place: &str) {
    let json = list(machine, &["--json", place]).exits(0).json();
    let archives = json["archives"].as_array().expect("archives");
    assert_eq!(archives.len(), COUNT);
    let name_of = |one: &Value| one["name"].as_str().expect("a name").to_owned();
    for (at, number) in [(0, COUNT - 1), (1, COUNT - 2), (COUNT - 1, 0)] {
        assert_eq!(name_of(&archives[at]), name("hookshot-state", number));
    }
    let last = &archives[COUNT - 1];
    assert_eq!(last["time"], "2020-01-01T00:00:00Z");
    assert_eq!(last["prefix"], "hookshot-state");
    let location = last["location"].as_str().expect("a location");
    assert!(location.ends_with("/hookshot-state-20200101-000000.tar.gz"));

    let text = list(machine, &[place, "--sort", "name"]).exits(0).text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), COUNT + 1);
    assert!(lines[0].starts_with("NAME "), "{}", lines[0]);
    let time = lines[0].find("TIME").expect("a column");
    for (line, number) in lines[1..].iter().zip(0..) {
        assert!(line.starts_with(&name("hookshot-state", number)), "{line}");
        assert_eq!(&line[time..time + 2], "20", "{line}");
    }
}

#[test]
fn a_folder_of_very_many_archives_is_listed_in_little_memory() {
    let machine = Machine::new();
    for number in 0..COUNT {
        File::create(machine.path("out").join(name("hookshot-state", number))).expect("a file");
    }
    File::create(machine.path("out").join(name("other", 7))).expect("a file");
    lists_many(&machine, machine.path("out").to_str().expect("text"));
}

#[test]
fn a_bucket_of_very_many_archives_is_listed_in_little_memory() {
    let crowd = Crowd::of("hookshot-state", COUNT);
    let machine = Machine::new();
    let bucket = format!(
        "[backup.destinations.crowd]\nurl = \"s3://bucket/host\"\nendpoint = \"{}\"\n\
         region = \"us-east-1\"\nallow_http = true\n",
        crowd.endpoint()
    );
    machine.write("etc/config.toml", machine.config_text(&bucket), 0o644);
    lists_many(&machine, "@crowd");
}

#[test]
fn of_one_second_the_highest_number_is_shown_first() {
    let machine = Machine::new();
    let names = [".10", ".2", ".1", ""]
        .map(|number| format!("hookshot-state-20260101-030000{number}.tar.gz"));
    for name in &names {
        File::create(machine.path("out").join(name)).expect("a file");
    }
    let json = list(&machine, &["--json", "."]).exits(0).json();
    let archives = json["archives"].as_array().expect("archives").iter();
    let shown: Vec<&str> = archives.filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(shown, names);
}

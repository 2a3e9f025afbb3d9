//! Exports to stores and imports from them, through the real binary and a real S3 protocol on loopback.

use support::servers::{self, Fault, Faults, Rule, S3};
use support::{Machine, Mounted, Run, finish, is_root};

use std::{collections::BTreeMap, fs, process::Stdio, time::Duration};

/// A machine with a destination called `offsite` at `endpoint`, and another folder called `local`.
pub fn machine(endpoint: &str) -> Machine {
    let machine = Machine::new();
    let destinations = format!(
        r#"
[backup]
to = ["local", "offsite"]
[backup.destinations.local]
url = "../out/local"
[backup.destinations.offsite]
url = "s3://{}/host"
endpoint = "{endpoint}"
region = "us-east-1"
path_style = true
allow_http = true
access_key_id = "{}"
secret_access_key = "env:TEST_S3_SECRET"
retry_attempts = 2
timeout = "10s"
chunk_size = "5 MiB"
parallel_uploads = 2
"#,
        servers::s3::BUCKET,
        S3::ACCESS_KEY,
    );
    let config = machine.config_text(&destinations);
    machine.write("etc/config.toml", config, 0o600);
    machine
}

pub fn run(machine: &Machine, arguments: &[&str]) -> Run {
    let mut command = machine.command();
    command
        .args(arguments)
        .env("TEST_S3_SECRET", S3::SECRET_KEY)
        .stdin(Stdio::null());
    let run = finish(command, b"");
    assert!(!run.stderr.contains(S3::SECRET_KEY), "{}", run.stderr);
    run
}

/// A database that does not shrink below a few parts of an upload.
fn large(machine: &Machine) {
    machine.write("etc/secrets", noise(12 << 20), 0o600);
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend(state.to_le_bytes());
    }
    noise.truncate(bytes);
    noise
}

#[test]
fn an_archive_goes_off_site_and_comes_back() {
    let s3 = S3::start();
    let machine = machine(&s3.endpoint());
    machine.fill_database(500);
    large(&machine);
    let files = ["etc/services.toml", "etc/secrets", "etc/config.toml"];
    let before: BTreeMap<&str, Vec<u8>> = files.map(|file| (file, machine.read(file))).into();
    let report = run(&machine, &["export", "@offsite", "--json"])
        .exits(0)
        .json();
    let output = &report["outputs"][0];
    assert_eq!(output["good"], true, "{report}");
    assert_eq!(output["proof"], "checksum", "{report}");
    assert!(s3.leftovers().is_empty(), "{:?}", s3.leftovers());
    let objects = s3.objects();
    assert_eq!(objects.len(), 1, "{objects:?}");
    let (key, size) = objects.first_key_value().expect("an object");
    assert!(key.starts_with("host/hookshot-state-"), "{key}");
    assert_eq!(*size, report["size_bytes"].as_u64().expect("a size"));
    let archive = report["archive"].as_str().expect("a name");
    run(&machine, &["verify", archive]).exits(0);
    run(&machine, &["verify", "@offsite/latest"]).exits(0);
    let shown = run(&machine, &["inspect", "@offsite", "--json"])
        .exits(0)
        .json();
    assert_eq!(shown["root"], report["root"]);
    let extracted = run(&machine, &["extract", archive, "services.toml", "-o", "-"]).exits(0);
    assert!(extracted.stdout == machine.read("etc/services.toml"));
    machine.write("etc/services.toml", "[services.other]\n", 0o600);
    machine.write("etc/secrets", "lost", 0o600);
    run(&machine, &["diff", archive]).exits(1);
    run(&machine, &["import", "@offsite/latest", "--dry-run"]).exits(0);
    run(&machine, &["import", "@offsite/latest"]).exits(0);
    for file in files {
        assert!(machine.read(file) == before[file], "{file}");
    }
}

#[test]
fn an_export_without_a_word_goes_to_every_destination_of_the_configuration() {
    let s3 = S3::start();
    let machine = machine(&s3.endpoint());
    large(&machine);
    let report = run(&machine, &["export", "--json"]).exits(0).json();
    assert_eq!(report["outputs"].as_array().expect("two").len(), 2);
    let local = report["archive"].as_str().expect("a path");
    let (key, _) = s3.objects().pop_first().expect("an object");
    assert!(fs::read(local).expect("it") == fs::read(s3.file(&key)).expect("it"));
    let url = run(
        &machine,
        &["export", "@offsite/again.tar.gz", "--read-back", "--json"],
    );
    assert_eq!(url.exits(0).json()["outputs"][0]["proof"], "read-back");
}

#[test]
fn a_destination_that_fails_does_not_stop_the_others() {
    let s3 = S3::start();
    let faults = Faults::in_front_of(&s3.endpoint());
    let machine = machine(&faults.endpoint());
    large(&machine);
    faults.add(Rule::on("PUT", Fault::Answer(403)).always());
    faults.add(Rule::on("POST", Fault::Answer(403)).always());
    let failed = run(&machine, &["export", "--json"]).exits(17).json();
    assert_eq!(failed["outputs"][0]["good"], true, "{failed}");
    assert_eq!(failed["outputs"][1]["good"], false, "{failed}");
    run(
        &machine,
        &["verify", failed["archive"].as_str().expect("a path")],
    )
    .exits(0);
    let nowhere = run(&machine, &["export", "@offsite", "--json"])
        .exits(17)
        .json();
    assert_eq!(nowhere["error"]["code"], 17, "{nowhere}");
    assert!(s3.objects().is_empty(), "{:?}", s3.objects());
}

/// A place of this machine that is full, and a secret that cannot be had.
#[test]
fn neither_a_full_disk_nor_a_missing_secret_stops_the_others() {
    if !is_root("a full file system") {
        return;
    }
    let s3 = S3::start();
    let machine = machine(&s3.endpoint());
    large(&machine);
    fs::create_dir_all(machine.path("out/local")).expect("a folder");
    let _full = Mounted::tmpfs(&machine.path("out/local"), "6m");
    let near = machine.path("out/near");
    fs::create_dir(&near).expect("a folder");
    let outcome = |report: &serde_json::Value| -> Vec<bool> {
        let outputs = report["outputs"].as_array();
        let outputs = outputs.unwrap_or_else(|| panic!("no outputs: {report}"));
        let good = |output: &serde_json::Value| output["good"].as_bool().expect("said");
        outputs.iter().map(good).collect()
    };
    // Only one is asked for, and it is full.
    run(&machine, &["export", "local/"]).exits(18);
    assert_eq!(
        fs::read_dir(machine.path("out/local")).expect("it").count(),
        0
    );
    // The full one is first, in the middle, the only one of this machine.
    for (words, good) in [
        (&["local/", "near/", "@offsite"][..], 2),
        (&["near/", "local/", "@offsite"], 2),
        (&["local/", "@offsite"], 1),
        (&["@offsite", "local/", "near/"], 2),
    ] {
        let mut arguments = vec!["export", "--json"];
        arguments.extend(words);
        let before = s3.objects().len();
        let said = run(&machine, &arguments).exits(17);
        let report = said.json();
        let outcome = outcome(&report);
        assert_eq!(outcome.len(), words.len(), "{report}");
        assert_eq!(
            outcome.iter().filter(|good| **good).count(),
            good,
            "{report}"
        );
        assert_eq!(s3.objects().len(), before + 1, "{words:?}");
        assert!(said.stderr.contains("local"), "{}", said.stderr);
        let archive = report["archive"].as_str().expect("one that is good");
        run(&machine, &["verify", archive]).exits(0);
    }
    assert_eq!(
        fs::read_dir(machine.path("out/local")).expect("it").count(),
        0
    );
    // Without its secret a destination cannot be used.
    let mut command = machine.command();
    command.args(["export", "near/", "@offsite", "--json"]);
    let said = finish(command, b"").exits(17);
    assert_eq!(
        outcome(&said.json()).iter().filter(|good| **good).count(),
        1
    );
    assert!(said.stderr.contains("TEST_S3_SECRET"), "{}", said.stderr);
    let mut command = machine.command();
    command.args(["export", "@offsite"]);
    let said = finish(command, b"");
    assert_eq!(said.code, 2, "{}", said.stderr);
}

#[test]
fn what_a_store_loses_or_changes_is_no_success_and_stays_nowhere() {
    for (fault, method) in [(Fault::Swallow, "PUT"), (Fault::Swallow, "POST")] {
        let s3 = S3::start();
        let faults = Faults::in_front_of(&s3.endpoint());
        let machine = machine(&faults.endpoint());
        if method == "POST" {
            large(&machine);
        }
        // Of an upload in parts the last request, which would give it its name; else the only one.
        let is_last = method == "POST";
        faults.add(
            Rule::on(method, fault.clone())
                .whose(move |head| !is_last || head.parameter("uploadId").is_some())
                .always(),
        );
        run(&machine, &["export", "@offsite"]).exits(17);
        let archives = s3
            .objects()
            .into_keys()
            .filter(|key| key.ends_with(".tar.gz"));
        assert_eq!(archives.count(), 0);
    }
}

#[test]
fn an_upload_that_was_killed_leaves_nothing_after_the_next_export() {
    let s3 = S3::start();
    let faults = Faults::in_front_of(&s3.endpoint());
    let machine = machine(&faults.endpoint());
    large(&machine);
    faults.add(
        Rule::on("PUT", Fault::Hang)
            .whose(|head| head.parameter("partNumber").as_deref() == Some("2"))
            .always(),
    );
    let mut command = machine.command();
    command
        .args(["export", "@offsite"])
        .env("TEST_S3_SECRET", S3::SECRET_KEY)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("started");
    let until = std::time::Instant::now() + Duration::from_secs(60);
    while s3.leftovers().is_empty() || faults.struck() == 0 {
        assert!(std::time::Instant::now() < until, "no part arrives");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("killed");
    child.wait().expect("gone");
    faults.clear();
    assert!(!s3.leftovers().is_empty(), "the kill left a part");
    run(&machine, &["export", "@offsite"]).exits(0);
    assert!(s3.leftovers().is_empty(), "{:?}", s3.leftovers());
    let objects = s3.objects();
    assert_eq!(objects.len(), 1, "the archive, and no marker: {objects:?}");
}

#[test]
fn wrong_words_say_what_to_do() {
    let s3 = S3::start();
    let machine = machine(&s3.endpoint());
    run(&machine, &["export", "@ofsite"])
        .exits(10)
        .says("@offsite");
    run(&machine, &["export", "ftp://host/x"])
        .exits(2)
        .says("sftp");
    run(&machine, &["verify", "@offsite/latest"]).exits(10);
    run(&machine, &["verify", "@offsite/none.tar.gz"]).exits(10);
    run(&machine, &["inspect", "s3://bucket"]).exits(2);
    let other = Machine::new();
    other.run(&["export"]).exits(2).says("[backup]");
}

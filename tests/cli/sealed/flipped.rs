//! Damage between encryption and its destination: the export itself finds it, and no archive gets a name.

use std::fs;

use support::servers::{Fault, Faults, Gcs, Moto, Rule, S3, s3::BUCKET};

use super::{Sealing, can_trace, noise, traced};

/// A host that seals, with a state that does not shrink.
fn host(bytes: usize, more: &str) -> Sealing {
    let sealing = Sealing::new();
    sealing.machine.write("etc/secrets", noise(bytes), 0o600);
    sealing.configure(more);
    sealing
}

/// Returns the numbers of the calls by which the main thread wrote the archive, among all of its calls of write(2).
fn writes_of_the_archive(trace: &str) -> Vec<usize> {
    let thread = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let main = trace.lines().next().and_then(thread);
    let own = trace.lines().filter(|line| thread(line) == main);
    let writes: Vec<&str> = own.filter(|line| line.contains(" write(")).collect();
    let first = writes.iter().find(|line| line.contains("age-encryption"));
    // Up to the number of the file.
    let call = first.and_then(|line| line.split_once(", ")).expect("it").0;
    let numbered = writes.iter().enumerate();
    let written = numbered.filter(|(_, line)| line.starts_with(call));
    written.map(|(at, _)| at + 1).collect()
}

#[test]
fn what_changes_on_the_way_to_the_disk_is_found_by_export() {
    if !can_trace() {
        return;
    }
    let host = host(300_000, "");
    let (out, log) = (host.path("out/"), host.path("trace"));
    let names = || {
        let entries = fs::read_dir(host.machine.path("out")).expect("a folder");
        entries.count()
    };
    let trace = "trace=write";
    let options = ["-o", &log, "-e", trace];
    traced(&host.machine, &options, &["export", &out]).exits(0);
    assert_eq!(names(), 1);
    let calls = writes_of_the_archive(&fs::read_to_string(&log).expect("a trace"));
    assert!(calls.len() >= 2, "header, content and end: {calls:?}");
    let records = || host.machine.read("etc/.hookshot/known.jsonl").len();
    let noted = records();
    for call in calls {
        // The first bytes of this piece are others, after encryption and before the disk.
        let inject = format!("inject=write:poke_enter=@arg2=deadbeef:when={call}");
        let options = ["-o", &log, "-e", trace, "-e", &inject];
        let run = traced(&host.machine, &options, &["export", &out]);
        let log = fs::read_to_string(&log).expect("a trace");
        let injected = log.lines().find(|line| line.contains("INJECTED"));
        assert!(injected.is_some_and(|line| line.len() > 60), "{log}");
        run.exits(17).says("does not open again");
        assert_eq!((names(), records()), (1, noted), "call {call}");
    }
}

/// Exports through a proxy that flips a bit of each upload; `endpoint` is that of the store.
fn flips(endpoint: &str, bytes: usize, at: u64, configure: impl Fn(&Sealing, &str)) {
    let faults = Faults::in_front_of(endpoint);
    let host = host(bytes, "");
    configure(&host, &faults.endpoint());
    faults.add(Rule::on("PUT", Fault::FlipRequestByte { at }).always());
    let failed = host.machine.run(&["export", "@bucket", "--json"]).exits(17);
    assert!(faults.struck() > 0, "{:?}", faults.seen());
    assert_eq!(failed.json()["error"]["kind"], "not_proven");
    faults.clear();
    let listed = host.machine.run(&["list", "@bucket", "--json"]);
    assert_eq!(listed.exits(0).json()["archives"], serde_json::json!([]));
    let known = host.machine.path("etc/.hookshot/known.jsonl");
    assert!(!known.exists(), "nothing was proven");
    host.machine.run(&["export", "@bucket"]).exits(0);
    host.run(&["verify", "@bucket"]).exits(0);
}

/// The options of a destination, with quick retries.
fn section(lines: &str) -> String {
    format!("[backup.destinations.bucket]\n{lines}\nretry_attempts = 1\nchunk_size = \"5 MiB\"\n")
}

#[test]
fn what_changes_on_the_way_to_a_store_is_found_by_export() {
    let at_s3 = |host: &Sealing, endpoint: &str| {
        host.configure(&section(&format!(
            "url = \"s3://{BUCKET}/host\"\nendpoint = \"{endpoint}\"\nregion = \"us-east-1\"\npath_style = true\n\
            allow_http = true\naccess_key_id = \"{}\"\nsecret_access_key = \"{}\"",
            S3::ACCESS_KEY,
            S3::SECRET_KEY
        )));
    };
    let at_gcs = |host: &Sealing, endpoint: &str| {
        let key = Gcs::service_account(endpoint);
        host.machine.write("etc/gcs.json", key, 0o600);
        host.configure(&section(&format!(
            "url = \"gs://{BUCKET}/host\"\nallow_http = true\nservice_account_key = \"file:gcs.json\""
        )));
    };
    // In one piece, and in parts.
    for bytes in [300_000, 6 << 20] {
        flips(&S3::start().endpoint(), bytes, 70_001, at_s3);
        flips(&Gcs::start().endpoint(), bytes, 70_001, at_gcs);
        if let Some(moto) = Moto::start() {
            flips(&moto.endpoint(), bytes, 70_001, at_s3);
        }
    }
}

//! `copy` and `check`: archives move between places and are proven there, and a place is known before it is needed.

use support::servers::{self, Azurite, Fault, Faults, Gcs, Moto, Rule, S3, Sshd, s3::BUCKET};
use support::{Machine, Run, finish, is_root};

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    thread,
    time::Duration,
};

use hookshot::model::digest::Digest;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

/// Every capability that a check tries.
const CAPABILITIES: [&str; 9] = [
    "sweep",
    "write",
    "find",
    "read",
    "list",
    "create_once",
    "delete",
    "parts",
    "abort_parts",
];
/// Their number at a place without uploads in parts.
const WITHOUT_PARTS: usize = 7;

/// A machine whose `@bucket` is below `host/` behind `endpoint`, and whose `@folder` is a folder.
fn machine(endpoint: &str) -> Machine {
    let machine = Machine::new();
    configure(&machine, endpoint, S3::SECRET_KEY, "bucket");
    machine
}

fn configure(machine: &Machine, endpoint: &str, secret: &str, bucket: &str) {
    let more = format!(
        "[backup]\nto = [\"folder\", \"bucket\"]\n\
         [backup.destinations.folder]\nurl = \"{}\"\n\
         [backup.destinations.bucket]\nurl = \"s3://{bucket}/host\"\nendpoint = \"{endpoint}\"\n\
         region = \"us-east-1\"\nallow_http = true\nchunk_size = \"5 MiB\"\nparallel_uploads = 1\n\
         timeout = \"20s\"\nretry_attempts = 3\n\
         access_key_id = \"{}\"\nsecret_access_key = \"env:S3_SECRET\"\n",
        machine.path("folder").display(),
        S3::ACCESS_KEY,
    );
    machine.write("etc/config.toml", machine.config_text(&more), 0o644);
    machine.write("etc/s3-secret", secret, 0o600);
}

/// Puts what does not compress into the state, so that an archive goes in several parts.
fn enlarge(machine: &Machine) {
    let mut state = 7_u64;
    let noise: Vec<u8> = (0..12 << 20)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    machine.write("etc/secrets", noise, 0o600);
}

fn command(machine: &Machine, arguments: &[&str]) -> Command {
    let mut command = machine.command();
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    let secret = String::from_utf8(machine.read("etc/s3-secret")).expect("text");
    command.env("S3_SECRET", secret).args(arguments);
    command
}

fn run(machine: &Machine, arguments: &[&str]) -> Run {
    let run = finish(command(machine, arguments), b"");
    for secret in [S3::SECRET_KEY, "wrong-secret-key"] {
        assert!(!run.stderr.contains(secret) && !run.text().contains(secret));
    }
    run
}

/// Exports an archive whose name tells a time, and gives its path.
fn export(machine: &Machine, name: &str) -> String {
    fs::create_dir_all(machine.path("folder")).expect("a folder");
    let path = machine.path("folder").join(name).display().to_string();
    machine.run(&["export", "--no-since", &path]).exits(0);
    path
}

fn damage(path: impl AsRef<Path>) {
    let path = path.as_ref();
    let mut bytes = fs::read(path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(path, bytes).expect("written");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Runs hookshot and sends it a signal when the proxy calls the hook that `fault` is made with.
fn signalled(
    machine: &Machine,
    faults: &Faults,
    signal: Signal,
    rule: impl FnOnce(servers::faults::Hook) -> Rule,
    arguments: &[&str],
) -> Run {
    let pid = Arc::new(AtomicI32::new(0));
    let victim = pid.clone();
    faults.add(rule(Arc::new(move || {
        while victim.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        let victim = Pid::from_raw(victim.load(Ordering::SeqCst));
        kill(victim, signal).expect("it is at work");
        // It looks every 100 ms whether it is to stop; what is under way goes on after that.
        for _ in 0..50 {
            if kill(victim, None).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    })));
    let mut command = command(machine, arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().expect("the binary");
    pid.store(child.id() as i32, Ordering::SeqCst);
    let output = child.wait_with_output().expect("an end");
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn capabilities(checked: &Value) -> Vec<(&str, bool)> {
    let capabilities = checked["capabilities"].as_array().expect("a list");
    capabilities
        .iter()
        .map(|capability| {
            (
                capability["name"].as_str().expect("a name"),
                capability["good"].as_bool().expect("a flag"),
            )
        })
        .collect()
}

#[test]
fn an_archive_that_goes_to_a_bucket_and_back_is_the_same_file() {
    let s3 = S3::start();
    let machine = machine(&s3.endpoint());
    enlarge(&machine);
    let name = "hookshot-state-20261121-030000.tar.gz";
    let path = export(&machine, name);
    let bytes = fs::read(&path).expect("a file");
    assert!(bytes.len() > 11 << 20, "it goes in parts");
    let sent = run(&machine, &["copy", "--json", &path, "@bucket"])
        .exits(0)
        .json();
    let sha256 = Digest::of(&bytes).to_string();
    assert_eq!(
        sent,
        json!({
            "copied": [{
                "name": name,
                "from": path,
                "to": format!("s3://bucket/host/{name}"),
                "size_bytes": bytes.len(),
                "sha256": sha256,
                "proof": sent["copied"][0]["proof"],
            }],
            "skipped": [],
            "failed": [],
        })
    );
    assert!(matches!(
        sent["copied"][0]["proof"].as_str(),
        Some("checksum" | "read-back")
    ));
    let objects = s3.objects();
    assert_eq!(objects.len(), 1, "{objects:?}");
    assert_eq!(objects[&format!("host/{name}")], bytes.len() as u64);
    assert_eq!(s3.leftovers(), [""; 0]);

    let back = machine.path("back").display().to_string();
    let got = run(&machine, &["copy", "--json", "@bucket/latest", &back]).exits(0);
    assert_eq!(got.json()["copied"][0]["sha256"], sha256);
    assert!(fs::read(machine.path("back").join(name)).expect("a file") == bytes);
    assert_eq!(machine.mode(&format!("back/{name}")), 0o600);

    let again = run(&machine, &["copy", "--json", &path, "@bucket"]).exits(0);
    assert_eq!(again.json()["skipped"][0]["name"], name);
    assert_eq!(again.json()["copied"], json!([]));
    machine.write("etc/secrets", "another", 0o600);
    fs::remove_file(&path).expect("removed");
    let path = export(&machine, name);
    run(&machine, &["copy", &path, "@bucket"])
        .exits(1)
        .says("already");
    assert_eq!(s3.objects(), objects, "nothing is ever replaced");
}

#[test]
fn a_damaged_archive_is_refused_and_stored_nowhere() {
    let s3 = S3::start();
    let machine = machine(&s3.endpoint());
    for is_large in [false, true] {
        if is_large {
            enlarge(&machine);
        }
        let name = format!("hookshot-state-20261121-03000{}.tar.gz", is_large as u8);
        let path = export(&machine, &name);
        run(&machine, &["copy", &path, "@bucket"]).exits(0);
        damage(s3.file(&format!("host/{name}")));
        fs::remove_file(&path).expect("removed");
        let before = s3.objects();
        let to = machine.path("folder").display().to_string();
        let from = format!("@bucket/{name}");
        run(&machine, &["copy", &from, &to])
            .exits(13)
            .says("refused");
        assert_eq!(names(&machine.path("folder")), [""; 0]);

        fs::copy(s3.file(&format!("host/{name}")), &path).expect("copied");
        fs::remove_file(s3.file(&format!("host/{name}"))).expect("removed");
        let failed = run(&machine, &["copy", "--json", &path, "@bucket"]).exits(13);
        assert_eq!(failed.json()["error"]["kind"], "archive_refused");
        assert_eq!(s3.objects().len(), before.len() - 1);
        assert_eq!(s3.leftovers(), [""; 0]);
        fs::remove_file(&path).expect("removed");
    }
}

#[test]
fn a_place_is_copied_but_for_what_is_there_and_what_is_damaged() {
    let s3 = S3::start();
    let machine = machine(&s3.endpoint());
    run(&machine, &["copy", "@folder", "@bucket"]).exits(10);
    let mut paths = Vec::new();
    for day in 1..=3 {
        paths.push(export(
            &machine,
            &format!("hookshot-state-2026112{day}-030000.tar.gz"),
        ));
    }
    let other = export(&machine, "other-20261121-030000.tar.gz");
    machine.write("folder/notes.txt", "not an archive", 0o600);
    run(&machine, &["copy", &paths[0], "@bucket"]).exits(0);
    damage(&paths[1]);
    let report = run(&machine, &["copy", "--json", "@folder", "@bucket"])
        .exits(3)
        .json();
    let of = |key: &str| {
        let list = report[key].as_array().expect("a list").iter();
        list.map(|one| one["name"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("copied"), ["hookshot-state-20261123-030000.tar.gz"]);
    assert_eq!(of("skipped"), ["hookshot-state-20261121-030000.tar.gz"]);
    assert_eq!(of("failed"), ["hookshot-state-20261122-030000.tar.gz"]);
    assert_eq!(report["failed"][0]["kind"], "archive_refused");
    assert_eq!(report["error"]["kind"], "partial");
    assert_eq!(s3.objects().len(), 2);

    fs::remove_file(&paths[1]).expect("removed");
    let text = run(&machine, &["copy", "@folder/", "@bucket/", "--all-hosts"])
        .exits(0)
        .text();
    assert!(
        text.contains("already there") && text.contains("proven by"),
        "{text}"
    );
    assert!(text.contains("other-20261121"), "{text}");
    assert_eq!(s3.objects().len(), 3);
    let back = machine.path("back").display().to_string() + "/";
    run(&machine, &["copy", "@bucket", &back]).exits(0);
    assert_eq!(
        names(&machine.path("back")),
        [
            "hookshot-state-20261121-030000.tar.gz",
            "hookshot-state-20261123-030000.tar.gz"
        ]
    );
    for (from, to, code) in [
        ("@none", "@bucket", 10),
        ("@bucket/none.tar.gz", "@folder", 10),
        ("/none/at/all.tar.gz", "@folder", 10),
        ("/none/at/all/", "@folder", 10),
        ("@folder", "@none", 10),
        (&other, "@bucket/x.tar.gz", 2),
        (&other, "s3://bucket/x.tar.gz", 2),
        (&other, "ftp://bucket", 2),
    ] {
        run(&machine, &["copy", from, to]).exits(code);
    }
}

#[test]
fn an_interrupted_copy_leaves_nothing_and_a_killed_one_nothing_after_the_next_check() {
    let s3 = S3::start();
    let faults = Faults::in_front_of(&s3.endpoint());
    let machine = machine(&faults.endpoint());
    enlarge(&machine);
    let path = export(&machine, "hookshot-state-20261121-030000.tar.gz");
    let in_the_second_part = |hook| {
        let is_part = |head: &servers::http::Head| head.line[1].contains("partNumber=2");
        Rule::on("PUT", Fault::AtRequestByte { at: 1 << 20, hook }).whose(is_part)
    };
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        faults.clear();
        signalled(
            &machine,
            &faults,
            signal,
            in_the_second_part,
            &["copy", &path, "@bucket"],
        )
        .exits(code)
        .says("interrupted");
        assert_eq!(s3.objects(), Default::default());
        // What it was in the middle of receiving, the server forgets when it sees that the connection is gone.
        for _ in 0..1000 {
            if s3.leftovers().is_empty() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(s3.leftovers(), [""; 0]);
    }
    faults.clear();
    signalled(
        &machine,
        &faults,
        Signal::SIGKILL,
        in_the_second_part,
        &["copy", &path, "@bucket"],
    )
    .exits(-1);
    let left = s3.objects();
    assert!(
        left.keys().all(|key| key.starts_with("host/.hookshot-")),
        "{left:?}"
    );
    assert!(
        !left.is_empty() && !s3.leftovers().is_empty(),
        "a kill leaves something"
    );
    faults.clear();
    let checked = run(&machine, &["check", "@bucket", "--json"])
        .exits(0)
        .json();
    assert_eq!(
        checked["destinations"][0]["swept"],
        json!(["hookshot-state-20261121-030000.tar.gz"])
    );
    assert_eq!(s3.objects(), Default::default());
    assert_eq!(s3.leftovers(), [""; 0]);
    run(&machine, &["copy", &path, "@bucket"]).exits(0);
}

#[test]
fn a_store_that_cannot_do_it_at_once_is_asked_again() {
    let s3 = S3::start();
    let faults = Faults::in_front_of(&s3.endpoint());
    let machine = machine(&faults.endpoint());
    let path = export(&machine, "hookshot-state-20261121-030000.tar.gz");
    faults.add(Rule::on("PUT", Fault::Answer(503)).times(2));
    run(&machine, &["copy", &path, "@bucket"]).exits(0);
    assert_eq!(faults.struck(), 2);
    let size_bytes = fs::metadata(&path).expect("a file").len();
    assert_eq!(s3.objects().into_values().collect::<Vec<_>>(), [size_bytes]);
}

#[test]
fn a_store_that_drops_an_object_has_not_proven_it() {
    let s3 = S3::start();
    let faults = Faults::in_front_of(&s3.endpoint());
    let machine = machine(&faults.endpoint());
    let first = export(&machine, "hookshot-state-20261121-030000.tar.gz");
    faults.add(Rule::on("PUT", Fault::Swallow));
    let failed = run(&machine, &["copy", "--json", &first, "@bucket"]).exits(17);
    assert_eq!(failed.json()["error"]["kind"], "not_proven");
    export(&machine, "hookshot-state-20261122-030000.tar.gz");
    faults.add(Rule::on("PUT", Fault::Swallow));
    let failed = run(&machine, &["copy", "--json", "@folder", "@bucket"]).exits(3);
    let report = failed.json();
    assert_eq!(report["failed"][0]["kind"], "not_proven");
    assert_eq!(report["copied"].as_array().map(Vec::len), Some(1));
    assert_eq!(s3.objects().len(), 1);
}

#[test]
fn a_check_tells_what_can_be_done_and_leaves_nothing() {
    let s3 = S3::start();
    let machine = machine(&s3.endpoint());
    let report = run(&machine, &["check", "--json"]).exits(0).json();
    let destinations = report["destinations"].as_array().expect("a list");
    let all: Vec<_> = CAPABILITIES.iter().map(|name| (*name, true)).collect();
    for (checked, name) in destinations.iter().zip(["folder", "bucket"]) {
        assert_eq!(checked["name"], name);
        assert_eq!(checked["good"], true);
        let tried = if name == "folder" {
            WITHOUT_PARTS
        } else {
            all.len()
        };
        assert_eq!(capabilities(checked), all[..tried]);
        assert!(
            checked["capabilities"][1]["seconds"]
                .as_f64()
                .is_some_and(|seconds| seconds > 0.0)
        );
    }
    assert_eq!(destinations.len(), 2);
    assert_eq!(destinations[1]["location"], "s3://bucket/host");
    assert_eq!(s3.objects(), Default::default());
    assert_eq!(names(&machine.path("folder")), [""; 0]);
    let text = run(&machine, &["check", "@bucket"]).exits(0).text();
    assert!(text.contains("@bucket s3://bucket/host: good"), "{text}");

    machine.write("folder/hookshot-check-1-2", "left", 0o600);
    machine.write("folder/hookshot-check-1-3", "another check runs", 0o600);
    let old = fs::File::options()
        .write(true)
        .open(machine.path("folder/hookshot-check-1-2"))
        .expect("a file");
    old.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .expect("changed");
    let report = run(&machine, &["check", "@folder", "--json"])
        .exits(0)
        .json();
    assert_eq!(
        report["destinations"][0]["swept"],
        json!(["hookshot-check-1-2"])
    );
    assert_eq!(names(&machine.path("folder")), ["hookshot-check-1-3"]);
}

#[test]
fn a_check_tells_each_trouble_apart() {
    let s3 = S3::start();
    let machine = machine(&s3.endpoint());
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = format!("http://{}", port.local_addr().expect("an address"));
    drop(port);
    for (endpoint, secret, bucket, code) in [
        (s3.endpoint(), S3::SECRET_KEY, "none", 10),
        (s3.endpoint(), "wrong-secret-key", "bucket", 1),
        (nobody, S3::SECRET_KEY, "bucket", 1),
    ] {
        configure(&machine, &endpoint, secret, bucket);
        let run_one = run(&machine, &["check", "--json", "@bucket"])
            .exits(code)
            .json();
        let checked = &run_one["destinations"][0];
        assert_eq!(checked["good"], false);
        assert_eq!(capabilities(checked)[1], ("write", false));
        assert_eq!(checked["capabilities"][2]["seconds"], Value::Null);
        assert_eq!(run_one["error"]["code"], code);
        let both = run(&machine, &["check", "--json"]).exits(3).json();
        assert_eq!(both["destinations"][0]["good"], true);
        assert_eq!(both["destinations"][1]["good"], false);
        assert_eq!(both["error"]["kind"], "partial");
    }
    run(&machine, &["check", "@none"]).exits(10).says("@none");
    machine.write("etc/config.toml", machine.config_text(""), 0o644);
    run(&machine, &["check"]).exits(2).says("`to`");
}

#[test]
fn a_folder_that_nobody_may_write_to_is_not_good() {
    if !is_root("becoming another user") {
        return;
    }
    let machine = machine("http://127.0.0.1:9");
    fs::create_dir(machine.path("folder")).expect("a folder");
    for (name, mode) in [(".", 0o755), ("etc", 0o755), ("folder", 0o755)] {
        fs::set_permissions(machine.path(name), fs::Permissions::from_mode(mode)).expect("a mode");
    }
    let program = machine.path("program");
    fs::copy(env!("CARGO_BIN_EXE_hookshot"), &program).expect("copied");
    let folder = machine.path("folder").display().to_string();
    let mut command = Command::new(&program);
    command
        .args(["check", "--json", &folder])
        .arg("--config")
        .arg(machine.path("etc/config.toml"))
        .uid(65534)
        .gid(65534)
        .current_dir("/");
    let report = finish(command, b"").exits(1).json();
    assert_eq!(
        capabilities(&report["destinations"][0])[1],
        ("write", false)
    );
    assert_eq!(names(&machine.path("folder")), [""; 0]);
}

#[test]
fn a_store_that_takes_a_name_twice_is_not_good() {
    let s3 = S3::start();
    let faults = Faults::in_front_of(&s3.endpoint());
    let machine = machine(&faults.endpoint());
    let is_probe = |head: &servers::http::Head| head.line[1].contains("hookshot-check-");
    faults.add(Rule::on("PUT", Fault::Swallow).whose(is_probe).after(1));
    let report = run(&machine, &["check", "--json", "@bucket"]);
    assert_ne!(report.code, 0);
    let report = report.json();
    let found = capabilities(&report["destinations"][0]);
    let bad: Vec<_> = found.iter().filter(|(_, good)| !good).collect();
    assert_eq!(bad, [&("create_once", false)]);
    assert_eq!(s3.objects(), Default::default());
}

#[test]
fn a_store_that_does_not_take_or_end_uploads_in_parts_is_not_good() {
    let s3 = S3::start();
    let faults = Faults::in_front_of(&s3.endpoint());
    let machine = machine(&faults.endpoint());
    let bad = |report: &Value| -> Vec<String> {
        let found = capabilities(&report["destinations"][0]).into_iter();
        let bad = found.filter(|(_, good)| !good);
        bad.map(|(name, _)| name.to_owned()).collect()
    };
    let is_upload = |head: &servers::http::Head| head.parameter("uploadId").is_some();
    let is_begun = |head: &servers::http::Head| head.parameter("uploads").is_some();
    let is_second =
        |head: &servers::http::Head| head.parameter("partNumber").as_deref() == Some("2");
    let neither = ["parts", "abort_parts"];
    for (rule, names) in [
        (
            Rule::on("POST", Fault::Answer(403)).whose(is_begun),
            &neither[..],
        ),
        (
            Rule::on("PUT", Fault::Answer(403)).whose(is_upload),
            &neither,
        ),
        (
            Rule::on("PUT", Fault::FlipRequestByte { at: 7 }).whose(is_second),
            &neither,
        ),
        (Rule::on("POST", Fault::Swallow).whose(is_upload), &neither),
    ] {
        faults.add(rule.always());
        let run = run(&machine, &["check", "--json", "@bucket"]);
        assert_ne!(run.code, 0);
        let report = run.json();
        assert_eq!(bad(&report), names, "{report}");
        assert_eq!(s3.objects(), Default::default());
        assert_eq!(s3.leftovers(), [""; 0]);
        faults.clear();
    }
    // What cannot be ended stays, and says so, with a note for the next run.
    faults.add(
        Rule::on("DELETE", Fault::Answer(403))
            .whose(is_upload)
            .always(),
    );
    let report = run(&machine, &["check", "--json", "@bucket"])
        .exits(1)
        .json();
    assert_eq!(bad(&report), ["abort_parts"], "{report}");
    let message = &report["destinations"][0]["capabilities"][8]["message"];
    assert!(
        message
            .as_str()
            .is_some_and(|said| said.contains("cannot end")),
        "{message}"
    );
    assert!(!s3.leftovers().is_empty());
    faults.clear();
    // One that only says that it has ended it is found out by a part that comes too late.
    let another = S3::start();
    let liar = Faults::in_front_of(&another.endpoint());
    configure(&machine, &liar.endpoint(), S3::SECRET_KEY, "bucket");
    liar.add(Rule::on("DELETE", Fault::Swallow).whose(is_upload).always());
    let report = run(&machine, &["check", "--json", "@bucket"])
        .exits(1)
        .json();
    assert_eq!(bad(&report), ["abort_parts"], "{report}");
}

#[test]
fn an_interrupted_check_removes_what_it_sends_in_parts() {
    for is_completion in [false, true] {
        let s3 = S3::start();
        let faults = Faults::in_front_of(&s3.endpoint());
        let machine = machine(&faults.endpoint());
        let in_the_upload = move |hook| {
            let is_meant = move |head: &servers::http::Head| {
                let is_part = head.parameter("partNumber").is_some();
                head.parameter("uploadId").is_some() && is_part != is_completion
            };
            Rule::on("*", Fault::AtAnswerByte { at: 0, hook }).whose(is_meant)
        };
        let arguments = ["check", "@bucket"];
        signalled(&machine, &faults, Signal::SIGINT, in_the_upload, &arguments).exits(130);
        assert_eq!(faults.struck(), 1);
        assert_eq!(s3.objects(), Default::default());
        assert_eq!(s3.leftovers(), [""; 0]);
    }
}

#[test]
fn an_interrupted_check_removes_its_probe() {
    let s3 = S3::start();
    let faults = Faults::in_front_of(&s3.endpoint());
    let machine = machine(&faults.endpoint());
    let while_it_is_read = |hook| {
        let is_probe = |head: &servers::http::Head| head.line[1].contains("hookshot-check-");
        Rule::on("GET", Fault::AtAnswerByte { at: 0, hook }).whose(is_probe)
    };
    signalled(
        &machine,
        &faults,
        Signal::SIGINT,
        while_it_is_read,
        &["check", "@bucket"],
    )
    .exits(130);
    assert_eq!(faults.struck(), 1);
    assert_eq!(s3.objects(), Default::default());
}

/// A machine on which `@place` has these lines.
fn machine_with(lines: &str) -> Machine {
    let machine = Machine::new();
    let more = format!(
        "[backup.destinations.place]\n{lines}\nchunk_size = \"5 MiB\"\ntimeout = \"20s\"\n"
    );
    machine.write("etc/config.toml", machine.config_text(&more), 0o644);
    machine.write("etc/s3-secret", S3::SECRET_KEY, 0o600);
    machine
}

/// An archive goes there and comes back, and a check finds everything good and leaves nothing.
fn serves(machine: &Machine, proofs: [&str; 2]) {
    let checked = run(machine, &["check", "--json", "@place"]).exits(0).json();
    let all: Vec<_> = CAPABILITIES.iter().map(|name| (*name, true)).collect();
    let config = String::from_utf8(machine.read("etc/config.toml")).expect("text");
    let is_sftp = config.contains("sftp://");
    let tried = if is_sftp { WITHOUT_PARTS } else { all.len() };
    assert_eq!(capabilities(&checked["destinations"][0]), all[..tried]);
    for (day, proof) in [21, 22].into_iter().zip(proofs) {
        if day == 22 {
            enlarge(machine);
        }
        let path = export(
            machine,
            &format!("hookshot-state-202611{day}-030000.tar.gz"),
        );
        let there = run(machine, &["copy", "--json", &path, "@place"]).exits(0);
        assert_eq!(there.json()["copied"][0]["proof"], proof);
        let back = machine.path("back").display().to_string();
        run(machine, &["copy", "@place/latest", &back]).exits(0);
        let name = Path::new(&path).file_name().expect("a name");
        let copy = fs::read(machine.path("back").join(name)).expect("a file");
        assert!(copy == fs::read(&path).expect("a file"));
    }
    let checked = run(machine, &["check", "--json", "@place"]).exits(0).json();
    let list = &checked["destinations"][0]["capabilities"][4];
    assert_eq!(
        list["message"], "2 objects",
        "two archives, without the probe"
    );
}

#[test]
fn ssh_servers_serve() {
    let Some(server) = Sshd::start() else { return };
    let machine = machine_with(&server.destination());
    serves(&machine, ["read-back", "read-back"]);
}

#[test]
fn moto_serves() {
    let Some(server) = Moto::start() else { return };
    let machine = machine_with(&server.destination());
    serves(&machine, ["checksum", "checksum"]);
}

#[test]
fn azurite_serves() {
    let Some(server) = Azurite::start() else {
        return;
    };
    let machine = machine_with(&server.destination());
    serves(&machine, ["read-back", "read-back"]);
}

#[test]
fn gcs_serves() {
    let server = Gcs::start();
    let machine = machine_with(&format!(
        "url = \"gs://{BUCKET}/host\"\nallow_http = true\nservice_account_key = \"file:gcs.json\"",
    ));
    let key = Gcs::service_account(&server.endpoint());
    machine.write("etc/gcs.json", key, 0o600);
    serves(&machine, ["checksum", "read-back"]);
}

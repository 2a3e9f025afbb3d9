//! A host without keys verifies by the bytes that it stored; its schedule is content with that, and tells it.

use std::fs;

use serde_json::Value;
use support::{Run, finish};

use super::Sealing;

/// A host that seals to `out`, without a key.
fn host() -> (Sealing, String) {
    let sealing = Sealing::new();
    let url = sealing.path("out");
    sealing.configure(&format!(
        "[backup]\nto = [\"out\"]\nprefix = \"host\"\n[backup.schedule]\nverify = \"weekly\"\n\
        [backup.destinations.out]\nurl = \"{url}\"\n"
    ));
    let report = sealing.machine.run(&["export", "@out", "--json"]).exits(0);
    let path = report.json()["archive"]
        .as_str()
        .expect("a path")
        .to_owned();
    (sealing, path)
}

/// Runs `verify` as the schedule does.
fn scheduled(host: &Sealing) -> Run {
    let planned = host.machine.run(&["timer", "show", "--user"]).exits(0);
    let units = planned.text();
    let line = units
        .lines()
        .find(|line| line.starts_with("ExecStart=") && line.contains(" verify "))
        .unwrap_or_else(|| panic!("no verify: {units}"));
    let words = line.split_whitespace().skip_while(|word| *word != "verify");
    let words = words.map(|word| word.trim_matches('"'));
    let mut command = host.machine.command();
    command.args(words).env("HOOKSHOT_JOB", "verify");
    finish(command, b"")
}

fn last(host: &Sealing) -> Value {
    let history = host.machine.run(&["history", "--json"]).exits(0).json();
    history["runs"][0].clone()
}

#[test]
fn a_scheduled_verification_without_a_key_is_content_with_proven_bytes_and_says_so() {
    let (host, path) = host();
    scheduled(&host).exits(0);
    let run = last(&host);
    assert_eq!(run["result"], "success", "{run}");
    assert_eq!((&run["exit_code"], &run["outside"]), (&0.into(), &1.into()));
    let table = host.machine.run(&["history"]).exits(0).text();
    assert!(table.contains("success (1 not opened)"), "{table}");
    // Other bytes are a failure, key or not.
    let bytes = fs::read(&path).expect("an archive");
    let mut changed = bytes.clone();
    changed[bytes.len() / 2] ^= 1;
    fs::write(&path, &changed).expect("written");
    scheduled(&host).exits(13);
    assert_eq!(last(&host)["result"], "failure");
    // An archive that was never proven here is not taken for good.
    fs::write(&path, &bytes).expect("written");
    fs::remove_file(host.machine.path("etc/.hookshot/known.jsonl")).expect("removed");
    scheduled(&host).exits(12);
}

#[test]
fn a_user_is_told_what_was_not_opened_and_may_be_content_with_it() {
    let (host, path) = host();
    host.machine.run(&["verify", &path]).exits(3);
    let run = host
        .machine
        .run(&["verify", &path, "--without-key", "--json"]);
    let report = run.exits(0).json();
    assert_eq!(report["archives"][0]["proven"], "outside", "{report}");
    assert_eq!(report["warnings"][0]["kind"], "key", "{report}");
    assert_eq!(report["error"], Value::Null);
    // With a key all of it is verified, and there is nothing to be content with.
    let report = host.run(&["verify", &path, "--without-key", "--json"]);
    let report = report.exits(0).json();
    assert_eq!(report["archives"][0]["proven"], Value::Null, "{report}");
    assert_eq!(report["warnings"], Value::Null, "{report}");
    // A key that does not fit is not a missing one.
    let other = hookshot::crypt::generate().file("now");
    host.machine.write("other.key", other.as_bytes(), 0o600);
    let other = host.path("other.key");
    let verify = ["verify", &path, "--without-key", "--identity", &other];
    host.machine.run(&verify).exits(12);
}

#[test]
fn a_folder_behind_a_link_has_the_records_of_the_folder() {
    let (host, path) = host();
    let link = host.machine.path("link");
    std::os::unix::fs::symlink(host.machine.path("out"), &link).expect("a link");
    let name = path.rsplit('/').next().expect("a name");
    for word in [format!("{}/{name}", link.display()), path.clone()] {
        host.machine
            .run(&["verify", &word, "--without-key"])
            .exits(0);
    }
    // What is exported through the link is known in the folder.
    let text = String::from_utf8(host.machine.read("etc/config.toml")).expect("text");
    let (out, link) = (host.path("out"), link.display().to_string());
    host.machine
        .write("etc/config.toml", text.replace(&out, &link), 0o600);
    host.machine.run(&["export", "@out"]).exits(0);
    host.machine.write("etc/config.toml", &text, 0o600);
    let list = host.machine.run(&["list", "--json"]).exits(0).json();
    let rows = list["archives"].as_array().expect("rows");
    assert_eq!(rows.len(), 2, "{list}");
    assert!(rows.iter().all(|row| row["standing"] == "good"), "{list}");
}

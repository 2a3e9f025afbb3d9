//! `rekey` at destinations on other machines.

use std::{
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use support::servers::{Fault, Faults, Moto, Rule, Sshd};

use super::{ONE, TWO, Vault, list};
use crate::sealed::noise;

/// Seals archives anew at a destination of these lines; `proof` is the proof that it gives.
fn serves(lines: &str, proof: &str) {
    let vault = Vault::new();
    vault.export(ONE, "one");
    vault.export(TWO, "two");
    let folder = vault.path("vault") + "/";
    vault.configure(&format!("{lines}\ntimeout = \"20s\""));
    vault.run(&["stays"], &["copy", &folder, "@vault"]).exits(0);
    let first = format!("@vault/{ONE}.tar.gz.age");
    vault.machine.run(&["keep", &first]).exits(0);
    let report = vault.run(&["stays"], &vault.replace(&["--yes"]));
    let report = report.exits(0).json();
    assert_eq!(report["resealed"][0]["proof"], proof, "{report}");
    let listed = vault
        .run(&["comes"], &["list", "@vault", "--json"])
        .exits(0);
    let listed = listed.json();
    let mut names: Vec<&str> = list(&listed, "archives")
        .iter()
        .filter_map(|archive| archive["name"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [ONE, TWO].map(|name| format!("{name}.1.tar.gz.age")),
        "{listed}"
    );
    for name in [ONE, TWO] {
        vault.is_for_the_new(&format!("{name}.1"));
    }
    let again = vault.run(&["stays"], &vault.replace(&["--yes"])).exits(0);
    assert_eq!(list(&again.json(), "unchanged").len(), 2);
}

#[test]
fn an_object_store_serves() {
    let Some(server) = Moto::start() else { return };
    serves(&server.destination(), "checksum");
}

#[test]
fn an_ssh_server_serves() {
    let Some(server) = Sshd::start() else { return };
    serves(&server.destination(), "read-back");
}

/// The parts of an upload.
const PART: usize = 5 << 20;

#[test]
fn an_upload_that_is_killed_costs_no_archive_and_the_next_run_ends_it() {
    let Some(server) = Moto::start() else { return };
    let vault = Vault::new();
    vault.machine.write("etc/secrets", noise(2 * PART), 0o600);
    let faults = Faults::in_front_of(&server.endpoint());
    let lines = server.destination();
    let lines = lines.replace(&server.endpoint(), &faults.endpoint());
    vault.configure(&format!(
        "{lines}\ntimeout = \"60s\"\nchunk_size = \"5 MiB\"\nparallel_uploads = 1"
    ));
    for (name, label) in [(ONE, "n=one"), (TWO, "n=two")] {
        let word = format!("@vault/{name}.tar.gz.age");
        let export = ["export", &word, "--tag", label];
        vault.machine.run(&export).exits(0);
    }
    let archives = || {
        let keys = server.objects().into_iter();
        let archives = keys.filter(|key| key.ends_with(".age"));
        let names = archives.filter_map(|key| key.rsplit('/').next().map(str::to_owned));
        // A run marks the upload that it has begun.
        let names = names.filter(|name| !name.starts_with('.'));
        names.collect::<Vec<String>>()
    };
    // The second of two archives is on its way, its second part does not get through.
    let is_stuck = Arc::new(AtomicBool::new(false));
    let flag = is_stuck.clone();
    let hook = Arc::new(move || flag.store(true, Ordering::Relaxed));
    let is_part = |number: &'static str| {
        move |head: &support::servers::http::Head| {
            head.path().contains(&format!("{TWO}.1"))
                && head.parameter("partNumber").as_deref() == Some(number)
        }
    };
    faults.add(Rule::on("PUT", Fault::AtRequestByte { at: 0, hook }).whose(is_part("1")));
    faults.add(Rule::on("PUT", Fault::Hang).whose(is_part("2")).always());
    let plain = vault.machine.command();
    let mut command = Command::new(plain.get_program());
    let mut child = command
        .args(plain.get_args())
        .args(vault.replace(&["--yes"]))
        .arg("--identity")
        .arg(vault.path("stays.key"))
        .env("TMPDIR", vault.machine.path("tmp"))
        .current_dir(vault.machine.path("out"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let until = Instant::now() + Duration::from_secs(60);
    while !is_stuck.load(Ordering::Relaxed) || faults.struck() < 2 {
        assert!(
            Instant::now() < until,
            "no part arrives: {:?}",
            faults.seen()
        );
        thread::yield_now();
    }
    child.kill().expect("killed");
    child.wait().expect("gone");
    faults.clear();
    assert!(!server.uploads().is_empty(), "the kill left a part");
    // The first is for the new recipients, the second still for the old ones; the key that stays opens both.
    assert_eq!(
        archives(),
        [format!("{ONE}.1.tar.gz.age"), format!("{TWO}.tar.gz.age")]
    );
    vault.is_for_the_new(&format!("{ONE}.1"));
    let left = format!("@vault/{TWO}.tar.gz.age");
    for key in ["leaves", "stays"] {
        vault.run(&[key], &["verify", &left]).exits(0);
    }
    let report = vault
        .run(&["stays"], &vault.replace(&["--yes"]))
        .exits(0)
        .json();
    assert_eq!(list(&report, "resealed").len(), 1, "{report}");
    assert_eq!(list(&report, "unchanged").len(), 1, "{report}");
    let new = [ONE, TWO].map(|name| format!("{name}.1"));
    let names = new.each_ref().map(|name| format!("{name}.tar.gz.age"));
    assert_eq!(archives(), names);
    for (name, label) in new.iter().zip(["one", "two"]) {
        vault.is_for_the_new(name);
        assert_eq!(vault.manifest("comes", name)["tags"]["n"], label);
    }
    assert!(server.uploads().is_empty(), "{:?}", server.uploads());
}

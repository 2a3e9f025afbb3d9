//! A bucket with years of states: it is listed in bounded memory.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use aes256ctr_poly1305aes::{
    Aes256CtrPoly1305Aes,
    aead::{Aead as _, Nonce},
};
use hookshot::model::digest::Digest;
use rustic_core::repofile::MasterKey;
use support::{
    Machine,
    bounds::limited,
    finish,
    restic::Restic,
    servers::S3,
    vaults::{json, machine_at},
};

/// The states in the bucket: one each hour, for more than a year.
const STATES: u32 = 10_000;
/// The most memory that a list takes, in bytes: stretching a password takes 32 MiB of it.
const MOST_BYTES: u64 = 100 << 20;

/// Runs the rest of its arguments, and prints its code and the most memory that it took, in KiB.
const MEASURED: &str = r#"
import resource, subprocess, sys
code = subprocess.run(sys.argv[2:], stdout=open(sys.argv[1], "wb")).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"#;

/// Writes the records of further states: that of the newest one with other times, one each hour.
fn multiply(restic: &Restic, vault: &Path, count: u32) {
    let master = restic
        .run(vault, &["--no-lock", "cat", "masterkey"])
        .exits(0);
    let master: MasterKey = serde_json::from_slice(&master.stdout).expect("a key");
    let key = [&*master.encrypt, &*master.mac.k, &*master.mac.r].concat();
    let key: [u8; 64] = key.try_into().expect("64 bytes");
    let cipher = Aes256CtrPoly1305Aes::new(&key.into());
    let ids = json(restic.run(vault, &["--no-lock", "snapshots", "--json"]));
    let id = ids[0]["id"].as_str().expect("an ID").to_owned();
    let record = json(restic.run(vault, &["--no-lock", "cat", "snapshot", &id]));
    let first = "2020-01-01T00:00:00Z".parse::<chrono::DateTime<chrono::Utc>>();
    let first = first.expect("a time");
    for number in 0..count {
        let time = first + chrono::TimeDelta::hours(number.into());
        let mut record = record.clone();
        record["time"] = time.to_rfc3339().into();
        let name = time.format("archive=hookshot-state-%Y%m%d-%H%M%S.tar.gz");
        let tags = record["tags"].as_array_mut().expect("tags");
        tags.retain(|tag| !tag.as_str().expect("a text").starts_with("archive="));
        tags.push(name.to_string().into());
        let text = serde_json::to_vec(&record).expect("a text");
        let nonce: [u8; 16] = Digest::of(&text).to_string().as_bytes()[..16]
            .try_into()
            .expect("16");
        let nonce = Nonce::<Aes256CtrPoly1305Aes>::from_slice(&nonce).to_owned();
        let sealed = cipher.encrypt(&nonce, &*text).expect("sealed");
        let sealed = [nonce.as_slice(), &sealed].concat();
        let path = vault
            .join("snapshots")
            .join(Digest::of(&sealed).to_string());
        fs::write(path, sealed).expect("written");
    }
}

/// Lists the archives, and returns their number and the most memory that it took, in bytes.
fn listed(machine: &Machine) -> (usize, u64) {
    let mut hookshot = machine.command();
    hookshot.args(["list", "@vault", "--json"]);
    let hookshot = limited(&hookshot, &[format!("--data={MOST_BYTES}")]);
    let mut command = Command::new("python3");
    command.args(["-c", MEASURED]).arg(machine.path("list"));
    command
        .arg(hookshot.get_program())
        .args(hookshot.get_args());
    command
        .env("TMPDIR", machine.path("tmp"))
        .env("XDG_CACHE_HOME", machine.path("cache"))
        .stdin(Stdio::null());
    let said = finish(command, b"").exits(0).text();
    let (code, kibibytes) = said.trim().split_once(' ').expect("two numbers");
    assert_eq!(code, "0");
    let list: serde_json::Value = serde_json::from_slice(&machine.read("list")).expect("JSON");
    let count = list["archives"].as_array().expect("archives").len();
    (count, kibibytes.parse::<u64>().expect("a number") << 10)
}

#[test]
fn ten_thousand_states_of_a_bucket_are_listed_in_bounded_memory() {
    let Some(restic) = Restic::of_the_system() else {
        return;
    };
    let s3 = S3::start();
    let machine = machine_at(&s3.endpoint());
    machine.run(&["repo", "init", "@vault"]).exits(0);
    machine.run(&["export", "@vault"]).exits(0);
    let (count, before) = listed(&machine);
    assert_eq!(count, 1);
    multiply(&restic, &s3.file("vault"), STATES);
    let begun = std::time::Instant::now();
    let (count, memory) = listed(&machine);
    assert_eq!(count, 1 + STATES as usize);
    println!(
        "{STATES} states: {} MiB, {} MiB of them for one, {:.1?}",
        memory >> 20,
        before >> 20,
        begun.elapsed()
    );
    assert!(memory <= MOST_BYTES, "{memory} bytes");
    machine
        .run(&["verify", "@vault/hookshot-state-20200101-000000.tar.gz"])
        .exits(0);
}

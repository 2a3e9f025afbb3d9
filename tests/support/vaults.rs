//! Machines with a repository, `@vault`, in a folder or at an S3 server.

use std::{
    env, fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use serde_json::Value;

use crate::{
    Machine, Run,
    forge::Xorshift,
    restic::PASSWORD,
    servers::{Fault, Faults, Rule, S3, http::Head, s3::BUCKET},
};

/// Returns the configuration of `@vault`, a repository in the folder `vault` whose password stands in `etc/vault.key`.
pub fn vault(machine: &Machine, more: &str) -> String {
    format!(
        "[backup.destinations.vault]\nurl = \"restic:{}\"\npassword = \"file:vault.key\"\n{more}",
        machine.path("vault").display()
    )
}

/// Returns the configuration of `@folder`, a folder of archives.
pub fn folder(machine: &Machine) -> String {
    let path = machine.path("folder");
    format!(
        "[backup.destinations.folder]\nurl = \"{}\"\n",
        path.display()
    )
}

/// Returns the configuration of `@vault`, a repository in S3 behind `endpoint` that is asked once more, and not for long.
pub fn vault_at(endpoint: &str, more: &str) -> String {
    let more = format!("retry_attempts = 1\ntimeout = \"10s\"\n{more}");
    bucket("vault", endpoint, &more)
}

/// Returns the configuration of a destination called `name` that is the same repository in S3 behind `endpoint`.
pub fn bucket(name: &str, endpoint: &str, more: &str) -> String {
    format!(
        "[backup.destinations.{name}]\nurl = \"restic:s3://{BUCKET}/vault\"\npassword = \"file:vault.key\"\n\
         endpoint = \"{endpoint}\"\nregion = \"eu-1\"\nallow_http = true\npath_style = true\n\
         access_key_id = \"{}\"\nsecret_access_key = \"{}\"\n{more}",
        S3::ACCESS_KEY,
        S3::SECRET_KEY
    )
}

/// Writes the configuration of a machine that has `destinations`.
pub fn configure(machine: &Machine, destinations: &str) {
    let text = machine.config_text(destinations);
    machine.write("etc/config.toml", text, 0o600);
}

/// Returns a machine with these destinations, and with the password of `@vault`.
pub fn configured(destinations: impl Fn(&Machine) -> String) -> Machine {
    let machine = Machine::new();
    configure(&machine, &destinations(&machine));
    machine.write("etc/vault.key", format!("{PASSWORD}\n"), 0o600);
    machine
}

/// Returns a machine whose `@vault` has no repository yet.
pub fn machine(more: &str) -> Machine {
    configured(|machine| vault(machine, more))
}

/// Makes the repository `@vault` of a machine.
pub fn made(machine: Machine) -> Machine {
    machine.run(&["repo", "init", "@vault"]).exits(0);
    machine
}

/// Returns a machine whose repository was made.
pub fn with_vault(more: &str) -> Machine {
    made(machine(more))
}

/// Returns a machine whose `@vault` lies in S3 behind `endpoint`. It must be made.
pub fn machine_at(endpoint: &str) -> Machine {
    configured(|_| vault_at(endpoint, ""))
}

/// Returns a store that can be broken, and a machine whose repository there has `states` states.
pub fn with_states_at_s3(states: u64) -> (S3, Faults, Machine) {
    let s3 = S3::start();
    let faults = Faults::in_front_of(&s3.endpoint());
    let machine = made(machine_at(&faults.endpoint()));
    for number in 0..states {
        machine.write("etc/secrets", noise(20_000, number), 0o600);
        machine.run(&["export", "@vault"]).exits(0);
    }
    (s3, faults, machine)
}

/// Lets a store refuse to delete anything but locks.
pub fn keep_all_but_locks(faults: &Faults) {
    let rule = Rule::on("DELETE", Fault::Answer(403));
    let is_other = |head: &Head| !head.path().contains("/vault/locks/");
    faults.add(rule.whose(is_other).always());
}

/// The moments of a run that is killed by the clock; `tests/run slow` asks for more.
const MOMENTS: u32 = 5;

/// Returns the number of moments at which a run is killed by the clock.
pub fn moments() -> u32 {
    let asked = env::var("HOOKSHOT_VAULT_MOMENTS").ok();
    asked.map_or(MOMENTS, |asked| asked.parse().expect("a number of moments"))
}

/// Returns true for a run that takes every moment, and every fault.
pub fn takes_all() -> bool {
    moments() > MOMENTS
}

/// Returns the names of the archives at `@vault`, the newest first.
#[track_caller]
pub fn names(machine: &Machine) -> Vec<String> {
    let listed = machine.run(&["list", "@vault", "--json"]).exits(0).json();
    let archives = listed["archives"].as_array().expect("archives").iter();
    let names = archives.map(|one| one["name"].as_str().expect("a name").to_owned());
    names.collect()
}

/// Returns the identifiers of the keys of `@vault`, without that of the password in use.
#[track_caller]
pub fn other_keys(machine: &Machine) -> Vec<String> {
    let list = json(machine.run(&["--json", "repo", "key", "list", "@vault"]));
    let keys = list["keys"].as_array().expect("keys").iter();
    let others = keys.filter(|key| key["current"] != true);
    let ids = others.map(|key| key["id"].as_str().expect("an ID").to_owned());
    ids.collect()
}

/// Fails the test unless every archive at `@vault` is good, and returns their names.
#[track_caller]
pub fn all_verify(machine: &Machine) -> Vec<String> {
    machine
        .run(&["verify", "@vault", "--since", "2000-01-01"])
        .exits(0);
    names(machine)
}

/// Returns true for a request that lists all files of the repository at [`machine_at`], in all folders.
pub fn is_survey(head: &Head) -> bool {
    let target = &head.line[1];
    let is_listing = target.contains("list-type=") && !target.contains("delimiter=");
    is_listing && (target.ends_with("prefix=vault%2F") || target.contains("prefix=vault%2F&"))
}

/// Returns every file below `folder`, in order. A missing folder has none.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files.sort();
    files
}

/// Replaces the folder `to` by a copy of `from`.
pub fn copy_folder(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    for file in files_below(from) {
        let target = to.join(file.strip_prefix(from).expect("below"));
        fs::create_dir_all(target.parent().expect("a folder")).expect("made");
        fs::copy(&file, &target).expect("copied");
    }
}

/// Returns the files in a repository that would not be there if no upload had been broken off.
pub fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let is_name =
        |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut files = files_below(folder);
    files.retain(|file| {
        let name = file.file_name().expect("a name").to_string_lossy();
        !is_name(&name) && name != "config"
    });
    files
}

/// Returns the answer of a run that ended well.
#[track_caller]
pub fn json(run: Run) -> Value {
    run.exits(0).json()
}

/// Waits until `is_so`, for at most a minute.
#[track_caller]
pub fn wait_for(is_so: impl Fn() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        thread::park_timeout(Duration::from_millis(10));
    }
    panic!("it did not happen");
}

/// Waits for the next second: archives of one second have numbers, and names that are taken cost requests.
pub fn wait_for_a_second() {
    let second = || SystemTime::UNIX_EPOCH.elapsed().expect("a time").as_secs();
    let begun = second();
    wait_for(|| second() > begun);
}

/// Returns bytes that do not compress, other ones for each seed.
pub fn noise(count: usize, seed: u64) -> Vec<u8> {
    Xorshift::new(seed + 1).bytes(count)
}

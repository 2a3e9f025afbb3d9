//! Verbs that write: what ends well has been done, and whatever happened, the repository is whole and the verb works.

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;
use support::{
    Machine, Run, archives_in, finish, program,
    restic::SECOND_PASSWORD,
    servers::{Faults, S3},
    vaults::{configure, configured, folder, names, noise, other_keys, takes_all, vault_at},
};

use super::{Broken, Part, message, noted};

/// A verb that changes a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Export,
    Copy,
    Keep,
    Prune,
    AddKey,
    RemoveKey,
    Upgrade,
}

/// The verbs, and the parts of a repository that each writes to, or removes something from.
const OF_STATES: [(Verb, &[Part]); 4] = [
    (
        Verb::Export,
        &[
            Part::new("PUT", "locks"),
            Part::new("PUT", "data"),
            Part::new("PUT", "index"),
            Part::new("PUT", "snapshots"),
            Part::new("DELETE", "locks"),
        ],
    ),
    (
        Verb::Copy,
        &[
            Part::new("PUT", "data"),
            Part::new("PUT", "index"),
            Part::new("PUT", "snapshots"),
        ],
    ),
    (
        Verb::Prune,
        &[
            Part::new("PUT", "locks"),
            Part::new("PUT", "data"),
            Part::new("PUT", "index"),
            Part::new("DELETE", "snapshots"),
            Part::new("DELETE", "index"),
            Part::new("DELETE", "data"),
        ],
    ),
    (
        Verb::Keep,
        &[
            Part::new("PUT", "locks"),
            Part::new("PUT", "snapshots"),
            Part::new("DELETE", "snapshots"),
        ],
    ),
];
const OF_PROPERTIES: [(Verb, &[Part]); 3] = [
    (Verb::AddKey, &[Part::new("PUT", "keys")]),
    (
        Verb::RemoveKey,
        &[Part::new("PUT", "locks"), Part::new("DELETE", "keys")],
    ),
    (
        Verb::Upgrade,
        &[
            Part::new("PUT", "config.before"),
            Part::new("PUT", "config"),
            Part::new("DELETE", "config"),
            Part::new("DELETE", "config.before"),
        ],
    ),
];

const OF_PUTS: [Broken; 5] = [
    Broken::Swallowed,
    Broken::Cut,
    Broken::Flipped,
    Broken::Unanswered,
    Broken::Late,
];
const OF_DELETES: [Broken; 3] = [Broken::Swallowed, Broken::Unavailable, Broken::Unanswered];

/// Returns the exit codes that are known. Where 0 is among them, the verb has to have done its work.
fn codes(verb: Verb, broken: Broken, part: Part) -> &'static [i32] {
    match (broken, part.method, part.name) {
        (Broken::Late, ..) => &[0],
        // The lock of a process that has ended is removed by the next one.
        (_, "DELETE", "locks") => &[0],
        _ if matches!(verb, Verb::Export | Verb::Copy) => &[0, 1, 11, 17],
        _ => &[0, 1, 3, 11, 17],
    }
}

/// A machine with a repository in a store that can be broken.
struct World {
    s3: S3,
    faults: Faults,
    machine: Machine,
}

impl World {
    fn new() -> World {
        let s3 = S3::start();
        let faults = Faults::in_front_of(&s3.endpoint());
        let machine = configured(|_| vault_at(&faults.endpoint(), ""));
        machine.write("etc/second.key", SECOND_PASSWORD, 0o600);
        let world = World {
            s3,
            faults,
            machine,
        };
        world.configure(3);
        world.machine.run(&["repo", "init", "@vault"]).exits(0);
        world.export(0);
        world
    }

    fn configure(&self, level: u64) {
        let level = format!("level = {level}\n");
        let vault = vault_at(&self.faults.endpoint(), &level);
        configure(&self.machine, &(vault + &folder(&self.machine)));
    }

    fn export(&self, seed: u64) {
        self.machine
            .write("etc/secrets", noise(40_000, seed), 0o600);
        self.machine.run(&["export", "@vault"]).exits(0);
    }

    /// The archives as a list shows them.
    fn list(&self) -> Vec<Value> {
        let listed = self.machine.run(&["list", "@vault", "--json"]);
        let listed = listed.exits(0).json();
        listed["archives"].as_array().expect("archives").clone()
    }

    /// Makes something to do for the verb, and returns its words.
    fn prepare(&self, verb: Verb, seed: u64) -> Vec<String> {
        let machine = &self.machine;
        let second = machine.path("etc/second.key").display().to_string();
        let add = ["repo", "key", "add", "@vault", "--password-file", &second];
        let words: &[&str] = match verb {
            Verb::Export => {
                machine.write("etc/secrets", noise(40_000, seed), 0o600);
                &["export", "@vault"]
            }
            Verb::Copy => {
                machine.write("etc/secrets", noise(40_000, seed), 0o600);
                machine.run(&["export", "@folder"]).exits(0);
                &["copy", "@folder/latest", "@vault"]
            }
            Verb::Keep => {
                machine.run(&["keep", "--remove", "@vault/latest"]).exits(0);
                &["keep", "@vault/latest"]
            }
            Verb::Prune => {
                // A mark keeps its state.
                for marked in self.list().iter().filter(|one| one["mark"].is_string()) {
                    let word = format!("@vault/{}", marked["name"].as_str().expect("a name"));
                    machine.run(&["keep", "--remove", &word]).exits(0);
                }
                self.export(seed);
                &["prune", "@vault", "--keep-last", "1", "--yes"]
            }
            Verb::AddKey => {
                for id in other_keys(machine) {
                    let remove = ["repo", "key", "remove", &id, "@vault"];
                    machine.run(&remove).exits(0);
                }
                &add
            }
            Verb::RemoveKey => {
                if other_keys(machine).is_empty() {
                    machine.run(&add).exits(0);
                }
                let id = other_keys(machine).remove(0);
                return ["repo", "key", "remove", &id, "@vault"]
                    .map(str::to_owned)
                    .into();
            }
            Verb::Upgrade => {
                self.configure(1 + seed % 20);
                &["repo", "upgrade", "@vault"]
            }
        };
        words.iter().copied().map(str::to_owned).collect()
    }

    fn run(&self, words: &[String]) -> Run {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.machine.run(&words)
    }

    /// Returns true if the verb has done its work. `before` are the archives from before.
    fn is_done(&self, verb: Verb, before: &[String], seed: u64) -> bool {
        let machine = &self.machine;
        match verb {
            Verb::Export | Verb::Copy => {
                let now = names(machine);
                let is_good = || machine.run(&["verify", "@vault/latest"]).code == 0;
                let copied = archives_in(&machine.path("folder")).pop();
                let is_there = verb == Verb::Export || copied.is_some_and(|one| now.contains(&one));
                now.len() == before.len() + 1 && is_there && is_good()
            }
            Verb::Keep => {
                let list = self.list();
                let is_marked = list[0]["mark"] == "forever";
                is_marked && list.len() == before.len()
            }
            Verb::Prune => names(machine) == before[..1],
            Verb::AddKey => {
                let config = String::from_utf8(machine.read("etc/config.toml")).expect("UTF-8");
                let config = config.replace("vault.key", "second.key");
                machine.write("etc/second.toml", config, 0o600);
                let mut command = Command::new(program());
                let second = machine.path("etc/second.toml");
                command.args(["list", "@vault", "--config"]).arg(second);
                finish(command, b"").code == 0
            }
            Verb::RemoveKey => other_keys(machine).is_empty(),
            Verb::Upgrade => {
                let stats = machine.run(&["repo", "stats", "@vault", "--json"]);
                stats.exits(0).json()["level"] == 1 + seed % 20
            }
        }
    }

    /// Looks at the repository after a fault. The next case shows that the verb works: it is prepared without one.
    fn is_whole(&self) -> Result<(), String> {
        let check = ["repo", "check", "@vault", "--read-data"];
        let mut checked = self.machine.run(&check);
        if checked.code == 10 && checked.stderr.contains("repo upgrade") {
            self.machine.run(&["repo", "upgrade", "@vault"]).exits(0);
            checked = self.machine.run(&check);
        }
        if checked.code != 0 {
            return Err(format!("check: {}{}", checked.text(), checked.stderr));
        }
        Ok(())
    }

    /// Runs a verb while requests for a part are broken, and returns what went wrong.
    fn wrong_of(&self, verb: Verb, part: Part, broken: Broken, seed: u64) -> Vec<String> {
        let mut wrong = Vec::new();
        let words = self.prepare(verb, seed);
        let before = names(&self.machine);
        let struck = self.faults.struck();
        self.faults.add(part.broken(broken));
        let run = self.run(&words);
        self.faults.clear();
        let is_struck = self.faults.struck() > struck;
        let case = format!("{broken:?} {} {} for {verb:?}", part.method, part.name);
        let is_known = codes(verb, broken, part).contains(&run.code);
        let is_right = run.code != 0 || self.is_done(verb, &before, seed);
        if !is_known || !is_right || !is_struck {
            let said = message(&run);
            wrong.push(noted(format!(
                "{case}: {} {is_right} {is_struck} {said}",
                run.code
            )));
        }
        if let Err(why) = self.is_whole() {
            wrong.push(noted(format!("{case}, after {}: {why}", run.code)));
        }
        wrong
    }
}

/// Tries each verb that adds, removes or marks states while the store breaks what is sent.
pub fn verbs_of_states() {
    try_all(&OF_STATES);
}

/// Tries the same for verbs that change keys and properties.
pub fn verbs_of_properties() {
    try_all(&OF_PROPERTIES);
}

/// Returns the faults for a part: all, or the one whose turn it is.
fn chosen(part: Part, turns: &mut BTreeMap<&str, usize>) -> &'static [Broken] {
    let all: &[Broken] = match part.method {
        "PUT" => &OF_PUTS,
        _ => &OF_DELETES,
    };
    if takes_all() {
        return all;
    }
    let turn = turns.entry(part.method).or_default();
    let one = *turn % all.len();
    *turn += 1;
    &all[one..=one]
}

fn try_all(verbs: &[(Verb, &[Part])]) {
    let world = World::new();
    let (mut wrong, mut seed, mut turns) = (Vec::new(), 0, BTreeMap::new());
    for (verb, parts) in verbs {
        for part in *parts {
            for broken in chosen(*part, &mut turns) {
                seed += 1;
                wrong.extend(world.wrong_of(*verb, *part, *broken, seed));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (verb, _) in verbs {
        seed += 1;
        let words = world.prepare(*verb, seed);
        let before = names(&world.machine);
        world.run(&words).exits(0);
        assert!(world.is_done(*verb, &before, seed), "{verb:?}");
    }
    world.is_whole().expect("a whole repository");
    drop(world.s3);
}

//! Verbs that read: the result is the one of a store that works, or the exit code tells of a failure.

use std::{collections::BTreeMap, fs};

use hookshot::model::digest::Digest;
use serde_json::Value;
use support::{
    Machine, Run, archives_in,
    programs::gunzipped,
    servers::{Faults, S3},
    vaults::{configured, folder, made, names, noise, takes_all, vault_at},
};

use super::{Broken, Part, message, noted};

/// A verb, and how its result is told.
struct Verb {
    words: &'static [&'static str],
    result: fn(&World, &Run) -> Value,
}

const VERBS: [Verb; 15] = [
    told(&["list", "@vault"]),
    told(&["inspect", "@vault/latest"]),
    told(&["verify", "@vault/latest"]),
    told(&["diff", "@vault/latest"]),
    told(&["drill", "@vault"]),
    told(&["check", "@vault"]),
    told(&["repo", "check", "@vault", "--read-data"]),
    told(&["repo", "stats", "@vault"]),
    told(&["repo", "key", "list", "@vault"]),
    told(&["stats", "@vault"]),
    told(&["status", "@vault"]),
    told(&["import", "@vault/latest", "--dry-run"]),
    Verb {
        words: &["import", "@vault/latest"],
        result: |world, _| format!("{:?}", world.machine.targets()).into(),
    },
    Verb {
        words: &["extract", "@vault/latest", "secrets", "-o", "-"],
        result: |_, run| Digest::of(&run.stdout).to_string().into(),
    },
    Verb {
        words: &["copy", "@vault/latest", "@folder"],
        result: |world, _| world.copied(),
    },
];

const fn told(words: &'static [&'static str]) -> Verb {
    Verb {
        words,
        result: |_, run| without_times(run.json()),
    }
}

/// The parts of a repository that are read, those first that the fewest verbs read.
const PARTS: [Part; 6] = [
    Part::new("GET", "data"),
    Part::new("GET", "index"),
    Part::new("GET", "snapshots"),
    Part::new("GET", "list"),
    Part::new("GET", "keys"),
    Part::new("GET", "config"),
];
/// The cases that each verb meets in a sample.
const SAMPLED: usize = 3;

const BROKEN: [Broken; 5] = [
    Broken::Unavailable,
    Broken::Missing,
    Broken::Cut,
    Broken::Flipped,
    Broken::Late,
];

/// Returns the exit codes that tell of a fault. If 0 is among them, the result has to be the right one.
fn codes(verb: &Verb, broken: Broken, part: Part) -> &'static [i32] {
    if verb.words[0] == "status" && broken != Broken::Late {
        return &[19];
    }
    match (broken, part.name) {
        (Broken::Late, _) => &[0],
        // Its keys are there.
        (Broken::Missing, "config") => &[13],
        (Broken::Missing, "keys") => &[12],
        // Another process may have removed the state after the list was made: it is not there then.
        (Broken::Missing, "snapshots") => &[0, 10],
        (Broken::Flipped, "keys") => &[0, 12, 13],
        // A list names the damaged record, and goes on.
        _ if verb.loses_a_record(broken, part) => &[0, 3],
        // They look for an archive that is good.
        (Broken::Missing | Broken::Flipped, _) if ["copy", "drill"].contains(&verb.words[0]) => {
            &[10, 13]
        }
        (Broken::Missing | Broken::Flipped, _) => &[13],
        // A check goes on after a fault, and tells all that it met.
        (Broken::Unavailable | Broken::Cut, "data") if verb.words.contains(&"check") => &[1, 13],
        _ => &[1],
    }
}

impl Verb {
    /// Returns true if the verb counts the states that it can read: a record that is damaged or gone hides no other.
    fn loses_a_record(&self, broken: Broken, part: Part) -> bool {
        let is_count = self.words[0] == "list" || self.words.contains(&"stats");
        let is_lost = matches!(broken, Broken::Missing | Broken::Flipped);
        is_count && is_lost && part.name == "snapshots"
    }
}

/// A machine whose state is that in its repository.
struct World {
    _s3: S3,
    faults: Faults,
    machine: Machine,
}

impl World {
    fn new() -> World {
        let s3 = S3::start();
        let faults = Faults::in_front_of(&s3.endpoint());
        let machine = configured(|machine| vault_at(&faults.endpoint(), &folder(machine)));
        machine.write("etc/secrets", noise(40_000, 1), 0o600);
        let machine = made(machine);
        machine.run(&["export", "@vault"]).exits(0);
        World {
            _s3: s3,
            faults,
            machine,
        }
    }

    /// Runs a verb from the same beginning each time, and returns what came out.
    fn run(&self, verb: &Verb) -> (Run, Value) {
        let _ = fs::remove_dir_all(self.machine.path("folder"));
        fs::create_dir(self.machine.path("folder")).expect("a folder");
        // A drill that failed is a fault of the health.
        let _ = fs::remove_file(self.machine.path("etc/.hookshot/history.jsonl"));
        match verb.words[0] {
            "import" => self.machine.write("etc/secrets", "now", 0o600),
            _ => self.machine.write("etc/secrets", noise(40_000, 1), 0o600),
        }
        let is_told = verb.words[0] != "extract";
        let words = [&["--json"][..usize::from(is_told)], verb.words].concat();
        let before = self.machine.targets();
        let run = self.machine.run(&words);
        if run.code != 0 {
            assert_eq!(self.machine.targets(), before, "{words:?}");
            assert!(archives_in(&self.machine.path("folder")).is_empty());
        }
        let result = match run.code {
            0 => (verb.result)(self, &run),
            _ => Value::Null,
        };
        (run, result)
    }

    /// Returns the digests of the tars that were copied to the folder.
    fn copied(&self) -> Value {
        let names = archives_in(&self.machine.path("folder"));
        let tars = names.iter().map(|name| {
            let path = self.machine.path("folder").join(name);
            Digest::of(&gunzipped(&path)).to_string()
        });
        tars.collect::<Vec<String>>().into()
    }
}

/// Returns an answer without what is another time each time.
fn without_times(mut answer: Value) -> Value {
    const TIMES: [&str; 8] = [
        "run_id",
        "seconds",
        "time",
        "started_at",
        "duration_seconds",
        "age_seconds",
        "rto_seconds",
        "latency_seconds",
    ];
    match &mut answer {
        Value::Object(map) => {
            map.retain(|key, _| !TIMES.contains(&&**key));
            map.values_mut()
                .for_each(|value| *value = without_times(value.take()));
        }
        Value::Array(list) => list
            .iter_mut()
            .for_each(|value| *value = without_times(value.take())),
        _ => {}
    }
    answer
}

/// The cases, and how many verbs have met each. A list has nothing that proves it: none is cut short or changed.
fn cases() -> BTreeMap<(Part, Broken), usize> {
    let pairs = PARTS.into_iter().flat_map(|part| {
        let broken = BROKEN.into_iter();
        let broken = broken.filter(move |broken| {
            part.name != "list" || !matches!(broken, Broken::Missing | Broken::Flipped)
        });
        broken.map(move |broken| ((part, broken), 0))
    });
    pairs.collect()
}

/// Returns the cases for a verb that reads these parts: all, or those that the fewest verbs have met.
fn chosen(met: &BTreeMap<(Part, Broken), usize>, read: &[Part]) -> Vec<(Part, Broken)> {
    let mut cases: Vec<(Part, Broken)> = met.keys().copied().collect();
    if takes_all() {
        return cases;
    }
    cases.retain(|(part, _)| read.contains(part));
    let place = |part| PARTS.iter().position(|other| *other == part);
    cases.sort_by_key(|case| (met[case], place(case.0)));
    cases.truncate(SAMPLED);
    cases
}

/// Tries each verb while the answers of the store are broken.
pub fn verbs_that_read() {
    let world = World::new();
    let (mut wrong, mut met) = (Vec::new(), cases());
    for verb in &VERBS {
        let begin = world.faults.seen().len();
        let (run, good) = world.run(verb);
        let said = format!("{:?}: {}{}", verb.words, run.text(), run.stderr);
        assert_eq!(run.code, 0, "{said}");
        let seen = world.faults.seen().split_off(begin);
        let mut read = PARTS.to_vec();
        read.retain(|part| seen.iter().any(|seen| part.is_meant(&seen.head)));
        for (part, broken) in chosen(&met, &read) {
            let case = format!("{:?} of {} for {:?}", broken, part.name, verb.words);
            let before = world.faults.struck();
            world.faults.add(part.broken(broken));
            let (run, result) = world.run(verb);
            world.faults.clear();
            let is_struck = world.faults.struck() > before;
            let known = match is_struck {
                true => codes(verb, broken, part),
                false => &[0],
            };
            *met.entry((part, broken)).or_default() += usize::from(is_struck);
            let is_less = verb.loses_a_record(broken, part);
            let is_right = run.code != 0 || is_less || result == good;
            if !known.contains(&run.code) || !is_right {
                let said = message(&run);
                wrong.push(noted(format!(
                    "{case}: {} {said} {is_struck} {result}",
                    run.code
                )));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(met.values().all(|count| *count > 0), "{met:?}");
    world
        .machine
        .run(&["repo", "check", "@vault", "--read-data"])
        .exits(0);
    assert_eq!(names(&world.machine).len(), 1);
}

//! strace(1) kills hookshot, or lets a call fail, at its n-th call of a kind, for every n.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Stdio},
};

use super::scenario::{Scenario, plainly};
use support::{Machine, Run, finish};

/// A system call that was seen.
pub struct Call {
    pub name: String,
    /// It is the n-th of its name in its thread, from 1.
    pub number: usize,
    /// The line that strace prints for it.
    line: String,
    pub is_injected: bool,
}

impl Call {
    /// Returns true if it opens a file that was not there, or has no name.
    pub fn creates(&self) -> bool {
        self.line.contains("O_CREAT") || self.line.contains("O_TMPFILE")
    }
}

/// The calls of a run, in order.
pub struct Calls(pub Vec<Call>);

impl Calls {
    fn parse(log: &str) -> Calls {
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut calls: Vec<Call> = Vec::new();
        let mut open: BTreeMap<&str, usize> = BTreeMap::new();
        for line in log.lines() {
            let Some((thread, said)) = line.split_once(' ') else {
                continue;
            };
            let said = said.trim_start();
            let is_injected = said.ends_with("(INJECTED)");
            if said.starts_with("<... ") {
                if let Some(at) = open.remove(thread) {
                    calls[at].is_injected = is_injected;
                }
                continue;
            }
            let Some((name, _)) = said.split_once('(') else {
                continue;
            };
            let number = counts.entry((thread, name)).or_default();
            *number += 1;
            if said.ends_with("<unfinished ...>") {
                open.insert(thread, calls.len());
            }
            calls.push(Call {
                name: name.to_owned(),
                number: *number,
                line: said.to_owned(),
                is_injected,
            });
        }
        Calls(calls)
    }

    /// Returns the most calls of one thread: strace counts for each by itself.
    pub fn most(&self, name: &str) -> usize {
        let calls = self.0.iter().filter(|call| call.name == name);
        calls.map(|call| call.number).max().unwrap_or(0)
    }
}

/// Runs hookshot under strace, which injects `met` into calls that name one of `places`, or into all if there are none;
/// the calls that are `watched` are told.
pub fn traced(
    machine: &Machine,
    arguments: &[&str],
    (met, places): (&[&str], &[&str]),
    watched: Option<&str>,
) -> (Run, Calls) {
    if met.is_empty() && watched.is_none() {
        return (plainly(machine, arguments), Calls(Vec::new()));
    }
    strace(machine, arguments, &["-f"], (met, places), watched)
}

/// Does what [`traced`] does for one injection, but lets the programs that hookshot starts alone.
pub fn traced_alone(
    machine: &Machine,
    arguments: &[&str],
    inject: Option<&str>,
    watched: Option<&str>,
) -> (Run, Calls) {
    let met = inject.as_slice();
    strace(
        machine,
        arguments,
        &["-f", "-b", "execve"],
        (met, &[]),
        watched,
    )
}

fn strace(
    machine: &Machine,
    arguments: &[&str],
    options: &[&str],
    (met, places): (&[&str], &[&str]),
    watched: Option<&str>,
) -> (Run, Calls) {
    let plain = machine.command();
    let log = machine.path("strace.log");
    let mut command = Command::new("strace");
    command.args(options).args(["-qq", "-o"]);
    match watched {
        Some(_) => command.arg(&log),
        None => command.arg("/dev/null"),
    };
    for place in places {
        command.arg("-P").arg(machine.path(place));
    }
    for inject in met {
        command.args(["-e", &format!("inject={inject}")]);
    }
    let calls = met.iter().filter_map(|inject| inject.split_once(':'));
    let calls: Vec<&str> = calls.map(|(call, _)| call).chain(watched).collect();
    command
        .arg("-e")
        .arg(format!("trace={}", calls.join(",")))
        .arg(plain.get_program())
        .args(plain.get_args())
        .args(arguments);
    for (key, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    command.current_dir(plain.get_current_dir().expect("a folder"));
    let run = finish(command, b"");
    let seen = match watched {
        Some(_) => fs::read_to_string(&log).expect("a log"),
        None => String::new(),
    };
    (run, Calls::parse(&seen))
}

/// Returns true if strace can be used here; says why if not. A complete run insists.
pub fn can_trace() -> bool {
    let works = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let works = works.is_ok_and(|status| status.success());
    assert!(
        works || std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
        "strace is missing, or may not trace"
    );
    if !works {
        println!("skipped: strace is missing, or may not trace; tests/run installs it");
    }
    works
}

/// The results of many kills.
#[derive(Debug, Default)]
pub struct Killed {
    pub points: usize,
    /// Kills behind the commit point.
    pub finished: usize,
    /// After how many of them a target was missing for a moment.
    pub missing: usize,
}

/// Kills the verb at every call; after each, `healer` is run once.
pub fn kill_everywhere(scenario: &Scenario, healer: &[&str], calls: &[&str]) -> Killed {
    let mut killed = Killed::default();
    for call in calls {
        for number in 1.. {
            scenario.reset();
            let run = scenario.verb(Some(&format!("{call}:signal=KILL:when={number}")));
            if run.code != -1 {
                // It came to its end: this call is not made so often. An unknown call (a machine without it) is none.
                break;
            }
            let at = format!("killed at {call} {number}");
            killed.points += 1;
            scenario.no_target_is_missing(&at);
            killed.missing += usize::from(!scenario.missing().is_empty());
            scenario.run(healer, None);
            if scenario.all_or_nothing(&at) {
                killed.finished += 1;
                // The old state is still there for the asking.
                scenario.run(&["rollback", "--force"], None).exits(0);
                assert_eq!(
                    scenario.machine.files(scenario.files),
                    scenario.old,
                    "{at}, then rolled back"
                );
            }
        }
    }
    killed
}

/// Kills the recovery of what each of `kills` leaves, at every one of `calls`; the recovery after it ends the work. `meanwhile`
/// is what happens to the machine before the first recovery.
pub fn kill_recoveries(
    scenario: &Scenario,
    kills: &[String],
    calls: &[&str],
    meanwhile: impl Fn(&Scenario),
) -> Killed {
    let mut killed = Killed::default();
    let leave = |first: &str| {
        scenario.reset();
        assert_eq!(scenario.verb(Some(first)).code, -1, "{first} must kill");
        meanwhile(scenario);
    };
    for first in kills {
        leave(first);
        let (run, made) = scenario.watched(&["version"], &calls.join(","), None);
        run.exits(0);
        for call in calls {
            for number in 1..=made.most(call) {
                leave(first);
                let inject = format!("{call}:signal=KILL:when={number}");
                if scenario.run(&["version"], Some(&inject)).code != -1 {
                    break;
                }
                let at = format!("{first}, then recovery killed at {call} {number}");
                killed.points += 1;
                scenario.no_target_is_missing(&at);
                killed.missing += usize::from(!scenario.missing().is_empty());
                scenario.run(&["version"], None).exits(0);
                killed.finished += usize::from(scenario.all_or_nothing(&at));
            }
        }
    }
    killed
}

/// The results of many errors.
#[derive(Debug, Default)]
pub struct Failed {
    pub points: usize,
    /// Errors behind the commit point, so that the old state was brought back.
    pub undone: usize,
}

impl Failed {
    fn count(&mut self, code: i32) {
        self.points += 1;
        self.undone += usize::from(code == 20);
    }
}

/// Lets each of `calls` fail with `error`, one at a time.
pub fn fail_everywhere(scenario: &Scenario, calls: &[&'static str], error: &str) -> Failed {
    scenario.reset();
    let (run, made) = scenario.watched(&scenario.arguments(), &calls.join(","), None);
    run.exits(0);
    let mut failed = Failed::default();
    for call in calls {
        for number in 1..=made.most(call) {
            scenario.reset();
            let run = scenario.verb(Some(&format!("{call}:error={error}:when={number}")));
            failed.count(judge(scenario, &run, &format!("{call} {number}"), error));
        }
    }
    failed
}

/// Lets the creation of each file fail, one at a time. Other files are opened as often as there are processes to look at, so
/// that the number of a creation is only known from a run beside it.
pub fn fail_creations(scenario: &Scenario, error: &str) -> Failed {
    scenario.reset();
    let (run, mut made) = scenario.watched(&scenario.arguments(), "openat", None);
    run.exits(0);
    let creations = |made: &Calls| -> Vec<usize> {
        let created = made.0.iter().filter(|call| call.creates());
        created.map(|call| call.number).collect()
    };
    let mut failed = Failed::default();
    for at in 0..creations(&made).len() {
        let tried = (0..5).find_map(|_| {
            let number = *creations(&made).get(at)?;
            scenario.reset();
            let inject = format!("openat:error={error}:when={number}");
            let (run, seen) = scenario.watched(&scenario.arguments(), "openat", Some(&inject));
            let is_hit = seen.0.iter().any(|call| call.is_injected && call.creates());
            if !is_hit {
                // What was met instead proves nothing; the next try counts anew.
                scenario.reset();
                made = scenario.watched(&scenario.arguments(), "openat", None).1;
            }
            is_hit.then_some(run)
        });
        if let Some(run) = tried {
            failed.count(judge(scenario, &run, &format!("creation {at}"), error));
        }
    }
    failed
}

/// Checks a run that met an error: the exit code tells its result, and it left everything in order.
#[track_caller]
fn judge(scenario: &Scenario, run: &Run, call: &str, error: &str) -> i32 {
    let at = format!(
        "{call} fails with {error}: exit {} {}",
        run.code, run.stderr
    );
    let before_the_commit_point = match error {
        "ENOSPC" => 18,
        _ => 1,
    };
    assert!([0, before_the_commit_point, 20].contains(&run.code), "{at}");
    // No second run here, unless even the removal of litter was made to fail: that is for the next one.
    if run.stderr.contains("cannot be removed") || run.stderr.contains("could not be") {
        scenario.run(&["version"], None);
    }
    let is_new = scenario.all_or_nothing(&at);
    assert_eq!(is_new, run.code == 0, "{at}");
    run.code
}

impl Scenario {
    /// Kills at one of `calls` that leave something to do: one before the commit point, every third behind it, and the last.
    pub fn interesting_kills(&self, calls: &[&str]) -> Vec<String> {
        let mut preparing = None;
        let mut committed = Vec::new();
        for call in calls {
            for number in 1.. {
                self.reset();
                let inject = format!("{call}:signal=KILL:when={number}");
                if self.verb(Some(&inject)).code != -1 {
                    break;
                }
                match self.journal() {
                    journal if journal.contains("\"phase\": \"preparing\"") => {
                        preparing = Some(inject)
                    }
                    journal
                        if ["committed", "done"]
                            .iter()
                            .any(|phase| journal.contains(&format!("\"phase\": \"{phase}\""))) =>
                    {
                        committed.push(inject)
                    }
                    _ => {}
                }
            }
        }
        let preparing = preparing.expect("the phase can be met");
        assert!(committed.len() > 6, "{committed:?}");
        let last = committed.pop();
        [preparing]
            .into_iter()
            .chain(committed.into_iter().step_by(3))
            .chain(last)
            .collect()
    }
}

//! Server, agent, recorder, relay or verb are killed during an apply: the state is old or new, and the run tells which.

use std::{
    env, fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use support::{finish, program};

use super::{
    apart::{Agent, Apart, PATIENCE},
    applied::Applying,
};
use crate::site::{API, PASSWORD, Serving, cookie};

/// The files of the state beside the others: an import has moments then.
const FILES: usize = 300;
/// The moments at which something is killed, in milliseconds from the answer to the apply.
const MOMENTS: [u64; 4] = [0, 20, 60, 150];
/// The time over which more moments are spread.
const LONGEST_MILLIS: u64 = 400;

/// Returns the moments: those of the table, or as many as `HOOKSHOT_AGENT_MOMENTS` says.
fn moments() -> Vec<u64> {
    let asked = env::var("HOOKSHOT_AGENT_MOMENTS").ok();
    let Some(asked) = asked else {
        return MOMENTS.into();
    };
    let count: u64 = asked.parse().expect("a number of moments");
    (0..count)
        .map(|number| number * LONGEST_MILLIS / count)
        .collect()
}

/// The processes of a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Server,
    Agent,
    ServerAndAgent,
    /// The process that writes down the end of a run.
    Recorder,
    /// The process that asks the agent for the verb.
    Relay,
    /// The import.
    Verb,
}

/// The processes that serve.
struct Pair {
    serving: Serving,
    agent: Agent,
}

impl Pair {
    fn start(apart: &Apart) -> Pair {
        let agent = apart.agent();
        let serving = apart.serve();
        Pair { serving, agent }
    }

    /// Kills one or both, and starts them again.
    fn kill(mut self, apart: &Apart, victim: Victim) -> Pair {
        if victim != Victim::Agent {
            self.serving.end(Signal::SIGKILL);
        }
        if victim != Victim::Server {
            self.agent.child.kill().expect("killed");
            self.agent.child.wait().expect("an end");
            self.agent = apart.agent();
        }
        if victim != Victim::Agent {
            self.serving = apart.serve();
        }
        self
    }
}

/// Kills something at every moment of an apply. Returns the states of the runs.
fn kill_at_moments(victim: Victim) -> Option<Vec<String>> {
    let applying = Applying::new(FILES)?;
    let apart = &applying.apart;
    let mut pair = Pair::start(apart);
    let login = pair.serving.try_login("anna", PASSWORD).is(303);
    let session = format!("Cookie: {}", cookie(&login));
    let mut states = Vec::new();
    for milliseconds in moments() {
        let old = applying.change(&format!("changed-{milliseconds}"));
        let plan = applying.plan(&pair.serving);
        let begun = applying.apply(&pair.serving, &plan);
        let digest = plan["digest"].as_str().expect("a digest");
        let import = || processes_with(&format!("--plan={digest}"));
        let id = begun["id"].as_str().expect("an id").to_owned();
        if victim == Victim::Verb {
            wait_for_verb(&applying, &pair.serving, &begun, import);
        }
        thread::sleep(Duration::from_millis(milliseconds));
        match victim {
            Victim::Recorder => kill_recorded(apart, &id, "recorder "),
            Victim::Relay => kill_recorded(apart, &id, "verb "),
            Victim::Verb => kill_all(&import()),
            _ => pair = pair.kill(apart, victim),
        }
        let run = applying.ended(&pair.serving, &begun);
        // A success is told after it came about.
        assert!(run["state"] != "done" || applying.is_restored(), "{run:#}");
        end_all(digest);
        if victim == Victim::Verb {
            end_import(apart);
        }
        let state = judge(&applying, victim, &run, &old);
        println!("{victim:?} after {milliseconds} ms: {state}");
        let page = pair.serving.stranger().with(&session);
        let page = page.get(&format!("/runs/{id}")).is(200);
        page.says(&format!("</svg>{state}</span>"));
        states.push(state);
    }
    // Whatever became of it, another restore is made.
    applying.change("last");
    let plan = applying.plan(&pair.serving);
    let run = applying.apply(&pair.serving, &plan);
    assert_eq!(applying.ended(&pair.serving, &run)["state"], "done");
    assert!(applying.is_restored());
    let program = pair.serving.program(&apart.token);
    let runs = program.get(&format!("{API}/runs")).is(200).json();
    let runs = runs["runs"].as_array().expect("runs").iter();
    let imports = runs.filter(|run| run["verb"] == "import").count();
    assert_eq!(imports, states.len() + 1);
    Some(states)
}

/// Waits until the import of a run is there, or the run has ended.
fn wait_for_verb(
    applying: &Applying,
    serving: &Serving,
    run: &Value,
    import: impl Fn() -> Vec<i32>,
) {
    while import().is_empty() && applying.seen(serving, run)["state"] == "running" {
        thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until nothing works for a plan, and for a while nothing begins: an agent may have taken the request just now.
#[track_caller]
fn end_all(digest: &str) {
    let (end, mut quiet) = (Instant::now() + PATIENCE, 0);
    while quiet < 15 {
        quiet = match processes_with(digest).is_empty() {
            true => quiet + 1,
            false => 0,
        };
        assert!(Instant::now() < end, "{:?}", processes_with(digest));
        thread::sleep(Duration::from_millis(10));
    }
}

/// Has a killed import ended by the next one that works on the state. Those of the server may do so at this moment.
#[track_caller]
fn end_import(apart: &Apart) {
    let end = Instant::now() + PATIENCE;
    let export = ["export", "after.tar.gz", "--overwrite"];
    while apart.site.machine.run(&export).code != 0 {
        assert!(Instant::now() < end, "it does not end");
    }
}

/// Checks that the state is whole, and that the run tells the truth of it. Returns what it tells.
#[track_caller]
fn judge(applying: &Applying, victim: Victim, run: &Value, old: &support::Tree) -> String {
    let state = applying.state();
    let is_new = state == applying.archived;
    let other: Vec<_> = state
        .iter()
        .filter(|(path, node)| old.get(*path) != Some(*node))
        .map(|(path, _)| path)
        .collect();
    assert!(is_new || state == *old, "{victim:?}: {other:?}\n{run:#}");
    let told = run["state"].as_str().expect("a state");
    match told {
        "done" => assert!(is_new, "{run:#}"),
        // An import that is killed past its point of no return is ended by the next hookshot.
        "failed" => assert!(!is_new || victim == Victim::Verb, "{run:#}"),
        other => assert_eq!(other, "lost", "{run:#}"),
    }
    told.to_owned()
}

/// Kills a process of the record of a run, as soon as that has it; none if the run has ended.
fn kill_recorded(apart: &Apart, id: &str, name: &str) {
    let record = apart.seen.path().join(format!("state/serve.runs/{id}.run"));
    let log = record.with_extension("log");
    while log.exists() {
        let text = fs::read_to_string(&record).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split(' ').next()?.parse().ok());
        if let Some(number) = number {
            return kill_all(&[number]);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn kill_all(processes: &[i32]) {
    for number in processes {
        let _ = kill(Pid::from_raw(*number), Signal::SIGKILL);
    }
}

/// Returns the processes that have this text on their command line.
fn processes_with(text: &str) -> Vec<i32> {
    let all = fs::read_dir("/proc").expect("processes").flatten();
    let has_text = |entry: &fs::DirEntry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    let found = all.filter(has_text);
    found
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

fn count(states: &[String], state: &str) -> usize {
    states.iter().filter(|one| *one == state).count()
}

#[test]
fn a_verb_does_not_begin_if_the_agent_ends_before_it_tells_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = folder.path().join("made");
    for (word, code, is_made) in [(&b""[..], 1, false), (b"\n", 0, true)] {
        let mut command = Command::new(program());
        command.args(["gated", "touch"]).arg(&made);
        finish(command, word).exits(code);
        assert_eq!(made.exists(), is_made);
    }
}

#[test]
fn a_restore_outlives_a_killed_server() {
    let Some(states) = kill_at_moments(Victim::Server) else {
        return;
    };
    assert!(count(&states, "done") > 0, "{states:?}");
}

#[test]
fn a_restore_outlives_a_killed_agent_or_has_not_begun() {
    let Some(states) = kill_at_moments(Victim::Agent) else {
        return;
    };
    assert!(count(&states, "done") > 0, "{states:?}");
}

#[test]
fn a_restore_whose_server_and_agent_are_killed_ends_as_the_next_ones_tell() {
    let Some(states) = kill_at_moments(Victim::ServerAndAgent) else {
        return;
    };
    assert!(count(&states, "done") > 0, "{states:?}");
}

#[test]
fn a_restore_whose_recorder_is_killed_goes_on_and_is_not_told_to_have_failed() {
    let Some(states) = kill_at_moments(Victim::Recorder) else {
        return;
    };
    // Its exit code is lost with it.
    assert!(count(&states, "lost") > 0, "{states:?}");
}

#[test]
fn a_restore_whose_relay_is_killed_goes_on_and_is_not_told_to_have_failed() {
    let Some(states) = kill_at_moments(Victim::Relay) else {
        return;
    };
    assert!(count(&states, "lost") > 0, "{states:?}");
}

#[test]
fn an_import_that_is_killed_is_no_success() {
    let Some(states) = kill_at_moments(Victim::Verb) else {
        return;
    };
    assert!(count(&states, "done") < states.len(), "{states:?}");
}

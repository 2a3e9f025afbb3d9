//! The server is killed while a plan is applied: the state is the old or the new one, and the next server tells the truth.

use std::{
    fs,
    io::Write as _,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use super::Restoring;
use crate::{client::connect, site::API};

#[test]
fn a_server_that_is_killed_during_an_apply_leaves_the_old_or_the_new_state_and_the_next_tells_which()
 {
    let restoring = Restoring::new();
    let machine = &restoring.site.machine;
    // Enough content that an import has moments.
    for number in 0..300 {
        machine.write(&format!("srv/data/many-{number}"), vec![7; 20_000], 0o600);
    }
    restoring.export_anew();
    let mut ended_new = 0;
    // From the first moment of the run to after its end.
    for milliseconds in [0, 5, 20, 60, 150, 400] {
        let (good, _) = change(&restoring);
        let old = restoring.state();
        let mut serving = restoring.site.start(&[]);
        let plan = restoring.plan(&serving, &json!({}));
        let answer = restoring.apply(&serving, &plan, json!({})).is(202).json();
        thread::sleep(Duration::from_millis(milliseconds));
        serving.end(Signal::SIGKILL);
        let serving = restoring.site.start(&[]);
        let run = restoring.ended(&serving, &answer);
        let state = restoring.state();
        let is_new = machine.read("srv/page") == good;
        match run["state"].as_str() {
            Some("done") => assert!(is_new, "{milliseconds}: {run}"),
            Some("failed") => assert_eq!(state, old, "{milliseconds}: {run}"),
            other => assert_eq!(other, Some("lost"), "{milliseconds}: {run}"),
        }
        if is_new {
            assert_ne!(state, old);
            ended_new += 1;
        } else {
            assert_eq!(state, old, "{milliseconds}");
        }
        // The plan has its run, whatever became of that.
        let again = restoring.apply(&serving, &plan, json!({})).is(202).json();
        assert_eq!(again["id"], answer["id"]);
        let id = plan["id"].as_str().expect("an id");
        let operator = restoring.program(&serving, "operator");
        let shown = operator.get(&format!("{API}/plans/{id}")).is(200).json();
        assert_eq!(shown["state"], "applied");
    }
    // The run goes on without its server.
    assert!(ended_new > 0);
}

/// Changes the state again; returns the content of `page` in the archive, and the one of now.
fn change(restoring: &Restoring) -> (Vec<u8>, Vec<u8>) {
    let machine = &restoring.site.machine;
    machine.write("srv/page", "another", 0o644);
    machine.write("srv/data/new", "another", 0o600);
    (b"second".to_vec(), b"another".to_vec())
}

#[test]
fn an_import_that_is_killed_is_ended_by_the_next_hookshot_and_its_run_tells_no_success() {
    let restoring = Restoring::new();
    let machine = &restoring.site.machine;
    for number in 0..300 {
        machine.write(&format!("srv/data/many-{number}"), vec![7; 20_000], 0o600);
    }
    restoring.export_anew();
    let new = restoring.state();
    for milliseconds in [0, 30, 90, 200] {
        change(&restoring);
        let old = restoring.state();
        let serving = restoring.site.start(&[]);
        let plan = restoring.plan(&serving, &json!({}));
        let answer = restoring.apply(&serving, &plan, json!({})).is(202).json();
        let digest = plan["digest"].as_str().expect("a digest");
        thread::sleep(Duration::from_millis(milliseconds));
        kill_verbs_with(&format!("--plan={digest}"));
        let run = restoring.ended(&serving, &answer);
        // The next one that works on the state ends what was begun; those of the server may do so at this moment.
        let end = Instant::now() + Duration::from_secs(60);
        while machine.run(&["export", "after.tar.gz", "--overwrite"]).code != 0 {
            assert!(Instant::now() < end, "it does not end");
        }
        let state = restoring.state();
        let is_new = contents(&state) == contents(&new);
        let other: Vec<_> = state
            .iter()
            .filter(|(path, node)| old.get(*path) != Some(*node))
            .map(|(path, _)| path)
            .collect();
        assert!(is_new || state == old, "{milliseconds}: {other:?} {run}");
        match run["state"].as_str() {
            Some("done") => assert!(is_new, "{milliseconds}: {run}"),
            other => assert!(
                matches!(other, Some("failed" | "lost")),
                "{milliseconds}: {run}"
            ),
        }
        // Whatever became of it, another plan can be made and applied.
        let plan = restoring.plan(&serving, &json!({}));
        assert_eq!(plan["state"], "open", "{plan}");
    }
}

/// Kills every process that has this word on its command line, and waits for their ends.
fn kill_verbs_with(word: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let found = processes_with(word);
        if found.is_empty() {
            return;
        }
        for pid in found {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        assert!(Instant::now() < end, "they do not end");
        thread::sleep(Duration::from_millis(5));
    }
}

fn processes_with(word: &str) -> Vec<i32> {
    let all = fs::read_dir("/proc").expect("processes").flatten();
    let has_word = |entry: &fs::DirEntry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0)
            .any(|one| one == word.as_bytes())
    };
    let found = all.filter(has_word);
    found
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// The contents of all files: a file that was restored may have another owner than before.
fn contents(state: &support::Tree) -> Vec<String> {
    let files = state.iter();
    files
        .map(|(path, (mode, _, content))| format!("{path:?} {mode} {content:?}"))
        .collect()
}

#[test]
fn a_server_that_is_killed_before_it_answers_an_apply_has_begun_it_or_left_the_plan_open() {
    let restoring = Restoring::new();
    let machine = &restoring.site.machine;
    let mut seen = [false; 2];
    for step in 0..20 {
        let milliseconds = 25 * u64::try_from(step).expect("small");
        change(&restoring);
        let old = restoring.state();
        let mut serving = restoring.site.start(&[]);
        let plan = restoring.plan(&serving, &json!({}));
        let id = plan["id"].as_str().expect("an id");
        let body = json!({"digest": plan["digest"], "host_name": restoring.host});
        let path = format!("{API}/plans/{id}/apply");
        let admin = restoring.program(&serving, "admin");
        let request = admin.request("POST", &path, &body.to_string());
        let mut stream = connect(serving.address);
        stream.write_all(request.as_bytes()).expect("sent");
        thread::sleep(Duration::from_millis(milliseconds));
        serving.end(Signal::SIGKILL);
        let serving = restoring.site.start(&[]);
        let operator = restoring.program(&serving, "operator");
        let shown = operator.get(&format!("{API}/plans/{id}")).is(200).json();
        seen[usize::from(shown["state"] == "applied")] = true;
        if shown["state"] == "applied" {
            let run = restoring.ended(&serving, &json!({"id": shown["run"]}));
            let is_new = machine.read("srv/page") == b"first";
            assert_eq!(run["state"] == "done", is_new, "{milliseconds}: {run}");
            assert!(is_new || restoring.state() == old, "{milliseconds}");
        } else {
            assert_eq!(shown["state"], "open", "{milliseconds}: {shown}");
            assert_eq!(restoring.state(), old, "{milliseconds}");
            let answer = restoring.apply(&serving, &plan, json!({})).is(202).json();
            assert_eq!(restoring.ended(&serving, &answer)["state"], "done");
        }
        let again = restoring.apply(&serving, &plan, json!({})).is(202).json();
        restoring.ended(&serving, &again);
        let imports = restoring
            .site
            .rows("SELECT id FROM runs WHERE verb = 'import'");
        assert_eq!(imports.len(), step + 1, "{milliseconds}");
    }
    assert_eq!(seen, [true, true], "the moments do not cover both");
}

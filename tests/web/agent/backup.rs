//! A backup whose agent is killed, as a person sees it on the page of its run.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use support::signals;

use super::apart::{Apart, PATIENCE};
use crate::{client::Client, site::Serving};

/// A backup that waits in a hook, with the browser of the operator that started it.
struct Held {
    go: PathBuf,
    verb: PathBuf,
    olga: Client,
    page: String,
}

/// Starts a backup by the button of a page, and waits until its hook has begun.
#[track_caller]
fn begin(apart: &Apart, serving: &Serving) -> Held {
    let [begun, go, verb] = ["begun", "go", "verb"].map(|name| apart.seen.path().join(name));
    let script = format!(
        "echo $PPID > {}; touch {}; while [ ! -e {} ]; do sleep 0.05; done",
        verb.display(),
        begun.display(),
        go.display()
    );
    let hooks = format!(
        "[[backup.hooks]]\nstage = \"before\"\nrun = {}\n",
        json!(["sh", "-c", script])
    );
    apart.site.configure(&["near", "far"], &hooks);
    let olga = serving.login("olga");
    let page = serving.until(&olga, "/services/x", |page| {
        page.text().contains("/backup\"")
    });
    let page = page.text();
    let action = page
        .split("action=\"/configurations/")
        .find_map(|rest| rest.split_once("/backup\""));
    let id = action.expect("a button").0;
    let answer = olga
        .post(&format!("/configurations/{id}/backup"), "")
        .is(303);
    wait("a hook", || begun.exists());
    Held {
        go,
        verb,
        olga,
        page: answer.header("location").to_owned(),
    }
}

#[track_caller]
fn wait(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn archives(apart: &Apart) -> usize {
    let near = fs::read_dir(apart.site.machine.path("near"));
    near.expect("archives").count()
}

#[test]
fn the_page_of_a_backup_tells_that_it_works_without_its_agent_and_then_its_end() {
    let Some(apart) = Apart::new() else { return };
    let mut agent = apart.agent();
    let serving = apart.serve();
    let held = begin(&apart, &serving);
    signals::send(Signal::SIGKILL, &agent.child);
    agent.child.wait().expect("an end");
    let shown = held.olga.get(&held.page).is(200);
    shown.says("</svg>running</span>").says("It works.");
    // The next agent knows nothing of it, and another backup waits for its end.
    let _agent = apart.agent();
    let shown = held.olga.get(&held.page).is(200);
    shown.says("</svg>running</span>");
    fs::write(&held.go, "").expect("written");
    let shown = serving.until(&held.olga, &held.page, |page| {
        page.text().contains("data-over")
    });
    shown.says("</svg>done</span>").says("It is done.");
    assert_eq!(archives(&apart), 2);
}

#[test]
fn the_page_of_a_backup_that_is_killed_with_its_agent_tells_no_success() {
    let Some(apart) = Apart::new() else { return };
    let mut agent = apart.agent();
    let serving = apart.serve();
    let held = begin(&apart, &serving);
    signals::send(Signal::SIGKILL, &agent.child);
    agent.child.wait().expect("an end");
    let verb = fs::read_to_string(&held.verb).expect("a number");
    let verb = Pid::from_raw(verb.trim().parse().expect("a number"));
    kill(verb, Signal::SIGKILL).expect("killed");
    fs::write(&held.go, "").expect("written");
    let shown = serving.until(&held.olga, &held.page, |page| {
        page.text().contains("data-over")
    });
    shown
        .says("</svg>failed</span>")
        .says("nothing tells how it ended");
    assert_eq!(archives(&apart), 1);
}

//! The work that people and programs start: it is really done, told truly, and goes on without the server.

mod ends;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    client::{Answer, Client},
    site::{API, Serving, Site},
};

/// The longest wait for something that a verb does.
const PATIENCE: Duration = Duration::from_secs(120);

/// Sends JSON.
#[track_caller]
fn send(program: &Client, method: &str, path: &str, body: &Value) -> Answer {
    let program = program.with("Content-Type: application/json");
    program.send(method, &format!("{API}{path}"), &body.to_string())
}

/// Waits until a run has ended, and returns it.
#[track_caller]
fn ended(serving: &Serving, program: &Client, run: &Value) -> Value {
    let path = format!("{API}/runs/{}", text(run, "id"));
    let answer = serving.until(program, &path, |answer| {
        answer.status == 200 && answer.json()["state"] != "running"
    });
    answer.json()
}

#[track_caller]
fn text(value: &Value, key: &str) -> String {
    let text = value[key].as_str();
    text.unwrap_or_else(|| panic!("no {key} in {value}"))
        .to_owned()
}

/// Waits until something is so.
#[track_caller]
fn wait(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[track_caller]
fn configuration(program: &Client) -> String {
    let answer = program.get(&format!("{API}/configurations")).is(200);
    text(&answer.json()["configurations"][0], "id")
}

/// Returns the names of the archives in a folder.
fn archives(site: &Site, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(site.machine.path(folder))
        .into_iter()
        .flatten();
    let names = entries.flatten().map(|entry| entry.file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".tar.gz")).collect();
    names.sort();
    names
}

/// Lets every backup begin with a hook that waits for the file `go`, after it made the file `begun`.
fn hold(site: &Site) {
    let (begun, go) = (site.machine.path("begun"), site.machine.path("go"));
    let script = format!(
        "#!/bin/sh\ntouch '{}'\nfor i in $(seq 2400); do test -e '{}' && exit 0; sleep 0.05; done\nexit 1\n",
        begun.display(),
        go.display()
    );
    hook(site, &script);
}

fn hook(site: &Site, script: &str) {
    site.machine.write("hook", script, 0o755);
    let run = Value::String(site.machine.path("hook").display().to_string());
    let hook = format!("[[backup.hooks]]\nstage = \"before\"\nrun = {run}\n");
    site.configure(&["near", "far"], &hook);
}

/// Returns the processes of a run: the recorder and the verb.
#[track_caller]
fn processes(site: &Site, id: &str) -> Vec<i32> {
    let record = site
        .state()
        .with_extension("runs")
        .join(format!("{id}.run"));
    let read = || fs::read_to_string(&record).unwrap_or_default();
    wait("a record", || read().contains("verb "));
    let lines = read();
    let pids = lines.lines().map(|line| line.split(' ').nth(1));
    pids.map(|pid| pid.expect("a number").parse().expect("a number"))
        .collect()
}

fn is_alive(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}/exe")).read_link().is_ok()
}

/// Checks that nothing of runs is left beside the state.
#[track_caller]
fn leaves_nothing(site: &Site) {
    let folder = site.state().with_extension("runs");
    wait("no files", || {
        let left = fs::read_dir(&folder).into_iter().flatten();
        left.count() == 0
    });
}

#[test]
fn a_backup_that_is_asked_for_makes_an_archive() {
    let site = Site::new();
    let token = site.token("olga-t", "operator", &[]);
    let serving = site.start(&[]);
    let program = serving.program(&token);
    serving.snapshots(&program);
    let id = configuration(&program);
    let before = archives(&site, "near").len();
    let answer = send(
        &program,
        "POST",
        &format!("/configurations/{id}/backup"),
        &json!({}),
    )
    .is(202);
    let run = ended(&serving, &program, &answer.json());
    assert_eq!(run["state"], "done", "{run:#}");
    assert_eq!(
        (&run["exit_code"], &run["verb"], &run["actor"]),
        (&json!(0), &json!("backup"), &json!("olga-t"))
    );
    let archive = text(&run["report"], "archive");
    for folder in ["near", "far"] {
        assert_eq!(archives(&site, folder).len(), before + 1, "{folder}");
    }
    let shown = site.machine.run(&["list"]).exits(0).stdout;
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(shown.contains(&archive), "{shown}");
    // The next look tells it, and the history has the run once.
    serving.until(&program, &format!("{API}/snapshots"), |answer| {
        answer.text().contains(&archive)
    });
    let listed = serving.until(&program, &format!("{API}/runs"), |answer| {
        answer.json()["runs"][0]["run_id"].is_string()
    });
    let listed = listed.json();
    assert_eq!(
        listed["runs"].as_array().map(Vec::len),
        Some(1),
        "{listed:#}"
    );
    assert_eq!(
        (&listed["runs"][0]["id"], &listed["runs"][0]["run_id"]),
        (&run["id"], &run["report"]["run_id"])
    );
    let by_job = program.get(&format!("{API}/runs/{}", text(&run["report"], "run_id")));
    assert_eq!(by_job.is(200).json()["id"], run["id"]);
    let (actor, _, act, outcome) = site.audit().pop().expect("a record");
    assert_eq!(
        (actor.as_str(), act.as_str(), outcome.as_str()),
        ("olga-t", "backup", "begun")
    );
    leaves_nothing(&site);
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&site.state().with_extension("runs")), 0o700);
    let log = program
        .get(&format!("{API}/runs/{}/log", text(&run, "id")))
        .is(200);
    assert_eq!(log.header("content-type"), "text/plain; charset=utf-8");
    serving
        .login("vera")
        .get(&format!("/runs/{}", text(&run, "id")))
        .is(200)
        .says("It is done")
        .says(&archive);
}

#[test]
fn a_damaged_archive_is_told_with_code_and_words() {
    let site = Site::new();
    let token = site.token("olga-t", "operator", &[]);
    let serving = site.start(&[]);
    let (olga, program) = (serving.login("olga"), serving.program(&token));
    let archive = serving.snapshots(&program)[0].clone();
    let id = text(&archive, "id");
    let verify = format!("/snapshots/{id}/verify");
    let run = ended(
        &serving,
        &program,
        &send(&program, "POST", &verify, &json!({})).is(202).json(),
    );
    assert_eq!(
        (&run["state"], &run["exit_code"]),
        (&json!("done"), &json!(0)),
        "{run:#}"
    );
    assert_eq!(
        run["report"]["archives"].as_array().map(Vec::len),
        Some(2),
        "{run:#}"
    );
    let file = site.machine.path("far").join(text(&archive, "name"));
    let mut bytes = fs::read(&file).expect("it");
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    fs::write(&file, bytes).expect("damaged");
    let run = ended(
        &serving,
        &program,
        &send(&program, "POST", &verify, &json!({})).is(202).json(),
    );
    assert_eq!(
        (&run["state"], &run["exit_code"]),
        (&json!("failed"), &json!(13)),
        "{run:#}"
    );
    assert_eq!(run["error"]["kind"], "archive_refused", "{run:#}");
    let page = olga.get(&format!("/runs/{}", text(&run, "id"))).is(200);
    page.says("It failed")
        .says(&text(&run["error"], "message"))
        .says("13");
    // The good copy alone is good.
    let one = text(&archive["copies"][0], "destination");
    let near = send(&program, "POST", &verify, &json!({ "destination": one })).is(202);
    assert_eq!(ended(&serving, &program, &near.json())["state"], "done");
    send(&program, "POST", &verify, &json!({"destination": "--all"})).is(404);
    send(&program, "POST", &verify, &json!({"other": 1})).is(400);
    let form = program.send("POST", &format!("{API}{verify}"), "destination=d1");
    form.is(415);
}

#[test]
fn a_destination_is_checked_and_a_restore_is_rehearsed() {
    let site = Site::new();
    let token = site.token("olga-t", "operator", &[]);
    let serving = site.start(&[]);
    let program = serving.program(&token);
    let archive = serving.snapshots(&program)[0].clone();
    let answer = program.get(&format!("{API}/destinations")).is(200);
    let destination = answer.json()["destinations"][0].clone();
    let check = format!("/destinations/{}/check", text(&destination, "id"));
    let run = ended(
        &serving,
        &program,
        &send(&program, "POST", &check, &json!({})).is(202).json(),
    );
    assert_eq!(
        (&run["state"], &run["verb"]),
        (&json!("done"), &json!("check")),
        "{run:#}"
    );
    assert_eq!(run["report"]["destinations"][0]["good"], true, "{run:#}");
    let page = serving
        .login("vera")
        .get(&format!("/destinations/{}", text(&destination, "id")));
    page.is(200).says("create once");
    let drill = format!("/snapshots/{}/drill", text(&archive, "id"));
    let run = ended(
        &serving,
        &program,
        &send(&program, "POST", &drill, &json!({})).is(202).json(),
    );
    assert_eq!(run["state"], "done", "{run:#}");
    assert_eq!(
        run["report"]["drills"][0]["archive"], archive["name"],
        "{run:#}"
    );
    fs::remove_dir_all(site.machine.path("near")).expect("removed");
    fs::write(site.machine.path("near"), "no folder").expect("written");
    let run = ended(
        &serving,
        &program,
        &send(&program, "POST", &check, &json!({})).is(202).json(),
    );
    assert_eq!(run["state"], "failed", "{run:#}");
    assert!(!text(&run["error"], "message").is_empty(), "{run:#}");
}

#[test]
fn an_archive_is_kept_for_a_reason_and_released() {
    let site = Site::new();
    let token = site.token("olga-t", "operator", &[]);
    let serving = site.start(&[]);
    let (olga, program) = (serving.login("olga"), serving.program(&token));
    let archive = serving.snapshots(&program)[0].clone();
    let id = text(&archive, "id");
    let mark = format!("/snapshots/{id}/mark");
    let marks = || {
        let names = ["near", "far"].map(|folder| {
            site.machine
                .path(folder)
                .join(format!("{}.keep", text(&archive, "name")))
        });
        names.iter().filter(|name| name.exists()).count()
    };
    for refused in [
        json!({}),
        json!({"reason": " "}),
        json!({"reason": "x", "until": "--remove"}),
    ] {
        send(&program, "PUT", &mark, &refused).is(400);
    }
    assert_eq!(marks(), 0);
    let answer = send(
        &program,
        "PUT",
        &mark,
        &json!({"reason": "the audit of 2027", "until": "2099-12-31"}),
    )
    .is(200);
    assert_eq!(
        answer.json()["marks"].as_array().map(Vec::len),
        Some(2),
        "{}",
        answer.text()
    );
    assert_eq!(marks(), 2);
    let reasoned =
        "SELECT count(*) FROM audit WHERE action = 'keep' AND target LIKE 'x-%: the audit of 2027'";
    assert_eq!(site.rows(reasoned), ["Integer(2)"]);
    serving.until(&program, &format!("{API}/snapshots/{id}"), |answer| {
        answer.text().contains("2099")
    });
    let answer = program.send("DELETE", &format!("{API}{mark}"), "").is(200);
    assert_eq!(
        answer.json()["marks"][0]["mark"],
        Value::Null,
        "{}",
        answer.text()
    );
    assert_eq!(marks(), 0);
    let answer = olga
        .post(&format!("/archives/{id}/mark"), "reason=a+reason&until=")
        .is(303);
    assert!(answer.header("location").starts_with("/runs/"));
    assert_eq!(marks(), 2);
    olga.post(&format!("/archives/{id}/mark"), "act=release")
        .is(303);
    assert_eq!(marks(), 0);
    olga.post(&format!("/archives/{id}/mark"), "reason=")
        .is(400)
        .says("a reason");
    // In the past there is nothing to keep: the verb itself says so.
    let past = send(
        &program,
        "PUT",
        &mark,
        &json!({"reason": "x", "until": "2001-01-01"}),
    );
    past.is(400);
}

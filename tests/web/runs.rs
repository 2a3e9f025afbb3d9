//! The work that people and programs start: it is really done, told truly, and goes on without the server.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use support::{Mounted, is_root};

use crate::{
    client::{Answer, Client, connect, rest_of},
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

#[test]
fn a_backup_that_is_cancelled_leaves_nothing_half_there() {
    let site = Site::new();
    hold(&site);
    let token = site.token("olga-t", "operator", &[]);
    let serving = site.start(&[]);
    let (olga, program) = (serving.login("olga"), serving.program(&token));
    serving.snapshots(&program);
    let before = archives(&site, "near");
    let backup = format!("/configurations/{}/backup", configuration(&program));
    let run = send(&program, "POST", &backup, &json!({})).is(202).json();
    let id = text(&run, "id");
    wait("a hook", || site.machine.path("begun").exists());
    let busy = send(&program, "POST", &backup, &json!({})).is(409);
    busy.says(&id);
    let page = olga
        .get(&format!("/runs/{id}"))
        .is(200)
        .says("It works")
        .says("Cancel")
        .says("data-refresh");
    assert!(
        page.text()
            .contains("<noscript><meta http-equiv=\"refresh\""),
        "{}",
        page.text()
    );
    let part = olga.get(&format!("/runs/{id}/part")).is(200);
    let tag = part.header("etag").to_owned();
    olga.with(format!("If-None-Match: {tag}"))
        .get(&format!("/runs/{id}/part"))
        .is(304);
    serving.login("vera").get(&format!("/runs/{id}")).is(200);
    let pids = processes(&site, &id);
    serving
        .login("vera")
        .post(&format!("/runs/{id}/cancel"), "")
        .is(403);
    olga.post(&format!("/runs/{id}/cancel"), "").is(303);
    let run = ended(&serving, &program, &run);
    assert_eq!(
        (&run["state"], &run["cancelled_by"]),
        (&json!("cancelled"), &json!("olga")),
        "{run:#}"
    );
    assert!(pids.iter().all(|pid| !is_alive(*pid)), "{pids:?}");
    assert_eq!(archives(&site, "near"), before);
    olga.get(&format!("/runs/{id}"))
        .is(200)
        .says("It was cancelled")
        .says("olga");
    program
        .send("DELETE", &format!("{API}/runs/{id}"), "")
        .is(409);
    program.send("DELETE", &format!("{API}/runs/x"), "").is(404);
    let audit = site.audit().into_iter();
    let acts: Vec<_> = audit
        .map(|(actor, _, act, end)| format!("{actor} {act} {end}"))
        .collect();
    for act in [
        "olga-t backup begun",
        "olga-t backup blocked",
        "vera POST forbidden",
        "olga cancel done",
        "olga-t cancel blocked",
    ] {
        assert!(acts.iter().any(|one| one == act), "{act}: {acts:?}");
    }
    leaves_nothing(&site);
    // The lock is free again.
    fs::write(site.machine.path("go"), "").expect("written");
    let run = send(&program, "POST", &backup, &json!({})).is(202).json();
    assert_eq!(ended(&serving, &program, &run)["state"], "done");
}

#[test]
fn a_backup_outlives_a_killed_server_and_the_next_one_tells_its_end() {
    let site = Site::new();
    hold(&site);
    let token = site.token("olga-t", "operator", &[]);
    for (number, harm) in ["", "while no server is there", "all"]
        .into_iter()
        .enumerate()
    {
        let mut serving = site.start(&[]);
        let program = serving.program(&token);
        let backup = format!("/configurations/{}/backup", configuration(&program));
        let before = archives(&site, "near").len();
        let run = send(&program, "POST", &backup, &json!({})).is(202).json();
        let id = text(&run, "id");
        wait("a hook", || site.machine.path("begun").exists());
        let pids = processes(&site, &id);
        serving.end(Signal::SIGKILL);
        assert!(pids.iter().all(|pid| is_alive(*pid)), "{harm}: {pids:?}");
        let go = || fs::write(site.machine.path("go"), "").expect("written");
        if harm == "while no server is there" {
            go();
            wait("an end", || pids.iter().all(|pid| !is_alive(*pid)));
        }
        if harm == "all" {
            for pid in &pids {
                kill(Pid::from_raw(*pid), Signal::SIGKILL).expect("killed");
            }
            wait("an end", || pids.iter().all(|pid| !is_alive(*pid)));
        }
        let serving = site.start(&[]);
        let program = serving.program(&token);
        if harm.is_empty() {
            let answer = program.get(&format!("{API}/runs/{id}")).is(200);
            assert_eq!(answer.json()["state"], "running", "{}", answer.text());
            go();
        }
        let run = ended(&serving, &program, &run);
        let state = if harm == "all" { "lost" } else { "done" };
        assert_eq!(run["state"], state, "{number} {harm}: {run:#}");
        let more = usize::from(harm != "all");
        assert_eq!(archives(&site, "near").len(), before + more, "{harm}");
        leaves_nothing(&site);
        go();
        fs::remove_file(site.machine.path("go")).expect("removed");
        fs::remove_file(site.machine.path("begun")).expect("removed");
    }
    go_on(&site);
}

#[test]
fn a_backup_whose_recorder_is_killed_is_at_work_until_it_ends_and_can_be_cancelled() {
    let site = Site::new();
    hold(&site);
    let token = site.token("olga-t", "operator", &[]);
    for is_server_killed in [false, true] {
        let mut serving = site.start(&[]);
        let program = serving.program(&token);
        let backup = format!("/configurations/{}/backup", configuration(&program));
        let before = archives(&site, "near").len();
        let run = send(&program, "POST", &backup, &json!({})).is(202).json();
        let id = text(&run, "id");
        wait("a hook", || site.machine.path("begun").exists());
        let pids = processes(&site, &id);
        if is_server_killed {
            serving.end(Signal::SIGKILL);
        }
        kill(Pid::from_raw(pids[0]), Signal::SIGKILL).expect("killed");
        wait("an end", || !is_alive(pids[0]));
        assert!(is_alive(pids[1]), "the verb works");
        if is_server_killed {
            drop(serving);
            serving = site.start(&[]);
        }
        let program = serving.program(&token);
        // Nothing else may begin beside it.
        send(&program, "POST", &backup, &json!({})).is(409);
        let path = format!("{API}/runs/{id}");
        let answer = program.send("DELETE", &path, "").is(202);
        assert_eq!(answer.json()["state"], "running", "{}", answer.text());
        wait("an end", || !is_alive(pids[1]));
        let run = ended(&serving, &program, &run);
        assert_ne!(run["state"], "done", "{run:#}");
        assert_eq!(run["cancelled_by"], "olga-t", "{run:#}");
        assert_eq!(archives(&site, "near").len(), before);
        leaves_nothing(&site);
        fs::remove_file(site.machine.path("begun")).expect("removed");
    }
    go_on(&site);
}

/// Ends the hooks that wait still.
fn go_on(site: &Site) {
    fs::write(site.machine.path("go"), "").expect("written");
}

#[test]
fn a_repeated_request_gets_the_same_run() {
    let site = Site::new();
    let token = site.token("olga-t", "operator", &[]);
    let other = site.token("other-t", "operator", &[]);
    let serving = site.start(&[]);
    let program = serving.program(&token);
    let id = text(&serving.snapshots(&program)[0], "id");
    let verify = format!("/snapshots/{id}/verify");
    let keyed = program.with("Idempotency-Key: 7f3a");
    let first = send(&keyed, "POST", &verify, &json!({})).is(202).json();
    let again = send(&keyed, "POST", &verify, &json!({})).is(202).json();
    assert_eq!(first["id"], again["id"]);
    ended(&serving, &program, &first);
    let again = send(&keyed, "POST", &verify, &json!({})).is(202).json();
    assert_eq!(
        (&first["id"], &again["state"]),
        (&again["id"], &json!("done"))
    );
    let drill = format!("/snapshots/{id}/drill");
    send(&keyed, "POST", &drill, &json!({}))
        .is(422)
        .says("Idempotency-Key");
    // It is a name among those of one program.
    let other = serving.program(&other).with("Idempotency-Key: 7f3a");
    let new = send(&other, "POST", &verify, &json!({})).is(202).json();
    assert_ne!(first["id"], new["id"]);
    ended(&serving, &program, &new);
    for odd in ["", &"x".repeat(201), "\u{e4}"] {
        let odd = program.with(format!("Idempotency-Key: {odd}"));
        send(&odd, "POST", &verify, &json!({})).is(400);
    }
    assert_eq!(site.rows("SELECT id FROM runs").len(), 2);
}

#[test]
fn on_a_full_disk_no_verb_begins() {
    if !is_root("a small file system") {
        return;
    }
    let site = Site::new();
    let token = site.token("olga-t", "operator", &[]);
    let folder = site.machine.path("small");
    fs::create_dir(&folder).expect("a folder");
    let _mounted = Mounted::tmpfs(&folder, "1m");
    fs::copy(site.state(), folder.join("serve.sqlite")).expect("copied");
    let state = folder.join("serve.sqlite").display().to_string();
    let serving = site.start(&["--state", &state]);
    let (olga, program) = (serving.login("olga"), serving.program(&token));
    serving.snapshots(&program);
    let id = configuration(&program);
    let before = archives(&site, "near");
    crate::ending::fill(&folder.join("ballast"));
    send(
        &program,
        "POST",
        &format!("/configurations/{id}/backup"),
        &json!({}),
    )
    .is(507);
    olga.post(&format!("/configurations/{id}/backup"), "")
        .is(507);
    let runs = program.get(&format!("{API}/runs")).is(200).json();
    assert_eq!(runs["runs"], json!([]));
    assert_eq!(archives(&site, "near"), before);
    assert!(!folder.join("serve.runs").exists());
    fs::remove_file(folder.join("ballast")).expect("removed");
    let answer = send(
        &program,
        "POST",
        &format!("/configurations/{id}/backup"),
        &json!({}),
    )
    .is(202);
    assert_eq!(ended(&serving, &program, &answer.json())["state"], "done");
}

#[test]
fn what_a_verb_writes_is_inert() {
    let site = Site::new();
    hook(
        &site,
        "#!/bin/sh\nprintf '\\033[2J<script>alert(1)</script>\\n' >&2\nexit 1\n",
    );
    let token = site.token("olga-t", "operator", &[]);
    let serving = site.start(&[]);
    let (olga, program) = (serving.login("olga"), serving.program(&token));
    let backup = format!("/configurations/{}/backup", configuration(&program));
    let run = ended(
        &serving,
        &program,
        &send(&program, "POST", &backup, &json!({})).is(202).json(),
    );
    assert_eq!(run["state"], "failed", "{run:#}");
    let id = text(&run, "id");
    let log = program
        .get(&format!("{API}/runs/{id}/log"))
        .is(200)
        .says("alert(1)");
    assert_eq!(log.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(log.header("x-content-type-options"), "nosniff");
    let page = olga
        .get(&format!("/runs/{id}"))
        .is(200)
        .says("&lt;script&gt;alert(1)");
    let told = program.get(&format!("{API}/runs/{id}")).is(200);
    for (answer, what) in [(&log, "log"), (&page, "page"), (&told, "run")] {
        assert!(!answer.body.contains(&0x1b), "{what}: {}", answer.text());
    }
    assert!(!page.text().contains("<script>alert"), "{}", page.text());
}

#[test]
fn events_end_with_the_run_and_with_the_token() {
    let site = Site::new();
    hold(&site);
    let tokens = ["one", "two"].map(|name| site.token(name, "operator", &[]));
    let serving = site.start(&[]);
    let programs = tokens.each_ref().map(|token| serving.program(token));
    let backup = format!("/configurations/{}/backup", configuration(&programs[0]));
    let run = send(&programs[0], "POST", &backup, &json!({}))
        .is(202)
        .json();
    let path = format!("{API}/runs/{}/events", text(&run, "id"));
    wait("a hook", || site.machine.path("begun").exists());
    let mut streams = programs.each_ref().map(|program| {
        let mut stream = connect(serving.address);
        use std::io::Write as _;
        let request = program.request("GET", &path, "");
        stream.write_all(request.as_bytes()).expect("sent");
        stream
    });
    for stream in &streams {
        let mut head = [0; 12];
        wait("an answer", || {
            stream
                .peek(&mut head.clone())
                .is_ok_and(|count| count == 12)
        });
        stream.peek(&mut head).expect("bytes");
        assert_eq!(&head, b"HTTP/1.1 200");
    }
    site.serve(&["token", "revoke", "two"]).exits(0);
    let start = Instant::now();
    let told = String::from_utf8_lossy(&rest_of(&mut streams[1])).into_owned();
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    assert!(
        told.contains("text/event-stream") && told.contains("event: run"),
        "{told}"
    );
    assert!(!told.contains("\"state\":\"done\""), "{told}");
    go_on(&site);
    let told = String::from_utf8_lossy(&rest_of(&mut streams[0])).into_owned();
    assert!(
        told.contains("\"state\":\"running\"") && told.contains("\"state\":\"done\""),
        "{told}"
    );
    programs[1].get(&path).is(401);
}

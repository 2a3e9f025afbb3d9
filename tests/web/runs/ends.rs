//! The end of work: cancelled, killed, repeated, on a full disk; and the events that tell it.

use std::{
    fs,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use support::{Mounted, is_root};

use super::{
    archives, configuration, ended, hold, hook, is_alive, leaves_nothing, processes, send, text,
    wait,
};
use crate::{
    client::{connect, rest_of},
    site::{API, Site},
};

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

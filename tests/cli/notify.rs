//! Notifications: what each service gets, on which occasion, and what is said of it.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use chrono::DateTime;
use hookshot::{
    config::{Choices, Settings},
    context::Context,
    jobs::notify::{NotificationOutcome, send},
    model::{
        occasion::Occasion,
        run_record::{DestinationRecord, Job, RunRecord, RunResult, SkipReason},
    },
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::{
    Machine, Run, finish,
    servers::{Inbox, Reply, http::Request},
    signals,
};

/// The end of each URL; no output may show it.
pub const SECRET: &str = "XyZ7hunter2Correct";

/// A machine with these notifications.
pub fn machine(notify: &str) -> Machine {
    let machine = Machine::new();
    let text = machine.config_text(&format!("[backup]\napp = \"shop\"\n{notify}"));
    machine.write("etc/config.toml", text, 0o600);
    machine
}

/// A notification of a kind at a server.
pub fn web(kind: &str, endpoint: &str, more: &str) -> String {
    format!(
        "[[backup.notify]]\nname = \"{kind}\"\nkind = \"{kind}\"\nurl = \"{endpoint}/services/T01/{SECRET}\"\n{more}\n"
    )
}

/// A command in an environment without proxies and authorities of its own.
pub fn hookshot(machine: &Machine, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = machine.command();
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("SSL_") || name.to_ascii_lowercase().ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().copied());
    command
}

/// Runs `notify --test`, which must not show the secret.
pub fn try_out(machine: &Machine, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let arguments = [&["notify", "--test"], arguments].concat();
    let run = finish(hookshot(machine, &arguments, variables), b"");
    shows_no_secret(&run);
    run
}

#[track_caller]
pub fn shows_no_secret(run: &Run) {
    let shown = run.text() + &run.stderr;
    assert!(!shown.contains(SECRET), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

fn json_of(request: &Request) -> Value {
    serde_json::from_slice(&request.body).expect("JSON")
}

fn text_of(request: &Request) -> String {
    String::from_utf8(request.body.clone()).expect("UTF-8")
}

fn host() -> String {
    let host = nix::unistd::gethostname().expect("a name");
    host.to_string_lossy().into_owned()
}

#[test]
fn each_service_gets_a_request_of_its_form_and_no_output_shows_the_url() {
    let inbox = Inbox::start(&[Reply::Status(200)]);
    let at = inbox.endpoint();
    let all = [
        web(
            "webhook",
            &at,
            "headers = { X-Key = \"env:KEY\", Authorization = \"Basic hunter2\" }",
        ),
        web("slack", &at, ""),
        web("discord", &at, ""),
        web(
            "ntfy",
            &at,
            "token = \"hunter2-token\"\ntags = [\"shop\"]\npriority = 2",
        ),
        web("gotify", &at, "token = \"env:KEY\""),
        web("healthchecks", &at, ""),
    ];
    let machine = machine(&all.concat());
    let variables = [("KEY", "hunter2-key")];
    for arguments in [&["--json"][..], &["-vv"], &["-vv", "--log-format", "json"]] {
        try_out(&machine, arguments, &variables).exits(0);
    }
    let run = try_out(&machine, &["--json"], &variables).exits(0);
    let sent = |name| json!({ "name": name, "occasion": "test", "sent": true, "error": null });
    let names = [
        "webhook",
        "slack",
        "discord",
        "ntfy",
        "gotify",
        "healthchecks",
    ];
    assert_eq!(run.json(), json!({ "notifications": names.map(sent) }));
    // All are sent at the same time.
    let seen = inbox.seen();
    let path = format!("/services/T01/{SECRET}");
    let is_last = |request: &&Request| request.head.path() == path;
    let at_path: Vec<&Request> = seen.iter().filter(is_last).collect();
    let with = |has: &dyn Fn(&Request) -> bool| -> Request {
        let found = at_path.iter().rev().find(|request| has(request));
        (**found.expect("a request")).clone()
    };
    for request in &seen {
        assert_eq!(request.head.method(), "POST");
        assert!(
            request
                .head
                .header("user-agent")
                .is_some_and(|agent| agent.starts_with("hookshot/"))
        );
    }
    let webhook = with(&|request| request.head.header("x-key") == Some("hunter2-key"));
    let record = json_of(&webhook);
    assert_eq!(
        webhook.head.header("content-type"),
        Some("application/json")
    );
    assert_eq!(webhook.head.header("authorization"), Some("Basic hunter2"));
    assert_eq!(
        (
            &record["occasion"],
            &record["job"],
            &record["result"],
            &record["app"]
        ),
        (
            &json!("test"),
            &json!("backup"),
            &json!("success"),
            &json!("shop")
        )
    );
    assert_eq!(record["host"], json!(host()));
    let has_key = |key: &'static str| {
        move |request: &Request| {
            let body = serde_json::from_slice::<Value>(&request.body);
            body.is_ok_and(|body| body.get(key).is_some())
        }
    };
    let first_line = format!("Test of the notifications of shop on {}", host());
    let slack = json_of(&with(&has_key("text")));
    assert!(
        slack["text"]
            .as_str()
            .expect("a text")
            .starts_with(&first_line),
        "{slack}"
    );
    let discord = json_of(&with(&has_key("content")));
    assert!(
        discord["content"]
            .as_str()
            .expect("a text")
            .contains("What to do: ")
    );
    assert_eq!(discord["allowed_mentions"], json!({ "parse": [] }));
    let ntfy = with(&|request| request.head.header("title").is_some());
    assert_eq!(ntfy.head.header("title"), Some(&*first_line));
    assert_eq!(ntfy.head.header("priority"), Some("2"));
    assert_eq!(ntfy.head.header("tags"), Some("bell,shop"));
    assert_eq!(
        ntfy.head.header("authorization"),
        Some("Bearer hunter2-token")
    );
    assert!(text_of(&ntfy).starts_with(&first_line));
    let mut messages = seen
        .iter()
        .filter(|one| one.head.path() == format!("{path}/message"));
    let gotify = messages.next_back().expect("a request");
    assert_eq!(gotify.head.header("x-gotify-key"), Some("hunter2-key"));
    let gotify = json_of(gotify);
    assert_eq!(
        (&gotify["title"], &gotify["priority"]),
        (&json!(first_line), &json!(4))
    );
    let mut pings = seen
        .iter()
        .filter(|one| one.head.path() == format!("{path}/log"));
    let ping = pings.next_back().expect("a ping");
    let run_id = ping.head.parameter("rid").expect("a run");
    assert_eq!(run_id.len(), 36, "a UUID: {run_id}");
    assert!(text_of(ping).contains(&run_id));
}

#[test]
fn the_verb_tries_one_or_all_and_says_which_are_disabled() {
    let inbox = Inbox::start(&[Reply::Status(204)]);
    let at = inbox.endpoint();
    let off = "enabled = false";
    let both = machine(&[web("slack", &at, ""), web("discord", &at, off)].concat());
    let run = try_out(&both, &[], &[]).exits(0);
    let text = run.text();
    assert!(text.contains("slack         yes"), "{text}");
    assert!(
        text.contains("discord       NO    it is disabled (`enabled = false`)"),
        "{text}"
    );
    assert_eq!(inbox.seen().len(), 1);
    try_out(&both, &["discord"], &[])
        .exits(1)
        .says("the notification discord was not sent");
    try_out(&both, &["slack"], &[]).exits(0);
    let run = try_out(&both, &["slak"], &[]).exits(10);
    run.says("no notification is called slak")
        .says("there are slack, discord");
    try_out(&machine(&web("slack", &at, off)), &[], &[])
        .exits(2)
        .says("every notification is disabled");
    let none = machine("");
    try_out(&none, &[], &[])
        .exits(2)
        .says("names no notification");
    try_out(&none, &["ops"], &[])
        .exits(2)
        .says("names no notification");
    none.run(&["notify"]).exits(2).says("--test");
    assert_eq!(inbox.seen().len(), 2);
}

#[test]
fn a_command_gets_the_message_in_its_environment() {
    let command = |run: &str, more: &str| {
        machine(&format!(
            "[[backup.notify]]\nname = \"own\"\nkind = \"command\"\nrun = {run}\n{more}\n\
            [[backup.notify]]\nname = \"slack\"\nkind = \"slack\"\nenabled = false\nurl = \"https://h/{SECRET}\"\n"
        ))
    };
    let good = command("\"env >../out/environment; echo said; cat\"", "");
    let run = try_out(&good, &[], &[]).exits(0);
    run.says("The command of the notification own says: said");
    let environment = String::from_utf8(good.read("out/environment")).expect("UTF-8");
    for line in [
        "HOOKSHOT_OPERATION=backup",
        "HOOKSHOT_STAGE=notify",
        "HOOKSHOT_APP=shop",
        "HOOKSHOT_RESULT=success",
        "HOOKSHOT_EXIT_CODE=0",
        "HOOKSHOT_ERROR=",
        "HOOKSHOT_OCCASION=test",
        &format!("HOOKSHOT_CONFIG={}", good.path("etc/config.toml").display()),
        &format!(
            "HOOKSHOT_TITLE=Test of the notifications of shop on {}",
            host()
        ),
    ] {
        assert!(
            environment.lines().any(|known| known == line),
            "{line}: {environment}"
        );
    }
    assert!(
        environment.contains("HOOKSHOT_ARCHIVE=hookshot-state-"),
        "{environment}"
    );
    assert!(environment.contains("What to do: "), "{environment}");
    let words = command("[\"sh\", \"-c\", \"exit 3\"]", "");
    let run = try_out(&words, &["--json"], &[]).exits(1);
    let error = run.json()["notifications"][0]["error"].to_string();
    assert!(
        error.contains("`sh -c exit 3` failed: it ended with exit status: 3"),
        "{error}"
    );
    // What a command prints is masked, and one that hangs is ended with what it started.
    let masked = command(
        &format!("\"echo {SECRET}; sleep 600 & wait\""),
        "timeout = \"1s\"",
    );
    let begun = Instant::now();
    let run = try_out(&masked, &[], &[]).exits(1);
    assert!(begun.elapsed() < Duration::from_secs(60));
    run.says("says: ***").says("takes longer than");
}

/// The facts for a run in this process, and the settings of a machine.
pub fn facts(machine: &Machine) -> (Context, Settings) {
    let now = DateTime::from_timestamp(1_764_381_600, 0).expect("a time");
    let mut context = Context::new(now, machine.path("tmp")).expect("facts");
    context.hostname = Some("web1".to_owned());
    let choices = Choices {
        config: Some(machine.path("etc/config.toml")),
        ..Choices::default()
    };
    (context, Settings::load(&choices).expect("good"))
}

pub fn record(job: Job, result: RunResult, exit_code: Option<u8>) -> RunRecord {
    let now = DateTime::from_timestamp(1_764_381_600, 0).expect("a time");
    RunRecord {
        result,
        exit_code,
        ..RunRecord::begun("the-run".to_owned(), job, now)
    }
}

#[test]
fn each_occasion_goes_to_those_that_asked_for_it() {
    let inbox = Inbox::start(&[Reply::Status(200)]);
    let at = inbox.endpoint();
    let command = |name: &str, on: &str| {
        format!("[[backup.notify]]\nname = \"{name}\"\nkind = \"command\"\nrun = \"true\"\n{on}\n")
    };
    let machine = machine(
        &[
            command("default", ""),
            command("good", "on = [\"success\", \"start\"]"),
            command("off", "enabled = false"),
            web("healthchecks", &at, ""),
        ]
        .concat(),
    );
    let (context, settings) = facts(&machine);
    for (record, names, ping) in [
        (
            record(Job::Backup, RunResult::Running, None),
            &["good"][..],
            "/start",
        ),
        (
            record(Job::Backup, RunResult::Success, Some(0)),
            &["good"],
            "",
        ),
        (record(Job::Backup, RunResult::Skipped, Some(0)), &[], ""),
        (
            RunRecord {
                skipped: Some(SkipReason::Hook),
                ..record(Job::Backup, RunResult::Skipped, Some(0))
            },
            &[],
            "/log",
        ),
        (
            record(Job::Backup, RunResult::Partial, Some(3)),
            &["default"],
            "/3",
        ),
        (
            record(Job::Backup, RunResult::Failure, Some(17)),
            &["default"],
            "/17",
        ),
        (
            record(Job::Drill, RunResult::Failure, Some(13)),
            &["default"],
            "/13",
        ),
        (
            record(Job::Prune, RunResult::Failure, None),
            &["default"],
            "/1",
        ),
    ] {
        let outcomes = send(&context, &settings, Occasion::of(&record), &record);
        let sent = |name: &str| NotificationOutcome {
            occasion: Occasion::of(&record).name(),
            name: name.to_owned(),
            sent: true,
            error: None,
        };
        let mut expected: Vec<NotificationOutcome> = names.iter().map(|name| sent(name)).collect();
        expected.push(sent("healthchecks"));
        assert_eq!(outcomes, expected);
        let last = inbox.seen().pop().expect("a ping");
        let path = format!("/services/T01/{SECRET}{ping}");
        assert_eq!(
            (last.head.path(), last.head.parameter("rid").as_deref()),
            (&*path, Some("the-run"))
        );
    }
    // A good run of another job is not a backup.
    let count = inbox.seen().len();
    for job in [Job::Prune, Job::Verify, Job::Drill] {
        for (result, code) in [(RunResult::Running, None), (RunResult::Success, Some(0))] {
            let record = record(job, result, code);
            let outcomes = send(&context, &settings, Occasion::of(&record), &record);
            let names: Vec<&str> = outcomes.iter().map(|one| one.name.as_str()).collect();
            assert_eq!(names, ["good"]);
        }
    }
    assert_eq!(inbox.seen().len(), count);
    let unwell = record(Job::Status, RunResult::Failure, Some(19));
    for (occasion, ping) in [(Occasion::Stale, "/19"), (Occasion::Recovered, "")] {
        let outcomes = send(&context, &settings, occasion, &unwell);
        assert_eq!(outcomes.len(), 2, "{outcomes:?}");
        let last = inbox.seen().pop().expect("a ping");
        assert!(
            last.head.path().ends_with(&format!("{SECRET}{ping}")),
            "{:?}",
            last.head
        );
    }
}

#[test]
fn a_failure_says_what_happened_where_and_what_to_do() {
    let inbox = Inbox::start(&[Reply::Status(200)]);
    let machine = machine(
        &[
            web("webhook", &inbox.endpoint(), ""),
            web("slack", &inbox.endpoint(), ""),
        ]
        .concat(),
    );
    let (context, settings) = facts(&machine);
    let failed = RunRecord {
        error: Some(format!("cannot reach <nas> & {SECRET}")),
        hint: Some("start sshd there".to_owned()),
        duration_seconds: Some(61.0),
        archive: Some("shop-1.tar.gz".to_owned()),
        size_bytes: Some(2048),
        destinations: vec![DestinationRecord {
            name: "nas".to_owned(),
            ..DestinationRecord::default()
        }],
        ..record(Job::Backup, RunResult::Failure, Some(17))
    };
    let outcomes = send(&context, &settings, Occasion::Failure, &failed);
    assert!(outcomes.iter().all(|one| one.sent), "{outcomes:?}");
    let seen: Vec<Value> = inbox.seen().iter().map(json_of).collect();
    let webhook = seen
        .iter()
        .find(|one| one.get("run_id").is_some())
        .expect("a record");
    // A message of a failure that holds a known secret does not spread it.
    assert_eq!(webhook["error"], json!("cannot reach <nas> & ***"));
    assert_eq!(webhook["destinations"][0]["name"], json!("nas"));
    assert_eq!(webhook["occasion"], json!("failure"));
    let slack = seen
        .iter()
        .find_map(|one| one.get("text")?.as_str())
        .expect("a text");
    assert_eq!(
        slack,
        "Backup of shop on web1 failed, after 1 min 1 s, with exit code 17.\n\
        Reason: cannot reach &lt;nas&gt; &amp; ***\n\
        Archive: shop-1.tar.gz, 2.0 KiB\n\
        Not good: nas\n\
        What to do: start sshd there\n\
        Run the-run, begun at 2025-11-29T02:00:00Z"
    );
}

#[test]
fn a_literal_header_masks_nothing_and_a_secret_one_masks_sentences_alone() {
    let inbox = Inbox::start(&[Reply::Status(200)]);
    let headers =
        "headers = { X-Priority = \"1\", X-App = \"shop\", X-Key = \"web1\", X-Token = \"11\" }";
    let machine = machine(&web("webhook", &inbox.endpoint(), headers));
    let (context, settings) = facts(&machine);
    let failed = RunRecord {
        run_id: "1111-run".to_owned(),
        archive: Some("shop-web1.tar.gz".to_owned()),
        error: Some("shop on web1 failed 1 time".to_owned()),
        host: Some("web1".to_owned()),
        ..record(Job::Backup, RunResult::Failure, Some(17))
    };
    let outcomes = send(&context, &settings, Occasion::Failure, &failed);
    assert!(outcomes[0].sent, "{outcomes:?}");
    let sent = inbox.seen().remove(0);
    assert_eq!(sent.head.header("x-priority"), Some("1"));
    let json = json_of(&sent);
    for (key, value) in [
        ("run_id", "1111-run"),
        ("archive", "shop-web1.tar.gz"),
        ("host", "web1"),
        ("result", "failure"),
        ("error", "shop on *** failed 1 time"),
    ] {
        assert_eq!(json[key], json!(value));
    }
}

#[test]
fn a_secret_is_masked_before_a_reason_is_cut() {
    let inbox = Inbox::start(&[Reply::Status(200)]);
    let machine = machine(&web("slack", &inbox.endpoint(), ""));
    let (context, settings) = facts(&machine);
    let failed = RunRecord {
        // The longest reason ends in the middle of it.
        error: Some(format!("{}{SECRET}", "x".repeat(590))),
        ..record(Job::Backup, RunResult::Failure, Some(17))
    };
    send(&context, &settings, Occasion::Failure, &failed);
    let slack = json_of(&inbox.seen()[0]).to_string();
    assert!(
        slack.contains("xxx***") && !slack.contains("XyZ7"),
        "{slack}"
    );
}

#[test]
fn the_key_in_the_url_of_a_command_is_masked() {
    let machine = machine(&format!(
        "[[backup.notify]]\nname = \"own\"\nkind = \"command\"\n\
        run = \"false && curl https://hooks.example.org/services/T01/{SECRET}\"\n"
    ));
    let run = try_out(&machine, &["--json", "-vv"], &[]).exits(1);
    let error = run.json()["notifications"][0]["error"].to_string();
    let says = "`false && curl https://hooks.example.org/services/T01/***` failed";
    assert!(error.contains(says), "{error}");
}

#[test]
fn secrets_are_masked_before_the_first_message_of_a_run() {
    // One reads the secret of the other when the run begins.
    let machine = backed_up(
        "[[backup.notify]]\nname = \"own\"\nkind = \"command\"\non = [\"start\"]\nrun = \"cat ../etc/url\"\n\
        [[backup.notify]]\nname = \"slack\"\nkind = \"slack\"\non = [\"drill_failed\"]\nurl = \"file:url\"\n",
    );
    machine.write("etc/url", format!("https://h/services/{SECRET}\n"), 0o600);
    for (job, arguments) in [
        ("backup", &["backup"][..]),
        ("verify", &["verify", "@here"]),
    ] {
        let variables = [("HOOKSHOT_JOB", job)];
        let run = finish(hookshot(&machine, arguments, &variables), b"").exits(0);
        shows_no_secret(&run);
        run.says("The command of the notification own says: ***");
    }
}

#[test]
fn a_long_message_is_cut_to_the_length_of_its_service_and_says_what_to_do() {
    let inbox = Inbox::start(&[Reply::Status(204)]);
    let at = inbox.endpoint();
    let machine = machine(&[web("discord", &at, ""), web("ntfy", &at, "")].concat());
    let (context, settings) = facts(&machine);
    let one = DestinationRecord {
        name: "nas".repeat(100),
        error: Some("ä".repeat(5000)),
        ..DestinationRecord::default()
    };
    let failed = RunRecord {
        destinations: vec![one; 50],
        ..record(Job::Backup, RunResult::Failure, Some(17))
    };
    send(&context, &settings, Occasion::Failure, &failed);
    let (ntfy, discord): (Vec<Request>, Vec<Request>) = inbox
        .seen()
        .into_iter()
        .partition(|one| one.head.header("title").is_some());
    let content = json_of(&discord[0])["content"]
        .as_str()
        .expect("a text")
        .to_owned();
    assert!(content.chars().count() <= 2000, "{content}");
    let text = text_of(&ntfy[0]);
    assert!((3990..=4000).contains(&text.len()), "{}", text.len());
    for text in [text, content] {
        let mut lines = text.lines().rev();
        let last = lines.next().expect("a line");
        assert_eq!(last, "Run the-run, begun at 2025-11-29T02:00:00Z");
        let advice = lines.next().expect("a line");
        assert!(advice.starts_with("What to do: fix the cause"), "{advice}");
        assert!(lines.next().expect("a line").ends_with('…'), "{text}");
    }
}

#[test]
fn a_signal_leaves_a_notification_a_short_time() {
    let inbox = Inbox::start(&[Reply::Hang]);
    let machine = machine(&web("slack", &inbox.endpoint(), "timeout = \"1h\""));
    let mut child = hookshot(&machine, &["notify", "--test"], &[])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary");
    let begun = Instant::now();
    while inbox.seen().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no request came");
        std::thread::yield_now();
    }
    signals::send(Signal::SIGTERM, &child);
    assert_eq!(child.wait().expect("an end").code(), Some(143));
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_cancelled_run_still_notifies() {
    let inbox = Inbox::start(&[Reply::Status(200)]);
    let own = "[[backup.notify]]\nname = \"own\"\nkind = \"command\"\nrun = \"true\"\n";
    let secret = format!("{}/services/{SECRET}", inbox.endpoint());
    let machine = machine(&format!(
        "{own}[[backup.notify]]\nname = \"slack\"\nkind = \"slack\"\nurl = \"command:echo {secret}\"\n"
    ));
    let (context, settings) = facts(&machine);
    context.stop.cancel();
    let cancelled = record(Job::Backup, RunResult::Failure, Some(143));
    let outcomes = send(&context, &settings, Occasion::Failure, &cancelled);
    assert!(
        outcomes.iter().all(|one| one.sent) && outcomes.len() == 2,
        "{outcomes:?}"
    );
    assert_eq!(inbox.seen().len(), 1);
}

/// A machine whose backups go to the folder `out/archives`.
fn backed_up(notify: &str) -> Machine {
    let machine = Machine::new();
    let text = format!(
        "[backup]\napp = \"shop\"\nto = [\"here\"]\n{notify}[backup.destinations.here]\nurl = \"{}\"\n",
        machine.path("out/archives").display()
    );
    machine.write("etc/config.toml", machine.config_text(&text), 0o600);
    machine
}

#[test]
fn a_backup_tells_how_it_ended_once_its_history_is_written() {
    let (good, bad) = (
        Inbox::start(&[Reply::Status(200)]),
        Inbox::start(&[Reply::Status(400)]),
    );
    let machine = backed_up(
        &[
            web("webhook", &good.endpoint(), "on = [\"start\", \"success\", \"failure\"]"),
            web("slack", &bad.endpoint(), "on = [\"success\", \"failure\"]"),
            "[[backup.notify]]\nname = \"own\"\nkind = \"command\"\non = [\"success\"]\n\
            run = \"cp ../etc/.hookshot/history.jsonl ../out/seen; echo $HOOKSHOT_ARCHIVE >../out/name\"\n"
                .to_owned(),
        ]
        .concat(),
    );
    let run = finish(hookshot(&machine, &["backup", "--json", "-vv"], &[]), b"").exits(0);
    shows_no_secret(&run);
    let report = run.json();
    assert_eq!(report["result"], json!("success"));
    let records: Vec<Value> = good.seen().iter().map(json_of).collect();
    let occasions: Vec<&Value> = records.iter().map(|record| &record["occasion"]).collect();
    assert_eq!(occasions, ["start", "success"]);
    for key in ["run_id", "archive", "size_bytes", "result"] {
        assert_eq!(records[1][key], report[key], "{key}");
    }
    assert_eq!(records[1]["destinations"][0]["good"], json!(true));
    // The history has the end of the run before anything is sent.
    let history = String::from_utf8(machine.read("out/seen")).expect("UTF-8");
    let last: Value = serde_json::from_str(history.lines().last().expect("a line")).expect("JSON");
    assert_eq!(
        (&last["run_id"], &last["result"]),
        (&report["run_id"], &json!("success"))
    );
    let name = String::from_utf8(machine.read("out/name")).expect("UTF-8");
    assert_eq!(json!(name.trim()), report["archive"]);
    let outcomes = report["notifications"].as_array().expect("outcomes");
    let of = |name: &str| {
        outcomes
            .iter()
            .rfind(|one| one["name"] == name)
            .expect("one")
    };
    assert_eq!(
        (&of("webhook")["sent"], &of("own")["sent"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(of("slack")["sent"], json!(false));
    run.says("The notification slack was not sent");
}

#[test]
fn a_backup_that_fails_tells_why_and_keeps_its_exit_code() {
    let (good, bad) = (
        Inbox::start(&[Reply::Status(200)]),
        Inbox::start(&[Reply::Reset]),
    );
    let machine = backed_up(
        &[
            web("webhook", &good.endpoint(), ""),
            web("healthchecks", &good.endpoint(), "on = [\"failure\"]"),
            web("slack", &bad.endpoint(), ""),
        ]
        .concat(),
    );
    let failing = |machine: &Machine| {
        // A file stands in the place of the folder.
        machine.write("out/archives", "", 0o600);
        finish(hookshot(machine, &["backup", "-vv"], &[]), b"")
    };
    let code = failing(&backed_up("")).code;
    assert_ne!(code, 0);
    let run = failing(&machine).exits(code);
    shows_no_secret(&run);
    let seen = good.seen();
    let record = seen.iter().find(|one| one.head.parameter("rid").is_none());
    let record = json_of(record.expect("a record"));
    assert_eq!(
        (&record["result"], &record["exit_code"]),
        (&json!("failure"), &json!(code))
    );
    let message = record["message"].as_str().expect("words");
    assert!(
        message.starts_with(&format!("Backup of shop on {} failed, after ", host())),
        "{message}"
    );
    for says in [
        &*format!("with exit code {code}.\n"),
        "\nReason: ",
        "\nNot good: here: ",
        "\nWhat to do: ",
    ] {
        assert!(message.contains(says), "{says:?}: {message}");
    }
    let ping = seen
        .iter()
        .find(|one| one.head.parameter("rid").is_some())
        .expect("a ping");
    assert!(
        ping.head.path().ends_with(&format!("/{code}")),
        "{:?}",
        ping.head
    );
    assert_eq!(json!(ping.head.parameter("rid")), record["run_id"]);
    run.says("The notification slack was not sent");
}

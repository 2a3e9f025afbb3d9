//! The news of drills: history, status, metrics, hooks, notifications, and drills that the agent starts.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{
    servers::inbox::{Inbox, Reply},
    signals,
};

use super::{Shop, archives, flip};

#[test]
fn a_drill_is_told_to_history_status_metrics_hooks_and_people() {
    let inbox = Inbox::start(&[Reply::Status(200)]);
    let shop = Shop::new("");
    let machine = &shop.service.machine;
    let (said, metrics) = (machine.path("out/said"), machine.path("out/shop.prom"));
    let further = format!(
        "[[backup.notify]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"{}/hook\"\n\
        [[backup.hooks]]\nstage = \"after\"\noperations = [\"drill\"]\n\
        run = '''echo $HOOKSHOT_OPERATION $HOOKSHOT_STAGE $HOOKSHOT_RESULT $HOOKSHOT_EXIT_CODE >> {}'''\n\
        [backup.drill]\nmax_age = \"90d\"\n",
        inbox.endpoint(),
        said.display()
    );
    let text = shop.text("sqlite", &further).replace(
        "prefix = \"shop\"\n",
        &format!(
            "prefix = \"shop\"\nprometheus_file = \"{}\"\n",
            metrics.display()
        ),
    );
    fs::write(&shop.service.config, text).expect("written");
    let problems = |code: i32| {
        let report = shop.service.run(&["status", "--json"], code).json();
        let rows = report["destinations"].as_array().expect("rows").iter();
        let details = rows
            .chain([&report])
            .flat_map(|one| one["details"].as_array().expect("details"));
        let problems = details.filter(|one| one["unhealthy"] == true);
        let kinds: Vec<Value> = problems.map(|one| one["kind"].clone()).collect();
        (Value::from(kinds).to_string(), report)
    };
    let (found, _) = problems(19);
    assert_eq!(found, "[\"drill_overdue\",\"drill_overdue\"]");
    shop.json(&["@two"], 0);
    let (found, report) = problems(19);
    assert_eq!(found, "[\"drill_overdue\"]", "{report}");
    // Good: every destination has its time.
    shop.json(&[], 0);
    let (found, report) = problems(0);
    assert_eq!(found, "[]", "{report}");
    assert_eq!(report["last_drill"]["result"], "success");
    for destination in report["destinations"].as_array().expect("destinations") {
        assert!(destination["last_drill"].is_string(), "{destination}");
    }
    assert_eq!(inbox.seen().len(), 0, "a success is not told");
    let written = fs::read_to_string(&metrics).expect("metrics");
    for name in ["one", "two"] {
        let metric = format!(
            "hookshot_last_drill_success_timestamp_seconds{{app=\"shop\",destination=\"{name}\"}}"
        );
        assert!(written.contains(&metric), "{metric}: {written}");
    }
    let record = shop.history().pop().expect("a record");
    assert_eq!(
        (&record["job"], &record["result"]),
        (&"drill".into(), &"success".into())
    );
    assert!(record["drills"][0]["rto_seconds"].is_f64(), "{record}");
    assert!(record["drills"][1]["seconds"]["fetch"].is_f64(), "{record}");
    assert_eq!(record["destinations"][0]["good"], true);
    // One damaged archive: the other destination keeps its good news.
    flip(&archives(&shop.one)[0]);
    shop.json(&[], 13);
    let record = shop.history().pop().expect("a record");
    assert_eq!(
        (&record["result"], &record["exit_code"]),
        (&"failure".into(), &13.into())
    );
    let good: Vec<&Value> = record["destinations"]
        .as_array()
        .expect("destinations")
        .iter()
        .map(|one| &one["good"])
        .collect();
    assert_eq!(good, [false, true]);
    let (found, report) = problems(19);
    assert!(found.contains("drill_failed"), "{found}");
    assert_eq!(report["last_drill"]["exit_code"], 13);
    let seen = inbox.seen();
    assert_eq!(seen.len(), 1);
    let message: Value = serde_json::from_slice(&seen[0].body).expect("JSON");
    assert_eq!(message["job"], "drill", "{message}");
    assert_eq!(message["drills"][0]["good"], false, "{message}");
    let said = fs::read_to_string(&said).expect("there");
    assert_eq!(
        said,
        "drill after success 0\n".repeat(2) + "drill after failure 13\n"
    );
    let shown = shop.service.run(&["history", "--job", "drill"], 0);
    assert!(shown.text().contains("drill"), "{}", shown.text());
}

#[test]
fn a_hook_skips_a_drill_or_fails_it() {
    let hook = |run: &str| {
        format!("[[backup.hooks]]\nstage = \"before\"\nrun = \"{run}\"\noperations = [\"drill\"]\n")
    };
    let shop = Shop::new("");
    shop.configure(&hook("exit 75"));
    let report = shop.json(&[], 0);
    assert_eq!(
        (&report["result"], &report["skipped"]),
        (&"skipped".into(), &"hook".into())
    );
    assert_eq!(report["drills"], Value::from(Vec::<Value>::new()));
    shop.configure(&hook("exit 3"));
    let report = shop.json(&[], 1);
    assert_eq!(report["result"], "failure");
    assert_eq!(report["hooks"][0]["exit_code"], 3);
    // A hook after the work leaves the restores good.
    shop.configure(&hook("exit 3").replace("before", "after"));
    let report = shop.json(&["@one"], 3);
    assert_eq!(
        (&report["result"], &report["drills"][0]["good"]),
        (&"partial".into(), &true.into())
    );
}

#[test]
fn the_agent_starts_a_drill_by_the_schedule() {
    let shop = Shop::new("");
    shop.configure("[backup.schedule]\nbackup = []\ndrill = \"* * * * * *\"\n");
    shop.service.run(&["validate"], 0);
    let jobs = shop.service.run(&["schedule", "--json"], 0).json();
    assert_eq!(jobs["jobs"][0]["job"], "drill");
    let mut agent = Command::new(support::program())
        .arg("--config")
        .arg(&shop.service.config)
        .arg("agent")
        .env("TMPDIR", shop.service.machine.path("tmp"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(agent.stderr.take().expect("a pipe"));
    let mut said = String::new();
    loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).expect("text") > 0, "{said}");
        said.push_str(&line);
        if line.contains("Ended well") && line.contains("job=drill") {
            break;
        }
    }
    signals::send(Signal::SIGTERM, &agent);
    std::io::Read::read_to_string(&mut lines, &mut said).expect("text");
    assert_eq!(agent.wait().expect("ended").code(), Some(0), "{said}");
    let history = shop.history();
    let ended = history
        .iter()
        .find(|record| record["job"] == "drill" && record["result"] != "running");
    let ended = ended.expect("a record");
    assert_eq!(ended["result"], "success", "{ended}");
    assert_eq!(ended["destinations"].as_array().map(Vec::len), Some(2));
    shop.left_nothing();
}

#[test]
fn a_drill_whose_metrics_are_not_written_is_partial_everywhere() {
    let shop = Shop::new("");
    let of_file = "prefix = \"shop\"\nprometheus_file = \"none/hookshot.prom\"\n";
    let text = shop.text("sqlite", "");
    let text = text.replace("prefix = \"shop\"\n", of_file);
    fs::write(&shop.service.config, text).expect("written");
    let report = shop.service.run(&["drill", "--json"], 3).json();
    assert_eq!(report["result"], "partial", "{report}");
    let shown = shop
        .service
        .run(&["history", "--job", "drill", "--json"], 0);
    let runs = shown.json();
    assert_eq!(runs["runs"].as_array().expect("runs").len(), 1, "{runs}");
    assert_eq!(runs["runs"][0]["result"], "partial", "{runs}");
    assert_eq!(runs["runs"][0]["exit_code"], 3, "{runs}");
}

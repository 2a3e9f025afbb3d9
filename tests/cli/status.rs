//! `status` against a table of histories, in folders with real archives, and what `prune` does when it is not healthy.

use support::{
    Run, archives_in,
    service::{Service, write},
};

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    time::SystemTime,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

/// A service with one file, and destinations in folders of its own.
struct Watched {
    service: Service,
    now: DateTime<Utc>,
}

impl Watched {
    fn new() -> Watched {
        Watched::with("")
    }

    /// With further lines of the configuration.
    fn with(further: &str) -> Watched {
        let service = Service::with_config("shop", "");
        let text = format!(
            "[backup]\napp = \"shop\"\nprefix = \"shop\"\nto = [\"local\"]\n{further}\n\
            [backup.destinations.local]\nurl = \"{}\"\n\
            [backup.retention]\nkeep_last = 1\nmax_remove = \"100%\"\n\
            [[backup.sources]]\nname = \"notes\"\nkind = \"file\"\npath = \"{}\"\n",
            service.machine.path("local").display(),
            service.folder.join("notes").display()
        );
        fs::write(&service.config, text).expect("written");
        Watched {
            service,
            now: DateTime::from(SystemTime::now()),
        }
    }

    fn folder(&self) -> PathBuf {
        self.service.machine.path("local")
    }

    fn name(&self, hours: i64) -> String {
        let time = self.now - TimeDelta::hours(hours);
        format!("shop-{}.tar.gz", time.format("%Y%m%d-%H%M%S"))
    }

    /// Stores an archive that is so many hours old, with this many bytes of content.
    fn archive(&self, hours: i64, bytes: usize) -> &Watched {
        write(&self.service.folder.join("notes"), &"x".repeat(bytes));
        fs::create_dir_all(self.folder()).expect("a folder");
        let path = self.folder().join(self.name(hours));
        let path = path.to_str().expect("UTF-8");
        self.service.run(&["export", "--no-since", path], 0);
        self
    }

    fn truncate(&self, hours: i64) {
        let path = self.folder().join(self.name(hours));
        let bytes = fs::read(&path).expect("it");
        fs::write(&path, &bytes[..bytes.len() / 2]).expect("written");
    }

    fn archives(&self) -> usize {
        archives_in(&self.folder()).len()
    }

    /// Adds a line to the history: a run that began so many hours ago.
    fn run(&self, job: &str, hours: i64, result: &str, more: Value) -> &Watched {
        let mut record = serde_json::json!({
            "run_id": format!("{job}-{hours}"),
            "job": job,
            "started_at": self.now - TimeDelta::hours(hours),
            "result": result,
        });
        let map = record.as_object_mut().expect("an object");
        map.extend(more.as_object().cloned().unwrap_or_default());
        let folder = self.service.config.with_file_name(".hookshot");
        fs::create_dir_all(&folder).expect("a folder");
        let file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(folder.join("history.jsonl"));
        writeln!(file.expect("a file"), "{record}").expect("written");
        self
    }

    #[track_caller]
    fn status(&self, arguments: &[&str], code: i32) -> Value {
        let run = self
            .service
            .run(&[&["--json", "status"], arguments].concat(), code);
        let report = run.json();
        assert_eq!(report["healthy"], code == 0, "{report:#}");
        report
    }

    /// Checks the exit code and the kinds of problems, those of the destination and then those of the runs.
    #[track_caller]
    fn is(&self, kinds: &[&str]) -> Value {
        let report = self.status(&[], if kinds.is_empty() { 0 } else { 19 });
        assert_eq!(found(&report), kinds, "{report:#}");
        report
    }
}

/// Returns the kinds of all problems in a report.
fn found(report: &Value) -> Vec<String> {
    let rows = report["destinations"].as_array().expect("rows").iter();
    let details = rows.chain([report]).flat_map(|one| {
        let details = one["details"].as_array().expect("details");
        let problems = details.iter().filter(|one| one["unhealthy"] == true);
        problems.map(|one| one["kind"].as_str().expect("a kind").to_owned())
    });
    details.collect()
}

fn said(run: &Run) -> String {
    format!("{}{}", run.text(), run.stderr)
}

#[test]
fn a_fresh_archive_is_healthy_and_an_old_one_is_not() {
    let shop = Watched::new();
    // Never run: the folder is not even there.
    let report = shop.is(&["empty"]);
    assert_eq!(report["last_run"], Value::Null);
    assert_eq!(report["destinations"][0]["newest"], Value::Null);

    shop.archive(40, 100);
    let report = shop.is(&["stale"]);
    let problem = report["destinations"][0]["problems"][0]
        .as_str()
        .expect("words");
    assert!(problem.contains("too old: 1d 16h"), "{problem}");
    shop.status(&["--max-age", "2d"], 0);
    shop.status(&["--max-age", "39h"], 19);

    shop.archive(9, 100);
    let report = shop.is(&[]);
    let row = &report["destinations"][0];
    assert_eq!(row["name"], "local");
    assert_eq!(row["archives"], 2);
    assert_eq!(row["newest"]["name"], shop.name(9).as_str());
    let age = row["newest"]["age_seconds"].as_i64().expect("an age");
    assert!((9 * 3600..10 * 3600).contains(&age), "{age}");
    assert!(row["newest"]["size_bytes"].as_u64() > Some(0) && row["size_bytes"].as_u64() > Some(0));
    assert!(row["room_bytes"].as_u64().is_some(), "{row:#}");
    for key in ["problems", "trend"] {
        assert!(row[key].is_array(), "{key}");
    }
    for key in ["last_run", "last_drill", "next_run"] {
        assert!(report.get(key).is_some(), "{key}");
    }

    let run = shop.service.run(&["status"], 0);
    let first = run.text().lines().next().unwrap_or_default().to_owned();
    assert_eq!(
        first,
        "shop is healthy: 1 destination, its newest archive is 9h old"
    );
    let run = shop.service.run(&["status", "--max-age", "1h"], 19);
    let said = run.text();
    assert!(
        said.starts_with("shop is not healthy: 1 of 1 destination has a problem\n"),
        "{said}"
    );
    assert!(
        said.contains("problem: @local: the newest good archive"),
        "{said}"
    );
    assert!(said.contains("hookshot backup"), "{said}");
}

#[test]
fn limits_of_the_configuration_hold_and_a_drill_is_due_by_them() {
    let shop = Watched::with("max_age = \"2d\"\ndrill = { max_age = \"30d\" }");
    shop.archive(40, 100).is(&["drill_overdue"]);
    let of = |name: &str| serde_json::json!({"destinations": [{"name": name, "good": true}]});
    shop.run("drill", 24 * 31, "success", of("local"))
        .is(&["drill_overdue"]);
    // The drill of another destination says nothing of this one.
    shop.run("drill", 25, "success", of("other"))
        .is(&["drill_overdue"]);
    let record = serde_json::json!({"destinations": [{"name": "local", "good": true}]});
    let report = shop.run("drill", 24, "success", record).is(&[]);
    assert_eq!(report["last_drill"]["run_id"], "drill-24");
    assert!(report["destinations"][0]["last_drill"].is_string());
    shop.run("drill", 1, "failure", Value::Null)
        .is(&["drill_failed"]);
}

#[test]
fn a_schedule_tells_the_next_run_and_how_old_an_archive_may_be() {
    let shop = Watched::with("schedule = { backup = \"hourly\", timezone = \"UTC\" }");
    let report = shop.archive(9, 100).is(&[]);
    assert_eq!(report["next_run"]["job"], "backup");
    let next = report["next_run"]["time"].as_str().expect("a time");
    let next: DateTime<Utc> = next.parse().expect("a time");
    assert!(
        next > shop.now && next <= shop.now + TimeDelta::hours(2),
        "{next}"
    );
    let metrics = shop.service.run(&["status", "--prometheus"], 0).text();
    let line = format!(
        "hookshot_next_run_timestamp_seconds{{app=\"shop\",job=\"backup\"}} {}\n",
        next.timestamp()
    );
    assert!(metrics.contains(&line), "{metrics}");

    // A tier gets an archive once a week, and so one of eight days is not stale yet.
    let shop = Watched::new();
    shop.archive(8 * 24, 100).is(&["stale"]);
    let config = fs::read_to_string(&shop.service.config).expect("it");
    let with = |line: &str| {
        let section = format!("[backup.destinations.local]\n{line}\n");
        let text = config.replace("[backup.destinations.local]\n", &section);
        fs::write(&shop.service.config, text).expect("written");
    };
    with("every = \"sun 03:00\"");
    let report = shop.is(&[]);
    let most = report["destinations"][0]["max_age_seconds"].as_u64();
    // The clock may change in that time.
    let hours = 7 * 24 + 26;
    assert!(
        most >= Some(hours * 3600) && most <= Some((hours + 2) * 3600),
        "{most:?}"
    );
    with("every = \"sun 03:00\"\nmax_age = \"7d\"");
    shop.is(&["stale"]);
    with("max_age = \"9d\"");
    shop.is(&[]);
}

#[test]
fn a_size_that_fell_stops_prune_until_the_user_accepts_it() {
    let shop = Watched::new();
    shop.archive(81, 90_000).archive(57, 100_000).is(&["stale"]);
    shop.archive(33, 100_000).archive(9, 10_000).is(&["shrunk"]);
    for arguments in [&["prune", "--dry-run"][..], &["prune"]] {
        let run = shop.service.run(arguments, 3);
        let said = said(&run);
        assert!(said.contains("holds less than half"), "{said}");
        assert!(said.contains("--yes"), "{said}");
        assert_eq!(shop.archives(), 4);
    }
    let plan = shop.service.run(&["--json", "prune"], 3).json();
    assert_eq!(plan["blocked"][0]["prefix"], "shop");
    assert_eq!(plan["remove"].as_array().map(Vec::len), Some(0));
    assert_eq!(plan["keep"].as_array().map(Vec::len), Some(4));
    // And shrunk again the next night.
    shop.archive(1, 9_000).is(&["shrunk"]);
    // A dry run accepts nothing.
    shop.service.run(&["prune", "--yes", "--dry-run"], 0);
    shop.is(&["shrunk"]);
    shop.service.run(&["prune", "--yes", "--keep-last", "3"], 0);
    assert_eq!(shop.archives(), 3);
    shop.is(&[]);
    // The policy goes on by itself now, until a size falls again.
    shop.service.run(&["prune", "--keep-last", "2"], 0);
    assert_eq!(shop.archives(), 2);
    shop.archive(0, 1_000).is(&["shrunk"]);
    shop.service.run(&["prune", "--keep-last", "2"], 3);
    assert_eq!(shop.archives(), 3);
    let notes = shop.folder().join(".hookshot-accepted-shop");
    let mode = fs::metadata(notes).expect("a note").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_damaged_newest_archive_stops_prune() {
    let shop = Watched::new();
    shop.archive(57, 100).archive(33, 100).archive(9, 100);
    shop.truncate(9);
    let report = shop.is(&["damaged", "stale"]);
    assert_eq!(
        report["destinations"][0]["newest"]["name"],
        shop.name(33).as_str()
    );
    let run = shop.service.run(&["prune"], 3);
    assert!(said(&run).contains("is damaged"), "{}", said(&run));
    assert_eq!(shop.archives(), 3);
    // Nothing to remove is nothing to stop.
    shop.service.run(&["prune", "--keep-last", "9"], 0);
    shop.service.run(&["prune", "--yes"], 0);
    assert_eq!(
        shop.archives(),
        2,
        "the damaged one stays, and the newest good one"
    );
    shop.is(&["damaged", "stale"]);
}

#[test]
fn one_broken_destination_does_not_hide_the_others() {
    let shop = Watched::new();
    shop.archive(9, 100);
    let broken = shop.service.machine.path("broken");
    write(&broken, "a file, not a folder");
    let section = format!(
        "[backup.destinations.broken]\nurl = \"{}\"\n",
        broken.display()
    );
    let text = fs::read_to_string(&shop.service.config).expect("it") + &section;
    fs::write(&shop.service.config, text).expect("written");
    let report = shop.is(&["unreachable"]);
    let rows = report["destinations"].as_array().expect("rows");
    assert_eq!(
        (&rows[0]["name"], &rows[0]["healthy"]),
        (&"local".into(), &true.into())
    );
    assert_eq!(
        (&rows[1]["name"], &rows[1]["archives"]),
        (&"broken".into(), &Value::Null)
    );
    shop.status(&["@local"], 0);
    shop.status(&["@broken"], 19);
    shop.service.run(&["status", "@nowhere"], 10);
}

#[test]
fn archives_of_tomorrow_are_said_and_do_not_count() {
    let shop = Watched::new();
    let report = shop.archive(9, 100).archive(-30, 100).is(&["future"]);
    assert_eq!(
        report["destinations"][0]["newest"]["name"],
        shop.name(9).as_str()
    );
    fs::remove_file(shop.folder().join(shop.name(9))).expect("removed");
    shop.is(&["future"]);
    let shop = Watched::new();
    shop.archive(9, 100)
        .run("backup", -30, "success", Value::Null);
    shop.is(&["clock_back"]);
}

#[test]
fn what_is_unchanged_for_weeks_is_fresh_while_its_archive_is_there() {
    let shop = Watched::new();
    shop.archive(700, 100).archive(500, 100);
    let note = |hours: i64, name: &str| {
        let note = serde_json::json!({
            "time": shop.now - TimeDelta::hours(hours), "run_id": "r", "name": name, "sha256": null,
        });
        write(
            &shop.folder().join(".hookshot-unchanged-shop"),
            &note.to_string(),
        );
    };
    note(9, &shop.name(500));
    let report = shop.is(&[]);
    let row = &report["destinations"][0];
    assert_eq!(row["unchanged_since"], row["newest"]["time"]);
    assert!(row["checked_at"].is_string());
    assert_eq!(row["archives"], 2, "a note is not an archive");
    note(30, &shop.name(500));
    shop.is(&["stale"]);
    note(9, "shop-20200101-000000.tar.gz");
    shop.is(&["stale"]);
    for torn in ["", "{\"time\":", "[]", &"x".repeat(5000)] {
        write(&shop.folder().join(".hookshot-unchanged-shop"), torn);
        shop.is(&["stale"]);
    }
}

#[test]
fn the_last_run_counts_and_one_at_work_is_said() {
    let shop = Watched::new();
    shop.archive(9, 100);
    let failed = serde_json::json!({"error": "the disk is full", "exit_code": 18});
    let report = shop.run("backup", 9, "failure", failed).is(&["run_failed"]);
    let problem = report["problems"][0].as_str().expect("words");
    assert!(problem.contains("the disk is full"), "{problem}");
    assert_eq!(report["last_run"]["exit_code"], 18);

    shop.run("backup", 1, "running", Value::Null)
        .is(&["run_killed"]);
    let lock = fs::File::open(&shop.service.config).expect("the configuration");
    lock.lock().expect("locked");
    let report = shop.is(&["run_failed"]);
    assert_eq!(report["running"]["run_id"], "backup-1");
    let runs = shop.service.run(&["--json", "history"], 0).json();
    assert_eq!(runs["runs"][0]["killed"], false);
    drop(lock);
    shop.is(&["run_killed"]);
    let said = shop.service.run(&["history"], 0).text();
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[1].contains("killed") && lines[2].contains("failure"),
        "{said}"
    );

    let delivered = serde_json::json!({"duration_seconds": 42.0, "archive": shop.name(9), "destinations": [
        {"name": "local", "good": true, "proof": "read-back"}]});
    let report = shop.run("backup", 0, "success", delivered).is(&[]);
    assert_eq!(
        report["destinations"][0]["last_proof"]["proof"],
        "read-back"
    );
}

#[test]
fn history_selects_runs_by_number_job_and_age() {
    let shop = Watched::new();
    let said = shop.service.run(&["history"], 0).text();
    assert!(said.starts_with("no runs found"), "{said}");
    let details =
        serde_json::json!({"duration_seconds": 3.21, "size_bytes": 2048, "skipped": "unchanged"});
    shop.run("backup", 60, "success", Value::Null);
    shop.run("drill", 50, "success", Value::Null);
    shop.run("backup", 9, "skipped", details);
    let ids = |arguments: &[&str]| -> Vec<String> {
        let report = shop
            .service
            .run(&[&["--json", "history"], arguments].concat(), 0)
            .json();
        let runs = report["runs"].as_array().expect("runs");
        runs.iter()
            .map(|run| run["run_id"].as_str().expect("an id").to_owned())
            .collect()
    };
    assert_eq!(ids(&[]), ["backup-9", "drill-50", "backup-60"]);
    assert_eq!(ids(&["--last", "2"]), ["backup-9", "drill-50"]);
    assert_eq!(ids(&["--job", "backup"]), ["backup-9", "backup-60"]);
    assert_eq!(ids(&["--since", "55h"]), ["backup-9", "drill-50"]);
    assert_eq!(ids(&["--job", "drill", "--since", "2d"]), [""; 0]);
    shop.service.run(&["history", "--job", "export"], 2);
    let said = shop.service.run(&["history"], 0).text();
    assert!(said.contains("skipped (unchanged)"), "{said}");
    assert!(said.contains("3.2 s") && said.contains("2.0 KiB"), "{said}");
}

#[test]
fn metrics_are_those_that_prometheus_reads() {
    let shop = Watched::new();
    let delivered = serde_json::json!({"duration_seconds": 42.0, "destinations": [{"name": "local", "good": true}]});
    shop.archive(9, 100)
        .run("backup", 9, "success", delivered.clone());
    shop.run("drill", 5, "success", delivered);
    let run = shop.service.run(&["status", "--prometheus"], 0);
    let metrics = run.text();
    for line in [
        "hookshot_healthy{app=\"shop\",destination=\"local\"} 1\n",
        "hookshot_archives{app=\"shop\",destination=\"local\"} 1\n",
        "hookshot_last_run_result{app=\"shop\",result=\"success\"} 1\n",
        "hookshot_last_run_result{app=\"shop\",result=\"failure\"} 0\n",
        "hookshot_operation_duration_seconds{app=\"shop\",operation=\"backup\"} 42\n",
        "hookshot_operations_total{app=\"shop\",operation=\"drill\",result=\"success\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    for name in [
        "last_success_timestamp_seconds",
        "last_run_timestamp_seconds",
        "last_drill_success_timestamp_seconds",
        "newest_archive_size_bytes",
        "stored_bytes",
        "build_info",
    ] {
        let line = format!("# TYPE hookshot_{name} gauge\nhookshot_{name}{{app=\"shop\"");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    check(&metrics);

    let file = shop.service.machine.path("out/hookshot.prom");
    let path = file.to_str().expect("UTF-8");
    let run = shop.service.run(&["status", "--prometheus", path], 0);
    assert_eq!(said(&run), "", "it is for cron");
    assert_eq!(fs::read_to_string(&file).expect("it"), metrics);
    let mode = fs::metadata(&file).expect("it").permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    // What is not healthy is written and said.
    let run = shop
        .service
        .run(&["status", "--max-age", "1h", "--prometheus", path], 19);
    assert!(said(&run).contains("not healthy"), "{}", said(&run));
    let metrics = fs::read_to_string(&file).expect("it");
    assert!(metrics.contains("hookshot_healthy{app=\"shop\",destination=\"local\"} 0\n"));
    shop.service.run(&["status", "--prometheus", "@local"], 2);
    shop.service.run(&["--json", "status", "--prometheus"], 2);
}

#[test]
fn a_look_of_the_schedule_writes_the_configured_file_of_metrics() {
    let mut shop = Watched::with("prometheus_file = \"metrics/hookshot.prom\"");
    shop.archive(9, 100).is(&[]);
    let file = shop.service.config.with_file_name("metrics/hookshot.prom");
    fs::create_dir(file.with_file_name("")).expect("a folder");
    shop.is(&[]);
    assert!(!file.exists(), "a look of a user writes nothing");
    shop.service.set("HOOKSHOT_JOB", "status");
    shop.service.run(&["status"], 0);
    let metrics = fs::read_to_string(&file).expect("it");
    assert!(metrics.contains("hookshot_healthy{app=\"shop\",destination=\"local\"} 1\n"));
    check(&metrics);
    let runs = shop.service.run(&["--json", "history"], 0).json();
    assert_eq!(runs["runs"][0]["job"], "status");
    assert_eq!(runs["runs"][0]["killed"], false);
}

/// Asks Prometheus itself.
fn check(metrics: &str) {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        let complete = std::env::var_os("HOOKSHOT_TESTS_COMPLETE");
        assert!(complete.is_none(), "promtool is missing");
        println!("skipped: promtool is missing");
        return;
    };
    let mut input = promtool.stdin.take().expect("a pipe");
    input.write_all(metrics.as_bytes()).expect("written");
    drop(input);
    let output = promtool.wait_with_output().expect("its end");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn other_hosts_have_rows_of_their_own() {
    let shop = Watched::new();
    shop.archive(9, 100);
    let theirs = shop.folder().join(shop.name(40).replace("shop-", "other-"));
    fs::copy(shop.folder().join(shop.name(9)), theirs).expect("copied");
    shop.is(&[]);
    let report = shop.status(&["--all-hosts"], 19);
    let rows = report["destinations"].as_array().expect("rows");
    let shown: Vec<_> = rows
        .iter()
        .map(|row| (row["prefix"].as_str(), row["healthy"].as_bool()))
        .collect();
    assert_eq!(
        shown,
        [(Some("other"), Some(false)), (Some("shop"), Some(true))]
    );
    let metrics = shop
        .service
        .run(&["status", "--all-hosts", "--prometheus"], 19)
        .text();
    check(&metrics);
}

#[test]
fn stats_count_archives_bytes_growth_and_compression() {
    let shop = Watched::new();
    shop.archive(57, 100_000)
        .archive(33, 200_000)
        .archive(9, 300_000);
    let report = shop.service.run(&["--json", "stats"], 0).json();
    let row = &report["destinations"][0];
    assert_eq!((&row["archives"], &row["measured"]), (&3.into(), &3.into()));
    assert_eq!(row["oldest"]["name"], shop.name(57).as_str());
    assert_eq!(row["newest"]["name"], shop.name(9).as_str());
    assert!(row["content_bytes"].as_u64() >= Some(600_000), "{row:#}");
    assert!(row["compression_ratio"].as_f64() > Some(5.0), "{row:#}");
    let days = row["days"].as_array().expect("days");
    let sum: u64 = days
        .iter()
        .filter_map(|day| day["size_bytes"].as_u64())
        .sum();
    assert_eq!(Some(sum), row["size_bytes"].as_u64());
    assert!(days[0]["day"].as_str() > days[1]["day"].as_str());
    let said = shop.service.run(&["stats"], 0).text();
    assert!(said.starts_with("DESTINATION"), "{said}");
    assert!(said.contains("@local") && said.contains("GROWTH"), "{said}");
}

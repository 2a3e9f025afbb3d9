//! Hooks around verbs that are not jobs, and verbs that a schedule starts as jobs.

use std::{fs, io::Write as _};

use serde_json::Value;
use support::{
    archives_in,
    service::{Service, write},
};

/// A service with one file, a folder of archives, and these hooks: each a stage and an operation, with a command.
fn service(hooks: &[(&str, &str, &str)]) -> Service {
    let service = Service::with_config("shop", "");
    let notes = service.folder.join("notes");
    write(&notes, "first");
    let mut text = format!(
        "[backup]\nprefix = \"shop\"\nto = [\"one\"]\n[backup.destinations.one]\nurl = \"{}\"\n\
        [backup.retention]\nkeep_last = 1\nmax_remove = \"100%\"\n\
        [[backup.sources]]\nname = \"notes\"\nkind = \"file\"\npath = \"{}\"\n",
        service.machine.path("one").display(),
        notes.display()
    );
    for (stage, operation, run) in hooks {
        let said = service.machine.path("said");
        let run = run.replace("SAID", &said.display().to_string());
        text.push_str(&format!(
            "[[backup.hooks]]\nstage = \"{stage}\"\noperations = [\"{operation}\"]\nrun = '''{run}'''\n"
        ));
    }
    fs::write(&service.config, text).expect("written");
    service
}

fn archives(service: &Service) -> usize {
    archives_in(&service.machine.path("one")).len()
}

fn said(service: &Service) -> String {
    fs::read_to_string(service.machine.path("said")).unwrap_or_default()
}

fn history(service: &Service) -> Vec<Value> {
    let folder = service.config.parent().expect("a folder");
    let text = fs::read_to_string(folder.join(".hookshot/history.jsonl")).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

const SAYS: &str =
    "echo \"$HOOKSHOT_STAGE $HOOKSHOT_OPERATION $HOOKSHOT_RESULT $HOOKSHOT_EXIT_CODE\" >> SAID";

#[test]
fn hooks_of_prune_run_around_it_and_may_skip_it() {
    let service = service(&[
        ("after", "prune", SAYS),
        ("finally", "prune", SAYS),
        ("finally", "backup", "false"),
    ]);
    for _ in 0..2 {
        service.run(&["export"], 0);
    }
    service.run(&["prune", "--dry-run"], 0);
    assert_eq!((archives(&service), said(&service).as_str()), (2, ""));
    service.run(&["prune"], 0);
    assert_eq!(archives(&service), 1);
    assert_eq!(
        said(&service),
        "after prune success 0\nfinally prune success 0\n"
    );
    let service = self::service(&[("before", "prune", "exit 75"), ("finally", "prune", SAYS)]);
    for _ in 0..2 {
        service.run(&["export"], 0);
    }
    service.run(&["prune"], 0);
    assert_eq!(archives(&service), 2);
    assert_eq!(said(&service), "finally prune skipped 0\n");
}

#[test]
fn hooks_of_import_run_around_import_and_rollback() {
    let service = service(&[
        ("before", "import", SAYS),
        ("success", "import", SAYS),
        ("failure", "import", SAYS),
    ]);
    service.run(&["export"], 0);
    write(&service.folder.join("notes"), "second");
    service.run(&["import", "@one", "--dry-run"], 0);
    assert_eq!(said(&service), "");
    service.run(&["import", "@one"], 0);
    service.run(&["rollback"], 0);
    service.run(&["import", "@one/none.tar.gz"], 10);
    let before = "before import  \n";
    let success = "success import success 0\n";
    let failure = "failure import failure 10\n";
    assert_eq!(
        said(&service),
        format!("{before}{success}{before}{success}{before}{failure}")
    );
    let service = self::service(&[
        ("before", "import", "exit 1"),
        ("after", "import", SAYS),
        ("failure", "import", SAYS),
        ("finally", "import", SAYS),
    ]);
    service.run(&["export"], 0);
    write(&service.folder.join("notes"), "second");
    service
        .run(&["import", "@one"], 1)
        .says("the before hook `exit 1` failed");
    // Nothing was begun that `after` could follow.
    assert_eq!(
        said(&service),
        "failure import failure 1\nfinally import failure 1\n"
    );
    assert_eq!(
        fs::read_to_string(service.folder.join("notes")).expect("read"),
        "second"
    );
}

#[test]
fn a_hook_that_fails_after_an_import_leaves_it_undone_in_part() {
    let service = service(&[("after", "import", "exit 4")]);
    service.run(&["export"], 0);
    service
        .run(&["import", "@one"], 3)
        .says("The after hook `exit 4` failed");
}

#[test]
fn a_verb_that_a_schedule_starts_is_recorded_and_others_are_not() {
    let mut service = service(&[]);
    service.run(&["export"], 0);
    service.run(&["verify", "@one", "--since", "7d"], 0);
    assert!(history(&service).is_empty());
    service.set("HOOKSHOT_JOB", "verify");
    service.run(&["verify", "@one", "--since", "7d"], 0);
    let folder = service.machine.path("one");
    let archive = fs::read_dir(&folder)
        .expect("a folder")
        .flatten()
        .next()
        .expect("one")
        .path();
    let bytes = fs::read(&archive).expect("read");
    fs::write(&archive, &bytes[..bytes.len() - 9]).expect("cut");
    service.run(&["verify", "@one", "--since", "7d"], 13);
    let history = history(&service);
    let results: Vec<(&Value, &Value)> = history
        .iter()
        .map(|run| (&run["job"], &run["result"]))
        .collect();
    let expected = ["running", "success", "running", "failure"].map(Value::from);
    let job = Value::from("verify");
    assert_eq!(
        results,
        expected
            .iter()
            .map(|result| (&job, result))
            .collect::<Vec<_>>()
    );
    assert_eq!(history[3]["exit_code"], 13);
    assert!(
        history[3]["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("hookshot verify"))
    );
}

/// Adds a notification whose command is `run`, with the file SAID.
fn notified(service: &Service, on: &str, run: &str) {
    let said = service.machine.path("said");
    let run = run.replace("SAID", &said.display().to_string());
    let mut text = fs::read_to_string(&service.config).expect("read");
    text.push_str(&format!(
        "[[backup.notify]]\nname = \"ops\"\nkind = \"command\"\n{on}run = \'\'\'{run}\'\'\'\n"
    ));
    fs::write(&service.config, text).expect("written");
}

const TELLS: &str = "echo $HOOKSHOT_OCCASION >> SAID";

#[test]
fn a_check_of_the_health_notifies_of_a_change_once() {
    let mut service = service(&[]);
    notified(&service, "", TELLS);
    // One by hand sends nothing.
    service.run(&["status"], 19);
    assert_eq!(said(&service), "");
    service.set("HOOKSHOT_JOB", "status");
    service.run(&["status"], 19);
    service.run(&["status"], 19);
    assert_eq!(said(&service), "stale\n");
    service.run(&["export"], 0);
    service.run(&["status"], 0);
    service.run(&["status"], 0);
    assert_eq!(said(&service), "stale\nrecovered\n");
}

#[test]
fn bad_news_that_did_not_arrive_are_sent_again() {
    let mut service = service(&[]);
    notified(
        &service,
        "",
        "echo $HOOKSHOT_OCCASION >> SAID; ! grep -q lost SAID",
    );
    let lose = || write(&service.machine.path("said"), "lost\n");
    lose();
    service.set("HOOKSHOT_JOB", "status");
    service.run(&["status"], 19);
    service.run(&["status"], 19);
    assert_eq!(said(&service), "lost\nstale\nstale\n");
    write(&service.machine.path("said"), "");
    service.run(&["status"], 19);
    service.run(&["status"], 19);
    assert_eq!(said(&service), "stale\n");
    let last = history(&service).pop().expect("a run");
    assert_eq!(last["told"], serde_json::json!({ "ops": "stale" }));
    service.run(&["export"], 0);
    write(&service.machine.path("said"), "lost\n");
    service.run(&["status"], 0);
    write(&service.machine.path("said"), "");
    service.run(&["status"], 0);
    service.run(&["status"], 0);
    assert_eq!(said(&service), "recovered\n");
}

#[test]
fn a_check_that_failed_is_not_told_as_bad_health() {
    let mut service = service(&[]);
    notified(&service, "", TELLS);
    service.set("HOOKSHOT_JOB", "status");
    service.run(&["export"], 0);
    service.run(&["status"], 0);
    service.run(&["status", "@none"], 10);
    service.run(&["status", "@none"], 10);
    assert_eq!(said(&service), "failure\n");
    fs::remove_dir_all(service.machine.path("one")).expect("removed");
    service.run(&["status"], 19);
    // It knows already that something is wrong.
    service.run(&["status", "@none"], 10);
    service.run(&["status"], 19);
    assert_eq!(said(&service), "failure\nstale\n");
}

#[test]
fn a_look_at_the_health_that_was_killed_tells_nothing() {
    let mut service = service(&[]);
    let said = service.machine.path("said");
    let mut text = fs::read_to_string(&service.config).expect("read");
    text.push_str(&format!(
        "[[backup.notify]]\nname = \"ops\"\nkind = \"command\"\nrun = '''echo $HOOKSHOT_OCCASION >> {}'''\n",
        said.display()
    ));
    fs::write(&service.config, text).expect("written");
    let read = || fs::read_to_string(&said).unwrap_or_default();
    service.run(&["export"], 0);
    service.set("HOOKSHOT_JOB", "status");
    // Killed, and ended as a failure by one that was killed itself.
    let killed = |service: &Service| {
        let folder = service.config.parent().expect("a folder").join(".hookshot");
        fs::create_dir_all(&folder).expect("a folder");
        let run = serde_json::json!({
            "run_id": format!("killed-{}", history(service).len()),
            "job": "status", "started_at": "2020-01-01T00:00:00Z",
            "result": "failure", "exit_code": null, "error": "the run was killed before its end",
            "config": service.config.to_str(),
        });
        let mut file = fs::File::options()
            .create(true)
            .append(true)
            .open(folder.join("history.jsonl"))
            .expect("open");
        writeln!(file, "{run}").expect("written");
    };
    killed(&service);
    service.run(&["status"], 0);
    assert_eq!(read(), "");
    let archives = service.machine.path("one");
    fs::rename(&archives, service.machine.path("away")).expect("moved");
    service.run(&["status"], 19);
    assert_eq!(read(), "stale\n");
    fs::rename(service.machine.path("away"), &archives).expect("moved");
    service.run(&["status"], 0);
    assert_eq!(read(), "stale\nrecovered\n");
}

#[test]
fn a_killed_prune_is_recorded_and_notified_by_the_next_one() {
    let mut service = service(&[]);
    notified(
        &service,
        "",
        "echo $HOOKSHOT_RUN_ID $HOOKSHOT_OCCASION $HOOKSHOT_EXIT_CODE >> SAID",
    );
    service.run(&["export"], 0);
    for job in ["prune", "status"] {
        let run = serde_json::json!({
            "run_id": format!("killed-{job}"), "job": job, "started_at": "2020-01-01T00:00:00Z",
            "result": "running", "config": service.config.to_str(),
        });
        let file = service
            .config
            .parent()
            .expect("a folder")
            .join(".hookshot/history.jsonl");
        let known = fs::read_to_string(&file).unwrap_or_default();
        write(&file, &format!("{known}{run}\n"));
    }
    service.set("HOOKSHOT_JOB", "prune");
    service.run(&["prune"], 0);
    assert_eq!(said(&service), "killed-prune failure 137\n");
    let killed = history(&service)
        .into_iter()
        .rfind(|run| run["run_id"] == "killed-prune")
        .expect("a run");
    assert_eq!(
        (&killed["result"], &killed["exit_code"]),
        (&Value::from("failure"), &Value::from(137))
    );
    service.run(&["prune"], 0);
    assert_eq!(said(&service), "killed-prune failure 137\n");
    // The health is told by the run that ends the record of a killed one.
    service.set("HOOKSHOT_JOB", "status");
    service.run(&["status"], 0);
    assert_eq!(said(&service), "killed-prune failure 137\n");
}

//! Hooks of the nightly job that fail, skip, hang and print secrets.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;
use support::{archives_in, service::write};

use super::Night;

#[test]
fn a_before_hook_that_fails_keeps_the_run_from_exporting() {
    let night = Night::new("", &[]);
    let says = night.says("$HOOKSHOT_STAGE $HOOKSHOT_RESULT $HOOKSHOT_EXIT_CODE $HOOKSHOT_ERROR");
    let hooks = [
        ("before", "run = \"exit 3\""),
        ("before", says.as_str()),
        ("after", &says),
        ("success", &says),
        ("failure", &says),
        ("finally", &says),
    ];
    night.configure("", &hooks);
    let run = night
        .run(&[], 1)
        .says("the before hook `exit 3` failed: it ended with exit status: 3");
    assert!(run.stderr.contains("nothing was done"), "{}", run.stderr);
    assert!(archives_in(&night.one).is_empty());
    let said = night.said();
    let stages: Vec<&str> = said
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(stages, ["failure", "finally"]);
    assert!(said.contains("failure failure 1 the before hook"), "{said}");
    assert_eq!(night.history()[1]["exit_code"], 1);
    // One that may fail does not.
    night.configure("", &[("before", "run = \"exit 3\"\non_error = \"ignore\"")]);
    assert_eq!(night.json(&[], 0)["hooks"][0]["exit_code"], 3);
}

#[test]
fn a_before_hook_skips_the_run_by_exit_code_75() {
    let night = Night::new("", &[]);
    let says = night.says("$HOOKSHOT_STAGE $HOOKSHOT_RESULT");
    night.configure(
        "",
        &[
            ("before", "run = \"exit 75\""),
            ("success", &says),
            ("failure", &says),
            ("finally", &says),
        ],
    );
    let report = night.json(&[], 0);
    assert_eq!(
        (&report["result"], &report["skipped"]),
        (&"skipped".into(), &"hook".into())
    );
    assert!(archives_in(&night.one).is_empty());
    assert_eq!(night.said(), "finally skipped\n");
}

#[test]
fn a_hook_that_fails_after_the_work_makes_the_run_partial() {
    for stage in ["after", "success", "finally"] {
        let night = Night::new("", &[(stage, "run = [\"/bin/false\"]")]);
        let report = night.json(&[], 3);
        assert_eq!(report["result"], "partial", "{stage}");
        assert_eq!(archives_in(&night.one).len(), 1, "{stage}");
        assert_eq!(night.history()[1]["result"], "partial", "{stage}");
    }
}

#[test]
fn a_hook_that_hangs_is_ended_and_one_that_prints_a_secret_is_masked() {
    let secret = "hunter2-of-a-hook";
    let hooks = [
        (
            "before",
            "run = \"echo $AWS_SECRET_ACCESS_KEY; sleep 1000 & echo gone >&2\"",
        ),
        ("after", "run = \"exec sleep 1000\"\ntimeout = \"1s\""),
    ];
    let mut night = Night::new("", &hooks);
    night.service.set("AWS_SECRET_ACCESS_KEY", secret);
    let run = night.run(&["-vv"], 3).says("it takes longer than 1 s");
    run.says("before hook: ***").says("before hook: gone");
    let run = night.run(&["--json"], 3);
    assert!(!run.text().contains(secret) && !run.stderr.contains(secret));
    assert_eq!(run.json()["hooks"][1]["exit_code"], Value::Null);
}

#[test]
fn a_secret_that_only_a_notification_needs_is_masked_from_the_first_hook_on() {
    let token = "tk_of-a-notification";
    let mut night = Night::new("", &[]);
    let file = night.service.machine.path("token");
    write(&file, token);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("private");
    let notify = format!(
        "[[backup.notify]]\nname = \"ops\"\nkind = \"ntfy\"\nurl = \"env:NTFY_URL\"\ntoken = \"file:{}\"\non = [\"drill_failed\"]\n",
        file.display()
    );
    let print = format!(
        "run = 'cat {}; echo; echo $NTFY_URL; true http://u:p4ssw0rd@h; exit 1'",
        file.display()
    );
    night.configure(&notify, &[("before", &print)]);
    let url = "http://127.0.0.1:9/a-topic-not-to-be-guessed";
    night.service.set("NTFY_URL", url);
    let run = night.run(&["-vv", "--json"], 1);
    let history = format!("{:?}", night.history());
    for secret in [token, "a-topic-not-to-be-guessed", "p4ssw0rd"] {
        let shown = [&run.text(), &run.stderr, &history];
        let is_shown = shown.iter().any(|text| text.contains(secret));
        assert!(!is_shown, "{secret}: {run:?}");
    }
    assert!(run.stderr.contains("before hook: ***"), "{}", run.stderr);
}

#[test]
fn a_program_without_a_shell_gets_its_words_as_they_are() {
    let night = Night::new("", &[]);
    let said = night.service.machine.path("said");
    let words = format!(
        "run = [\"/bin/sh\", \"-c\", \"printf '%s|' \\\"$@\\\" > {}\", \"sh\", \"a b\", \"$HOME;\"]",
        said.display()
    );
    night.configure("", &[("before", &words)]);
    night.run(&[], 0);
    assert_eq!(night.said(), "a b|$HOME;|");
    night.configure("", &[("before", "run = [\"no-such-program\"]")]);
    let report = night.json(&[], 1);
    assert_eq!(report["hooks"][0]["exit_code"], 127);
}

#[test]
fn an_after_hook_is_told_that_the_export_failed() {
    let night = Night::new("", &[]);
    let says = night.says("$HOOKSHOT_STAGE $HOOKSHOT_RESULT $HOOKSHOT_EXIT_CODE $HOOKSHOT_ERROR");
    night.configure(
        "",
        &["after", "success", "failure"].map(|stage| (stage, says.as_str())),
    );
    fs::remove_file(night.notes()).expect("removed");
    let report = night.json(&[], 10);
    assert_eq!(
        (&report["result"], &report["archive"]),
        (&"failure".into(), &Value::Null)
    );
    let said = night.said();
    assert!(
        said.starts_with("after failure 10 notes is missing"),
        "{said}"
    );
    assert!(
        said.contains("\nfailure failure 10 ") && !said.contains("success"),
        "{said}"
    );
}

#[test]
fn a_hook_starts_however_long_or_odd_its_variables_are() {
    let night = Night::new("", &[]);
    let says = night.says("$HOOKSHOT_STAGE ${#HOOKSHOT_APP} ${#HOOKSHOT_ERROR}");
    let configure = |app: &str, hooks: &[(&str, &str)]| {
        night.configure("", hooks);
        let text = fs::read_to_string(&night.service.config).expect("read");
        let text = text.replace("app = \"shop\"", &format!("app = \"{app}\""));
        fs::write(&night.service.config, text).expect("written");
    };
    // A name of 1 MB: one variable of a process has 128 KiB at most.
    configure(&"x".repeat(1_000_000), &[("before", &says)]);
    night.run(&[], 0);
    assert_eq!(night.said(), "before 8192 0\n");
    configure("a\\u0000b", &[("before", &says)]);
    night
        .run(&[], 2)
        .says("`app` under [backup] holds a line break");
    assert_eq!(night.said(), "before 8192 0\n");
}

//! The way back of an upgrade, in circumstances that would block it or leave half of it.

use std::fs;

use serde_json::json;
use support::upgraded::Upgraded;

const QUICK: &str = "health_timeout = \"3s\"\nhealthy_for = \"0s\"\n";

fn line(script: &str) -> [&str; 5] {
    ["protect", "--", "sh", "-c", script]
}

#[test]
fn a_reader_of_the_state_at_that_moment_is_waited_for() {
    let service = Upgraded::started();
    service.configure("", QUICK);
    let etc = service.machine.path("etc").display().to_string();
    // As an export holds it.
    let script = format!("flock -s {etc} sleep 2 >/dev/null 2>&1 & exit 7");
    let report = service.json(&line(&script), 20);
    assert_eq!(report["state"], "rolled_back", "{report}");
    assert!(service.is_healthy() && !service.note().exists());
}

#[test]
fn a_link_leads_to_the_state_of_before_again() {
    let service = Upgraded::started();
    service.configure("", QUICK);
    let folder = service.folder();
    fs::rename(folder.join("program"), folder.join("program.v1")).expect("renamed");
    std::os::unix::fs::symlink("program.v1", folder.join("program")).expect("a link");
    let data = folder.display();
    let script = format!("cd {data}; echo other > program.v2; ln -sfn program.v2 program; exit 7");
    let report = service.json(&line(&script), 20);
    assert_eq!(report["state"], "rolled_back", "{report}");
    let link = folder.join("program").read_link().expect("a link");
    assert_eq!(link.to_str(), Some("program.v1"));
    assert_eq!(service.read("program"), "1 0 0 none");
    assert_eq!(service.read("program.v2"), "other\n");
}

#[test]
fn the_note_of_an_earlier_run_stays_if_nothing_is_done() {
    let service = Upgraded::started();
    let skip =
        "[[backup.hooks]]\nstage = \"before\"\nrun = \"exit 75\"\noperations = [\"protect\"]\n";
    service.configure(&format!("\n{skip}"), QUICK);
    // A healthy service would end the reminder.
    service.control("stop");
    let note = json!({"verb": "import", "time": "2026-01-01T00:00:00Z", "phase": "stopped", "start": "start it",
        "archive": null, "config": "config.toml"});
    fs::create_dir_all(service.note().parent().expect("a folder")).expect("a folder");
    fs::write(service.note(), note.to_string()).expect("written");
    let report = service.json(&line("exit 7"), 3);
    assert_eq!(
        (&report["result"], &report["state"]),
        (&"partial".into(), &"untouched".into()),
        "{report}"
    );
    assert!(service.note().exists());
}

#[test]
fn secrets_of_the_command_line_are_masked_and_any_time_limit_is_one() {
    let service = Upgraded::started();
    let secret = "Hidden1234567890";
    let url = format!("https://h/a?token={secret}");
    let health = format!("false {url}");
    let protect = [
        "protect",
        "--health",
        &health,
        "--health-timeout",
        "1s",
        "--",
        "true",
        &url,
    ];
    let run = service.run(&protect, 20);
    let history = service.run(&["history", "--json"], 0).text();
    for text in [run.text(), run.stderr.clone(), history] {
        assert!(!text.contains(secret), "{text}");
    }
    service.configure(
        "",
        "health_timeout = \"18446744073709551615s\"\nhealthy_for = \"0s\"\n",
    );
    service.run(&["protect", "--", "true"], 0);
}

#[test]
fn an_after_hook_that_fails_is_told_to_the_hooks_of_failure() {
    let service = Upgraded::started();
    let told = service.machine.path("told");
    let says = |stage: &str, run: &str| {
        format!(
            "[[backup.hooks]]\nstage = \"{stage}\"\nrun = '{run}'\noperations = [\"protect\"]\n"
        )
    };
    let tell = format!(
        "echo $HOOKSHOT_STAGE $HOOKSHOT_RESULT >> {}",
        told.display()
    );
    let hooks = [
        says("after", "false"),
        says("success", &tell),
        says("failure", &tell),
    ]
    .concat();
    service.configure(&format!("\n{hooks}"), QUICK);
    let report = service.json(&line("exit 0"), 3);
    assert_eq!(report["result"], "partial", "{report}");
    assert_eq!(fs::read_to_string(told).expect("told"), "failure partial\n");
}

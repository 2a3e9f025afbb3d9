//! JSON keeps its word: one object for each run, and `error` with the exit code in each that does not end with 0.

use support::{Machine, Run, finish};

use std::fs;

use serde_json::Value;

/// Fails the test unless the run printed one object that tells the exit code.
#[track_caller]
fn keeps_its_word(run: &Run, code: i32, kind: &str, what: &str) -> Value {
    assert_eq!(run.code, code, "{what}: {}{}", run.text(), run.stderr);
    let report = run.json();
    if code == 0 {
        assert!(report.get("error").is_none(), "{what}: {report}");
        return report;
    }
    let error = &report["error"];
    assert_eq!(error["code"], code, "{what}: {report}");
    assert_eq!(error["kind"], kind, "{what}: {report}");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(!message.is_empty(), "{what}: {report}");
    assert!(error["faults"].is_array(), "{what}: {report}");
    report
}

/// A service whose archive has a link that leads out of its folder: it is left out at an import and by extract.
fn machine() -> Machine {
    let machine = Machine::new();
    fs::create_dir(machine.path("data/site")).expect("a folder");
    machine.write("data/site/page", "page", 0o644);
    std::os::unix::fs::symlink("/etc/passwd", machine.path("data/site/out")).expect("a link");
    let source = "[[backup.sources]]\nname = \"site\"\nkind = \"directory\"\npath = \"";
    let text = format!(
        "[backup]\n{source}{}\"\n",
        machine.path("data/site").display()
    );
    machine.write("etc/config.toml", machine.config_text(&text), 0o600);
    machine
}

#[test]
fn every_verb_and_every_exit_code_has_its_error() {
    let machine = machine();
    let good = machine.export("good.tar.gz");
    let bytes = fs::read(&good).expect("read");
    machine.write("out/cut.tar.gz", &bytes[..bytes.len() / 2], 0o600);
    fs::create_dir(machine.path("out/shelf")).expect("a folder");
    for name in [
        "hookshot-state-20250129-030000",
        "hookshot-state-20250130-030000",
    ] {
        machine.write(&format!("out/shelf/{name}.tar.gz"), &bytes, 0o600);
    }
    machine.write(
        "out/shelf/hookshot-state-20250128-030000.tar.gz",
        "cut",
        0o600,
    );
    machine.write("out/broken.toml", "[backup]\nprefx = \"x\"\n", 0o600);
    machine.write(
        "out/fails.toml",
        "[backup]\nprefix = \"t\"\n[[backup.sources]]\nname = \"c\"\nkind = \"command\"\n\
         export = \"echo one >&2; echo FATAL: auth failed >&2; exit 7\"\nimport = \"cat\"\n",
        0o600,
    );
    let calls: [(&[&str], i32, &str); 47] = [
        (&["export", "a.tar.gz"], 0, ""),
        (&["export", "b.tar.gz", "/nope/b.tar.gz"], 17, "not_proven"),
        (&["export", "/nope/b.tar.gz"], 10, "not_found"),
        (&["export", "broken.toml"], 2, "usage"),
        (
            &["export", "--config", "broken.toml", "c.tar.gz"],
            2,
            "usage",
        ),
        (
            &["export", "--config", "nothing.toml", "c.tar.gz"],
            10,
            "not_found",
        ),
        (
            &["export", "--config", "fails.toml", "c.tar.gz"],
            1,
            "failed",
        ),
        (&["export", "-"], 2, "usage"),
        (&["export", "@nothing"], 10, "not_found"),
        (&["export"], 2, "usage"),
        (&["export", "--bogus"], 2, "usage"),
        (
            &["import", "good.tar.gz", "--dry-run", "--root", "there"],
            3,
            "partial",
        ),
        (
            &["import", "cut.tar.gz", "--dry-run"],
            13,
            "archive_refused",
        ),
        (&["import", "nothing.tar.gz"], 10, "not_found"),
        (
            &["import", "good.tar.gz", "--only", "nothing"],
            10,
            "not_found",
        ),
        (&["rollback"], 10, "not_found"),
        (&["verify", "good.tar.gz"], 0, ""),
        (&["verify", "cut.tar.gz"], 13, "archive_refused"),
        (
            &["verify", "good.tar.gz", "nothing.tar.gz"],
            10,
            "not_found",
        ),
        (&["verify", "shelf"], 13, "archive_refused"),
        (&["verify"], 2, "usage"),
        (&["inspect", "good.tar.gz"], 0, ""),
        (&["inspect", "cut.tar.gz"], 13, "archive_refused"),
        (&["inspect", "nothing.tar.gz"], 10, "not_found"),
        (&["diff", "good.tar.gz", "a.tar.gz"], 0, ""),
        (&["diff", "cut.tar.gz"], 13, "archive_refused"),
        (&["extract", "good.tar.gz", "site", "-o", "x"], 3, "partial"),
        (&["extract", "good.tar.gz", "site", "-o", "x"], 2, "usage"),
        (
            &["extract", "good.tar.gz", "nothing", "-o", "x"],
            10,
            "not_found",
        ),
        (
            &["extract", "good.tar.gz", "config.toml", "-o", "-"],
            2,
            "usage",
        ),
        (&["copy", "shelf", "copies"], 3, "partial"),
        (&["copy", "cut.tar.gz", "copies"], 13, "archive_refused"),
        (&["copy", "nothing.tar.gz", "copies"], 10, "not_found"),
        (&["check", "shelf"], 0, ""),
        (&["check", "/proc/nothing"], 1, "failed"),
        (&["check", "shelf", "/proc/nothing"], 3, "partial"),
        (&["list", "shelf"], 0, ""),
        (&["list", "shelf", "nothing"], 3, "partial"),
        (&["list", "nothing"], 10, "not_found"),
        (&["prune", "shelf", "--keep-last", "1"], 2, "usage"),
        (&["prune", "nothing", "--keep-last", "1"], 10, "not_found"),
        (&["keep", "shelf/nothing.tar.gz"], 10, "not_found"),
        (&["validate", "--config", "broken.toml"], 2, "usage"),
        (&["init", "--data-dir", "data"], 2, "usage"),
        (&["man", "nothing"], 2, "usage"),
        (&["nothing"], 2, "usage"),
        (&["version"], 0, ""),
    ];
    for (call, code, kind) in calls {
        let run = machine.run(&[call, &["--json"]].concat());
        let report = keeps_its_word(&run, code, kind, &format!("{call:?}"));
        // The same without --json, and where log lines are JSON, nothing else is on standard error.
        if call[0] != "extract" && call != ["copy", "shelf", "copies"] {
            let run = machine.run(&[call, &["--json", "--log-format", "json"]].concat());
            let is_json = |line: &str| serde_json::from_str::<Value>(line).is_ok();
            assert!(run.stderr.lines().all(is_json), "{call:?}: {}", run.stderr);
        }
        if report.get("verified").is_some() && call[0] == "export" {
            assert_eq!(report["verified"], code == 0, "{call:?}: {report}");
        }
    }
}

#[test]
fn a_difference_is_an_exit_code_with_an_error() {
    let machine = Machine::new();
    machine.export("good.tar.gz");
    let same = machine.run(&["diff", "good.tar.gz", "--json"]);
    keeps_its_word(&same, 0, "", "diff");
    machine.write("etc/services.toml", "[services.other]\n", 0o600);
    let run = machine.run(&["diff", "good.tar.gz", "--json"]);
    keeps_its_word(&run, 1, "differs", "diff");
    // In text it is not an error.
    let run = machine.run(&["diff", "good.tar.gz"]).exits(1);
    assert!(!run.stderr.contains("ERROR"), "{}", run.stderr);
}

#[test]
fn obstacles_and_interruptions_have_their_errors() {
    let machine = Machine::new();
    machine.export("good.tar.gz");
    machine.put_deployment("d1", "running");
    let run = machine.run(&["import", "good.tar.gz", "--json"]);
    keeps_its_word(&run, 11, "blocked", "import");
    let mut command = machine.command();
    command.args(["import", "-", "--json"]);
    // Nothing comes; the signal of timeout(1) ends it.
    let program = command.get_program().to_owned();
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let mut timeout = std::process::Command::new("bash");
    timeout
        .args([
            "-c",
            "sleep 5 | (\"$@\" & p=$!; sleep 0.5; kill -TERM $p; wait $p)",
            "-",
        ])
        .arg(program)
        .args(arguments)
        .env("TMPDIR", machine.path("tmp"))
        .current_dir(machine.path("out"));
    let run = finish(timeout, b"");
    let report = run.json();
    assert_eq!(report["error"]["kind"], "interrupted", "{report}");
    assert_eq!(report["error"]["code"], 143, "{report}");
}

#[test]
fn the_cause_of_a_failing_command_stands_in_the_error() {
    let machine = Machine::new();
    let config = |export: &str, import: &str| {
        let text = format!(
            "[backup]\nprefix = \"t\"\n[[backup.sources]]\nname = \"c\"\nkind = \"command\"\nexport = \"{export}\"\nimport = \"{import}\"\n"
        );
        machine.write("etc/config.toml", text, 0o600);
    };
    let cause = "echo one >&2; seq 9 >&2; echo FATAL: auth failed >&2";
    config(&format!("{cause}; exit 7"), "cat");
    let run = machine.run(&["export", "a.tar.gz", "--json", "--log-format", "json"]);
    let report = keeps_its_word(&run, 1, "failed", "export");
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(
        message.ends_with("exit status: 7: FATAL: auth failed"),
        "{message}"
    );
    let faults = report["error"]["faults"].as_array().expect("a list");
    assert_eq!(faults.len(), 5);
    assert_eq!(faults[4], "FATAL: auth failed");
    for line in run.stderr.lines() {
        serde_json::from_str::<Value>(line).expect(line);
    }
    assert!(run.stderr.contains("A command says: one"), "{}", run.stderr);
    // One that prints nothing, and one that takes nothing back.
    config("echo no rows >&2", "cat");
    let run = machine.run(&["export", "a.tar.gz", "--json"]);
    let report = keeps_its_word(&run, 1, "failed", "export");
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(message.ends_with("printed nothing: no rows"), "{message}");
    config("echo dump", &format!("cat; {cause}; exit 3"));
    machine.export("a.tar.gz");
    let run = machine.run(&["import", "a.tar.gz", "--json", "--log-format", "json"]);
    let report = run.json();
    let error = report["error"].to_string();
    assert!(error.contains("FATAL: auth failed"), "{error}");
    assert_eq!(report["error"]["code"], run.code);
    for line in run.stderr.lines() {
        serde_json::from_str::<Value>(line).expect(line);
    }
}

#[test]
fn a_command_that_says_more_than_a_pipe_holds_is_heard_to_its_end() {
    let machine = Machine::new();
    let text = "[backup]\nprefix = \"t\"\n[[backup.sources]]\nname = \"c\"\nkind = \"command\"\n\
         export = \"seq 30000 >&2; seq 30000; seq 30000 >&2\"\nimport = \"cat >/dev/null\"\n";
    machine.write("etc/config.toml", text, 0o600);
    let run = machine.run(&["export", "a.tar.gz"]).exits(0);
    assert_eq!(run.stderr.matches("A command says: ").count(), 60_000);
    // What it leaves in the background holds nothing up.
    let text = text.replace(
        "seq 30000 >&2; seq 30000; seq 30000 >&2",
        "sleep 20 >&2 & echo dump",
    );
    machine.write("etc/config.toml", text, 0o600);
    let begun = std::time::Instant::now();
    machine.run(&["export", "b.tar.gz"]).exits(0);
    assert!(begun.elapsed().as_secs() < 10);
}

#[test]
fn the_version_is_json_if_it_is_asked_for() {
    let machine = Machine::new();
    let version = machine.run(&["version", "--json"]).exits(0).json();
    for call in [
        &["--json", "--version"][..],
        &["--version", "--json"],
        &["-V", "--json"],
        &["export", "--json", "-V"],
    ] {
        assert_eq!(machine.run(call).exits(0).json(), version, "{call:?}");
    }
    let text = machine.run(&["--version", "--", "--json"]).exits(0).text();
    assert!(text.starts_with("hookshot "), "{text}");
}

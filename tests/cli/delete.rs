//! `delete`: what goes, and what never goes.

use support::Machine;

use std::{fs, process::Command};

/// A machine with the destinations `one` and `two`; both hold three archives, the newest one first in the list.
fn machine() -> (Machine, Vec<String>) {
    let machine = Machine::new();
    let folders = ["one", "two"].map(|name| {
        let folder = machine.path(name);
        format!(
            "[backup.destinations.{name}]\nurl = \"{}\"\n",
            folder.display()
        )
    });
    let text = machine.config_text(&format!(
        "[backup]\nto = [\"one\", \"two\"]\n{}",
        folders.concat()
    ));
    machine.write("etc/config.toml", text, 0o600);
    for folder in ["one", "two"] {
        fs::create_dir(machine.path(folder)).expect("a folder");
    }
    let names = [3, 2, 1].map(|day| format!("hookshot-state-2025010{day}-030000.tar.gz"));
    for name in &names {
        let path = machine.path("one").join(name);
        let path = path.to_str().expect("UTF-8");
        machine
            .run(&["export", path, "--tag", &format!("day={}", &name[21..23])])
            .exits(0);
        fs::copy(path, machine.path("two").join(name)).expect("copied");
    }
    (machine, names.to_vec())
}

#[test]
fn an_archive_goes_from_one_destination_or_from_all() {
    let (machine, names) = machine();
    let word = format!("@one/{}", names[1]);
    machine
        .run(&["delete", &word])
        .exits(2)
        .says("without --yes");
    assert!(machine.path("one").join(&names[1]).exists());
    let report = machine
        .run(&["delete", &word, "--yes", "--json"])
        .exits(0)
        .json();
    assert_eq!(report["removed"][0]["name"], names[1].as_str());
    assert_eq!(report["removed"][0]["destination"], "@one");
    assert!(report["removed"][0]["size_bytes"].as_u64() > Some(0));
    assert!(!machine.path("one").join(&names[1]).exists());
    assert!(machine.path("two").join(&names[1]).exists());
    machine.run(&["delete", &word, "--yes"]).exits(10);
    let tagged = format!("@one/day={}", &names[2][21..23]);
    let said = machine
        .run(&["delete", &tagged, "--everywhere", "--yes"])
        .exits(0);
    for folder in ["one", "two"] {
        assert!(!machine.path(folder).join(&names[2]).exists());
        assert!(
            said.text()
                .contains(&format!("removed @{folder}/{}", names[2])),
            "{}",
            said.text()
        );
    }
}

#[test]
fn the_newest_good_archive_and_a_marked_one_never_go() {
    let (machine, names) = machine();
    let newest = format!("@one/{}", names[0]);
    let older = format!("@one/{}", names[1]);
    let refused = machine
        .run(&["delete", &older, &newest, "--yes", "--json"])
        .exits(11)
        .json();
    assert_eq!(refused["error"]["kind"], "blocked");
    let faults = refused["error"]["faults"].to_string();
    assert!(faults.contains("is the newest good archive"), "{faults}");
    assert!(machine.path("one").join(&names[1]).exists(), "nothing goes");
    // A newer archive that is not good does not free the newest good one.
    machine.write(
        "one/hookshot-state-20250104-030000.tar.gz",
        "damaged",
        0o600,
    );
    let run = machine.run(&["delete", &newest, "--yes"]).exits(11);
    let run = run.says("the newest good archive can be deleted once a newer one is there");
    assert!(!run.stderr.contains("mark"), "{}", run.stderr);
    machine
        .run(&[
            "delete",
            "@one/hookshot-state-20250104-030000.tar.gz",
            "--yes",
        ])
        .exits(0);
    machine
        .run(&["keep", &format!("@two/{}", names[1])])
        .exits(0);
    machine
        .run(&["delete", &older, "--everywhere", "--yes"])
        .exits(11)
        .says("is marked (forever)");
    assert!(machine.path("one").join(&names[1]).exists(), "nothing goes");
    machine
        .run(&["keep", &format!("@two/{}", names[1]), "--remove"])
        .exits(0);
    machine
        .run(&["delete", &older, "--everywhere", "--yes"])
        .exits(0);
}

#[test]
fn a_destination_that_cannot_be_asked_is_named_and_the_others_follow() {
    let (machine, names) = machine();
    let text = String::from_utf8(machine.read("etc/config.toml")).expect("text");
    let lost = "[backup.destinations.lost]\nurl = \"s3://b/x\"\nendpoint = \"http://127.0.0.1:1\"\nallow_http = true\n\
        access_key_id = \"a\"\nsecret_access_key = \"b\"\nregion = \"x\"\nretry_attempts = 0\n";
    machine.write("etc/config.toml", format!("{text}{lost}"), 0o600);
    let word = format!("@one/{}", names[2]);
    let report = machine
        .run(&["delete", &word, "--everywhere", "--yes", "--json"])
        .exits(3)
        .json();
    assert_eq!(report["removed"].as_array().map(Vec::len), Some(2));
    assert_eq!(report["failed"][0]["destination"], "@lost");
    assert_eq!(
        machine.run(&["list", "@lost", "--json"]).exits(1).json()["error"]["kind"],
        "unreachable"
    );
}

#[test]
fn a_user_at_a_terminal_is_asked() {
    let (machine, names) = machine();
    for (answer, code, is_left) in [("n", 2, true), ("yes", 0, false)] {
        let config = machine.path("etc/config.toml");
        let line = format!(
            "{} --config {} delete @one/{}",
            support::program().display(),
            config.display(),
            names[1]
        );
        // script(1) has a terminal for the program.
        let output = Command::new("sh")
            .args([
                "-c",
                &format!("printf '{answer}\\n' | script -qec '{line}' /dev/null"),
            ])
            .env("TMPDIR", machine.path("tmp"))
            .output()
            .expect("script");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains("Remove for good? [y/N]"), "{said}");
        assert_eq!(
            machine.path("one").join(&names[1]).exists(),
            is_left,
            "{said}"
        );
    }
}

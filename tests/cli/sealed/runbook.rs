//! The runbook: its steps bring the state back on a machine that has nothing.

use std::fs;

use hookshot::crypt::ExposeSecret as _;
use serde_json::Value;
use support::program;

use super::{Sealing, kit::typed};

/// Returns a command of the runbook as a shell takes it.
fn line(command: &Value) -> String {
    let words = command.as_array().expect("words").iter();
    let words: Vec<&str> = words.map(|word| word.as_str().expect("a word")).collect();
    words.join(" ")
}

#[test]
fn the_steps_of_the_runbook_restore_the_newest_archive() {
    let sealing = Sealing::new();
    let url = sealing.path("offsite");
    let key = sealing.path("key.txt");
    let public = &sealing.pair.public;
    let text = sealing.machine.config_text(&format!(
        "[backup]\nto = [\"offsite\"]\n[backup.encryption]\nrecipients = [\"{public}\"]\nidentity_file = \"{key}\"\n\
        [backup.import]\nstop = \"touch stopped\"\nstart = [\"sh\", \"-c\", \"touch started; curl https://h/a/Start123456\"]\n\
        [backup.destinations.offsite]\nurl = \"{url}\"\n"
    ));
    sealing.machine.write("etc/config.toml", text, 0o600);
    let run = |arguments: &[&str]| sealing.machine.run(arguments);
    // Before the first archive and the first drill, it says what is not known.
    let page = run(&["status", "--runbook"]).exits(19).text();
    assert!(page.contains("not known; the highest name"), "{page}");
    assert!(
        page.contains("no restore from here was rehearsed"),
        "{page}"
    );
    run(&["backup"]).exits(0);
    run(&["drill"]).exits(0);
    let page = run(&["status", "--runbook"]).exits(0).text();
    let book = run(&["status", "--runbook", "--json"]).exits(0).json();
    let place = &book["archives"][0];
    let archive = place["newest"]["name"].as_str().expect("an archive");
    let rto = place["last_drill"]["rto_seconds"]
        .as_f64()
        .expect("seconds");
    assert!(rto > 0.0, "{place}");
    for words in [
        archive,
        public,
        &key,
        &format!("took {rto:.1} s"),
        "touch started; curl https://h/a/***",
        "key export --paper --with-secret",
        "These are folders of the machine itself.",
    ] {
        // The lines of a page break between words.
        let flat = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(words), "{words}: {page}");
    }
    let secret = sealing.pair.secret.expose_secret();
    assert!(!page.contains(secret) && !book.to_string().contains(secret));
    let before = sealing.machine.targets();
    for lost in ["etc", "data", "out", "tmp"] {
        fs::remove_dir_all(sealing.machine.path(lost)).expect("lost");
    }
    fs::remove_file(&key).expect("lost");
    for folder in ["programs", "with", "tmp", "out"] {
        fs::create_dir(sealing.machine.path(folder)).expect("a folder");
    }
    let programs = sealing.machine.path("programs");
    std::os::unix::fs::symlink(program(), programs.join("hookshot")).expect("a link");
    let with = sealing.machine.path("with");
    sealing.machine.write("with/key.txt", secret, 0o600);
    typed(&line(&place["fetch"]), &with, &programs);
    let steps = book["steps"].as_array().expect("steps");
    let commands = |begin: &str| {
        let text = |step: &&Value| {
            step["text"]
                .as_str()
                .is_some_and(|text| text.starts_with(begin))
        };
        let step = steps.iter().find(text).expect("a step");
        let commands = step["commands"].as_array().expect("commands").iter();
        commands.map(line).collect::<Vec<String>>()
    };
    for command in commands("Put the private key")
        .iter()
        .chain(&commands("Verify it"))
    {
        typed(command, &with, &programs);
    }
    assert!(sealing.machine.targets() == before, "the state is back");
    // Without the key that the configuration names, the destination is there and nothing of it is judged.
    let config = sealing.machine.path("etc/config.toml");
    let hookshot = |verb: &[&str]| {
        let mut command = std::process::Command::new(program());
        command.arg("--config").arg(&config).args(verb);
        support::finish(command, b"")
    };
    let status = hookshot(&["status", "--json"]).exits(19).json();
    let problem = &status["destinations"][0]["details"][0];
    assert_eq!(problem["kind"], "no_keys", "{status}");
    let back = commands("Put the private key back");
    assert_eq!(back, [format!("install -m 600 key.txt {key}")]);
    typed(&back[0], &with, &programs);
    let last = commands("Rehearse a restore");
    assert!(last[0].ends_with(" drill") && last[1].ends_with(" status"));
    for command in &last {
        typed(command, &with, &programs);
    }
}

//! Keys that are refused where they are named: they seal nothing, or are not a file.

use support::{Run, finish};

use hookshot::crypt::ExposeSecret as _;

use super::Sealing;

/// Public keys of points of low order: what is sealed for one of them could be opened by everybody.
const LOW_ORDER: [&str; 3] = [
    "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z",
    "age1qyqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqj7vrya",
    "age1ur4h5lpmgxu2u9jku0a0r87ydtdqnr0tnsetrlvxvgz3vh6fhqqqzyt4v9",
];

#[test]
fn keys_that_seal_nothing_are_refused_where_they_are_read() {
    let sealing = Sealing::new();
    for key in LOW_ORDER {
        let out = sealing.path("out/a.tar.gz.age");
        let run = sealing.machine.run(&["export", &out, "--recipient", key]);
        run.exits(2).says(if key.len() == 62 {
            "low order"
        } else {
            "is damaged"
        });
    }
    let key = LOW_ORDER[2];
    let section = format!("[backup.encryption]\nrecipients = [\"{key}\"]\n");
    let text = sealing.machine.config_text(&section);
    sealing.machine.write("etc/config.toml", text, 0o600);
    for verb in ["validate", "backup"] {
        let run = sealing.machine.run(&[verb]).exits(2);
        run.says("low order");
    }
    sealing.machine.write("keys.txt", key, 0o600);
    let file = sealing.path("keys.txt");
    sealing.machine.run(&["key", "show", &file]).exits(12);
}

#[test]
fn a_private_key_in_place_of_its_file_is_refused_and_repeated_nowhere() {
    let sealing = Sealing::new();
    let secret = sealing.pair.secret.expose_secret();
    let archive = sealing.export("a.tar.gz.age");
    let all = |run: &Run| format!("{}{}", run.text(), run.stderr);
    let hidden = |run: Run| {
        let text = all(&run.exits(2));
        assert!(text.contains("is a private key itself"), "{text}");
        assert!(!text.contains(&secret[20..40]), "{text}");
    };
    for json in [&[][..], &["--json"]] {
        for verb in [
            &["verify", &archive, "--identity", secret][..],
            &["key", "show", secret],
        ] {
            hidden(sealing.machine.run(&[verb, json].concat()));
        }
    }
    let mut command = sealing.machine.command();
    command
        .args(["verify", &archive])
        .env("HOOKSHOT_IDENTITY", secret);
    hidden(finish(command, b""));
    for key in ["identity_file", "recipients_file"] {
        let public = &sealing.pair.public;
        let recipients = match key {
            "identity_file" => format!("recipients = [\"{public}\"]\n"),
            _ => String::new(),
        };
        let section = format!("[backup.encryption]\n{recipients}{key} = \"{secret}\"\n");
        let text = sealing.machine.config_text(&section);
        sealing.machine.write("etc/config.toml", text, 0o600);
        for verb in [
            &["validate"][..],
            &["validate", "--show"],
            &["verify", &archive],
            &["backup", "out"],
            &["key", "export", "--paper"],
        ] {
            let run = sealing.machine.run(verb);
            assert_ne!(run.code, 101, "{}", run.text());
            assert!(
                !run.text().contains(&secret[20..40]),
                "{verb:?}: {}",
                run.text()
            );
        }
    }
    let history = sealing.machine.path("etc/.hookshot/history.jsonl");
    let history = std::fs::read_to_string(history).unwrap_or_default();
    assert!(!history.contains(&secret[20..40]), "{history}");
}

#[test]
fn files_of_keys_may_begin_with_the_mark_of_their_encoding() {
    let sealing = Sealing::new();
    let archive = sealing.export("a.tar.gz.age");
    let secret = sealing.pair.secret.expose_secret();
    let public = &sealing.pair.public;
    sealing
        .machine
        .write("marked.txt", format!("\u{feff}{secret}\r\n"), 0o600);
    sealing
        .machine
        .write("public.txt", format!("\u{feff}{public}\r\n"), 0o644);
    let (marked, file) = (sealing.path("marked.txt"), sealing.path("public.txt"));
    let run = |arguments: &[&str]| sealing.machine.run(arguments);
    run(&["verify", &archive, "--identity", &marked]).exits(0);
    let shown = run(&["key", "show", &file]).exits(0);
    assert!(shown.text().contains(public), "{}", shown.text());
    let section = format!("[backup.encryption]\nrecipients_file = \"{file}\"\n");
    let text = sealing.machine.config_text(&section);
    sealing.machine.write("etc/config.toml", text, 0o600);
    run(&["validate"]).exits(0);
}

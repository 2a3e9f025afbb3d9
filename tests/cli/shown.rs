//! `validate --show`: every setting in force with its origin, and `check -v`: the connection.

use support::{Machine, Run, finish};

use std::collections::BTreeMap;

use serde_json::Value;

/// Returns the settings that `validate --show` tells, by their keys.
fn shown(run: &Run) -> BTreeMap<String, Value> {
    let settings = run.json()["settings"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let by_key = |setting: Value| (setting["key"].as_str().expect("a key").to_owned(), setting);
    settings.into_iter().map(by_key).collect()
}

#[test]
fn each_value_is_shown_with_its_origin() {
    let machine = Machine::new();
    let common = "[backup]\nlevel = 9\nprefix = \"shared\"\n[backup.retention]\nkeep_daily = 7\n";
    machine.write("etc/common.toml", common, 0o600);
    let text = machine.config_text(
        "[backup]\ninclude = [\"common.toml\"]\nprefix = \"own\"\n[backup.destinations.shelf]\nurl = \"/shelf\"\n",
    );
    machine.write("etc/config.toml", text, 0o600);
    let mut command = machine.command();
    command.args([
        "validate",
        "--show",
        "--json",
        "--secrets",
        "../etc/secrets",
    ]);
    command
        .env("HOOKSHOT_TO", "shelf")
        .env("HOOKSHOT_DATA_DIR", machine.path("data"));
    let settings = shown(&finish(command, b"").exits(0));
    let config = machine.path("etc/config.toml").display().to_string();
    let common = machine.path("etc/common.toml").display().to_string();
    let data = machine.path("data").display().to_string();
    for (key, value, from, place) in [
        ("backup.prefix", "own", "file", Some(config.as_str())),
        ("backup.level", "9", "included", Some(&common)),
        (
            "backup.retention.keep_daily",
            "7",
            "included",
            Some(&common),
        ),
        ("backup.retention.keep_weekly", "null", "default", None),
        ("backup.snapshot", "auto", "default", None),
        ("backup.to", "shelf", "environment", Some("HOOKSHOT_TO")),
        (
            "storage.data_dir",
            &data,
            "environment",
            Some("HOOKSHOT_DATA_DIR"),
        ),
        ("secrets.file", "../etc/secrets", "flag", None),
        (
            "backup.destinations.shelf.url",
            "/shelf",
            "file",
            Some(&config),
        ),
        ("backup.destinations.shelf.enabled", "true", "default", None),
        ("logging.format", "text", "default", None),
    ] {
        let setting = settings
            .get(key)
            .unwrap_or_else(|| panic!("{key}: {settings:#?}"));
        let said = match &setting["value"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        assert_eq!(said, value, "{key}");
        assert_eq!(setting["from"], from, "{key}");
        assert_eq!(setting["place"].as_str(), place, "{key}");
    }
    let text = machine.run(&["validate", "--show"]).exits(0).text();
    assert!(
        text.contains("backup.prefix") && text.contains("\"own\""),
        "{text}"
    );
}

#[test]
fn every_key_that_the_configuration_may_have_is_shown() {
    let machine = Machine::empty();
    let keys = hookshot::config::schema::keys();
    let is_section = |name: &str| {
        keys.iter()
            .any(|(section, _)| section == name || section.starts_with(&format!("{name}.")))
    };
    let mut text = String::new();
    let mut expected = Vec::new();
    let lists = [
        "backup.sources",
        "backup.hooks",
        "backup.notify",
        "serve.configs",
    ];
    let mut sections: Vec<&String> = keys.iter().map(|(section, _)| section).collect();
    sections.sort();
    sections.dedup();
    for section in sections {
        let name = section.replace("NAME", "x");
        let is_list = lists.contains(&section.as_str());
        match (name.as_str(), is_list) {
            ("", _) => continue,
            (name, true) => text += &format!("[[{name}]]\n"),
            (name, false) => text += &format!("[{name}]\n"),
        }
        for (_, key) in keys.iter().filter(|(of, _)| of == section) {
            if is_section(&format!("{section}.{key}")) || *key == "tags" || *key == "name" {
                continue;
            }
            text += &format!("{key} = \"file:of-{key}\"\n");
            let path = if is_list {
                format!("{name}[1]")
            } else {
                name.clone()
            };
            expected.push((format!("{path}.{key}"), format!("file:of-{key}")));
        }
    }
    // The text has faults of every kind, and is shown all the same.
    machine.write("etc/config.toml", &text, 0o600);
    let settings = shown(&machine.run(&["validate", "--show", "--json"]).exits(2));
    for (key, value) in expected {
        assert_eq!(settings[&key]["value"], value.as_str(), "{key}");
        assert_eq!(settings[&key]["from"], "file", "{key}");
    }
    // What nothing says is shown with its default, or as null.
    machine.write("etc/config.toml", "", 0o600);
    let settings = shown(&machine.run(&["validate", "--show", "--json"]));
    for (section, key) in &keys {
        let is_one =
            (section == "backup" || section.starts_with("backup.")) && !section.contains("NAME");
        if is_one && !lists.contains(&section.as_str()) && !is_section(&format!("{section}.{key}"))
        {
            assert_eq!(
                settings[&format!("{section}.{key}")]["from"],
                "default",
                "{section}.{key}"
            );
        }
    }
}

#[test]
fn no_secret_is_shown() {
    let machine = Machine::new();
    let text = machine.config_text(
        "[backup]\nprepare = \"login hunter2secret\"\n[backup.destinations.a]\nurl = \"s3://b/x\"\naccess_key_id = \"AK\"\n\
         secret_access_key = \"hunter2secret\"\nsession_token = \"file:token\"\nproxy = \"http://me:hunter3secret@p:1\"\n\
         endpoint = \"https://127.0.0.1:1\"\n[backup.destinations.b]\nurl = \"sftp://me@h/x\"\npassword = \"hunter4secret\"\n",
    );
    machine.write("etc/config.toml", text, 0o600);
    machine.write("etc/token", "t", 0o600);
    for arguments in [
        &["validate", "--show"][..],
        &["validate", "--show", "--json"],
    ] {
        let run = machine.run(arguments).exits(0);
        let said = run.text() + &run.stderr;
        assert!(
            !said.contains("secret@") && !said.contains("hunter"),
            "{said}"
        );
        assert!(
            said.contains("file:token") && said.contains("***"),
            "{said}"
        );
    }
}

#[test]
fn a_verbose_check_shows_the_connection() {
    let machine = Machine::new();
    let text = machine.config_text(
        "[backup]\nto = [\"a\"]\n[backup.destinations.a]\nurl = \"../shelf\"\ntimeout = \"7s\"\nretry_attempts = 2\n",
    );
    machine.write("etc/config.toml", text, 0o600);
    let plain = machine.run(&["check"]).exits(0).text();
    assert!(!plain.contains("time limit"), "{plain}");
    let verbose = machine.run(&["check", "-v"]).exits(0).text();
    for fact in [
        "kind: folder",
        "time limit: 7 s for each request",
        "retries: 2",
        " ms",
    ] {
        assert!(verbose.contains(fact), "{fact}: {verbose}");
    }
    let json = machine.run(&["check", "--json"]).exits(0).json();
    assert_eq!(json["destinations"][0]["connection"]["timeout_seconds"], 7);
}

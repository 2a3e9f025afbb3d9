//! The settings of the server: those of the configuration, the flags above them, and several configurations.

use std::fs;

use serde_json::Value;

use crate::site::{API, Serving, Site};

/// Returns the configurations that a server looks after.
fn configurations(serving: &Serving, token: &str) -> Vec<String> {
    let answer = serving.program(token).get(&format!("{API}/configurations"));
    let all = answer.is(200).json()["configurations"].clone();
    let all = all.as_array().expect("a list").iter();
    all.map(|one| one["config"].as_str().expect("a file").to_owned())
        .collect()
}

#[test]
fn the_configuration_says_where_the_state_is_and_flags_win() {
    let site = Site::with_admin();
    fs::remove_file(site.state()).expect("removed");
    let more = "[backup.serve]\nstate = \"kept/s.sqlite\"\nlisten = \"0.0.0.0:0\"\n";
    site.configure(&["near"], more);
    site.user("anna", "admin");
    let state = site.machine.path("etc/kept/s.sqlite");
    assert!(state.exists() && !site.state().exists());
    // Beyond this machine it starts no more than by a flag.
    let run = site.serve(&[]).exits(2);
    run.says("0.0.0.0:0 is open to other machines, without TLS");
    site.start(&[]).login("anna").get("/").is(200);
}

#[test]
fn faults_of_its_settings_are_named_and_those_of_other_sections_do_not_stop_it() {
    let site = Site::with_admin();
    let bad = "[backup.serve]\nlisten = \"here\"\ntls_cert = \"c\"\n[[serve.configs]]\npath = \"b.toml\"\n";
    site.configure(&["near"], bad);
    for verb in [&["serve", "--listen", "127.0.0.1:0"][..], &["validate"]] {
        let run = site.machine.run(verb).exits(2);
        run.says("`listen` under [backup.serve] must be an address and a port")
            .says("`tls_cert` under [backup.serve] and `tls_key` belong together")
            .says("`path` under [serve.configs 1] must be absolute");
    }
    let other = "prefx = 1\n[backup.serve]\nlisten = \"127.0.0.1:0\"\n";
    site.configure(&["near"], &format!("[backup.timer]\n{other}"));
    let mut command = site.machine.command();
    command.arg("serve");
    let serving = Serving::start(command);
    assert!(serving.address.ip().is_loopback());
}

#[test]
fn further_configurations_are_looked_after_and_one_that_is_gone_is_told() {
    let site = Site::new();
    let other = site.machine.path("etc/other.toml");
    let gone = site.machine.path("etc/gone.toml");
    let text = fs::read_to_string(site.machine.path("etc/config.toml")).expect("text");
    fs::write(&other, text.replace("prefix = \"x\"", "prefix = \"y\"")).expect("written");
    let paths = [&other, &gone, &other].map(|path| Value::String(path.display().to_string()));
    let table = |path: &Value| format!("[[serve.configs]]\npath = {path}\n");
    site.configure(&["near"], &paths.each_ref().map(table).concat());
    site.machine
        .run(&["validate"])
        .exits(2)
        .says("is named twice");
    site.configure(&["near"], &(table(&paths[0]) + &table(&paths[1])));
    let token = site.token("t", "viewer", &[]);
    let serving = site.start(&[]);
    let all = configurations(&serving, &token);
    let expected = ["etc/config.toml", "etc/other.toml", "etc/gone.toml"];
    let expected = expected.map(|name| site.machine.path(name).display().to_string());
    assert_eq!(all, expected);
    assert!(serving.log().contains("gone.toml"), "{}", serving.log());
    // The destinations of both services are known, whatever became of the third file.
    let health = serving.until(
        &serving.program(&token),
        &format!("{API}/health"),
        |answer| {
            let all = answer.json()["configurations"].clone();
            let known = |number: usize| all[number]["status"]["destinations"].is_array();
            known(0) && known(1) && all[2]["status"]["error"].is_object()
        },
    );
    let failure = health.json()["configurations"][2]["status"]["error"].clone();
    assert!(
        failure["message"]
            .as_str()
            .expect("text")
            .contains("gone.toml does not exist")
    );
}

#[test]
fn a_configuration_that_cannot_be_read_is_told_and_the_server_goes_on() {
    let site = Site::with_admin();
    let config = site.machine.path("etc/config.toml");
    // Root reads every file, but none reads a folder as one.
    fs::remove_file(&config).expect("removed");
    fs::create_dir(&config).expect("made");
    let serving = site.start(&[]);
    let log = serving.log();
    assert!(
        log.contains("config.toml") && log.contains("does not count"),
        "{log}"
    );
    serving.login("anna").get("/").is(200);
}

#[test]
fn accounts_that_change_on_the_machine_are_in_the_trail_and_reading_verbs_make_no_file() {
    let site = Site::with_admin();
    site.token("grafana", "viewer", &[]);
    for change in [
        &["user", "role", "anna", "--role", "admin"][..],
        &["token", "revoke", "grafana"],
        &["user", "role", "absent", "--role", "viewer"],
    ] {
        site.serve(change);
    }
    let rows = site.rows(
        "SELECT action || ' ' || target FROM audit WHERE address = 'command line' ORDER BY number",
    );
    let expected = [
        "add user anna",
        "add token grafana",
        "change role anna",
        "revoke token grafana",
    ];
    let expected = expected.map(|words| format!("Text({:?})", words.as_bytes()));
    assert_eq!(rows, expected);
    let other = site.machine.path("etc/other.sqlite");
    let path = other.display().to_string();
    site.serve(&["user", "list", "--state", &path])
        .exits(10)
        .says("does not exist");
    assert!(!other.exists());
    // The settings of a folder that is not there are a mistake.
    let mut command = std::process::Command::new(support::program());
    command.args([
        "--config",
        "absent/config.toml",
        "serve",
        "user",
        "add",
        "x",
    ]);
    command.current_dir(site.machine.path("out"));
    let run = support::finish(command, b"");
    run.exits(10).says("absent/config.toml does not exist");
}

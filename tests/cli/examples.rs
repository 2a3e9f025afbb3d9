//! The examples of unattended operation: configurations, a Compose file, a CronJob, a playbook.

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use support::{
    Machine, finish,
    mounts::is_root,
    program,
    service::{Service, write},
};

fn text(name: &str) -> String {
    fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("examples")
            .join(name),
    )
    .expect(name)
}

/// The documents of a YAML file; `None`, with words, if this machine has no parser of YAML.
fn yaml(name: &str) -> Option<Vec<Value>> {
    const SCRIPT: &str =
        "import sys, json, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin.read()))))";
    for python in ["/usr/bin/python3", "python3"] {
        let mut command = Command::new(python);
        command.args(["-c", SCRIPT]);
        let run = finish(command, text(name).as_bytes());
        if run.code == 0 {
            return serde_json::from_slice(&run.stdout).ok();
        }
        assert!(
            run.stderr.contains("No module named"),
            "{name}: {}",
            run.stderr
        );
    }
    assert!(
        std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
        "no parser of YAML"
    );
    println!("without a parser of YAML (python3-yaml), {name} is not parsed");
    None
}

/// Fails unless the program knows the verb and the options of a command line.
#[track_caller]
fn is_understood(arguments: &[&str]) {
    let machine = Machine::empty();
    machine.run(&[arguments, &["--help"]].concat()).exits(0);
}

fn words(value: &Value) -> Vec<&str> {
    let words = value.as_array().expect("a list").iter();
    words.map(|word| word.as_str().expect("a word")).collect()
}

/// Runs the nightly job by this configuration, with the service's data in a folder of the test, and with the folder of
/// the configuration mounted read-only.
fn runs_with_a_read_only_configuration(config: &str, arguments: &[&str]) {
    if !is_root("a read-only /etc") {
        return;
    }
    let service = Service::with_config("shop", "");
    let path = |name: &str| service.machine.path(name).display().to_string();
    write(&service.folder.join("notes"), "first");
    let mut config = config.replace("/srv/shop", &service.folder.display().to_string());
    // The destination on another machine is a folder here.
    let begin = config.find("url = \"").expect("a destination") + 7;
    let end = begin + config[begin..].find('"').expect("an end");
    config.replace_range(begin..end, &path("archives"));
    let of_buckets = ["region", "access_key_id", "secret_access_key"];
    let kept = config
        .lines()
        .filter(|line| !of_buckets.iter().any(|key| line.starts_with(key)));
    let config: String = kept.map(|line| format!("{line}\n")).collect();
    fs::write(&service.config, config).expect("written");
    let folder = service.config.parent().expect("a folder").display();
    fs::create_dir(path("state")).expect("a folder");
    let script = format!(
        "mount --bind {folder} {folder} && mount -o remount,bind,ro {folder} && exec \"$@\""
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, "sh"]);
    command
        .arg(program())
        .arg("--config")
        .arg(&service.config)
        .args(arguments);
    command
        .env("STATE_DIRECTORY", path("state"))
        .env("TMPDIR", path("tmp"));
    finish(command, b"").exits(0);
    let names = fs::read_dir(path("archives")).expect("archives").flatten();
    let names: Vec<_> = names
        .map(|entry| entry.file_name().into_string().expect("UTF-8"))
        .collect();
    assert!(
        names.iter().any(|name| name.ends_with(".tar.gz")),
        "{names:?}"
    );
    let history =
        fs::read_to_string(Path::new(&path("state")).join("history.jsonl")).expect("a history");
    assert_eq!(history.lines().count(), 2);
}

#[test]
fn the_configuration_of_three_tiers_is_good() {
    let service = Service::with_config("shop", &text("multi-tier.toml"));
    service.run(&["validate"], 0);
    let text = text("multi-tier.toml");
    for rule in [
        "keep_daily = 7",
        "keep_weekly = 4",
        "keep_monthly = 12",
        "every = \"sun 03:00\"",
    ] {
        assert!(text.contains(rule), "{rule}");
    }
}

#[test]
fn the_compose_file_runs_the_agent_by_a_good_configuration() {
    let config = text("container/hookshot/config.toml");
    Service::with_config("shop", &config).run(&["validate"], 0);
    runs_with_a_read_only_configuration(&config, &["backup"]);
    let dockerfile = text("container/Dockerfile");
    let command = dockerfile
        .lines()
        .find_map(|line| line.strip_prefix("CMD "));
    let command: Value = serde_json::from_str(command.expect("a command")).expect("JSON");
    is_understood(&words(&command));
    let Some(compose) = yaml("container/compose.yaml") else {
        return;
    };
    let sidecar = &compose[0]["services"]["hookshot"];
    is_understood(&words(&sidecar["command"]));
    let check = words(&sidecar["healthcheck"]["test"]);
    assert_eq!(check[..2], ["CMD", "hookshot"]);
    is_understood(&check[2..]);
    let mounts = words(&sidecar["volumes"]);
    assert!(
        mounts.contains(&"./hookshot:/etc/hookshot:ro"),
        "{mounts:?}"
    );
}

#[test]
fn the_cron_job_of_kubernetes_runs_with_a_read_only_configuration() {
    let Some(documents) = yaml("kubernetes/cronjob.yaml") else {
        return;
    };
    let config = documents[0]["data"]["config.toml"]
        .as_str()
        .expect("a configuration");
    let container =
        &documents[1]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
    let arguments = words(&container["args"]);
    runs_with_a_read_only_configuration(config, &arguments);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
}

#[test]
fn the_playbook_writes_a_good_configuration_and_knows_its_verbs() {
    let Some(plays) = yaml("ansible/hookshot.yaml") else {
        return;
    };
    let play = &plays[0][0];
    let tasks = play["tasks"].as_array().expect("tasks").iter();
    let all = tasks.chain(play["handlers"].as_array().expect("handlers"));
    let mut commands = 0;
    for task in all {
        if let Some(command) = task["ansible.builtin.command"].as_str() {
            let words: Vec<&str> = command.split(' ').collect();
            assert_eq!(words[0], "hookshot");
            is_understood(&words[1..]);
            commands += 1;
        }
    }
    assert_eq!(commands, 2);
    let copy = &play["tasks"][1]["ansible.builtin.copy"];
    let config = copy["content"].as_str().expect("a configuration");
    let config = config.replace("{{ hookshot_app }}", "shop");
    let config = config.replace(
        "{{ hookshot_to }}",
        "sftp://backup@vault.example/backups/host",
    );
    Service::with_config("shop", &config).run(&["validate"], 0);
}

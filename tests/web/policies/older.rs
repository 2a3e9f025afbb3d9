//! Programs that know the words of older clients: destinations, configurations, backups and archives.

use std::fs;

use serde_json::{Value, json};

use super::{config_of, configuration, path_of, send};
use crate::site::{API, Site};

#[test]
fn older_clients_enable_a_policy_start_a_backup_and_list_its_archive() {
    let site = Site::new();
    let serving = site.start(&[]);
    let program = serving.program(&site.token("t", "admin", &[]));
    let found = configuration(&serving, &program);
    let enable = |app: &Value, more: &str| {
        let mut body = json!({"app_id": app, "policy_id": "default", "backup_volumes": true,
            "backup_compose": true, "backup_env": false});
        if !more.is_empty() {
            body[more] = json!(true);
        }
        send(&program, "POST", "/configurations", None, &body)
    };
    enable(&json!("absent"), "").is(404);
    // What is backed up, and by which commands, is said by the file alone.
    enable(&found["id"], "hooks").is(400);
    let text = fs::read_to_string(config_of(&site)).expect("text");
    assert!(!text.contains("keep_daily"), "{text}");
    let enabled = enable(&found["id"], "").is(200).json();
    assert_eq!(
        (&enabled["how"], &enabled["differences"]),
        (&json!("own"), &json!([]))
    );
    let text = fs::read_to_string(config_of(&site)).expect("text");
    assert!(text.contains("keep_daily = 7"), "{text}");
    enable(&json!("x"), "").is(200);
    let list = || {
        let answer = program.get(&format!("{API}/snapshots?app_id=x")).is(200);
        answer.json()["snapshots"]
            .as_array()
            .expect("a list")
            .clone()
    };
    assert_eq!(list().len(), 1);
    let path = format!("{}/backup", path_of(&found));
    let begun = send(&program, "POST", &path, None, &json!({}))
        .is(202)
        .json();
    assert_eq!(
        (&begun["status"], &begun["snapshot_id"]),
        (&json!("in_progress"), &Value::Null)
    );
    let run = begun["id"].as_str().expect("an id");
    serving.until(&program, &format!("{API}/runs/{run}"), |answer| {
        answer.json()["state"] == "done"
    });
    serving.until(&program, &format!("{API}/snapshots?app_id=x"), |_| {
        list().len() == 2
    });
    let newest = &list()[0];
    assert!(newest["total_size"].as_u64() > Some(0), "{newest}");
    assert_eq!(newest["total_size"], newest["data_added"]);
    for key in ["restic_snapshot_id", "duration"] {
        assert_eq!(newest.get(key), Some(&Value::Null), "{key}");
    }
    program
        .get(&format!("{API}/snapshots?app_id=other"))
        .is(200)
        .says("\"snapshots\":[]");
}

/// The bodies of destinations, as the reference has them, and the lines that they become.
fn seeds(secret: &str) -> [(&'static str, Value, &'static str); 5] {
    [
        (
            "s3",
            json!({"name": "Backblaze B2", "endpoint": "s3.us-west-002.backblazeb2.com", "bucket": "homelab-backups",
                "region": "us-west-002", "access_key": secret, "secret_key": secret}),
            "url = \"s3://homelab-backups\"",
        ),
        (
            "local",
            json!({"name": "NAS Backups", "device_id": "uuid", "path": "/mnt/nfs/backups"}),
            "[backup.destinations.nas-backups]\nurl = \"/mnt/nfs/backups\"\n",
        ),
        (
            "sftp",
            json!({"name": "box", "host": "box.example", "port": 23, "user": "u1", "password": secret, "path": "/b"}),
            "url = \"sftp://box.example/b\"",
        ),
        (
            "gcs",
            json!({"name": "g", "bucket": "b", "service_account_key": {"private_key": secret}}),
            "url = \"gs://b\"",
        ),
        (
            "azure",
            json!({"name": "a", "account": "acc", "container": "c", "account_key": secret}),
            "url = \"az://c\"",
        ),
    ]
}

#[test]
fn the_bodies_of_destinations_become_lines_and_their_secrets_are_nowhere() {
    let site = Site::new();
    let (token, secret) = (site.token("t", "admin", &[]), "canary-4fd1c0");
    let serving = site.start(&[]);
    let program = serving.program(&token);
    let text = fs::read_to_string(config_of(&site)).expect("text");
    let mut all = text.clone();
    for (kind, body, line) in seeds(secret) {
        let answer = send(
            &program,
            "POST",
            &format!("/destinations/{kind}"),
            None,
            &body,
        );
        let answer = answer.is(200).says("\"repo_initialized\":false");
        assert!(!answer.text().contains(secret), "{}", answer.text());
        let told = answer.json();
        assert_eq!(
            (&told["type"], &told["name"]),
            (&json!(kind), &body["name"])
        );
        let lines = told["lines"].as_str().expect("lines");
        assert!(lines.contains(line), "{lines}");
        all.push_str(lines);
        for file in told["secret_files"].as_array().expect("a list") {
            let file = file.as_str().expect("a name");
            assert!(lines.contains(&format!("\"file:{file}\"")), "{lines}");
            site.machine.write(&format!("etc/{file}"), "{}", 0o600);
        }
    }
    // The server wrote nothing; by hand the lines are a good configuration.
    assert_eq!(fs::read_to_string(config_of(&site)).expect("text"), text);
    for (kind, key, value) in [
        ("s3", "endpoint", "http://169.254.169.254"),
        ("s3", "endpoint", "https://localhost:9000"),
        ("sftp", "host", "127.0.0.1"),
        ("local", "path", "/etc/cron.d"),
        ("local", "path", "file:///mnt"),
        ("local", "path", "/mnt/../etc"),
        ("s3", "bucket", "b/../../x y"),
        ("s3", "name", " "),
        ("s3", "hooks", "x"),
        ("sftp", "port", secret),
    ] {
        let (_, mut body, _) = seeds(secret)
            .into_iter()
            .find(|one| one.0 == kind)
            .expect("one");
        body[key] = json!(value);
        let answer = send(
            &program,
            "POST",
            &format!("/destinations/{kind}"),
            None,
            &body,
        );
        assert!(
            [400, 422].contains(&answer.status),
            "{kind} {value}: {}",
            answer.text()
        );
    }
    assert!(!serving.log().contains(secret));
    drop(serving);
    for ending in ["", "-wal"] {
        let state = fs::read(format!("{}{ending}", site.state().display())).unwrap_or_default();
        let has = state
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!has, "{ending}");
    }
    site.machine.write("etc/config.toml", all, 0o600);
    site.serve(&["policy", "show"]).exits(0);
    let run = site.machine.run(&["validate", "--show", "--json"]).text();
    assert!(
        run.contains("backup.destinations.backblaze-b2.region"),
        "{run}"
    );
}

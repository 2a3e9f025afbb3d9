//! Policies: inherited, shown beside the values in force, written into the configuration, and simulated before.

mod older;
mod pages;

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::PathBuf,
};

use serde_json::{Value, json};
use support::is_root;

use crate::{
    client::{Answer, Client},
    site::{API, Serving, Site},
};

/// Sends JSON, with a generation if there is one.
#[track_caller]
fn send(
    program: &Client,
    method: &str,
    path: &str,
    generation: Option<&Value>,
    body: &Value,
) -> Answer {
    let mut program = program.with("Content-Type: application/json");
    if let Some(generation) = generation {
        let words = generation
            .as_str()
            .map_or_else(|| generation.to_string(), str::to_owned);
        program = program.with(format!("If-Match: \"{words}\""));
    }
    program.send(method, &format!("{API}{path}"), &body.to_string())
}

/// Waits until the only configuration is known, and returns it.
#[track_caller]
fn configuration(serving: &Serving, program: &Client) -> Value {
    let path = format!("{API}/configurations");
    let known = |answer: &Answer| !answer.json()["configurations"][0]["schedule"].is_null();
    let answer = serving.until(program, &path, known);
    answer.json()["configurations"][0].clone()
}

fn path_of(configuration: &Value) -> String {
    format!(
        "/configurations/{}",
        configuration["id"].as_str().expect("an id")
    )
}

/// Returns the value in force of a key, and its origin.
#[track_caller]
fn in_force(configuration: &Value, key: &str) -> (Value, String) {
    let values = configuration["effective"]["values"]
        .as_array()
        .expect("values");
    let found = values.iter().find(|one| one["key"] == key);
    let found = found.unwrap_or_else(|| panic!("{key} is not in {values:?}"));
    (
        found["value"].clone(),
        found["from"].as_str().expect("text").to_owned(),
    )
}

fn config_of(site: &Site) -> PathBuf {
    site.machine.path("etc/config.toml")
}

/// A site with three archives at each destination.
fn with_archives() -> Site {
    let site = Site::new();
    for _ in 0..2 {
        site.machine.run(&["export"]).exits(0);
    }
    site
}

#[test]
fn the_default_is_inherited_until_a_file_says_something() {
    let site = Site::new();
    let token = site.token("t", "viewer", &[]);
    let serving = site.start(&[]);
    let program = serving.program(&token);
    let found = configuration(&serving, &program);
    assert_eq!(
        (&found["how"], &found["policy"]),
        (&json!("inherited"), &json!("default"))
    );
    let start = in_force(&found, "backup.schedule.backup");
    assert_eq!(start, (json!("02:00"), "default".to_owned()));
    // The times are those of the policy; the rules are not written yet.
    let keys = found["differences"].as_array().expect("a list").iter();
    let keys: Vec<_> = keys
        .map(|one| (one["key"].clone(), one["meant"].clone()))
        .collect();
    let rules = [("keep_daily", 7), ("keep_weekly", 4), ("keep_monthly", 6)];
    let rules = rules.map(|(key, count)| (json!(format!("backup.retention.{key}")), json!(count)));
    assert_eq!(keys, rules);
    let policies = program.get(&format!("{API}/policies")).is(200).json();
    let default = &policies["policies"][0];
    assert_eq!(default["is_default"], true);
    assert_eq!(default["configurations"], json!([config_of(&site)]));
    drop(serving);
    site.configure(&["near", "far"], "[backup.retention]\nkeep_last = 3\n");
    let serving = site.start(&["--rebuild"]);
    let found = configuration(&serving, &serving.program(&token));
    assert_eq!(
        (&found["how"], &found["policy"]),
        (&json!("configuration"), &Value::Null)
    );
    let last = in_force(&found, "backup.retention.keep_last");
    assert_eq!(last, (json!(3), "file".to_owned()));
    assert_eq!(found["differences"], json!([]));
}

#[test]
fn a_policy_is_written_with_its_comments_mode_and_owner() {
    let site = Site::new();
    let more = "# The shop is closed then.\n[backup.schedule]\nbackup = \"04:30\" # early\n[backup.retention]\n\
        keep_last = 9\nmax_remove = \"20%\" # carefully\n[shop]\nname = \"x\"\n";
    site.configure(&["near", "far"], more);
    let config = config_of(&site);
    fs::set_permissions(&config, fs::Permissions::from_mode(0o640)).expect("changed");
    if is_root("a file of another user") {
        chown(&config, Some(12_345), Some(54_321)).expect("changed");
    }
    let before = fs::metadata(&config).expect("a file");
    let text = fs::read_to_string(&config).expect("text");
    let token = site.token("t", "admin", &[]);
    let serving = site.start(&[]);
    let program = serving.program(&token);
    let found = configuration(&serving, &program);
    // The body of the reference, with the destinations by their identifiers.
    let destinations = program.get(&format!("{API}/destinations")).is(200).json();
    let ids: Vec<_> = (destinations["destinations"]
        .as_array()
        .expect("a list")
        .iter())
    .map(|one| one["id"].clone())
    .collect();
    let body = json!({"name": "Daily Backups", "schedule": "0 2 * * *", "keep_daily": 7, "keep_weekly": 4,
        "keep_monthly": 6, "destination_ids": ids});
    let policy = send(&program, "POST", "/policies", None, &body)
        .is(200)
        .json();
    assert_eq!(policy["destinations"], json!(["d1", "d2"]));
    assert_eq!(fs::read_to_string(&config).expect("text"), text);
    let wanted = json!({"policy": policy["id"], "overrides": {"keep_weekly": 5, "timezone": "Europe/Berlin"}});
    let path = path_of(&found);
    let changed = send(
        &program,
        "PATCH",
        &path,
        Some(&found["generation"]),
        &wanted,
    );
    let changed = changed.is(200).json();
    assert_eq!(
        (&changed["how"], &changed["differences"]),
        (&json!("own"), &json!([]))
    );
    assert_eq!(
        in_force(&changed, "backup.retention.keep_weekly"),
        (json!(5), "file".to_owned())
    );
    assert_ne!(changed["generation"], found["generation"]);
    let new = fs::read_to_string(&config).expect("text");
    let head = text.split("# The shop").next().expect("a head");
    assert!(new.starts_with(head), "{new}");
    for line in [
        "# The shop is closed then.\n[backup.schedule]\nbackup = \"0 2 * * *\" # early\n",
        "timezone = \"Europe/Berlin\"\n",
        "max_remove = \"20%\" # carefully\n",
        "keep_daily = 7\n",
        "keep_weekly = 5\n",
        "[shop]\nname = \"x\"\n",
    ] {
        assert!(new.contains(line), "{line}: {new}");
    }
    assert!(!new.contains("keep_last"), "{new}");
    let after = fs::metadata(&config).expect("a file");
    assert_eq!(
        (after.mode(), after.uid(), after.gid()),
        (before.mode(), before.uid(), before.gid())
    );
    site.machine.run(&["validate"]).exits(0);
    // Jobs read the new times.
    let schedule = site.machine.run(&["schedule", "--json"]).exits(0).json();
    assert!(schedule.to_string().contains("Europe/Berlin"), "{schedule}");
    let acts: Vec<String> = site.audit().into_iter().map(|(_, _, act, _)| act).collect();
    for act in ["add policy", "write policy", "assign policy"] {
        assert!(acts.iter().any(|one| one == act), "{acts:?}");
    }
    // The policy that it has cannot go.
    let path = format!("/policies/{}", policy["id"].as_str().expect("an id"));
    send(&program, "DELETE", &path, Some(&json!(1)), &json!({}))
        .is(409)
        .says("has this policy");
}

#[test]
fn a_file_that_changed_and_values_with_faults_are_refused_and_nothing_is_written() {
    let site = Site::new();
    let token = site.token("t", "admin", &[]);
    let serving = site.start(&[]);
    let program = serving.program(&token);
    let found = configuration(&serving, &program);
    let (path, seen) = (path_of(&found), &found["generation"]);
    let text = fs::read_to_string(config_of(&site)).expect("text");
    let patch = |generation, body: Value| send(&program, "PATCH", &path, generation, &body);
    let (default, other) = (json!({"policy": "default"}), json!("0f"));
    patch(None, default.clone()).is(428);
    patch(Some(&other), default.clone())
        .is(409)
        .says("has changed since");
    // Nor does it lose its policy by a word that is the digest of no file, or by a body that says nothing.
    let none = patch(Some(&other), json!({"policy": null}));
    none.is(409).says("has changed since");
    patch(Some(seen), json!({})).is(400);
    patch(Some(seen), json!({"policy": "absent"})).is(404);
    for overrides in [
        json!({"keep_within": "soon"}),
        json!({"schedule": "never ever"}),
        json!({"timezone": "Berlin"}),
        json!({"destinations": ["absent"]}),
        json!({"schedule": "02:00\nx = 1"}),
    ] {
        let body = json!({"policy": "default", "overrides": overrides});
        patch(Some(seen), body).is(422);
    }
    patch(
        Some(seen),
        json!({"policy": "default", "overrides": {"hooks": "x"}}),
    )
    .is(400);
    for (body, status) in [
        (json!({"name": "x", "keep_within": "soon"}), 422),
        (json!({"name": "x", "keep_daily": -1}), 400),
        (json!({"name": "x", "keep_dayly": 1}), 400),
        (json!({"name": " "}), 422),
        (json!({"name": "Default"}), 409),
        (json!({"name": "x", "destination_ids": ["absent"]}), 404),
    ] {
        send(&program, "POST", "/policies", None, &body).is(status);
    }
    let change = |generation: i64, body: Value| {
        send(
            &program,
            "PATCH",
            "/policies/default",
            Some(&json!(generation)),
            &body,
        )
    };
    change(2, json!({"keep_daily": 1}))
        .is(409)
        .says("its generation is 1");
    change(1, json!({"is_default": false}))
        .is(409)
        .says("is the default");
    send(
        &program,
        "DELETE",
        "/policies/default",
        Some(&json!(1)),
        &json!({}),
    )
    .is(409);
    assert_eq!(
        change(1, json!({"keep_weekly": null})).is(200).json()["generation"],
        2
    );
    assert_eq!(fs::read_to_string(config_of(&site)).expect("text"), text);
    // A hand that edits the file is not overwritten.
    fs::write(config_of(&site), format!("{text}# by hand\n")).expect("written");
    patch(Some(seen), default).is(409);
    let now = fs::read_to_string(config_of(&site)).expect("text");
    assert_eq!(now, format!("{text}# by hand\n"));
    assert_eq!(
        site.rows("SELECT count(*) FROM assignments"),
        ["Integer(0)"]
    );
}

#[test]
fn a_preview_is_what_prune_tells_after_the_policy_is_written() {
    let site = with_archives();
    let token = site.token("t", "admin", &[]);
    let serving = site.start(&[]);
    let program = serving.program(&token);
    let found = configuration(&serving, &program);
    let rules =
        json!({"keep_last": 1, "keep_daily": null, "keep_weekly": null, "keep_monthly": null});
    send(
        &program,
        "PATCH",
        "/policies/default",
        Some(&json!(1)),
        &rules,
    )
    .is(200);
    let preview = program
        .get(&format!("{API}/policies/default/preview"))
        .is(200)
        .json();
    let all = preview["destinations"].as_array().expect("a list").clone();
    assert_eq!(all.len(), 2, "{preview}");
    let destinations = program.get(&format!("{API}/destinations")).is(200).json();
    let id = destinations["destinations"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let simulate = |words: &str| {
        program.get(&format!(
            "{API}/destinations/{id}/retention?simulate={words}"
        ))
    };
    let by_name = simulate("default").is(200).json();
    let by_values = simulate("%7B%22keep_last%22:1%7D").is(200).json();
    simulate("absent").is(404);
    simulate("%7B%22keep_within%22:%22soon%22%7D").is(422);
    simulate("%7B%22keep%22:1%7D").is(400);
    let archives = || {
        fs::read_dir(site.machine.path("near"))
            .expect("a folder")
            .count()
    };
    let before = archives();
    let path = path_of(&found);
    send(
        &program,
        "PATCH",
        &path,
        Some(&found["generation"]),
        &json!({"policy": "default"}),
    )
    .is(200);
    for one in &all {
        let destination = one["destination"].as_str().expect("text");
        let run = site
            .machine
            .run(&["prune", "--dry-run", "--json", destination]);
        let told = run.json();
        for key in ["keep", "remove"] {
            assert_eq!(told[key], one["report"][key], "{destination}");
        }
        assert_eq!(
            told["remove"].as_array().expect("a list").len(),
            2,
            "{told}"
        );
        if destination == "@d1" {
            assert_eq!(
                (&by_name["remove"], &by_values["remove"]),
                (&told["remove"], &told["remove"])
            );
        }
    }
    assert_eq!(archives(), before);
}

#[test]
fn the_verb_shows_and_writes_the_same() {
    let site = Site::new();
    let shown = site.serve(&["policy", "show", "--json"]).exits(0).json();
    assert_eq!(shown["writable"], true);
    let text = fs::read_to_string(config_of(&site)).expect("text");
    let digest = shown["digest"].as_str().expect("text");
    let apply = [
        "policy",
        "apply",
        "--keep-daily",
        "7",
        "--schedule",
        "03:00",
    ];
    let run = site.serve(&[&apply[..], &["--dry-run"]].concat()).exits(0);
    let told = run.text();
    assert!(
        told.contains("keep_daily = 7") && told.contains("nothing was written"),
        "{told}"
    );
    assert_eq!(fs::read_to_string(config_of(&site)).expect("text"), text);
    site.serve(&["policy", "apply"])
        .exits(2)
        .says("no value is given");
    let run = site
        .serve(&[&apply[..], &["--to", "absent"]].concat())
        .exits(2);
    run.says("would not be a good configuration");
    site.serve(&[&apply[..], &["--digest", digest]].concat())
        .exits(0);
    let again = site.serve(&[&apply[..], &["--digest", digest]].concat());
    assert_eq!(again.code, 11);
    again.says("has changed since it was looked at");
    let told = site.serve(&apply).exits(0).text();
    assert!(told.contains("says this already"), "{told}");
    let told = site.serve(&["policy", "show"]).exits(0).text();
    assert!(told.contains("backup.retention.keep_daily"), "{told}");
}
